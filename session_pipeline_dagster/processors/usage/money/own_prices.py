"""Own prices: what a `prices.toml` says, as records that know their lines.

Put nothing here that needs to know which models were seen or what the library says of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Final, get_args

from session_pipeline_dagster.processors.usage.money.listed import Region, Regions, plain
from session_pipeline_dagster.processors.usage.money.rates import (
    VARIANTS,
    Variant,
    per_search,
    per_token,
)
from session_pipeline_dagster.processors.usage.money.toml_file import (
    Document,
    FileError,
    Section,
    read,
    shown,
)

_PER_MILLION: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_PER_THOUSAND: Final = "web_search"
# What a rate of DECIMAL(18,12) can hold, per million tokens and per thousand searches.
_PLACES: Final[Mapping[str, int]] = dict.fromkeys(_PER_MILLION, 6) | {_PER_THOUSAND: 9}
_TOO_MUCH: Final = Decimal(1_000_000_000)
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class OwnRates:
    """USD per token (`web_search`: per search); None is left out: the list price stands."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write_5m: Decimal | None
    cache_write_1h: Decimal | None
    web_search: Decimal | None


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One `[[price]]`. None: any provider, every variant, no first or last day."""

    model: str
    provider: str | None
    variant: Variant | None
    valid_from: date | None
    valid_to: date | None
    rates: OwnRates
    file: str
    line: int

    @property
    def is_glob(self) -> bool:
        """Whether the model is a pattern with `*` or `?`."""
        return "*" in self.model or "?" in self.model

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Of the prices that hold the lowest stands: exact, of one provider, of one variant."""
        return self.is_glob, self.provider is None, self.variant is None

    def is_for(self, provider: str, names: Sequence[str]) -> bool:
        """Whether it is for a model; `names` are those that the model may be priced by."""
        return self.provider in (None, provider.lower()) and any(
            _is_match(self.model, name.lower()) for name in names
        )

    def holds(self, variant: Variant, day: date) -> bool:
        """Whether it is for a variant on a day."""
        return (
            self.variant in (None, variant)
            and (self.valid_from is None or self.valid_from <= day)
            and (self.valid_to is None or day <= self.valid_to)
        )

    def fail(self, what: str) -> FileError:
        """The error to raise, at the line of the section."""
        return FileError(self.file, self.line, what)


@dataclass(frozen=True, slots=True)
class Discount:
    """One `[[discount]]`: percent off list prices. None: any provider, no first day."""

    provider: str | None
    percent: Decimal
    valid_from: date | None
    line: int

    @property
    def factor(self) -> Decimal:
        """What a list price is multiplied by."""
        return 1 - self.percent / _HUNDRED


@dataclass(frozen=True, slots=True)
class OwnPrices:
    """A `prices.toml`, `text`, whose bytes `digest` is of; `aliases` by names in small letters."""

    name: str
    digest: str
    prices: tuple[OwnPrice, ...]
    discounts: tuple[Discount, ...]
    aliases: Mapping[str, str]
    regions: Regions
    lock_until: date | None
    text: str = ""

    def names(self, model: str) -> tuple[str, ...]:
        """The names a model may be priced by: its own without `[1m]`, then what that stands for."""
        names = [plain(model)]
        while (target := self.aliases.get(names[-1].lower())) is not None:
            names.append(target)
        return tuple(names)

    def prices_for(self, provider: str, model: str) -> tuple[OwnPrice, ...]:
        """The prices of a model, of every variant and day."""
        names = self.names(model)
        return tuple(one for one in self.prices if one.is_for(provider, names))

    def discounts_for(self, provider: str) -> tuple[Discount, ...]:
        """The discounts of a provider, of every day."""
        return tuple(one for one in self.discounts if one.provider in (None, provider.lower()))


def price_on(
    prices: Sequence[OwnPrice], model: str, variant: Variant, day: date
) -> OwnPrice | None:
    """The price that holds, of those for one model.

    Raises:
        FileError: two of them hold with equal right.
    """
    holding = [one for one in prices if one.holds(variant, day)]
    if not holding:
        return None
    first, *others = sorted(holding, key=lambda one: one.rank)
    for other in others:
        if other.rank == first.rank:
            raise other.fail(
                f"this price and that of line {first.line} both hold for {shown(model)}"
                f" on {day}; change the model or the days of one"
            )
    return first


def discount_on(discounts: Sequence[Discount], day: date) -> Discount | None:
    """The discount that holds, of those for one provider.

    The newest begun; of two of one day the one that names the provider.
    """
    return max(
        (one for one in discounts if one.valid_from is None or one.valid_from <= day),
        key=lambda one: (one.valid_from or date.min, one.provider is not None),
        default=None,
    )


def read_prices(path: Path) -> OwnPrices:
    """Read a `prices.toml`.

    Raises:
        FileError: with file and line; nothing of a bad file is used.
    """
    return own_prices(read(path))


