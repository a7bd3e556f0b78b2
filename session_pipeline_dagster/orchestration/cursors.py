"""What a sensor keeps between ticks: a frozen record with defaults, as JSON in its cursor."""

from datetime import timedelta
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_cursor(kind: type[T], cursor: str | None) -> T:
    """The record in a cursor; one of defaults where there is none, or it is none of ours."""
    try:
        return msgspec.json.decode(cursor, type=kind) if cursor else kind()
    except msgspec.DecodeError:
        return kind()


def lately(at: float, now: float, span: timedelta) -> bool:
    """Whether something was so long ago at most. A time in the future is of a clock that was ahead,
    and holds nothing up.

    Args:
        at, now: seconds since the epoch.
    """
    return 0 <= now - at <= span.total_seconds()


def write_cursor(record: object) -> str:
    """The record as a cursor."""
    return msgspec.json.encode(record).decode()
