"""What is spent of a budget: the SELECTs on a real database, and the golden figures of bob."""

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lines import UsagePipeline
from money_slots import Slots
from places import ROOT
from session_pipeline_dagster.processors.usage.money import seat_sql
from session_pipeline_dagster.processors.usage.money import seats as seats_module
from session_pipeline_dagster.processors.usage.money.budget_sql import spendings, spendings_sql
from session_pipeline_dagster.processors.usage.money.budget_status import BudgetStatus, statuses
from session_pipeline_dagster.processors.usage.money.budgets import Basis, Budget, Scope, ScopeKind
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.processors.usage.money.seats import Seat
from session_pipeline_dagster.processors.usage.money.verdict import verdict

ORG, BOB = Scope(ScopeKind.ORG), Scope(ScopeKind.PERSON, "bob")
LATER = datetime(2026, 11, 29, 12, tzinfo=UTC)


def budget(scope: Scope = ORG, basis: Basis = Basis.LIST, timezone: str = "UTC") -> Budget:
    return Budget("b", scope, Period.MONTH, Decimal(100), basis=basis, timezone=timezone)


def standing(slots: Slots, of: Budget, now: datetime = LATER) -> list[BudgetStatus]:
    return statuses(of, spendings(slots.select(spendings_sql(of))), now)


def spent(slots: Slots, of: Budget) -> dict[str, str]:
    rows = standing(slots, of)
    return {f"{row.period_start:%Y-%m}": f"{row.spent.normalize():f}" for row in rows}


@pytest.fixture
def slots() -> Slots:
    return Slots()


def having_seats(slots: Slots, *given: Seat) -> None:
    slots.connection.execute(f"CREATE TABLE seats ({seat_sql.COLUMNS})")
    if given:
        marks = "INSERT INTO seats VALUES (?, ?, ?, ?, ?, ?)"
        slots.connection.executemany(marks, seats_module.rows(given))
    slots.connection.execute(f"CREATE VIEW usage_seats AS {seat_sql.USAGE_SEATS}")


def test_a_scope_takes_names_exactly(slots) -> None:
    slots.spend("2026-05-02", "1", who="bob", project="web", repository="org/web")
    slots.spend("2026-05-03", "2", who="Bob", project="Web")
    slots.spend("2026-05-04", "4", who="o'neil", project="org/web")
    found = {
        name: spent(slots, budget(Scope(kind, name))).get("2026-05")
        for kind, name in [
            (ScopeKind.ORG, ""),
            (ScopeKind.PERSON, "bob"),
            (ScopeKind.PERSON, "o'neil"),
            (ScopeKind.PERSON, "nobody"),
            (ScopeKind.PROJECT, "web"),
            (ScopeKind.PROJECT, "org/web"),
        ]
    }
    assert found == {
        "": "7", "bob": "1", "o'neil": "4", "nobody": None, "web": "1", "org/web": "5"
    }  # fmt: skip


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
def test_what_has_no_price_is_counted_and_its_models_named(slots, timezone: str) -> None:
    slots.spend("2026-05-02", "1")
    slots.spend("2026-05-02", None, model="b")
    slots.spend("2026-05-02", None, model="a", unpriced=2)
    slots.spend("2026-05-09", "3", model="a", unpriced=1)
    slots.spend("2026-05-09", None, model=None)
    (row,) = standing(slots, budget(timezone=timezone))
    assert (row.spent, row.unpriced_messages, row.unpriced_models) == (4, 5, "a, b")


def test_a_months_first_hours_are_of_the_month_of_its_zone(slots) -> None:
    slots.spend("2026-04-30T21:45", "1")
    slots.spend("2026-04-30T22:00", "2")
    assert spent(slots, budget()) == {"2026-04": "3"}
    assert spent(slots, budget(timezone="Europe/Berlin")) == {"2026-04": "1", "2026-05": "2"}
    slots.connection.execute("SET TimeZone = 'Asia/Tokyo'")
    assert spent(slots, budget()) == {"2026-04": "3"}
    assert spent(slots, budget(timezone="Europe/Berlin")) == {"2026-04": "1", "2026-05": "2"}


