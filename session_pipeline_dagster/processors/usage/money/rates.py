"""What a price is: rates, the bands and days they hold for, and the row that SQL joins with.

Put nothing here that knows where a price comes from.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal

Variant = Literal["standard", "fast", "batch"]
Source = Literal["list", "custom"]

STANDARD: Final[Variant] = "standard"
VARIANTS: Final[tuple[Variant, ...]] = (STANDARD, "fast", "batch")

# What DECIMAL(18,12) holds.
DECIMALS: Final = 12
_UNIT: Final = Decimal(1).scaleb(-DECIMALS)
_MILLION: Final = Decimal(1_000_000)
_THOUSAND: Final = Decimal(1_000)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per token, `web_search` USD per search; at most 12 decimals each."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    web_search: Decimal


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of one response; `input` is what was neither read from a cache nor written to one."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0

    @property
    def total_input(self) -> int:
        """The number that picks the band."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Band:
    """Rates of a whole request with `over_input` < total input <= `upto_input` (None: no end).

    The band over 0 holds for nothing at all, too.
    """

    over_input: int
    upto_input: int | None
    rates: Rates

    def holds(self, total_input: int) -> bool:
        """Whether a request with so many tokens of input is in this band."""
        over = self.over_input < total_input or self.over_input == 0
        return over and (self.upto_input is None or total_input <= self.upto_input)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row of `model_prices`: rates of a model as lines name it, by variant, days and band.

    `valid_from` and `valid_to` are inclusive days, None is open. `assumed`: no such variant is
    published and standard's rates stand, or the price changes within the day and the dearest
    stands. For a model, day, variant and total of input at most one row holds.
    """

    price_table: str
    provider: str
    model: str
    price_model: str
    variant: Variant
    valid_from: date | None
    valid_to: date | None
    over_input: int
    upto_input: int | None
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    web_search: Decimal
    source: Source
    assumed: bool

    @property
    def rates(self) -> Rates:
        """The six rates of the row."""
        return Rates(
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.web_search,
        )

    def is_valid_on(self, day: date) -> bool:
        """Whether the row is of a day."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )

    def holds(self, day: date, variant: str, total_input: int) -> bool:
        """Whether the row is the one for such a response: the rule of the join in SQL."""
        return (
            self.variant == variant
            and self.is_valid_on(day)
            and Band(self.over_input, self.upto_input, self.rates).holds(total_input)
        )


def cost(rates: Rates, counts: Counts) -> Decimal:
    """USD of one response, exactly."""
    return (
        rates.input * counts.input
        + rates.output * counts.output
        + rates.cache_read * counts.cache_read
        + rates.cache_write_5m * counts.cache_write_5m
        + rates.cache_write_1h * counts.cache_write_1h
        + rates.web_search * counts.web_searches
    )


def price_of(rows: Collection[PriceRow], day: date, variant: str, counts: Counts) -> Decimal | None:
    """USD of one response by the rows of its model; None where no row holds."""
    for row in rows:
        if row.holds(day, variant, counts.total_input):
            return cost(row.rates, counts)
    return None


def per_token(per_million: Decimal) -> Decimal:
    """A price per million tokens as a rate; half to even where it has more than 12 decimals."""
    return rounded(per_million / _MILLION)


def per_search(per_thousand: Decimal) -> Decimal:
    """A price per thousand searches as a rate."""
    return rounded(per_thousand / _THOUSAND)


def rounded(rate: Decimal) -> Decimal:
    """A rate to the 12 decimals that the table holds, half to even."""
    return rate.quantize(_UNIT)


def spans(starts: Collection[date]) -> Iterator[tuple[date | None, date | None]]:
    """All days, cut where one of `starts` begins: first and last day of each, None is open."""
    ordered: Sequence[date] = sorted(set(starts) - {date.min})
    firsts = [None, *ordered]
    lasts = [*(start - _DAY for start in ordered), None]
    yield from zip(firsts, lasts, strict=True)


def a_day_of(first: date | None, last: date | None) -> date:
    """Some day of a span."""
    return first or last or date.min


def day_after(day: date) -> date | None:
    """The next day; None after the last that there is."""
    return None if day == date.max else day + _DAY
