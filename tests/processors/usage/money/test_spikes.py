"""Spikes: an hour far above what the hours of its person cost."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from money_slots import Slots
from session_pipeline_dagster.processors.usage.money.spikes import (
    Spike,
    spike_verdict,
    spikes,
    spikes_sql,
)

DAY = date(2026, 5, 20)
NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)


def found(slots: Slots, floor: str = "20", today: date = DAY) -> list[Spike]:
    return spikes(slots.select(spikes_sql(Decimal(floor), today)))


@pytest.fixture
def slots() -> Slots:
    return Slots()


def test_an_hour_above_the_floor_of_a_person_without_history_is_a_spike(slots) -> None:
    slots.spend(NOON, "12")
    slots.spend(NOON + timedelta(minutes=45), "8.000000000001")
    assert found(slots) == [
        Spike("s1", "bob", datetime(2026, 5, 20, 12), Decimal("20.000000000001"), Decimal(20))  # noqa: DTZ001
    ]


def test_exactly_the_limit_is_none_and_two_hours_are_not_one(slots) -> None:
    slots.spend(NOON, "20")
    slots.spend(NOON + timedelta(minutes=59), "0", session="s2")
    slots.spend(NOON - timedelta(minutes=1), "15")
    assert found(slots) == []


def test_it_is_an_hour_of_one_session_not_of_a_person(slots) -> None:
    slots.spend(NOON, "15", session="s1")
    slots.spend(NOON, "15", session="s2")
    assert found(slots) == []


def test_five_times_the_median_hour_of_the_14_days_before_lifts_the_limit(slots) -> None:
    for back, cost in [(1, "4"), (2, "6"), (14, "100"), (14, "2")]:
        slots.spend(NOON - timedelta(days=back, hours=int(cost) % 5), cost, session="old")
    slots.spend(NOON, "25")
    assert found(slots) == [], "the median of 2, 4, 6, 100 is 5; five times that is 25"
    slots.spend(NOON, "0.01")
    (spike,) = found(slots)
    assert (spike.cost, spike.limit) == (Decimal("25.01"), Decimal(25))


def test_hours_of_the_15th_day_before_and_of_the_day_itself_are_not_the_usual(slots) -> None:
    slots.spend(NOON - timedelta(days=15), "100", session="old")
    slots.spend(NOON - timedelta(hours=2), "19", session="today")
    slots.spend(NOON, "21")
    assert [spike.limit for spike in found(slots)] == [Decimal(20)]


def test_the_day_before_has_14_days_of_its_own(slots) -> None:
    slots.spend(NOON - timedelta(days=15), "10", session="old")
    slots.spend(NOON - timedelta(days=1), "49", session="yesterday")
    slots.spend(NOON, "1")
    assert found(slots) == []
    slots.spend(NOON - timedelta(days=1), "2", session="yesterday")
    assert [spike.limit for spike in found(slots)] == [Decimal(50)]


def test_the_usual_hour_is_of_the_same_person_over_all_sessions(slots) -> None:
    slots.spend(NOON - timedelta(days=2), "50", who="alice", session="a")
    slots.spend(NOON - timedelta(days=2), "3", session="x")
    slots.spend(NOON - timedelta(days=2), "3", session="y")
    slots.spend(NOON, "29")
    slots.spend(NOON, "31", session="s2")
    (spike,) = found(slots)
    assert (spike.session, spike.limit) == ("s2", Decimal(30))


def test_a_session_is_one_row_its_dearest_hour(slots) -> None:
    slots.spend(NOON, "21")
    slots.spend(NOON + timedelta(hours=1), "30")
    slots.spend(NOON + timedelta(hours=2), "25")
    (spike,) = found(slots)
    assert (spike.hour.hour, spike.cost) == (13, Decimal(30))


def test_what_has_no_price_is_no_hour(slots) -> None:
    slots.spend(NOON - timedelta(days=1), None, session="old")
    slots.spend(NOON - timedelta(days=1, hours=3), "6", session="old")
    slots.spend(NOON, None)
    slots.spend(NOON, "29")
    assert found(slots) == []
    slots.spend(NOON, "2")
    assert len(found(slots)) == 1


def test_the_newest_day_with_data_and_the_one_before_are_looked_at(slots) -> None:
    slots.spend(NOON - timedelta(days=2), "21", session="gone")
    slots.spend(NOON - timedelta(days=1), "300", session="yesterday")
    slots.spend(NOON, "600", session="today")
    assert [spike.session for spike in found(slots, today=DAY + timedelta(days=99))] == [
        "yesterday"
    ]
    slots.spend(NOON + timedelta(minutes=15), "901", session="today")
    assert [spike.session for spike in found(slots)] == ["today", "yesterday"]


def test_a_day_of_a_clock_that_was_ahead_hides_no_spike(slots) -> None:
    slots.spend(NOON, "21")
    slots.spend(NOON + timedelta(days=4000), "1", session="ahead")
    assert len(found(slots)) == 1


def test_a_table_without_rows_has_no_spike(slots) -> None:
    assert found(slots) == []


def test_the_hours_are_of_utc_whatever_the_connections_zone(slots) -> None:
    slots.connection.execute("SET TimeZone = 'Asia/Kolkata'")
    slots.spend(NOON + timedelta(minutes=15), "15")
    slots.spend(NOON + timedelta(minutes=45), "15")
    assert [spike.hour for spike in found(slots)] == [datetime(2026, 5, 20, 12)]  # noqa: DTZ001


COSTS = st.integers(1, 10**15).map(lambda n: Decimal(n).scaleb(-12))
ROWS = st.lists(
    st.tuples(
        st.integers(0, 18 * 96),
        st.sampled_from(("ann", "bob")),
        st.sampled_from("xyz"),
        st.none() | COSTS,
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(["0", "0.5", "100"]))
def test_it_finds_what_a_slow_reading_finds(
    rows: list[tuple[int, str, str, Decimal | None]], floor: str
) -> None:
    slots = Slots()
    spent = [(NOON - timedelta(minutes=15 * back), *rest) for back, *rest in rows]
    for at, who, session, cost in spent:
        slots.spend(at, cost, who=who, session=f"{who}-{session}")
    expected: dict[str, Decimal] = {}
    newest = max((at.date() for at, *_, cost in spent), default=DAY)
    for day in (newest, newest - timedelta(days=1)):
        for who in ("ann", "bob"):
            before: dict[datetime, Decimal] = {}
            for at, person, _, cost in spent:
                days = (day - at.date()).days
                if person == who and cost is not None and 1 <= days <= 14:
                    hour = at.replace(minute=0)
                    before[hour] = before.get(hour, Decimal(0)) + cost
            limit = max(Decimal(floor), 5 * (median(before.values()) if before else Decimal(0)))
            for session in "xyz":
                for hour in range(24):
                    of_hour = [
                        cost
                        for at, person, its, cost in spent
                        if (person, its, at.date(), at.hour) == (who, session, day, hour) and cost
                    ]
                    if of_hour and sum(of_hour) > limit:
                        name = f"{who}-{session}"
                        expected[name] = max(expected.get(name, Decimal(0)), sum(of_hour))
    assert {spike.session: spike.cost for spike in found(slots, floor)} == expected


def test_it_is_said_with_its_limit_and_without_names() -> None:
    hour = datetime(2026, 5, 20, 12)  # noqa: DTZ001
    found = [Spike(f"s{n}", "bob", hour, Decimal(25), Decimal(20)) for n in range(5)]
    said = spike_verdict(found)
    assert said.status == "info"
    one = "25.00 USD (limit 20.00) at 2026-05-20 12:00 UTC in session"
    assert said.sentence == (
        f"5 sessions with an hour above their limit: {one} s0; {one} s1; {one} s2; and 2 more; "
        "API list price, not an invoice."
    )
    assert "bob" not in said.sentence
    assert said.occasions == {f"s{n}": "info" for n in range(5)}
    assert said.listed[0]["person"] == "bob"
    assert spike_verdict([]).status == "ok"
