"""The price table: own prices over list prices, for the models seen, cut into days and bands.

One rule is here: which rates hold for a model, a day and a variant. Reading prices.toml and the
library belongs in own_prices.py and listed.py; joining the rows with usage in SQL.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from session_pipeline_dagster.processors.usage.money import listed as library
from session_pipeline_dagster.processors.usage.money.library_version import version
from session_pipeline_dagster.processors.usage.money.listed import Listed, Period
from session_pipeline_dagster.processors.usage.money.own_prices import (
    Discount,
    OwnPrice,
    OwnPrices,
    discount_on,
    price_on,
)
from session_pipeline_dagster.processors.usage.money.rates import (
    STANDARD,
    VARIANTS,
    Band,
    PriceRow,
    Rates,
    Source,
    Variant,
    a_day_of,
    day_after,
    rounded,
    spans,
)
from session_pipeline_dagster.processors.usage.money.toml_file import shown

# Responses that no model wrote; a pattern of an own price must not reach them.
_SYNTHETIC: Final = "<synthetic>"
_SEARCH: Final = "web_search"


@dataclass(frozen=True, slots=True)
class Priced:
    """Where the rates of a model, a day and a variant come from."""

    bands: tuple[Band, ...]
    source: Source
    is_assumed: bool
    period: Period | None
    own: OwnPrice | None
    discount: Discount | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as lines name it, with all that may price it.

    `names` are those that it may be priced by: its own without `[1m]`, then what that stands for;
    `listed` is what the library says of the last one.
    """

    provider: str
    model: str
    names: tuple[str, ...]
    listed: Listed
    prices: tuple[OwnPrice, ...]
    discounts: tuple[Discount, ...]

    @property
    def price_model(self) -> str:
        """The model that is priced: the library's id, else the name that own prices have."""
        return self.listed.model or self.names[-1]

    def on(self, day: date, variant: Variant) -> Priced | None:
        """The rates of a day and variant; None where nothing prices it.

        An own price for the variant, else a published list price, else standard's rates.

        Raises:
            FileError: two own prices hold with equal right, or one leaves out a price that the
                library does not have.
        """
        priced = self._priced(day, variant)
        if priced is None and variant != STANDARD:
            priced = self._priced(day, STANDARD)
            return priced and replace(priced, is_assumed=True)
        return priced

    def starts(self) -> set[date]:
        """The days on which any price of it may begin."""
        ends = (one.valid_to for one in self.prices if one.valid_to is not None)
        begun = {
            *(one.valid_from for one in self.listed.periods),
            *(one.valid_from for one in (*self.prices, *self.discounts)),
            *(day_after(end) for end in ends),
        }
        return {day for day in begun if day is not None}

    def _priced(self, day: date, variant: Variant) -> Priced | None:
        period = self.listed.on(day, variant)
        own = price_on(self.prices, self.names[0], variant, day)
        if own is not None:
            return _by_own(own, period, self.names[-1])
        if period is None or not period.is_published:
            return None
        return _by_list(period, discount_on(self.discounts, day))


def table_name(own: OwnPrices | None) -> str:
    """`genai-prices 0.2.3`, or `genai-prices 0.2.3 + prices.toml#1a2b3c4d` with own prices."""
    return version() if own is None else f"{version()} + prices.toml#{own.digest}"


def model_of(provider: str, model: str, own: OwnPrices | None) -> Model:
    """A model with all that may price it. Imports the library."""
    if own is None:
        names = (library.plain(model),)
        return Model(provider, model, names, library.listed(provider, names[-1]), (), ())
    names = own.names(model)
    return Model(
        provider,
        model,
        names,
        library.listed(provider, names[-1], own.regions),
        own.prices_for(provider, model),
        own.discounts_for(provider),
    )


def price_rows(seen: Collection[tuple[str, str]], own: OwnPrices | None) -> list[PriceRow]:
    """The rows of `model_prices` for the (provider, model) pairs seen, in a fixed order.

    A pair that nothing prices has no row; otherwise each day that is priced has one row for each
    variant and band.

    Raises:
        FileError: two own prices hold for one model with equal right, or an own price leaves out a
            price of a model that the library does not know.
    """
    table = table_name(own)
    return [
        row
        for provider, model in sorted(set(seen))
        for row in rows_of(model_of(provider, model, own), table)
    ]


