"""How a budget stands in each period: pure, from what was spent and when.

What a check says of it is `verdict.py`; which rows are spent is `budget_sql.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from session_pipeline_dagster.processors.usage.money.budgets import Budget
from session_pipeline_dagster.processors.usage.money.periods import (
    bounds,
    day_begins,
    elapsed,
    period_of,
)

_EXACT = Context(prec=80)
_USD = Decimal(1).scaleb(-12)
_MOST_PERCENT = Decimal(10) ** 14 - 1
_FORECAST_FROM = timedelta(days=2)
"""From the third day of a period on: before, one busy morning would be a forecast."""
_NAMED = 5


class Level(StrEnum):
    """How a budget stands.

    `unknown` where anything of it has no price; else `ok` below the lowest percent of `warn`; from
    there on `warn`, and from 100 % on `over`, whatever the other percents are.
    """

    OK = "ok"
    WARN = "warn"
    OVER = "over"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent at one time.

    Attributes:
        at: aware.
        cost: USD; None where nothing of it has a price.
        unpriced_messages: responses that are not in `cost`.
        unpriced_models: the models of these; empty for responses that name none.
        fixed: the price of a seat, which does not grow with the days.
    """

    at: datetime
    cost: Decimal | None
    unpriced_messages: int = 0
    unpriced_models: Sequence[str] = ()
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A row of `budget_status`, in column order.

    Attributes:
        spent: USD; a lower bound where responses are unpriced.
        forecast: USD at the end of the period; None before its third day.
        percent: `spent` of `amount`.
        threshold: the highest percent of `warn` that is reached; None: none is.
        unpriced_models: at most five names, with commas.
    """

    period_start: date
    budget: str
    spent: Decimal
    forecast: Decimal | None
    percent: Decimal
    level: Level
    unpriced_messages: int
    amount: Decimal
    threshold: int | None
    unpriced_models: str


@dataclass(slots=True)
class _Sum:
    spent: Decimal = Decimal(0)
    fixed: Decimal = Decimal(0)
    unpriced: int = 0
    models: set[str] = field(default_factory=set)


def statuses(budget: Budget, spendings: Iterable[Spending], now: datetime) -> list[BudgetStatus]:
    """One row for every period in which there is anything, the oldest first."""
    sums: dict[date, _Sum] = {}
    for spending in spendings:
        start = period_of(spending.at, budget.period, budget.zone)
        total = sums.setdefault(start, _Sum())
        if spending.cost is not None:
            total.spent = _EXACT.add(total.spent, spending.cost)
            if spending.fixed:
                total.fixed = _EXACT.add(total.fixed, spending.cost)
        total.unpriced += spending.unpriced_messages
        total.models.update(spending.unpriced_models)
    return [_status(budget, start, sums[start], now) for start in sorted(sums)]


def without_spending(budget: Budget, start: date, now: datetime) -> BudgetStatus:
    """The row of a period in which there is nothing."""
    return _status(budget, start, _Sum(), now)


def _status(budget: Budget, start: date, total: _Sum, now: datetime) -> BudgetStatus:
    threshold = max((p for p in budget.warn if _reached(total.spent, budget, p)), default=None)
    if total.unpriced:
        level = Level.UNKNOWN
    elif threshold is None:
        level = Level.OK
    else:
        level = Level.OVER if _reached(total.spent, budget, 100) else Level.WARN
    share = _EXACT.divide(_EXACT.multiply(total.spent, Decimal(100)), budget.amount)
    return BudgetStatus(
        start,
        budget.name,
        _EXACT.quantize(total.spent, _USD),
        _forecast(budget, start, total, now),
        rounded(min(share, _MOST_PERCENT), 4, budget),
        level,
        total.unpriced,
        _EXACT.quantize(budget.amount, _USD),
        threshold,
        _names(total.models),
    )


def _reached(spent: Decimal, budget: Budget, percent: int) -> bool:
    # By products: a share that was rounded is not the amount.
    return _EXACT.multiply(spent, Decimal(100)) >= _EXACT.multiply(budget.amount, Decimal(percent))


def rounded(percent: Decimal, digits: int, budget: Budget) -> Decimal:
    """A percent as it is shown: 100, and each percent of `warn`, not before it is reached."""
    unit = Decimal(1).scaleb(-digits)
    found = percent.quantize(unit, ROUND_HALF_UP, _EXACT)
    if any(percent < mark <= found for mark in (*budget.warn, 100)):
        return percent.quantize(unit, ROUND_DOWN, _EXACT)
    return found


def _forecast(budget: Budget, start: date, total: _Sum, now: datetime) -> Decimal | None:
    """Spent by the share of the period that is over; what is over by the end is what was spent."""
    if now >= bounds(start, budget.period, budget.zone)[1]:
        return _EXACT.quantize(total.spent, _USD)
    if now < day_begins(start + _FORECAST_FROM, budget.zone):
        return None
    share = elapsed(start, budget.period, budget.zone, now)
    grows = _EXACT.subtract(total.spent, total.fixed)
    whole = _EXACT.divide(_EXACT.multiply(grows, Decimal(share.denominator)), share.numerator)
    return _EXACT.quantize(_EXACT.add(total.fixed, whole), _USD)


def _names(models: Iterable[str]) -> str:
    named = sorted(models)
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