def test_a_time_that_no_calendar_has_stops_nothing(slots) -> None:
    slots.spend("2026-05-02", "1")
    slots.connection.execute(
        "INSERT INTO usage_slots BY NAME SELECT '99999-01-01'::DATE AS day, 'infinity' AS slot, "
        "'bob' AS username, 5 AS cost, 0 AS unpriced_messages"
    )
    assert spent(slots, budget()) == spent(slots, budget(timezone="Asia/Tokyo")) == {"2026-05": "1"}


@pytest.mark.parametrize("timezone", ["UTC", "America/Los_Angeles", "Pacific/Auckland"])
def test_what_was_billed_without_a_line_counts_where_it_is_known(slots, timezone: str) -> None:
    slots.spend("2026-05-15", "1")
    slots.unlogged("2026-05-01", "0.5")
    slots.unlogged("2026-05-16", None)
    slots.unlogged("2026-04-02", "0.25")
    slots.unlogged("2026-05-01", "8", who="ann")
    assert spent(slots, budget(BOB, timezone=timezone)) == {"2026-05": "1"}
    with_it = {"2026-04": "0.25", "2026-05": "1.5"}
    assert spent(slots, budget(BOB, Basis.UNLOGGED, timezone)) == with_it


def test_what_was_billed_without_a_line_follows_its_session_to_the_repository(slots) -> None:
    slots.spend("2026-05-02", "1", session="s1", repository="org/web")
    slots.spend("2026-05-02", "1", session="s2", repository="org/other")
    slots.unlogged("2026-05-02", "0.5", session="s1")
    slots.unlogged("2026-05-02", "0.25", session="s2")
    web = Scope(ScopeKind.PROJECT, "org/web")
    assert spent(slots, budget(web, Basis.UNLOGGED)) == {"2026-05": "1.5"}
    assert spent(slots, budget(Scope(ScopeKind.PROJECT, "p"), Basis.UNLOGGED)) == {
        "2026-05": "2.75"
    }


def test_who_has_a_seat_in_a_month_costs_the_seat_and_nothing_else(slots) -> None:
    having_seats(
        slots,
        Seat("bob", "Max", Decimal(100), date(2026, 5, 20), date(2026, 6, 2)),
        Seat("bob", "Pro", Decimal(17), date(2026, 6, 1)),
    )
    for month in (4, 5, 6, 7):
        slots.spend(f"2026-{month:02}-03", "3", who="bob")
        slots.spend(f"2026-{month:02}-03", "1", who="ann")
    slots.spend("2026-05-03", None, who="bob")
    months = ["2026-04", "2026-05", "2026-06", "2026-07"]
    for timezone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        everyone, one = (budget(scope, Basis.SEAT, timezone) for scope in (ORG, BOB))
        assert spent(slots, everyone) == dict(zip(months, ["4", "101", "118", "18"], strict=True))
        assert spent(slots, one) == dict(zip(months, ["3", "100", "117", "17"], strict=True))
        assert {row.level for row in standing(slots, one)} == {"ok", "over"}
        ann = budget(Scope(ScopeKind.PERSON, "ann"), Basis.SEAT, timezone)
        assert spent(slots, ann) == dict.fromkeys(months, "1")


