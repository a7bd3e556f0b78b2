"""What costs would change by, were they computed now: SELECTs, and records of their answers.

The same SQL prices responses before and after, with another pair of tables. Nothing is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from session_pipeline_dagster.contract.derivation import Derivation, Row
from session_pipeline_dagster.processors.usage.money.costing import STORED, PriceTables, priced
from session_pipeline_dagster.processors.usage.money.pricing import Made

_NOW: Final = PriceTables("prices_now", "pricing_now")
_DAYS: Final = "days_to_cost"


@dataclass(frozen=True, slots=True)
class Change:
    """A model's responses in a UTC month, and what they cost before and after, in USD.

    None is: none of them has a price.
    """

    provider: str | None
    model: str | None
    month: str
    messages: int
    before: Decimal | None
    unpriced_before: int
    after: Decimal | None
    unpriced_after: int

    @property
    def is_change(self) -> bool:
        """Whether anything is another number."""
        return (self.before, self.unpriced_before) != (self.after, self.unpriced_after)

    @property
    def by(self) -> Decimal:
        """USD that it becomes more; what has no price counts as nothing."""
        return (self.after or Decimal(0)) - (self.before or Decimal(0))


@dataclass(frozen=True, slots=True)
class Diff:
    """What a run would change, and which tables hold before and after it."""

    changes: Sequence[Change]
    tables_before: Sequence[str]
    tables_after: Sequence[str]
    lock_until: date | None


def beside(
    derivation: Derivation, made: Made, days: Sequence[str]
) -> Mapping[str, tuple[str, Any]]:
    """The tables that the SELECTs read beside those that are stored."""
    prices, pricing = (derivation.tables[name].columns for name in (STORED.prices, STORED.pricing))
    return {
        _NOW.prices: (prices, [astuple(row) for row in made.after]),
        _NOW.pricing: (pricing, [astuple(row) for row in made.stands]),
        _DAYS: ("day DATE", [(date.fromisoformat(day),) for day in days]),
    }


def selects() -> tuple[str, str]:
    """SELECTs of the sums per model and month, before and after."""
    return _sums(STORED), _sums(_NOW)


def diff(made: Made, before: Sequence[Row], after: Sequence[Row]) -> Diff:
    """The records of what `selects` gave; only what changes, month by month."""
    old: dict[tuple[Any, ...], tuple[Any, ...]] = {row[:3]: row[3:] for row in before}
    changes = []
    for row in after:
        messages, cost, unpriced = old[row[:3]]
        new: Any = row
        change = Change(*new[:3], messages, cost, unpriced, *new[4:])
        if change.is_change:
            changes.append(change)
    return Diff(
        sorted(changes, key=lambda one: (one.month, one.model or "", one.provider or "")),
        _names(made.stood),
        _names(made.stands),
        made.lock_until,
    )


def _names(pricing: Sequence[Any]) -> list[str]:
    in_order = sorted(pricing, key=lambda one: one.valid_from or date.min)
    return list(dict.fromkeys(one.price_table for one in in_order))


def _sums(tables: PriceTables) -> str:
    return f"""SELECT provider, model, strftime(day, '%Y-%m') AS month, count(*), sum(cost),
            count(*) FILTER (cost IS NULL)
        FROM ({priced((), f"SELECT day FROM {_DAYS}", tables)}) GROUP BY ALL"""
