"""What the check of a budget, and that of spikes, says now: pure, in plain English.

Numbers come from `budget_status.py` and `spikes.py`; when an alert goes out is `health/alerts.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from session_pipeline_dagster.processors.usage.money.budget_status import (
    BudgetStatus,
    Level,
    rounded,
    without_spending,
)
from session_pipeline_dagster.processors.usage.money.budgets import Basis, Budget
from session_pipeline_dagster.processors.usage.money.periods import name_of, period_of

Says = Literal["ok", "info", "unknown", "warning"]

_SAYS: Mapping[Level, Says] = {
    Level.OK: "ok",
    Level.UNKNOWN: "unknown",
    Level.WARN: "warning",
    Level.OVER: "warning",
}
_WORSE = (Level.OK, Level.UNKNOWN, Level.WARN, Level.OVER)
_BASIS = {
    Basis.LIST: "API list price, not an invoice",
    Basis.UNLOGGED: "API list price with what was billed without a line, not an invoice",
    Basis.SEAT: "seats, and API list price of those without one, not an invoice",
}


_MORE = re.compile(r" and \d+ more$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says.

    Attributes:
        status: as health has it.
        sentence: one line of plain English.
        numbers: to be plotted.
        occasions: what is told once for ever, and as what: `2026-05 80 % of 0.50` -> warning.
        listed: rows of a table that says where.
    """

    status: Says
    sentence: str
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    occasions: Mapping[str, Says] = field(default_factory=dict)
    listed: Sequence[Mapping[str, str | int | float]] = ()


def verdict(budget: Budget, rows: Sequence[BudgetStatus], now: datetime) -> Verdict:
    """What the check of a budget says at `now`, from its rows of `statuses` at `now`.

    The running period speaks, without data too. As long as it has none, the newest period before
    it speaks instead if it is worse. Thresholds that one of the two has reached are occasions: so a
    file that comes after the end of a month is still told.
    """
    current = period_of(now, budget.period, budget.zone)
    known = {row.period_start: row for row in rows}
    running = known.get(current) or without_spending(budget, current, now)
    before = max((start for start in known if start < current), default=None)
    ended = known[before] if before else None
    speaks = running
    if ended and current not in known and _rank(ended) > _rank(running):
        speaks = ended
    told = [row for row in (ended, running) if row]
    sentence = _sentence(budget, speaks, running=speaks is running)
    if ended and ended is not speaks and ended.level is not Level.OK:
        sentence += f" {_sentence(budget, ended, running=False)}"
    return Verdict(
        _SAYS[speaks.level],
        sentence,
        _numbers(speaks),
        {name: says for row in told for name, says in _occasions(budget, row)},
    )


def _rank(row: BudgetStatus) -> int:
    return _WORSE.index(row.level)


def _occasions(budget: Budget, row: BudgetStatus) -> list[tuple[str, Says]]:
    """Each threshold that the period has reached, and each model without a price in it. A budget of
    another amount is told anew."""
    period = name_of(row.period_start, budget.period)
    reached = [p for p in budget.warn if row.threshold is not None and p <= row.threshold]
    found: list[tuple[str, Says]] = [
        (f"{period} {percent} % of {budget.amount.normalize():f}", "warning") for percent in reached
    ]
    if row.level is Level.UNKNOWN:
        models = _MORE.sub("", row.unpriced_models).split(", ")
        found += [(f"{period} unpriced {model}".strip(), "unknown") for model in models]
    return found


def _numbers(row: BudgetStatus) -> Mapping[str, int | float]:
    """For plots; floats are shown, never counted on."""
    forecast = {} if row.forecast is None else {"forecast": round(float(row.forecast), 4)}
    return {
        "spent": float(row.spent),
        "amount": float(row.amount),
        "percent": round(float(row.percent), 1),
        "unpriced_messages": row.unpriced_messages,
        **forecast,
    }


def _sentence(budget: Budget, row: BudgetStatus, *, running: bool) -> str:
    """`2026-05: 0.49 of 0.50 USD (98.6 %), API list price, not an invoice; forecast 0.61.`"""
    least = "at least " if row.unpriced_messages else ""
    share = rounded(row.percent, 1, budget)
    when = name_of(row.period_start, budget.period)
    parts = [
        f"{when}: {least}{usd(row.spent)} of {usd(row.amount)} USD ({least}{share} %), "
        f"{_BASIS[budget.basis]}"
    ]
    if not running:
        parts.append("this period has ended")
    elif row.forecast is not None and row.spent:
        parts.append(f"forecast {least}{usd(row.forecast)}")
    if row.unpriced_messages:
        responses = f"{row.unpriced_messages} response{'s' * (row.unpriced_messages > 1)}"
        models = row.unpriced_models or "no model that is named"
        parts.append(f"{responses} of {models} without a price")
    return "; ".join(parts) + "."


def usd(amount: Decimal) -> str:
    """USD as a person reads it: two digits after the point, four where it is below one cent."""
    if 0 < amount < Decimal("0.0001"):
        return "under 0.0001"
    return f"{amount:,.4f}" if 0 < amount < Decimal("0.01") else f"{amount:,.2f}"