def own_prices(document: Document) -> OwnPrices:
    """The records of a file that was read. Raises FileError."""
    document.only(arrays=("price", "discount"), tables=("alias", "region", "lock"))
    prices = tuple(_price(section) for section in document.arrays.get("price", ()))
    for one, other in combinations(prices, 2):
        if _is_same(one, other) and _overlap(one, other):
            raise other.fail(
                f"the days of this price and of that of line {one.line} overlap;"
                " change from or to of one"
            )
    discounts = tuple(_discount(section) for section in document.arrays.get("discount", ()))
    _no_two_from_one_day(document, discounts)
    return OwnPrices(
        document.name,
        document.digest,
        prices,
        discounts,
        _aliases(document.tables.get("alias")),
        _regions(document.tables.get("region")),
        _lock(document.tables.get("lock")),
        document.text,
    )


def _is_match(pattern: str, name: str) -> bool:
    """Whether the whole name is like the pattern; only `*` and `?` are signs, `[1m]` is text."""
    signs = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(signs.get(one) or re.escape(one) for one in pattern), name))


def _price(section: Section) -> OwnPrice:
    section.only("model", "provider", "variant", "from", "to", *_PER_MILLION, _PER_THOUSAND)
    model = plain(section.text("model")).lower()
    if any(sign in model for sign in "*?") and model != section.text("model").lower():
        what = "model is a pattern that ends in [1m]; names are matched without it, so leave it out"
        raise section.fail(what, "model")
    if not model:
        raise section.fail("model is no name; write the name of a model or a pattern", "model")
    rates = OwnRates(*(_rate(section, key) for key in _PER_MILLION), _rate(section, _PER_THOUSAND))
    if not any(key in section for key in _PLACES):
        raise section.fail(f"no price is given; give one of {', '.join(_PLACES)}")
    valid_from, valid_to = section.day("from"), section.day("to")
    if valid_from is not None and valid_to is not None and valid_from > valid_to:
        raise section.fail(f"to is {valid_to}, before from ({valid_from})", "to")
    return OwnPrice(
        model,
        _provider(section),
        _variant(section),
        valid_from,
        valid_to,
        rates,
        section.file,
        section.line,
    )


def _provider(section: Section) -> str | None:
    return section.text("provider").strip().lower() if "provider" in section else None


def _variant(section: Section) -> Variant | None:
    if "variant" not in section:
        return None
    given = section.one_of("variant", VARIANTS)
    return next(variant for variant in VARIANTS if variant == given)


def _rate(section: Section, key: str) -> Decimal | None:
    if key not in section:
        return None
    number, places = section.number(key), _PLACES[key]
    unit = "a thousand searches" if key == _PER_THOUSAND else "a million tokens"
    if number >= _TOO_MUCH:
        raise section.fail(
            f"{key} is {shown(number)}; it takes less than {_TOO_MUCH} USD for {unit}", key
        )
    if number != round(number, places):
        raise section.fail(f"{key} is {shown(number)}; it takes at most {places} decimals", key)
    return per_search(number) if key == _PER_THOUSAND else per_token(number)


def _is_same(one: OwnPrice, other: OwnPrice) -> bool:
    return (one.model, one.provider, one.variant) == (other.model, other.provider, other.variant)


def _overlap(one: OwnPrice, other: OwnPrice) -> bool:
    return (one.valid_from or date.min) <= (other.valid_to or date.max) and (
        other.valid_from or date.min
    ) <= (one.valid_to or date.max)


def _discount(section: Section) -> Discount:
    section.only("provider", "percent", "from")
    percent = section.number("percent")
    if percent > _HUNDRED or percent != round(percent, 6):
        raise section.fail(
            f"percent is {shown(percent)}; it takes 0 to 100 with at most 6 decimals", "percent"
        )
    return Discount(_provider(section), percent, section.day("from"), section.line)


def _no_two_from_one_day(document: Document, discounts: Sequence[Discount]) -> None:
    for one, other in combinations(discounts, 2):
        if (one.provider, one.valid_from) == (other.provider, other.valid_from):
            raise FileError(
                document.name,
                other.line,
                f"this discount and that of line {one.line} begin on the same day"
                " for the same provider; remove one",
            )


def _aliases(section: Section | None) -> Mapping[str, str]:
    if section is None:
        return {}
    aliases: dict[str, str] = {}
    lines: dict[str, str] = {}
    for key in section.values:
        name, target = plain(key).lower(), plain(section.text(key))
        if name in aliases:
            raise section.fail(f"{shown(key)} is an alias already; remove one of the two", key)
        if not name or not target:
            raise section.fail(f'{shown(key)} is no alias; write name = "model"', key)
        aliases[name], lines[name] = target, key
    for name, key in lines.items():
        seen, at = {name}, aliases[name].lower()
        while at not in seen and at in aliases:
            seen.add(at)
            at = aliases[at].lower()
        if at == name:
            through = "itself" if len(seen) == 1 else f"{shown(aliases[name])}, in a circle"
            raise section.fail(f"{shown(key)} is an alias of {through}; name a model", key)
    return aliases


def _regions(section: Section | None) -> Regions:
    if section is None:
        return Regions()
    section.only("aws", "google")
    default = Regions()
    return Regions(_region(section, "aws", default.aws), _region(section, "google", default.google))


def _region(section: Section, key: str, default: Region) -> Region:
    if key not in section:
        return default
    given = section.one_of(key, get_args(Region))
    return "global" if given == "global" else "regional"


def _lock(section: Section | None) -> date | None:
    if section is None:
        return None
    section.only("until")
    until = section.day("until")
    if until is None:
        raise section.fail("until is missing; write the last day that stays, or remove [lock]")
    return until
