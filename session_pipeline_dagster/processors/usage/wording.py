"""How the usage report writes names, days, money, changes and shares."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage.figures import Sums

_CENTS, _MUCH = Decimal("0.01"), Decimal(10)
_BILLION = 1_000_000_000
_MOST_TIMES = 10
"""From so many times as much on, it is said as times, not as percent."""


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


def many(number: int, what: str, several: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def counted(number: int) -> str:
    """`1,234,567`; from a billion on `1.23 billion`, for where there is little room."""
    return f"{number:,}" if number < _BILLION else f"{number / _BILLION:,.2f} billion"


def output(sums: Sums, estimate: int | None = None, *, at_least: bool | None = None) -> str:
    """`1,234`, or `at least 1,234 (about 2,000)` where too many responses were cut off.

    Args:
        estimate: what it is probably about.
        at_least: decides it, whatever the share of these.
    """
    if not (sums.at_least if at_least is None else at_least):
        return f"{sums.output_tokens:,}"
    about = "" if estimate is None else f" (about {estimate:,})"
    return f"at least {sums.output_tokens:,}{about}"


def tokens(sums: Sums, count: int) -> str:
    """What went in, of one kind: `at least 1,234`, or `unknown`, where nobody says it of all."""
    if sums.is_unknown:
        return "unknown"
    return f"at least {count:,}" if sums.unknown else f"{count:,}"


def usd(cost: Decimal) -> str:
    """`1,234.56`; of less than 10 with as many digits as say something: `1.2346`, `0.000455`."""
    if not cost or abs(cost) >= _MUCH:
        return f"{cost:,.2f}"
    return f"{cost:,.4f}" if abs(cost) >= _CENTS else f"{cost:,.6f}"


def money(sums: Sums) -> str:
    """`1.23`, `at least 1.23` where some responses have no price, `unpriced` where none has,
    `input unknown` where nobody says what went in, and a dash where there is none."""
    if not sums.messages:
        return "–"
    if sums.is_unknown:
        return "input unknown"
    if sums.is_unpriced:
        return "unpriced"
    return f"at least {usd(sums.cost)}" if sums.unpriced else usd(sums.cost)


def change(last: Sums, before: Sums) -> str:
    """How the money of a week differs from that of the week before: `+12 %`, `−8 %`, `12 times`,
    `new`, `none now`; empty where there is nothing to compare."""
    if not before.messages and not last.messages:
        return ""
    if not before.messages:
        return "new"
    if not last.messages:
        return "none now"
    if not before.cost or last.unpriced or before.unpriced:
        return ""
    times = last.cost / before.cost
    if times >= _MOST_TIMES:
        return f"{times:,.0f} times"
    percents = round((times - 1) * 100)
    return "as before" if not percents else f"{'+' if percents > 0 else '−'}{abs(percents)} %"


def percent(share: float) -> str:
    """A share from 0 to 1; what is not nothing does not read `0`."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.1f}".removesuffix(".0") + " %"
