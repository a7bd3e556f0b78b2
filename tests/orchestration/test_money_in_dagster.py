"""Money through Dagster: one run makes all of it, checks say it, and people are told once."""

import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)

from example_numbers import FILES, MESSAGES
from helpers import EXAMPLES
from money_location import (
    MoneyLocation,
    budget,
    made,
    said,
    shown,
    status,
    stop_the_clock,
)
from openings import Openings
from session_pipeline_dagster.definitions import build_definitions
from webhook import Webhook

pytestmark = pytest.mark.slow(seconds=40)

TRUE = {"alice": Decimal("0.59211205"), "bob": Decimal("0.63361225")}
DERIVED = [
    *("model_prices", "usage_slots", "usage_daily", "usage_calls", "usage_activity_daily"),
    *("usage_own_billed", "seats", "budget_status"),
    *("people", "org_units", "usage_projects", "people_shown", "usage_tool_daily"),
    "usage_skill_window",
]
DISCOUNT = "[[discount]]\n# Of every provider.\npercent = 50\n"
WARN = dg.AssetCheckSeverity.WARN
MYSTERY = "claude-mystery-9"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as found:
        yield found


@pytest.fixture
def location(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> MoneyLocation:
    stop_the_clock(monkeypatch, "2026-05-14")
    return MoneyLocation(tmp_path, instance, webhook)


# --- one run -------------------------------------------------------------------------------------


def test_one_run_makes_all_of_money_each_after_what_it_is_made_from(location) -> None:
    location.arrive()
    (result,) = location.follow()
    assert location.costs() == TRUE
    order = made(result)
    assert {*order} >= {*DERIVED, "usage_messages", "usage_billed"}
    for before, after in (
        ("usage_messages", "model_prices"),
        ("model_prices", "usage_slots"),
        ("usage_slots", "usage_daily"),
        ("usage_slots", "usage_activity_daily"),
        ("usage_slots", "budget_status"),
        ("usage_billed_models", "usage_own_billed"),
        ("usage_own_billed", "budget_status"),
        ("seats", "budget_status"),
    ):
        assert order.index(before) < order.index(after), f"{before} before {after}"
    numbers = shown(result, "usage_daily")
    assert numbers["cost_usd"] == pytest.approx(1.2257243)
    assert numbers["cost_usd_last_day"] == pytest.approx(0.2649175)
    assert numbers["unpriced_messages"] == 0
    assert (numbers["messages"], numbers["users"]) == (MESSAGES, 2)
    assert location.tick() == [], "nothing is left to do"


def test_what_the_checks_of_that_run_say_is_of_that_run(location) -> None:
    location.budgets.write_text(
        budget("list", "org", "1.2257")
        + budget("billed", "org", "1", basis='"list+unlogged"')
        + budget("seat", "person:alice", "20", basis='"seat"')
    )
    seats = location.budgets.with_name("seats.toml")
    seats.write_text('[[seat]]\nperson = "alice"\nplan = "max"\nprice = 20\nfrom = 2026-01-01\n')
    location.reload(seats=seats)
    location.arrive()
    found = said(location.run())
    assert {name: (check.passed, check.severity) for name, check in found.items()} == {
        **dict.fromkeys(("budget_list", "budget_billed", "budget_seat"), (False, WARN)),
        **dict.fromkeys(("prices_file", "budgets_file", "seats_file"), (True, WARN)),
        **dict.fromkeys(("directory_file", "projects_file"), (True, WARN)),
        "unassigned_people": (True, WARN),
        **dict.fromkeys(("unpriced_models", "unlogged_usage", "spend_spike"), (True, WARN)),
        "claimed_by_several": (True, WARN),
        "files_given_up": (True, WARN),
    }
    assert found["budgets_file"].description == "3 in the file"
    assert found["budget_list"].description.startswith("2026-05: 1.23 of 1.23 USD (100.0 %), API")
    assert found["budget_list"].metadata["percent"].value == pytest.approx(100.0)
    assert found["budget_billed"].metadata["spent"].value >= 1.2257
    assert found["budget_seat"].metadata["spent"].value == 20
    stored = location.select("SELECT budget, level, spent FROM budget_status WHERE budget = 'list'")
    assert stored == [("list", "over", sum(TRUE.values()))]


DERIVED_TOGETHER = [["people", "org_units"]]
DERIVED_ALONE = [[table] for table in DERIVED if table not in {"people", "org_units"}]


@pytest.mark.parametrize("tables", [*DERIVED_TOGETHER, *DERIVED_ALONE])
def test_what_is_derived_opens_the_database_once(location, tables, monkeypatch) -> None:
    location.arrive()
    openings = Openings(monkeypatch)
    keys = [dg.AssetKey(table) for table in tables]
    location.run(dg.RunRequest(asset_selection=keys, asset_check_keys=[]))
    assert (openings.opened, openings.inside) == (1, 0)


def test_a_check_that_is_quick_opens_the_database_once(location, monkeypatch) -> None:
    location.arrive()
    location.run()
    openings = Openings(monkeypatch)
    location.ask("unpriced_models")
    assert (openings.opened, openings.inside) == (1, 0)


def test_sessions_that_come_newest_first_split_over_runs_cost_the_same(location) -> None:
    for some in (("2026-05-14", "2026-05-12"), ("2026-05-11", "2026-05-06"), ()):
        location.arrive(*some)
        location.run()
    assert location.costs() == TRUE


def test_a_backfill_of_ranges_of_days_costs_the_same(location) -> None:
    location.arrive()
    for first, last in (("2026-05-11", "2026-05-14"), ("2026-05-06", "2026-05-06")):
        location.run(tags=days(first, last))
    assert {*location.costs()} == {"alice", "bob"}
    assert location.costs() != TRUE
    location.run(tags=days("2026-05-04", "2026-05-05"))
    assert location.costs() == TRUE


def test_tables_that_were_made_alone_are_costed_by_the_run_that_is_asked_for_next(location) -> None:
    location.arrive()
    job = location.defs.resolve_implicit_global_asset_job_def()
    messages = [dg.AssetKey("usage_messages")]
    assert job.execute_in_process(asset_selection=messages, instance=location.instance).success
    (result,) = location.follow()
    assert {*made(result)} == {*DERIVED, "usage_pricing"} & {*made(result)}
    assert location.costs() == TRUE
    assert location.tick() == []


# --- other prices --------------------------------------------------------------------------------


def test_other_prices_are_one_run_of_what_is_derived_and_open_no_transcript(location) -> None:
    location.arrive()
    opened = transcripts_opened()
    location.run()
    assert len({*opened}) == FILES, "so that it would be seen"
    assert location.tick() == []
    location.prices.write_text(DISCOUNT)
    opened.clear()
    (request,) = location.tick()
    result = location.run(request)
    assert opened == []
    assert location.costs() == {user: cost / 2 for user, cost in TRUE.items()}
    assert {*made(result)} >= {"model_prices", "usage_slots", "usage_daily", "budget_status"}
    assert "usage_messages" not in made(result)
    assert shown(result, "usage_daily")["cost_usd"] == pytest.approx(1.2257243 / 2)
    assert said(result)["budget_bob"].metadata["spent"].value == pytest.approx(0.316806125)
    (table,) = location.select("SELECT DISTINCT price_table FROM usage_costs")
    assert "prices.toml#" in table[0]
    assert location.tick() == []


def test_a_mistake_in_the_prices_leaves_costs_and_is_said_with_its_line(location) -> None:
    location.arrive()
    location.prices.write_text(DISCOUNT)
    location.run()
    location.prices.write_text(DISCOUNT + "per_cent = 5\n")
    (result,) = location.follow()
    found = said(result)
    assert not found["prices_file"].passed
    assert f"{location.prices}:4" in found["prices_file"].description
    assert found["budget_bob"].passed
    assert location.costs() == {user: cost / 2 for user, cost in TRUE.items()}
    assert location.tick() == [], "until the file changes again"


# --- budgets -------------------------------------------------------------------------------------


def test_each_threshold_is_told_once_as_files_arrive_day_by_day(location, monkeypatch) -> None:
    told = {}
    location.arrive(user="alice")
    location.arrive("2026-05-04", "2026-05-05", user="bob")
    for day in ("06", "11", "12", "14"):
        stop_the_clock(monkeypatch, f"2026-05-{day}")
        location.arrive(f"2026-05-{day}", user="bob")
        found = said(location.run())["budget_bob"]
        for again in (found, location.ask(), location.ask()):
            assert (again.passed, again.severity) == (day < "12", WARN)
            told.setdefault(day, []).extend(location.alerts())
    assert location.costs() == TRUE
    assert {day: texts for day, texts in told.items() if texts} == {
        "12": [
            "warning: 2026-05: 0.49 of 0.50 USD (98.6 %), API list price, not an invoice; "
            f"forecast {Decimal('0.4928') * 31 / Decimal('11.5'):.2f}."
        ],
        "14": [
            "warning: 2026-05: 0.63 of 0.50 USD (126.7 %), API list price, not an invoice; "
            f"forecast {Decimal('0.63361225') * 31 / Decimal('13.5'):.2f}."
        ],
    }


def test_prices_that_take_it_back_resolve_it_and_crossing_again_is_silent(location) -> None:
    location.arrive()
    location.run()
    assert [text.partition(":")[0] for text in location.alerts()] == ["warning"]
    told = []
    for prices in (DISCOUNT, "", DISCOUNT):
        location.prices.write_text(prices)
        (result,) = location.follow()
        assert location.tick() == []
        assert said(result)["budget_bob"].passed == bool(prices)
        told.append([text.partition(";")[0] for text in location.alerts()])
    back = "resolved: 2026-05: 0.32 of 0.50 USD (63.4 %), API list price, not an invoice"
    assert told == [[back], [], []]


def test_a_file_that_comes_after_the_month_is_told_once(location, monkeypatch) -> None:
    location.arrive("2026-05-04", "2026-05-05", "2026-05-06", "2026-05-11")
    stop_the_clock(monkeypatch, "2026-06-03")
    june = next(EXAMPLES.rglob("40811395*.jsonl")).read_text("utf-8").replace("2026-05", "2026-06")
    location.put("bob/-home-bob-x/new.jsonl", june.replace("msg_", "msg_june"))
    location.run()
    assert location.alerts() == []
    location.arrive("2026-05-12")
    told = []
    for found in (said(location.run())["budget_bob"], location.ask()):
        assert found.passed, "June is"
        told += location.alerts()
    (text,) = told
    assert text.startswith("warning: 2026-06: ")
    assert "2026-05: 0.49 of 0.50 USD (98.6 %)" in text
    assert "this period has ended" in text


def test_a_model_without_a_price_is_unknown_named_and_told_once(location) -> None:
    location.arrive("2026-05-04", user="bob")
    text = next(EXAMPLES.rglob("ae7b1088*.jsonl")).read_text("utf-8")
    location.put("bob/-home-bob-x/m.jsonl", text.replace("claude-sonnet-4-5-20250929", MYSTERY))
    told = []
    models = said(location.run())["unpriced_models"]
    assert (models.passed, models.severity) == (False, WARN)
    assert MYSTERY in models.description
    for found in (location.ask(), location.ask()):
        assert (found.passed, found.severity, status(found)) == (False, WARN, "unknown")
        told += location.alerts()
    (text,) = told
    assert text.startswith("unknown: 2026-05: at least ")
    assert f"of {MYSTERY} without a price" in text
    rates = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    location.prices.write_text(
        "\n".join(["[[price]]", f'model = "{MYSTERY}"', *(f"{name} = 1" for name in rates)])
    )
    assert status(said(location.run())["budget_bob"]) == "ok"
    assert [text.partition(":")[0] for text in location.alerts()] == ["resolved"]


def test_another_amount_is_asked_for_and_said_without_a_new_file(location) -> None:
    location.arrive()
    location.run()
    location.budgets.write_text(budget("bob", "person:bob", "5"))
    (result,) = location.follow()
    assert made(result) == ["budget_status"]
    assert said(result)["budget_bob"].passed
    assert location.select("SELECT level FROM budget_status") == [("ok",)]
    assert location.tick() == []


def test_a_new_month_is_said_without_a_new_file(location, monkeypatch) -> None:
    location.arrive()
    location.run()
    stop_the_clock(monkeypatch, "2026-06-01")
    (result,) = location.follow()
    assert "this period has ended" in said(result)["budget_bob"].description


def test_a_mistake_in_the_budgets_is_said_with_its_line_and_the_last_good_rows_stay(
    location,
) -> None:
    location.arrive()
    before = said(location.run())
    rows = location.select("FROM budget_status")
    location.alerts()
    location.budgets.write_text(budget("bob", "person:bob", "0.50") + "warm = 5\n")
    for reloaded in (False, True):
        if reloaded:
            location.reload()
        after = said(location.run())
        assert not after["budgets_file"].passed
        assert after["budgets_file"].severity is WARN
        assert f"{location.budgets}:6" in after["budgets_file"].description
        assert location.select("FROM budget_status") == rows
        # What a run says of its files is another thing in each run.
        assert after["files_given_up"].passed
        others = {*before} - {"budgets_file", "budget_bob", "files_given_up"}
        assert {n: after[n].description for n in others} == {
            n: before[n].description for n in others
        }
        if not reloaded:
            assert status(after["budget_bob"]) == "unknown"
    assert [t.partition(":")[0] for t in location.alerts("budgets_file")] == ["warning"]
    assert location.costs() == TRUE


# --- the location --------------------------------------------------------------------------------


def test_a_run_finds_the_checks_that_its_location_was_loaded_with(
    location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster fails a run that does not find a step that was planned, and a run loads anew."""
    location.arrive()
    monkeypatch.setenv("SESSION_DATA_DIR", str(location.sessions))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(location.settings.database))
    monkeypatch.setenv("SESSION_PIPELINE_BUDGETS", str(location.budgets))
    monkeypatch.setattr(DefinitionsLoadContext, "_instance", None)
    pointer = ModuleCodePointer("session_pipeline_dagster.definitions", "defs", None)
    loaded = initialize_repository_def_from_pointer(pointer)
    location.budgets.write_text(budget("bob", "person:bob", "much") + budget("new", "org", "1"))
    for text in (None, budget("new", "org", "1")):
        if text:
            location.budgets.write_text(text)
        again = reconstruct_repository_def_from_pointer(pointer, loaded.repository_load_data)
        job = again.get_job("usage_job")
        assert {n.name for n in job.nodes} >= {n.name for n in loaded.get_job("usage_job").nodes}
        result = job.execute_in_process(instance=location.instance)
        assert result.success
        found = said(result)["budget_bob"]
        assert (status(found), found.severity) == ("unknown", WARN)
        assert "reload the code location" in found.description
        assert ("budget_new" in said(result)) == bool(text)
    assert initialize_repository_def_from_pointer(pointer).get_job("usage_job").nodes


def test_the_lineage_shows_nothing_that_is_nobodys(location) -> None:
    graph = location.defs.get_repository_def().asset_graph
    made_by_a_step = {*graph.executable_asset_keys}
    assert {*graph.get_all_asset_keys()} - made_by_a_step == {dg.AssetKey("session_files")}


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        (None, 0),
        ("", 0),
        ("[[budget]\n", 0),
        ("".join(budget(f"team {n}", f"person:p{n}", "5") for n in range(50)), 50),
    ],
    ids=["no file", "an empty one", "a bad one", "50 budgets"],
)
def test_a_location_loads_whatever_the_budgets_say(location, text, checks: int) -> None:
    location.budgets.unlink()
    if text is not None:
        location.budgets.write_text(text)
    before = time.process_time()
    location.reload(budgets=location.budgets if text is not None else None)
    repository = location.defs.get_repository_def()
    took = time.process_time() - before
    names = [key.name for key in repository.asset_graph.asset_check_keys]
    assert sum(name.startswith("budget_") for name in names) == checks
    assert took < 5
    sys.stdout.write(f"{checks} budgets: {took:.2f} s of CPU to load\n")
    build_definitions(location.registry, location.settings).resolve_job_def("usage_job")


def days(first: str, last: str) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


def transcripts_opened() -> list[str]:
    """The names of all .jsonl files that this process opens from now on; it grows."""
    found: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".jsonl"):
            found.append(str(arguments[0]))

    # It cannot be taken away again, and costs nothing to speak of.
    sys.addaudithook(hook)
    return found
