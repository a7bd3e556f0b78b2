"""How a budget stands: every level, percent and forecast, beside an oracle: slow and plain."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_pipeline_dagster.processors.usage.money.budget_status import (
    BudgetStatus,
    Level,
    Spending,
    statuses,
)
from session_pipeline_dagster.processors.usage.money.budgets import Budget, Scope, ScopeKind
from session_pipeline_dagster.processors.usage.money.periods import Period

ORG = Scope(ScopeKind.ORG)
MAY = date(2026, 5, 1)
LATER = datetime(2026, 11, 29, 12, tzinfo=UTC)


def budget(
    amount: str = "100",
    warn: tuple[int, ...] = (80, 100),
    period: Period = Period.MONTH,
    timezone: str = "UTC",
) -> Budget:
    return Budget("b", ORG, period, Decimal(amount), warn, timezone=timezone)


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def standing(
    cost: str | None, of: Budget, now: datetime = LATER, unpriced: int = 0
) -> BudgetStatus:
    models = ["mystery"] if unpriced else []
    spent = Spending(at(2), None if cost is None else Decimal(cost), unpriced, models)
    (row,) = statuses(of, [spent], now)
    return row


@pytest.mark.parametrize(
    ("warn", "cost", "level", "threshold"),
    [
        ((80, 100), "79.999999", "ok", None),
        ((80, 100), "80", "warn", 80),
        ((80, 100), "99.999999", "warn", 80),
        ((80, 100), "100", "over", 100),
        ((80, 100), "500", "over", 100),
        ((50,), "49", "ok", None),
        ((50,), "99", "warn", 50),
        ((50,), "100", "over", 50),
        ((80, 120), "100", "over", 80),
        ((80, 120), "120", "over", 120),
        ((120,), "119", "ok", None),
        ((120,), "120", "over", 120),
    ],
)
def test_it_warns_from_the_lowest_percent_on_and_is_over_from_100(
    warn: tuple[int, ...], cost: str, level: str, threshold: int | None
) -> None:
    row = standing(cost, budget(warn=warn))
    assert (row.level, row.threshold) == (level, threshold)


@pytest.mark.parametrize("cost", [None, "0", "79", "80", "500"])
def test_what_has_no_price_makes_it_unknown_whatever_is_known(cost: str | None) -> None:
    row = standing(cost, budget(), unpriced=3)
    assert row.level is Level.UNKNOWN
    assert (row.unpriced_messages, row.unpriced_models) == (3, "mystery")
    assert row.threshold == {"80": 80, "500": 100}.get(cost or "")


def test_a_percent_is_never_shown_before_it_is_reached() -> None:
    row = standing("99.999999999999", budget())
    assert (row.percent, row.level) == (Decimal("99.9999"), Level.WARN)
    assert standing("100", budget()).percent == Decimal("100.0000")


def test_sums_are_exact() -> None:
    cents = [Spending(at(2), Decimal("0.1"))] * 10
    (row,) = statuses(budget("1", (100,)), cents, LATER)
    assert (row.spent, row.level) == (Decimal(1), Level.OVER)


def test_five_models_are_named_and_the_rest_counted() -> None:
    models = [f"m{n}" for n in (3, 1, 2, 0, 6, 5, 4, 4)]
    (row,) = statuses(budget(), [Spending(at(2), None, 1, [m]) for m in models], LATER)
    assert row.unpriced_models == "m0, m1, m2, m3, m4 and 2 more"


def test_any_amount_fits_its_column() -> None:
    of = budget("0.000001")
    row = standing("99999999999999999999", of)
    assert row.percent == Decimal("99999999999999.0000")
    assert row.level is Level.OVER


@pytest.mark.parametrize(
    ("now", "forecast"),
    [
        (datetime(2026, 5, 2, 23, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 5, 3, tzinfo=UTC), "93"),  # 6 in 2 of 31 days
        (datetime(2026, 5, 16, 12, tzinfo=UTC), "12"),
        (datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), "6.000002240144"),
        (datetime(2026, 6, 1, tzinfo=UTC), "6"),
        (LATER, "6"),
    ],
)
def test_the_forecast_begins_on_the_third_day(now: datetime, forecast: str | None) -> None:
    expected = None if forecast is None else Decimal(forecast)
    found = standing("6", budget(), now).forecast
    assert found == expected or (found and abs(found - expected) < Decimal("0.00001"))


def test_a_week_has_a_forecast_from_wednesday_on_in_its_zone() -> None:
    of = budget(period=Period.WEEK, timezone="Asia/Tokyo")
    spent = [Spending(datetime(2026, 5, 12, tzinfo=UTC), Decimal(2))]
    wednesday = datetime(2026, 5, 13, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert statuses(of, spent, wednesday - timedelta(seconds=1))[0].forecast is None
    assert statuses(of, spent, wednesday)[0].forecast == 7


def test_a_day_has_none_while_it_runs() -> None:
    of = budget(period=Period.DAY)
    assert standing("5", of, at(2, 23)).forecast is None
    assert standing("5", of, at(3, 0)).forecast == 5


def test_a_seat_does_not_grow_with_the_days() -> None:
    spent = [Spending(at(15), Decimal(100), fixed=True), Spending(at(2), Decimal(1))]
    (row,) = statuses(budget(), spent, datetime(2026, 5, 16, 12, tzinfo=UTC))
    assert (row.spent, row.forecast) == (Decimal(101), Decimal(102))


def test_what_is_of_the_future_has_no_forecast() -> None:
    assert standing("5", budget(), datetime(2026, 4, 1, tzinfo=UTC)).forecast is None


MICROS = st.integers(0, 10**8).map(lambda n: Decimal(n).scaleb(-6))
SPENDINGS = st.lists(
    st.builds(
        Spending,
        st.integers(0, 120 * 96).map(
            lambda n: datetime(2026, 2, 1, tzinfo=UTC) + n * timedelta(minutes=15)
        ),
        st.none() | MICROS,
        st.integers(0, 1),
        st.lists(st.sampled_from(["m", "n"]), max_size=2),
    ),
    max_size=30,
)
BUDGETS = st.builds(
    budget,
    st.sampled_from(["0.5", "30", "100", "333.333333"]),
    st.sampled_from([(50,), (80, 100), (80, 120), (1, 2, 3)]),
    st.sampled_from(Period),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(BUDGETS, SPENDINGS, st.integers(0, 200))
def test_every_row_is_what_a_slow_reading_says(
    of: Budget, spent: list[Spending], days: int
) -> None:
    now = datetime(2026, 2, 1, 5, 30, tzinfo=UTC) + timedelta(days=days)
    zone = ZoneInfo(of.timezone)

    def label(moment: datetime) -> tuple[int, ...]:
        """Names the period as a wall calendar would."""
        local = moment.astimezone(zone)
        if of.period is Period.MONTH:
            return (local.year, local.month)
        if of.period is Period.WEEK:
            return tuple(local.isocalendar())[:2]
        return (local.year, local.month, local.day)

    rows = statuses(of, spent, now)
    assert [row.period_start for row in rows] == sorted({row.period_start for row in rows})
    assert {label(s.at) for s in spent} == {
        label(
            datetime(
                row.period_start.year, row.period_start.month, row.period_start.day, 12, tzinfo=zone
            )
        )
        for row in rows
    }
    for row in rows:
        start = row.period_start
        noon = datetime(start.year, start.month, start.day, 12, tzinfo=zone)
        its = [s for s in spent if label(s.at) == label(noon)]
        total = sum((Fraction(s.cost) for s in its if s.cost is not None), Fraction(0))
        assert Fraction(row.spent) == total
        share = total / Fraction(of.amount)
        reached = [p for p in of.warn if 100 * share >= p]
        assert abs(100 * share - Fraction(row.percent)) < Fraction(1, 10**4)
        assert all((row.percent >= p) == (p in reached) for p in of.warn)
        assert row.threshold == (reached[-1] if reached else None)
        unpriced = sum(s.unpriced_messages for s in its)
        expected = "ok"
        if unpriced:
            expected = "unknown"
        elif reached:
            expected = "over" if share >= 1 else "warn"
        assert row.level == expected
        # By the hour: which hours of the period there are, and which of them are over.
        hours = [noon.astimezone(UTC) + timedelta(hours=h) for h in range(-24, 32 * 24 + 24)]
        quarters = [h + timedelta(minutes=m) for h in hours for m in (0, 15, 30, 45)]
        inside = [q for q in quarters if label(q) == label(noon)]
        over = [q for q in inside if q < now]
        if len(over) == len(inside):
            assert row.forecast == row.spent
        elif len({q.astimezone(zone).date() for q in [*over, now]}) < 3 or of.period == "day":
            assert row.forecast is None
        else:
            assert row.forecast is not None
            guess = total * len(inside) / len(over)
            assert abs(Fraction(row.forecast) - guess) <= Fraction(1, 10**11)
