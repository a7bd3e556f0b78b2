"""What the check of a budget says: which period speaks, and the sentence."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from session_pipeline_dagster.processors.usage.money.budget_status import Spending, statuses
from session_pipeline_dagster.processors.usage.money.budgets import Basis, Budget, Scope, ScopeKind
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.processors.usage.money.verdict import Verdict, usd, verdict

Said = tuple[str, str | None, Sequence[str]]


def says(
    now: str, *spent: Said, basis: Basis = Basis.LIST, period: Period = Period.MONTH
) -> Verdict:
    """At this time of 2026; each spending: when, USD, models without a price."""
    of = Budget("b", Scope(ScopeKind.ORG), period, Decimal("0.50"), basis=basis)
    moment = datetime.fromisoformat(f"2026-{now}").replace(tzinfo=UTC)
    spendings = [
        Spending(
            datetime.fromisoformat(f"2026-{at}").replace(tzinfo=UTC),
            None if cost is None else Decimal(cost),
            len(models),
            models,
        )
        for at, cost, models in spent
    ]
    return verdict(of, statuses(of, spendings, moment), moment)


def test_a_running_month_says_spent_percent_and_forecast() -> None:
    said = says("05-12T12:00", ("05-12T10:00", "0.492999", ()))
    assert said.status == "warning"
    assert said.sentence == (
        "2026-05: 0.49 of 0.50 USD (98.6 %), API list price, not an invoice; forecast 1.33."
    )
    assert said.occasions == {"2026-05 80 % of 0.5": "warning"}
    assert said.numbers["percent"] == pytest.approx(98.6)
    assert said.numbers["forecast"] == pytest.approx(1.329)


def test_before_the_third_day_there_is_no_forecast() -> None:
    said = says("05-02T12:00", ("05-02T10:00", "0.1", ()))
    assert said.sentence == "2026-05: 0.10 of 0.50 USD (20.0 %), API list price, not an invoice."
    assert "forecast" not in said.numbers


def test_without_any_data_a_budget_is_ok() -> None:
    said = says("05-12T12:00")
    assert (said.status, said.occasions) == ("ok", {})
    assert said.sentence == "2026-05: 0.00 of 0.50 USD (0.0 %), API list price, not an invoice."
    assert said.numbers == {
        "spent": 0, "amount": 0.5, "percent": 0, "unpriced_messages": 0, "forecast": 0
    }  # fmt: skip


def test_the_newest_month_with_data_speaks_if_the_running_one_has_none_and_it_is_worse() -> None:
    said = says("11-29T12:00", ("05-12T10:00", "0.56", ()), ("04-12T10:00", "9", ()))
    assert said.status == "warning"
    assert said.sentence == (
        "2026-05: 0.56 of 0.50 USD (112.0 %), API list price, not an invoice; "
        "this period has ended."
    )
    assert list(said.occasions) == ["2026-05 80 % of 0.5", "2026-05 100 % of 0.5"]
    fine = says("11-29T12:00", ("05-12T10:00", "0.1", ()))
    assert fine.status == "ok"
    assert fine.sentence.startswith("2026-11: 0.00 of 0.50 USD")
    assert "2026-05" not in fine.sentence


def test_a_month_that_is_over_is_mentioned_beside_the_running_one() -> None:
    said = says("06-02T12:00", ("05-12T10:00", "0.45", ()), ("06-01T10:00", "0.1", ()))
    assert said.status == "ok"
    assert said.sentence == (
        "2026-06: 0.10 of 0.50 USD (20.0 %), API list price, not an invoice. "
        "2026-05: 0.45 of 0.50 USD (90.0 %), API list price, not an invoice; "
        "this period has ended."
    )
    assert list(said.occasions) == ["2026-05 80 % of 0.5"]


def test_what_has_no_price_is_named_and_what_is_known_is_at_least() -> None:
    said = says("05-12T12:00", ("05-12T10:00", "0.493", ["z", "a"]), ("05-12T11:00", None, ["a"]))
    assert said.status == "unknown"
    assert said.sentence == (
        "2026-05: at least 0.49 of 0.50 USD (at least 98.6 %), API list price, not an invoice; "
        "forecast at least 1.33; 3 responses of a, z without a price."
    )
    assert said.occasions == {
        "2026-05 80 % of 0.5": "warning",
        "2026-05 unpriced a": "unknown",
        "2026-05 unpriced z": "unknown",
    }


def test_responses_that_name_no_model_are_said_too() -> None:
    now = datetime(2026, 5, 12, tzinfo=UTC)
    of = Budget("b", Scope(ScopeKind.ORG), Period.MONTH, Decimal(1))
    said = verdict(of, statuses(of, [Spending(now, None, 1)], now), now)
    assert said.sentence.endswith("; 1 response of no model that is named without a price.")
    assert said.occasions == {"2026-05 unpriced": "unknown"}


def test_of_many_models_five_are_occasions() -> None:
    said = says("05-12T12:00", ("05-12T10:00", None, [f"m{n}" for n in range(9)]))
    assert list(said.occasions) == [f"2026-05 unpriced m{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (Basis.LIST, "API list price, not an invoice"),
        (Basis.UNLOGGED, "API list price with what was billed without a line, not an invoice"),
        (Basis.SEAT, "seats, and API list price of those without one, not an invoice"),
    ],
)
def test_what_the_money_is_stands_beside_it(basis: Basis, words: str) -> None:
    assert f"%), {words}." in says("05-01T12:00", basis=basis).sentence


def test_weeks_and_days_are_named_by_their_day() -> None:
    week = says("05-13T12:00", ("05-12T10:00", "0.45", ()), period=Period.WEEK)
    assert week.sentence.startswith("week of 2026-05-11: 0.45")
    day = says("05-12T12:00", ("05-12T10:00", "0.45", ()), period=Period.DAY)
    assert day.sentence == "2026-05-12: 0.45 of 0.50 USD (90.0 %), API list price, not an invoice."


def test_data_of_a_clock_that_was_ahead_speaks_for_nobody() -> None:
    said = says("05-12T12:00", ("07-12T10:00", "9", ()), ("05-12T10:00", "0.1", ()))
    assert (said.status, said.occasions) == ("ok", {})


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("0.00001", "under 0.0001"),
        ("0.0004545", "0.0005"),
        ("0.01", "0.01"),
        ("0.995", "1.00"),
        ("1234567.5", "1,234,567.50"),
    ],
)
def test_money_is_shown_in_cents_and_what_is_less_in_more_digits(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown
