"""Why a model costs what it costs on a day: all that `session-pipeline prices explain` prints.

Nothing is decided here: the rates are those of price_table.py.
"""

from dataclasses import dataclass
from datetime import date

from session_pipeline_dagster.processors.usage.money.listed import Period, Region
from session_pipeline_dagster.processors.usage.money.own_prices import (
    Discount,
    OwnPrice,
    OwnPrices,
)
from session_pipeline_dagster.processors.usage.money.price_table import (
    model_of,
    rows_of,
    table_name,
)
from session_pipeline_dagster.processors.usage.money.rates import VARIANTS, PriceRow, Variant


@dataclass(frozen=True, slots=True)
class ExplainedVariant:
    """One variant on the day: its rows, one for each band, and where they are from.

    No rows: nothing prices it. `period` is the list price that stands or fills gaps, `own` the
    own price (with `file` and `line`), `discount` what was taken off (with `line`).
    """

    variant: Variant
    rows: tuple[PriceRow, ...]
    period: Period | None
    own: OwnPrice | None
    discount: Discount | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A model on a day.

    `names`: the name without `[1m]`, then, by aliases, what it stands for; `tried`: (provider,
    name) as the library was asked, the one found last; `listed_model`: the library's id, None if
    it knows none of them; `region`: the endpoint that list prices are of, where there are several.
    """

    provider: str
    model: str
    day: date
    price_table: str
    names: tuple[str, ...]
    tried: tuple[tuple[str, str], ...]
    listed_model: str | None
    region: Region | None
    variants: tuple[ExplainedVariant, ...]

    @property
    def is_priced(self) -> bool:
        """Whether anything prices the model on that day."""
        return any(one.rows for one in self.variants)


def explain(provider: str, model: str, day: date, own: OwnPrices | None) -> Explanation:
    """Say where the price of a model on a day is from. Imports the library.

    Raises:
        FileError: as `price_rows`.
    """
    one = model_of(provider, model, own)
    rows = [row for row in rows_of(one, table_name(own)) if row.is_valid_on(day)]
    variants = []
    for variant in VARIANTS:
        of_variant = tuple(row for row in rows if row.variant == variant)
        priced = one.on(day, variant)
        variants.append(
            ExplainedVariant(variant, of_variant, priced.period, priced.own, priced.discount)
            if priced and of_variant
            else ExplainedVariant(variant, (), None, None, None)
        )
    return Explanation(
        provider,
        model,
        day,
        table_name(own),
        one.names,
        one.listed.tried,
        one.listed.model,
        one.listed.region,
        tuple(variants),
    )
