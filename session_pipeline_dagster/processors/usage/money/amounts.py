"""How an amount of money is written: exactly for programs, short for people."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

_MILLION: Final = Decimal(1_000_000)
_THOUSAND: Final = Decimal(1_000)
_LARGE: Final = Decimal(100)


def exact(amount: Decimal) -> str:
    """All its digits, without an exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def places_for(amounts: Iterable[Decimal | None]) -> int:
    """Decimals for amounts that stand below each other: 4, or 2 where one is 100 or more."""
    return 2 if any(amount is not None and amount >= _LARGE for amount in amounts) else 4


def rounded(amount: Decimal, places: int) -> str:
    """With so many decimals; what is something is never shown as nothing."""
    least = Decimal(1).scaleb(-places)
    if 0 < amount < least:
        return f"<{least}"
    return f"{amount:,.{places}f}"


def per_million(rate: Decimal) -> Decimal:
    """USD per million tokens of a rate per token."""
    return rate * _MILLION


def per_thousand(rate: Decimal) -> Decimal:
    """USD per thousand searches of a rate per search."""
    return rate * _THOUSAND
