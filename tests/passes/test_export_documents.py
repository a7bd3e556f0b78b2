"""Exports that are one file each, as their own readers read them: ccusage, FOCUS, Prometheus."""

import json
import subprocess
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import which
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.export_beside_ccusage import differences, plain
from example_numbers import EXPECTED, FILES
from exported import document, table
from helpers import EXAMPLES
from lines import assistant, encode, usage
from places import ROOT
from session_pipeline_dagster.passes.exports.export import Wanted, export
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.exports import focus, prometheus
from session_pipeline_dagster.setting_records import CostMode, DetailDays, ExportFormat
from session_pipeline_dagster.settings import MoneySettings, PeopleMode, PeopleSettings, Settings
from session_pipeline_dagster.testing import Pipeline, SessionBuilder

CCUSAGE, FOCUS, PROMETHEUS = ExportFormat.CCUSAGE, ExportFormat.FOCUS, ExportFormat.PROMETHEUS
UNPRICED = {"claude-opus-5-5"}
"""What the ccusage that was recorded has no price for."""
MANDATORY = """BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd
    BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargePeriodEnd
    ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity
    PricingUnit ProviderName PublisherName ServiceCategory ServiceName""".split()
"""Columns that FOCUS 1.2 wants in every dataset."""
NEVER_NULL = {*MANDATORY} - {"BillingAccountName", "ChargeClass"}


def exported(pipeline: Pipeline, into: Path, kind: ExportFormat, **wanted: object) -> Path:
    given = Wanted(frozenset({kind}), **wanted)
    export(pipeline.store, UsageProcessor(), pipeline.settings, into, given)
    return into