def test_a_seat_stands_in_every_month_to_the_newest_with_data(slots) -> None:
    having_seats(
        slots,
        Seat("bob", "Max", Decimal(100), date(2026, 3, 31)),
        Seat("bob", "Pro", Decimal(17), date(2026, 4, 1), date(2026, 4, 1)),
        Seat("ann", "Pro", Decimal(17), date(2026, 4, 15), date(2027, 12, 31)),
        Seat("zoe", "Pro", Decimal(17), date(2026, 6, 1)),
    )
    slots.spend("2026-03-02", "1.5")
    slots.spend("2026-04-02", "2.25", session="s2")
    slots.spend("2026-04-03", None)
    slots.spend("2026-05-03", None)
    slots.spend("2026-05-03", "4", who="ann")
    slots.spend(datetime(2036, 5, 3, tzinfo=UTC), "4", who="ahead")
    rows = slots.select(
        "SELECT month::VARCHAR, person, plan, seat_cost, api_equivalent FROM usage_seats "
        "ORDER BY month, person, plan"
    )
    assert rows == [
        ("2026-03-01", "bob", "Max", Decimal(100), Decimal("1.5")),
        ("2026-04-01", "ann", "Pro", Decimal(17), Decimal(0)),
        ("2026-04-01", "bob", "Max", Decimal(100), Decimal("2.25")),
        ("2026-04-01", "bob", "Pro", Decimal(17), None),
        ("2026-05-01", "ann", "Pro", Decimal(17), Decimal(4)),
        ("2026-05-01", "bob", "Max", Decimal(100), None),
    ]


def test_without_data_or_without_seats_there_is_no_row(slots) -> None:
    having_seats(slots, Seat("bob", "Max", Decimal(100), date(2026, 3, 31)))
    assert slots.select("FROM usage_seats") == []
    slots.connection.execute("DELETE FROM seats")
    slots.spend("2026-05-03", "1")
    assert slots.select("FROM usage_seats") == []
    assert spent(slots, budget(BOB, Basis.SEAT)) == {"2026-05": "1"}


_RATES = """(VALUES ('claude-haiku-4-5', 1, 5, 0.1), ('claude-opus-4-8', 5, 25, 0.5),
    ('claude-opus-5-5', 4, 20, 0.2), ('claude-sonnet-4', 3, 15, 0.3),
    ('gpt-5.5', 5, 30, 0.5))
    AS rates(family, input, output, cached)"""
"""USD per million tokens; what is written to the cache: 1.25 and 2 times input."""


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Slots:
    """The slots of the examples, priced by hand."""
    pipeline = UsagePipeline(tmp_path_factory.mktemp("examples"))
    shutil.copytree(ROOT / "examples/sessions", pipeline.root, dirs_exist_ok=True)
    pipeline.run()
    slots = Slots()
    for who, at_us, cost in pipeline.select(
        f"""SELECT username, epoch_us(sent_at), (input_tokens * input + output_tokens * output
                + cache_read_tokens * cached + cache_creation_1h_tokens * input * 2.0
                + (cache_creation_tokens - cache_creation_1h_tokens) * input * 1.25)
                * 0.000001::DECIMAL(7,6)
        FROM usage_messages_unique JOIN {_RATES} ON starts_with(model, family)"""
    ):
        moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(at_us))
        slots.spend(moment, str(cost), who=who)
    return slots


def test_bobs_budget_reaches_80_percent_on_the_12th_and_100_on_the_14th(examples) -> None:
    """The golden figures of the examples, read day by day as a team would have."""
    of = Budget("bob", BOB, Period.MONTH, Decimal("0.50"))
    first: dict[int, tuple[str, str]] = {}
    for day in range(1, 32):
        evening = datetime(2026, 5, day, 23, 59, tzinfo=UTC)
        sql = f"SELECT * FROM ({spendings_sql(of)}) WHERE at_us <= {evening.timestamp() * 1e6:.0f}"
        row = next(iter(statuses(of, spendings(examples.select(sql)), evening)), None)
        if row and row.threshold:
            share = verdict(of, [row], evening).sentence.partition("(")[2].partition(")")[0]
            first.setdefault(row.threshold, (f"{day:02}", share))
    assert first == {80: ("12", "98.6 %"), 100: ("14", "126.7 %")}
    (row,) = standing(examples, of)
    assert (row.spent, row.level) == (Decimal("0.63361225"), "over")
    assert row.percent == Decimal("126.7225")
    in_berlin = Budget("bob", BOB, Period.MONTH, Decimal("0.50"), timezone="Europe/Berlin")
    assert [row.spent for row in standing(examples, in_berlin)] == [Decimal("0.63361225")]
    alice = Budget("alice", Scope(ScopeKind.PERSON, "alice"), Period.MONTH, Decimal(1))
    assert [row.spent for row in standing(examples, alice)] == [Decimal("0.59211205")]


