"""Other currencies, for display only: rates of a file, each from its day on.

What is stored stays in USD. A cost is shown by the rate of its own UTC day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError

USD = "USD"
_MOST = Decimal(10) ** 6
_CODE = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """What a dollar is worth from a day on; None: since ever."""

    valid_from: date | None
    per_usd: Decimal


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency and its rates, the oldest first; USD has none."""

    code: str = USD
    rates: tuple[Rate, ...] = ()

    def spans(self) -> Sequence[tuple[date, date, Decimal]]:
        """First and last day, inclusive, of each rate."""
        if not self.rates:
            return [(date.min, date.max, Decimal(1))]
        firsts = [rate.valid_from or date.min for rate in self.rates]
        lasts = [*(first - timedelta(days=1) for first in firsts[1:]), date.max]
        return [
            (first, last, rate.per_usd)
            for first, last, rate in zip(firsts, lasts, self.rates, strict=True)
        ]


def read_currency(file: Path, code: str) -> Currency:
    """A currency of a file of `[[rate]]` sections.

    Raises:
        SettingsError: the file cannot be used, or has no rate of it.
    """
    from session_pipeline_dagster.processors.usage.money.toml_file import read, shown  # noqa: PLC0415  USD is of no file

    document = read(file)
    document.only(arrays=("rate",))
    found: dict[str, dict[date | None, Rate]] = {}
    for section in document.arrays.get("rate", ()):
        section.only("currency", "per_usd", "from")
        name, per_usd = section.text("currency"), section.number("per_usd")
        if len(name) != _CODE or not (name.isascii() and name.isupper()):
            raise section.fail(f"currency is {shown(name)}; it takes a code like EUR", "currency")
        if not 0 < per_usd < _MOST:
            what = f"per_usd is {shown(per_usd)}; it takes how many {name} a dollar is worth"
            raise section.fail(what, "per_usd")
        first, rates = section.day("from"), found.setdefault(name, {})
        if first in rates:
            raise section.fail(f"{name} has another rate from that day on", "from")
        rates[first] = Rate(first, per_usd)
    if code not in found:
        have = ", ".join(sorted(found)) or "none"
        raise SettingsError(f"{document.name} has no rate of {shown(code)}; it has: {have}")
    ordered = sorted(found[code].values(), key=lambda rate: rate.valid_from or date.min)
    return Currency(code, tuple(ordered))