def filled(folder: Path, settings: Settings | None = None) -> Pipeline:
    made = Pipeline(folder, settings)
    for path in EXAMPLES.rglob("*.jsonl"):
        made.write(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    made.run(UsageProcessor(made.settings.money))
    return made


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return filled(tmp_path_factory.mktemp("examples"))


# --- ccusage ---


@pytest.fixture(scope="module")
def claudes(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Without the sessions of other agents, which what was recorded of ccusage has not read."""
    made = Pipeline(tmp_path_factory.mktemp("claudes"))
    for path in EXAMPLES.rglob("-home-*/**/*.jsonl"):
        made.write(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    made.run(UsageProcessor(made.settings.money))
    return made


@pytest.mark.parametrize("name", ["daily", "weekly", "monthly"])
def test_days_weeks_and_months_are_as_ccusage_prints_them(
    name: str, claudes: Pipeline, tmp_path: Path
) -> None:
    ours = document_of_floats(exported(claudes, tmp_path, CCUSAGE) / f"{name}.json")
    theirs = document_of_floats(ROOT / "tests" / "data" / "ccusage" / f"{name}.json")
    found = differences(plain(ours, UNPRICED), plain(theirs, UNPRICED))
    assert [*found] == []


def test_days_of_another_zone_are_ccusages_too(claudes: Pipeline, tmp_path: Path) -> None:
    into = exported(claudes, tmp_path, CCUSAGE, zone=ZoneInfo("Pacific/Kiritimati"))
    theirs = document_of_floats(ROOT / "tests" / "data" / "ccusage" / "daily_kiritimati.json")
    ours = document_of_floats(into / "daily.json")
    assert [*differences(plain(ours, UNPRICED), plain(theirs, UNPRICED))] == []


def test_sessions_have_ccusages_keys_and_its_sums(claudes: Pipeline, tmp_path: Path) -> None:
    """Not its rows: a subagent's calls are of the session that asked, also in old files."""
    ours = document_of_floats(exported(claudes, tmp_path, CCUSAGE) / "session.json")
    theirs = document_of_floats(ROOT / "tests" / "data" / "ccusage" / "session.json")
    assert {*map(frozenset, ours["sessions"])} == {*map(frozenset, theirs["sessions"])}
    both = plain(ours, UNPRICED), plain(theirs, UNPRICED)
    assert both[0]["totals"] == both[1]["totals"]
    alike = {row["sessionId"]: row for row in both[0]["sessions"]}
    (row,) = (r for r in both[1]["sessions"] if r["sessionId"].startswith("6c972e30"))
    assert [*differences(alike[row["sessionId"]], row)] == []


def document_of_floats(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def test_each_person_has_their_days_under_projects(examples: Pipeline, tmp_path: Path) -> None:
    found = document(exported(examples, tmp_path, CCUSAGE) / "daily.json")
    assert [*found["projects"]] == ["alice", "bob"]
    (day,) = (row for row in found["projects"]["alice"] if row["date"] == "2026-05-04")
    counters = ("inputTokens", "outputTokens", "cacheCreationTokens", "cacheReadTokens")
    assert [day[name] for name in counters] == [55, 1056, 10711, 132388]
    assert (day["totalTokens"], day["totalCost"]) == (144210, Decimal("0.0999321"))
    sums = defaultdict(Decimal)
    for person, rows in found["projects"].items():
        sums[person] = sum(row["totalCost"] for row in rows)
    assert sums == {"alice": Decimal("0.59211205"), "bob": Decimal("0.63361225")}


def test_a_model_without_a_price_is_said_as_ccusage_says_it(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "data")
    pipeline.write("ann/s.jsonl", SessionBuilder(model="nobody-knows").prompt("x").response("y"))
    pipeline.run(UsageProcessor())
    found = document(exported(pipeline, tmp_path / "out", CCUSAGE) / "monthly.json")
    assert found["totals"]["unpricedModels"] == ["nobody-knows"]
    (row,) = found["monthly"]
    assert row["modelBreakdowns"][0]["missingPricing"] is True


# --- FOCUS ---


def test_a_bill_of_focus_is_exact_to_the_last_digit(examples: Pipeline, tmp_path: Path) -> None:
    rows = table(exported(examples, tmp_path, FOCUS) / "focus.csv")
    bobs = {
        row["x_TokenKind"]: (row["ConsumedQuantity"], row["BilledCost"])
        for row in rows
        if row["SubAccountId"] == "bob"
        and row["ChargePeriodStart"] == "2026-05-04T00:00:00Z"
        and row["x_Model"] == "claude-sonnet-4-20250514"
    }
    assert bobs == {
        "input": ("50", "0.00015"),
        "output": ("41", "0.000615"),
        "cache_read": ("99003", "0.0297009"),
        "cache_write_5m": ("5655", "0.02120625"),
    }
    people = defaultdict(Decimal)
    for row in rows:
        people[row["SubAccountId"]] += Decimal(row["EffectiveCost"])
        assert Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"]) == Decimal(
            row["ListCost"]
        )
    assert people == {"alice": Decimal("0.59211205"), "bob": Decimal("0.63361225")}


def test_a_cost_that_a_line_recorded_is_billed_as_dollars(tmp_path: Path) -> None:
    by_lines = MoneySettings(mode=CostMode.AUTO)
    pipeline = Pipeline(tmp_path / "data", Settings(workers=1, money=by_lines))
    lines = (assistant(f"m{n}", usage(10, 20), costUSD=cost) for n, cost in enumerate((0.1, 0.2)))
    pipeline.write("alice/p/s.jsonl", encode(*lines))
    pipeline.run(UsageProcessor(by_lines))
    (row,) = table(exported(pipeline, tmp_path / "out", FOCUS) / "focus.csv")
    assert (row["x_TokenKind"], row["ConsumedQuantity"]) == ("recorded", "2")
    priced = [row[name] for name in ("PricingQuantity", "PricingUnit", "ListUnitPrice", "ListCost")]
    assert priced == ["0.3", "US Dollars", "1", "0.3"]


def test_a_bill_has_every_column_that_focus_wants(examples: Pipeline, tmp_path: Path) -> None:
    path = exported(examples, tmp_path, FOCUS) / "focus.csv"
    rows = table(path)
    header = [*rows[0]]
    assert {*MANDATORY} <= {*header}
    own = [name for name in header if name.startswith("x_")]
    assert header == sorted(header[: -len(own)]) + own, "its columns first, by the alphabet"
    for row in rows:
        assert not [name for name in NEVER_NULL if not row[name]]
        assert row["ChargeCategory"] == "Usage"
        assert (row["ServiceCategory"], row["BillingCurrency"]) == (
            "AI and Machine Learning",
            "USD",
        )
        begin, end = (datetime.fromisoformat(row[f"ChargePeriod{x}"]) for x in ("Start", "End"))
        assert (end - begin).days == 1
    assert {row["BillingPeriodEnd"] for row in rows} == {"2026-06-01T00:00:00Z"}
    assert not table(path.with_name("focus_left_out.csv"))


def test_days_of_a_bill_are_priced_apart_and_add_up_to_the_same(
    examples: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (exported(examples, tmp_path / "whole", FOCUS) / "focus.csv").read_bytes()
    monkeypatch.setattr("session_pipeline_dagster.passes.exports.documents._AT_ONCE", 1)
    assert (exported(examples, tmp_path / "apart", FOCUS) / "focus.csv").read_bytes() == whole
    first = exported(examples, tmp_path / "one", FOCUS, until=date(2026, 5, 4))
    days = {row["ChargePeriodStart"] for row in table(first / "focus.csv")}
    assert days == {"2026-05-04T00:00:00Z"}


def test_what_has_no_price_is_no_row_but_counted(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "data")
    odd = SessionBuilder(model="=nobody").prompt("x").response("y", output_tokens=7)
    pipeline.write("ann/s.jsonl", odd)
    pipeline.run(UsageProcessor())
    into = exported(pipeline, tmp_path / "out", FOCUS)
    assert table(into / "focus.csv") == []
    (row,) = table(into / "focus_left_out.csv")
    assert [*row] == [*focus.LEFT_OUT]
    said = ("person", "model", "messages", "output_tokens")
    assert [row[name] for name in said] == ["ann", "'=nobody", "1", "7"]


def test_a_seat_pays_for_its_month(tmp_path: Path) -> None:
    seats = tmp_path / "seats.toml"
    seats.write_text("[[seat]]\nperson = 'bob'\nplan = 'max'\nprice = 100\nfrom = 2026-05-20\n")
    settings = Settings(workers=1, money=MoneySettings(seats=seats))
    pipeline = filled(tmp_path / "data", settings)
    rows = table(exported(pipeline, tmp_path / "out", FOCUS) / "focus.csv")
    billed, effective = defaultdict(Decimal), defaultdict(Decimal)
    for row in rows:
        billed[row["SubAccountId"]] += Decimal(row["BilledCost"])
        effective[row["SubAccountId"]] += Decimal(row["EffectiveCost"])
    assert billed == {"alice": Decimal("0.59211205"), "bob": 0}
    assert effective["bob"] == Decimal("0.63361225")


@pytest.mark.slow
def test_a_bill_of_days_whose_detail_is_gone_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    """Of a slot that no price of its day explains, the kinds are one row."""
    pipeline = filled(tmp_path / "data")
    unknown = SessionBuilder(model="nobody", start=datetime(2026, 5, 5, tzinfo=UTC))
    pipeline.write("cy/s.jsonl", unknown.prompt("x").response("y", output_tokens=7))
    pipeline.run(UsageProcessor())

    def bill(name: str) -> tuple[bytes, list[dict[str, str]]]:
        into = exported(pipeline, tmp_path / name, FOCUS)
        return (into / "focus.csv").read_bytes(), table(into / "focus_left_out.csv")

    before = bill("before")
    pipeline.settings = replace(pipeline.settings, detail_days=DetailDays(others=30))
    pipeline.run(UsageProcessor())
    assert pipeline.query("SELECT count(*) FROM usage_messages") == [(0,)]
    assert bill("after") == before
    with pipeline.store.connect() as connection:
        connection.execute(
            "UPDATE usage_slots SET cost = cost + 0.000001 WHERE username = 'bob' AND "
            "day = '2026-05-04' AND model = 'claude-sonnet-4-20250514'"
        )
    rows = table(exported(pipeline, tmp_path / "odd", FOCUS) / "focus.csv")
    (odd,) = (row for row in rows if row["x_TokenKind"] == "all")
    assert (odd["SubAccountId"], odd["ConsumedUnit"]) == ("bob", "Requests")
    assert (odd["PricingUnit"], odd["ListUnitPrice"]) == ("US Dollars", "1")
    assert odd["PricingQuantity"] == odd["ListCost"]
    bobs = Decimal("0.63361225")
    found = sum(Decimal(row["ListCost"]) for row in rows if row["SubAccountId"] == "bob")
    assert 0 < found - bobs < Decimal("0.001")


def test_a_session_whose_detail_is_gone_was_active_to_the_quarter_of_an_hour(
    tmp_path: Path,
) -> None:
    pipeline = filled(tmp_path / "data")

    def activity(name: str) -> dict[str, tuple[datetime, datetime]]:
        found = document(exported(pipeline, tmp_path / name, CCUSAGE) / "session.json")["sessions"]
        ends = ("firstActivity", "lastActivity")
        return {
            row["sessionId"]: tuple(datetime.fromisoformat(row[one]) for one in ends)
            for row in found
        }

    before = activity("before")
    pipeline.settings = replace(pipeline.settings, detail_days=DetailDays(others=30))
    pipeline.run(UsageProcessor())
    assert pipeline.query("SELECT count(*) FROM usage_messages") == [(0,)]
    after = activity("after")
    assert before.keys() == after.keys()
    for session, ends in before.items():
        for then, now in zip(ends, after[session], strict=True):
            assert timedelta(0) <= then - now < timedelta(minutes=15), session


def test_a_bill_of_times_at_both_ends_of_the_calendar_is_written(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "data")
    for n, year in enumerate((1, 9999)):
        start = datetime(year, 12, 31, 12, tzinfo=UTC)
        session = SessionBuilder(model="claude-sonnet-4-20250514", start=start)
        pipeline.write(f"ann/{n}.jsonl", session.prompt("x").response("y", output_tokens=7))
    pipeline.run(UsageProcessor())
    rows = table(exported(pipeline, tmp_path / "out", FOCUS) / "focus.csv")
    left = table(tmp_path / "out" / "focus_left_out.csv")
    days = {row["ChargePeriodStart"][:10] for row in rows} | {row["day"] for row in left}
    assert len(days) == len(pipeline.query("SELECT DISTINCT day FROM usage_slots"))


# --- Prometheus ---


def families(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Name -> labels' values -> number, by the official client's parser."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_numbers_for_prometheus_are_those_of_the_store(examples: Pipeline, tmp_path: Path) -> None:
    text = (exported(examples, tmp_path, PROMETHEUS) / "metrics.prom").read_text("utf-8")
    found = families(text)
    tokens = found["session_pipeline_tokens"]
    assert tokens["anthropic", "claude-sonnet-4-20250514", "cache_read"] == 99003
    assert sum(found["session_pipeline_cost_usd"].values()) == pytest.approx(1.2257243)
    assert found["session_pipeline_files"]["usage", "processed"] == FILES
    assert found["session_pipeline_files"]["usage", "given_up"] == 0
    assert found["session_pipeline_recent_cost_usd"]["7",] == 0, "the examples are older"
    assert found["session_pipeline_sessions"] == {(): len(EXPECTED["by_session"])}
    assert {f.type for f in text_string_to_metric_families(text)} == {"gauge"}
    assert "alice" not in text
    assert "bob" not in text


def test_labels_of_attackers_are_read_back_as_they_are() -> None:
    hostile = 'a"b\\n\n{x="1"} 5\n# TYPE y counter\\'
    rows = [("p", hostile, 1, 2, 3, 4, 5, Decimal("0.1"), 0, 9)]
    made = prometheus.gauges([rows, [], [(1, 1.5, 9)], [], []], 1, 2.5)
    found = families(prometheus.text(made))
    assert found["session_pipeline_cost_usd"] == {("p", hostile): 0.1}


def test_there_are_no_more_labels_than_so_many_models() -> None:
    rows = [("p", f"m{n}", 1, 2, 3, 4, 5, Decimal(1), 0, 9) for n in range(500)]
    made = prometheus.gauges([rows, [], [(1, 1.5, 9)], [], []], 1, 2.5)
    costs = families(prometheus.text(made))["session_pipeline_cost_usd"]
    assert len(costs) == prometheus.MOST_MODELS + 1
    assert sum(costs.values()) == 500


def test_of_few_people_no_number_is_shown_and_none_by_model() -> None:
    rows = [
        ("p", "one", 1, 2, 3, 4, 5, Decimal(1), 0, 1),
        ("p", "two", 1, 2, 3, 4, 5, Decimal(1), 0, 9),
    ]
    windows = [(1, Decimal(1), 1, 0, 4, 5, 1), (7, Decimal(2), 1, 0, 5, 5, 1)]
    found = families(
        prometheus.text(prometheus.gauges([rows, windows, [(1, 1.5, 9)], [], []], 5, 1))
    )
    assert found["session_pipeline_cost_usd"] == {(): 2}
    assert [*found["session_pipeline_recent_cost_usd"]] == [("7",)]
    nobody = families(prometheus.text(prometheus.gauges([rows, [], [(1, 1.5, 4)], [], []], 5, 1)))
    assert [*nobody] == ["session_pipeline_exported_timestamp_seconds"]


def test_recent_days_are_those_of_today_and_before(tmp_path: Path) -> None:
    pipeline, now = Pipeline(tmp_path / "data"), datetime.now(UTC).replace(microsecond=0)
    for days in (0, 6, 29):
        start = now.replace(hour=0, minute=0, second=1) - timedelta(days=days)
        built = SessionBuilder(f"s{days}", start=start).prompt("x").response("y")
        pipeline.write(f"ann/{days}.jsonl", built)
    pipeline.run(UsageProcessor())
    text = (exported(pipeline, tmp_path / "out", PROMETHEUS) / "metrics.prom").read_text()
    found = families(text)["session_pipeline_recent_responses"]
    assert found == {("1",): 1, ("7",): 2, ("30",): 3}


@pytest.mark.skipif(which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say(examples: Pipeline, tmp_path: Path) -> None:
    path = exported(examples, tmp_path, PROMETHEUS) / "metrics.prom"
    with path.open("rb") as given:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=given, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_small_groups_are_no_cells_of_the_numbers(examples: Pipeline, tmp_path: Path) -> None:
    people = PeopleSettings(mode=PeopleMode.TEAM)
    hidden = replace(examples.settings, people=people)
    given = Wanted(frozenset({PROMETHEUS}))
    export(examples.store, UsageProcessor(), hidden, tmp_path, given)
    text = (tmp_path / "metrics.prom").read_text("utf-8")
    assert "session_pipeline_cost_usd" not in text, "two people are fewer than five"
    assert "session_pipeline_files" in text