def frozen(
    stored: Sequence[PriceRow], new: Sequence[PriceRow], until: date | None
) -> list[PriceRow]:
    """The rows when days up to `until` stay as they were priced.

    Stored rows end there and new ones begin the day after; a model that had no row at all keeps
    its new rows for the locked days, too. None: the new rows.
    """
    if until is None:
        return list(new)
    known = {(row.provider, row.model) for row in stored}
    kept = (_ended(row, until) for row in stored)
    begun = (
        row if (row.provider, row.model) not in known else _begun(row, day_after(until))
        for row in new
    )
    return sorted((row for row in (*kept, *begun) if row is not None), key=_order)


def rows_of(model: Model, table: str) -> Iterator[PriceRow]:
    """The rows of one model, those of equal rates on following days as one."""
    if model.model == _SYNTHETIC:
        return
    days = list(spans(model.starts()))
    for variant in VARIANTS:
        last: tuple[date | None, date | None, Priced] | None = None
        for valid_from, valid_to in days:
            priced = model.on(a_day_of(valid_from, valid_to), variant)
            if last and priced and _is_same(last[2], priced):
                last = (last[0], valid_to, priced)
                continue
            yield from _rows_of(model, table, variant, last)
            last = (valid_from, valid_to, priced) if priced else None
        yield from _rows_of(model, table, variant, last)


def _rows_of(
    model: Model,
    table: str,
    variant: Variant,
    span: tuple[date | None, date | None, Priced] | None,
) -> Iterator[PriceRow]:
    if span is None:
        return
    valid_from, valid_to, priced = span
    for band in priced.bands:
        yield PriceRow(
            table,
            model.provider,
            model.model,
            model.price_model,
            variant,
            valid_from,
            valid_to,
            band.over_input,
            band.upto_input,
            *astuple(band.rates),
            priced.source,
            priced.is_assumed,
        )


def _is_same(one: Priced, other: Priced) -> bool:
    return (one.bands, one.source, one.is_assumed) == (other.bands, other.source, other.is_assumed)


def _by_list(period: Period, discount: Discount | None) -> Priced:
    if discount is None or not discount.percent:
        return Priced(period.bands, "list", period.is_dearest, period, None, None)
    bands = tuple(replace(one, rates=_reduced(one.rates, discount)) for one in period.bands)
    return Priced(bands, "custom", period.is_dearest, period, None, discount)


def _reduced(rates: Rates, discount: Discount) -> Rates:
    return Rates(*(rounded(rate * discount.factor) for rate in astuple(rates)))


def _by_own(own: OwnPrice, period: Period | None, name: str) -> Priced:
    """The own rates; what they leave out is the list price, without a discount."""
    given = {key: rate for key, rate in asdict(own.rates).items() if rate is not None}
    # A search costs nothing where nobody says otherwise, as in the library.
    left_out = [key for key in asdict(own.rates) if key not in given and key != _SEARCH]
    if period is None:
        if left_out:
            raise own.fail(
                f"{version()} has no price of {shown(name)}; give {' and '.join(left_out)}, too"
            )
        rates = Rates(**{_SEARCH: Decimal(0)} | given)
        return Priced((Band(0, None, rates),), "custom", False, None, own, None)
    bands = [replace(band, rates=replace(band.rates, **given)) for band in period.bands]
    is_assumed = bool(left_out) and (period.is_dearest or not period.is_published)
    return Priced(_joined(bands), "custom", is_assumed, period, own, None)


def _joined(bands: Sequence[Band]) -> tuple[Band, ...]:
    """The bands, those of equal rates that follow each other as one."""
    joined: list[Band] = []
    for band in bands:
        if joined and joined[-1].rates == band.rates:
            joined[-1] = replace(joined[-1], upto_input=band.upto_input)
        else:
            joined.append(band)
    return tuple(joined)


def _ended(row: PriceRow, last: date) -> PriceRow | None:
    """The row up to a day; None where nothing is left."""
    if row.valid_from is not None and row.valid_from > last:
        return None
    return replace(row, valid_to=min(row.valid_to or last, last))


def _begun(row: PriceRow, first: date | None) -> PriceRow | None:
    """The row from a day on; None where nothing is left."""
    if first is None or (row.valid_to is not None and row.valid_to < first):
        return None
    return replace(row, valid_from=max(row.valid_from or first, first))


def _order(row: PriceRow) -> tuple[str, str, int, date, int]:
    variant = VARIANTS.index(row.variant)
    return row.provider, row.model, variant, row.valid_from or date.min, row.over_input