# --- of a directory ------------------------------------------------------------------------------


def moved(slots: Slots) -> None:
    """Ann has two folders and moves in the middle of May."""
    slots.belongs("ann", "data", None, "2026-05-10", person="Ann", cost_center="C1")
    slots.belongs("ann", "web", "2026-05-11", person="Ann", cost_center="C2")
    slots.belongs("ci", "web", "2026-05-11", person="Ann", cost_center="C2")


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
def test_a_team_spends_what_its_people_spend_on_their_days(slots, timezone: str) -> None:
    moved(slots)
    slots.spend("2026-05-10T12:00", "1", who="ann")
    slots.spend("2026-05-11T12:00", "2", who="ann")
    slots.spend("2026-05-12", "4", who="ci")
    slots.spend("2026-05-12", "8", who="Ann")
    slots.spend("2026-05-01", "16", who="ci")
    slots.unlogged("2026-05-11", "0.5", who="ann")
    slots.unlogged("2026-05-10", "0.25", who="ann")
    found = {
        str(scope): spent(slots, budget(scope, basis, timezone)).get("2026-05")
        for scope, basis in [
            (Scope(ScopeKind.TEAM, "data"), Basis.LIST),
            (Scope(ScopeKind.TEAM, "web"), Basis.UNLOGGED),
            (Scope(ScopeKind.COST_CENTER, "C2"), Basis.LIST),
            (Scope(ScopeKind.TEAM, "(unassigned)"), Basis.LIST),
            (Scope(ScopeKind.PERSON, "Ann"), Basis.LIST),
            (Scope(ScopeKind.PERSON, "ci"), Basis.LIST),
        ]
    }
    assert found == {
        "team:data": "1", "team:web": "6.5", "cost_center:C2": "6", "team:(unassigned)": "24",
        "person:Ann": "15", "person:ci": "20",
    }  # fmt: skip


def test_whoever_has_a_seat_costs_the_seat_in_all_folders(slots) -> None:
    moved(slots)
    slots.belongs("bob", "web", person="Bob", cost_center="C2")
    having_seats(
        slots,
        Seat("ann", "Max", Decimal(100), date(2026, 6, 1)),
        Seat(None, "Team", Decimal(25), date(2026, 6, 1), date(2026, 6, 30), team="web"),
    )
    slots.spend("2026-06-02", "1", who="ann")
    slots.spend("2026-06-02", "2", who="ci")
    slots.spend("2026-06-02", "4", who="bob")
    slots.spend("2026-06-02", "8", who="eve")
    slots.spend("2026-07-02", "16", who="bob")
    of = {
        str(scope): spent(slots, budget(scope, Basis.SEAT))
        for scope in (
            ORG, Scope(ScopeKind.TEAM, "web"), Scope(ScopeKind.PERSON, "ann"),
            Scope(ScopeKind.PERSON, "Ann"), Scope(ScopeKind.COST_CENTER, "C1"),
        )
    }  # fmt: skip
    assert of == {
        "org": {"2026-06": "158", "2026-07": "116"},
        "team:web": {"2026-06": "150", "2026-07": "116"},
        "person:ann": {"2026-06": "125", "2026-07": "100"},
        "person:Ann": {"2026-06": "125", "2026-07": "100"},
        "cost_center:C1": {},
    }
