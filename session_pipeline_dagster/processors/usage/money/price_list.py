"""The price table as it is stored: SELECTs, and records of their answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.processors.usage.money.breakdown import IN_FORCE, InForce
from session_pipeline_dagster.processors.usage.money.rates import PriceRow

SELECTS: Final = (
    """FROM model_prices ORDER BY provider, model,
        list_position(['standard', 'fast', 'batch'], variant), valid_from NULLS FIRST,
        over_input""",
    # Nothing costs what no model wrote.
    """SELECT provider, model FROM usage_models_seen ANTI JOIN model_prices USING (provider, model)
        WHERE model <> '<synthetic>' ORDER BY provider, model""",
    IN_FORCE,
    "FROM projects_shown",
)


@dataclass(frozen=True, slots=True)
class PriceList:
    """The rows in force, (provider, model) seen without a price, and which tables hold when."""

    rows: Sequence[PriceRow]
    unpriced: Sequence[tuple[str, str]]
    in_force: Sequence[InForce]

    @property
    def problem(self) -> str | None:
        """Why the file of own prices was not in use when the table was made."""
        return next((one.problem for one in self.in_force if one.problem), None)


def price_list(answers: Sequence[Sequence[Sequence[Any]]], *, hides: bool = False) -> PriceList:
    """The records of what `SELECTS` gave.

    Args:
        hides: no model is named that is called like somebody.
    """
    rows, unpriced, in_force, shown = answers
    called = {str(model): str(name) for model, name in shown}

    def named(model: str) -> str:
        return called.get(model, HIDDEN) if hides else model

    return PriceList(
        [replace(one, model=named(one.model)) for one in (PriceRow(*row) for row in rows)],
        [(provider, named(model)) for provider, model in unpriced],
        [InForce(*one) for one in in_force],
    )
