"""What a sensor keeps between ticks: a frozen record with defaults, as JSON in its cursor."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_cursor(kind: type[T], cursor: str | None) -> T:
    """The record in a cursor; one of defaults where there is none, or it is none of ours."""
    try:
        return msgspec.json.decode(cursor, type=kind) if cursor else kind()
    except msgspec.DecodeError:
        return kind()


def write_cursor(record: object) -> str:
    """The record as a cursor."""
    return msgspec.json.encode(record).decode()
