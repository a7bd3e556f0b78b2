"""What a sensor keeps between ticks: a frozen record with defaults, as JSON in its cursor.

People see it on the sensor's page, so it is short: what has its default is left out, and moments
are written as people write them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec

from session_pipeline_dagster.passes.pacing import Moment

T = TypeVar("T")


def read_cursor(kind: type[T], cursor: str | None) -> T:
    """The record in a cursor; one of defaults where there is none, or it is none of ours."""
    try:
        return msgspec.json.decode(cursor, type=kind, dec_hook=_read) if cursor else kind()
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
    return msgspec.json.encode(_short(record)).decode()


def _short(value: object) -> object:
    if dataclasses.is_dataclass(value):
        found = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {f.name: _short(one) for f, one in found.items() if one != _default(f)}
    if isinstance(value, Moment):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_short(one) for one in value]
    return value


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _read(kind: type, value: object) -> object:
    """A moment; as seconds in cursors of before."""
    return kind.of(value) if kind is Moment else value
