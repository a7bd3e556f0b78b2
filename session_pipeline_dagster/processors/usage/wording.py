"""How the usage report writes names, days and shares."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage.figures import Called, Sums

_CENTS, _MUCH = Decimal("0.01"), Decimal(100)


def distinct(names: Iterable[str]) -> list[str]:
    """Printable names, still told apart."""
    found: list[str] = []
    for name in map(printable, names):
        label, number = name, 2
        while label in found:
            label, number = f"{name} ({number})", number + 1
        found.append(label)
    return found


def label(start: date, unit: str) -> str:
    """A day (`4 May`), the Monday of a week (`4 May 26`) or a month (`May 2026`)."""
    if unit == "month":
        return start.strftime("%b %Y")
    day = f"{start.day} {start:%b}"
    return f"{day} {start:%y}" if unit == "week" else day


def note(found: Called) -> str:
    """`120`, or `120, 3.3 % failed`."""
    share = f", {percent(found.error_share)} failed" if found.errors else ""
    return f"{found.calls:,}{share}"


def output(sums: Sums, *, at_least: bool | None = None) -> str:
    """`1,234`, or `at least 1,234 (about 2,000)` where too many responses were cut off.

    Args:
        at_least: decides it, whatever the share of these.
    """
    if not (sums.at_least if at_least is None else at_least):
        return f"{sums.output_tokens:,}"
    return f"at least {sums.output_tokens:,} (about {sums.estimate:,})"


def usd(cost: Decimal) -> str:
    """`1,234.56`; of less than 100 with as many digits as say something: `1.2346`, `0.000455`."""
    if not cost or abs(cost) >= _MUCH:
        return f"{cost:,.2f}"
    return f"{cost:,.4f}" if abs(cost) >= _CENTS else f"{cost:,.6f}"


def money(sums: Sums) -> str:
    """`1.23`, `at least 1.23` where some responses have no price, `unpriced` where none has."""
    if sums.is_unpriced:
        return "unpriced"
    return f"at least {usd(sums.cost)}" if sums.unpriced else usd(sums.cost)


def percent(share: float) -> str:
    """A share from 0 to 1; what is not nothing does not read `0`."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %"
