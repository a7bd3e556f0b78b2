"""List prices: what the library `genai-prices` says, as variants, spans of days and bands.

The library is imported by the call that needs it, never with this module: it takes half a
second and 80 MB that neither a parse worker nor `session-pipeline status` should pay.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from session_pipeline_dagster.processors.usage.money.cost_states import plain as without_mark
from session_pipeline_dagster.processors.usage.money.rates import (
    STANDARD,
    VARIANTS,
    Band,
    Rates,
    Variant,
    a_day_of,
    per_search,
    per_token,
    rounded,
    spans,
)

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

Region = Literal["regional", "global"]

# What the API of Anthropic never says: an id of Bedrock, with or without its region, or of Vertex.
_BEDROCK: Final = re.compile(r"(?:[a-z-]+\.)?anthropic\.claude-", re.IGNORECASE)
_VERTEX: Final = re.compile(r"vertex_ai/(?=.)", re.IGNORECASE)
_NO_REGION: Final = re.compile(r"(?:anthropic\.)?(?=claude-)", re.IGNORECASE)
_PREMIUM: Final = Decimal("1.1")
# Regional endpoints cost more since the models of generation 4.5; those before have one price.
_ONE_PRICE: Final = re.compile(r"claude-(?:v?[123]|4-(?:opus|sonnet)$|(?:opus|sonnet)-4-[01]$)")
_CONTEXTS: Final[Mapping[Variant, Mapping[str, str]]] = {
    STANDARD: {},
    "fast": {"speed": "fast", "service_tier": "fast"},
    "batch": {"processing": "batch"},
}
# Prices of what no transcript counts: with one of them the sum would be too low.
_NOT_COUNTED: Final = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


@dataclass(frozen=True, slots=True)
class Regions:
    """Which endpoints calls went to, where the name of the model does not say it."""

    aws: Region = "regional"
    google: Region = "global"


@dataclass(frozen=True, slots=True)
class Period:
    """The rates of one variant on a span of days, inclusive, None is open.

    `is_published`: the library has this variant on these days; else these are standard's rates.
    `is_dearest`: prices change within the day, and these are the highest of it.
    """

    variant: Variant
    valid_from: date | None
    valid_to: date | None
    bands: tuple[Band, ...]
    is_published: bool
    is_dearest: bool

    def holds(self, day: date) -> bool:
        """Whether the day is in the span."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """What the library says of one model.

    `tried` are the names that were looked up, with their providers, the one found last; `model`
    is the library's id, None where it knows none of them; `periods` cover every day for every
    variant, or are empty where no usable price is published; `region` is the endpoint they are of.
    """

    tried: tuple[tuple[str, str], ...]
    model: str | None
    region: Region | None
    periods: tuple[Period, ...]

    def on(self, day: date, variant: Variant) -> Period | None:
        """The period of a day; None where the library has no price."""
        for period in self.periods:
            if period.variant == variant and period.holds(day):
                return period
        return None


def plain(model: str) -> str:
    """A name as it is priced: without `[1m]` at its end."""
    return without_mark(model.strip())


def listed(provider: str, model: str, regions: Regions | None = None) -> Listed:
    """The list prices of a model by its provider's id and its name as lines spell it.

    Names are matched by the library, never by likeness. Nothing is read from the network.
    """
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot  # noqa: PLC0415

    regions = regions or Regions()
    providers = get_snapshot().providers
    tried = []
    for place, name in _lookups(provider.lower(), plain(model), regions):
        tried.append((place, name))
        seller = find_provider_by_id(providers, place)
        if seller is None:
            continue
        found = seller.find_model(name, all_providers=providers)
        if found is not None:
            return _flattened(tuple(tried), seller, found, regions)
    return Listed(tuple(tried), None, None, ())


def _lookups(provider: str, name: str, regions: Regions) -> Iterator[tuple[str, str]]:
    """(provider, name) to look up, in this order."""
    if provider == "anthropic" and _BEDROCK.match(name):
        provider = "aws"
    elif provider == "anthropic" and _VERTEX.match(name):
        provider = "google"
    if provider == "aws" and regions.aws == "global" and _NO_REGION.match(name):
        yield provider, _NO_REGION.sub("global.anthropic.", name, count=1)
    yield provider, name
    if provider == "google" and _VERTEX.match(name):
        yield provider, _VERTEX.sub("", name)
    # As some agents write `claude-opus-4.7`.
    if "." in name:
        yield provider, name.replace(".", "-")


def _flattened(
    tried: tuple[tuple[str, str], ...], seller: "Provider", model: "ModelInfo", regions: Regions
) -> Listed:
    # As the library: variants are those of the seller's own models, not of models it resells.
    has_variants = any(model is one for one in seller.models)
    region = _region(seller, model, regions)
    periods = tuple(
        period for variant in VARIANTS for period in _periods(model, variant, has_variants)
    )
    is_google_regional = seller.id == "google" and region == "regional"
    if is_google_regional and not _ONE_PRICE.match(model.id):
        periods = tuple(_with_premium(period) for period in periods)
    return Listed(tried, model.id, region, periods)


def _region(seller: "Provider", model: "ModelInfo", regions: Regions) -> Region | None:
    """The endpoint whose rates stand; Bedrock has rows for both, where there are two prices."""
    if "claude" not in model.id:
        return None
    if seller.id == "aws":
        return "global" if model.id.startswith("global.") else "regional"
    return regions.google if seller.id == "google" else None


def _with_premium(period: Period) -> Period:
    return replace(
        period,
        bands=tuple(
            replace(band, rates=_times(band.rates, _PREMIUM, band.rates.web_search))
            for band in period.bands
        ),
    )


def _times(rates: Rates, factor: Decimal, web_search: Decimal) -> Rates:
    return Rates(
        rounded(rates.input * factor),
        rounded(rates.output * factor),
        rounded(rates.cache_read * factor),
        rounded(rates.cache_write_5m * factor),
        rounded(rates.cache_write_1h * factor),
        web_search,
    )


def _periods(model: "ModelInfo", variant: Variant, has_variants: bool) -> Sequence[Period]:
    """The periods of a variant; none at all where a price of some day cannot be used."""
    periods: list[Period] = []
    for first, last in spans(_starts(model)):
        day = a_day_of(first, last)
        options = [_bands(price) for price in _prices(model, variant, day, has_variants)]
        usable = [bands for bands in options if bands is not None]
        if len(usable) < len(options):
            return ()
        period = Period(
            variant,
            first,
            last,
            _dearest(usable),
            variant == STANDARD or (has_variants and _is_published(model, variant, day)),
            any(bands != usable[0] for bands in usable),
        )
        same = periods and replace(periods[-1], valid_from=None, valid_to=None)
        if same == replace(period, valid_from=None, valid_to=None):
            periods[-1] = replace(periods[-1], valid_to=last)
        else:
            periods.append(period)
    return periods


def _constraints(model: "ModelInfo") -> Iterator[object]:
    if isinstance(model.prices, list):
        yield from (one.constraint for one in model.prices)
    yield from (one.constraint for one in model.price_variants or ())


def _starts(model: "ModelInfo") -> set[date]:
    """The days on which a price of any variant begins."""
    from genai_prices.types import StartDateConstraint  # noqa: PLC0415

    return {one.start_date for one in _constraints(model) if isinstance(one, StartDateConstraint)}


def _moments(model: "ModelInfo", day: date) -> Sequence[datetime]:
    """The moments of a UTC day from which a price may hold."""
    from genai_prices.types import TimeOfDateConstraint  # noqa: PLC0415

    moments = {datetime.combine(day, time(), UTC)}
    for one in _constraints(model):
        if isinstance(one, TimeOfDateConstraint):
            for edge in (one.start_time, one.end_time):
                # A time of another zone is some hour of this day too; the year keeps clear of
                # the ends of the calendar.
                shifted = datetime.combine(date(2000, 1, 2), edge, edge.tzinfo or UTC)
                moments.add(datetime.combine(day, shifted.astimezone(UTC).time(), UTC))
    return sorted(moments)


def _prices(
    model: "ModelInfo", variant: Variant, day: date, has_variants: bool
) -> "Iterator[ModelPrice]":
    context = _CONTEXTS[variant] if has_variants else {}
    for moment in _moments(model, day):
        yield model.get_prices(moment, context)


def _is_published(model: "ModelInfo", variant: Variant, day: date) -> bool:
    context = _CONTEXTS[variant]
    return any(
        all(context.get(key) == value for key, value in one.when.items())
        and any(
            one.constraint is None or one.constraint.active(moment)
            for moment in _moments(model, day)
        )
        for one in model.price_variants or ()
    )


def _bands(price: "ModelPrice") -> tuple[Band, ...] | None:
    """The rates by total input; None where tokens or what no transcript counts make them unusable.

    What has no price of its own is priced as the library does: a 1-hour write as a write, a write
    or a read as input, a search as nothing.
    """
    if price.input_mtok is None or price.output_mtok is None:
        return None
    if any(getattr(price, key) is not None for key in _NOT_COUNTED):
        return None
    write = _first(price.cache_write_mtok, price.input_mtok)
    by_key = (
        price.input_mtok,
        price.output_mtok,
        _first(price.cache_read_mtok, price.input_mtok),
        _first(price.cache_write_5m_mtok, write),
        _first(price.cache_write_1h_mtok, write),
    )
    search = price.web_searches_kcount or Decimal(0)
    starts = sorted({0} | {start for one in (*by_key, search) for start in _tiers(one)})
    return tuple(
        Band(
            over,
            upto,
            Rates(*(per_token(_at(one, over)) for one in by_key), per_search(_at(search, over))),
        )
        for over, upto in pairwise([*starts, None])
        if over is not None
    )


def _first(*prices: "Decimal | TieredPrices | None") -> "Decimal | TieredPrices":
    return next(price for price in prices if price is not None)


def _tiers(price: "Decimal | TieredPrices") -> Sequence[int]:
    return () if isinstance(price, Decimal) else [tier.start for tier in price.tiers]


def _at(price: "Decimal | TieredPrices", over: int) -> Decimal:
    """The price of requests just above a total: that of the highest tier begun."""
    if isinstance(price, Decimal):
        return price
    begun = [tier.price for tier in price.tiers if tier.start <= over]
    return begun[-1] if begun else price.base


def _dearest(options: Sequence[tuple[Band, ...]]) -> tuple[Band, ...]:
    """The highest rate of each kind, by band, of prices that hold at different hours."""
    starts = sorted({band.over_input for bands in options for band in bands})
    return tuple(
        Band(over, upto, _highest([_rates_above(bands, over) for bands in options]))
        for over, upto in pairwise([*starts, None])
        if over is not None
    )


def _rates_above(bands: Sequence[Band], over: int) -> Rates:
    return next(band.rates for band in bands if band.holds(over + 1))


def _highest(options: Sequence[Rates]) -> Rates:
    return Rates(
        max(rates.input for rates in options),
        max(rates.output for rates in options),
        max(rates.cache_read for rates in options),
        max(rates.cache_write_5m for rates in options),
        max(rates.cache_write_1h for rates in options),
        max(rates.web_search for rates in options),
    )
