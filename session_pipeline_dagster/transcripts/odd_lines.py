"""The lenient reader for lines that the typed decode refuses.

A field of the wrong type costs that field; a token count that cannot be one costs the line.
Nothing here raises on content: what cannot be read is None, and the caller counts it.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from session_pipeline_dagster.transcripts.records import (
    MAX_TOKENS,
    Attachment,
    Block,
    CacheCreation,
    Iteration,
    Message,
    ProgressData,
    Record,
    ServerToolUse,
    Tokens,
    Usage,
    parse_time,
    read_json,
    storable,
)

_S = TypeVar("_S", bound=msgspec.Struct)


class _NotACount(ValueError):
    """A token count that is negative, absurd or not a number: the line cannot be trusted."""


def record_of(value: object) -> Record | None:
    """The record in a decoded value; None where it is no object or its counts are no counts."""
    return _read(Record, value)


def read_progress(encoded: bytes) -> ProgressData | None:
    """The payload of an odd progress line, under the same rules."""
    return _read(ProgressData, read_json(encoded))


def _read(struct: type[_S], value: object) -> _S | None:
    try:
        return _lenient(struct, value)
    except (_NotACount, RecursionError):
        return None


def _lenient(struct: type[_S], value: object) -> _S | None:
    if not isinstance(value, dict):
        return None
    fields = _fields(struct)
    return struct(**{f.name: _field(f.type, value.get(f.encode_name)) for f in fields})


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Kept, because finding them takes longer than reading a line."""
    return msgspec.structs.fields(struct)


def _field(kind: Any, value: object) -> Any:
    """The value where it fits the declared type, else None (or empty bytes)."""
    if kind is msgspec.Raw:
        return _raw(value)
    if value is None:
        return None
    if kind == Tokens:
        return _count(value)
    options = get_args(kind)
    for struct in (Record, Message, Usage, CacheCreation, ServerToolUse, Attachment):
        if struct in options:
            return _lenient(struct, value)
    if datetime in options:
        return parse_time(value)
    if isinstance(value, list):
        return _items(options, value)
    if isinstance(value, str):
        return storable(value) if str in options else None
    return value if bool in options and isinstance(value, bool) else None


def _items(options: tuple[Any, ...], values: list[object]) -> list[Any] | None:
    """The members of a list that fit, where a list fits at all."""
    if not any(get_origin(option) is list for option in options):
        return None
    struct = Iteration if list[Iteration] in options else Block
    return [item for value in values if (item := _item(struct, value)) is not None]


def _item(struct: type[Block] | type[Iteration], value: object) -> Block | Iteration | str | None:
    if isinstance(value, str):
        return storable(value) if struct is Block else None
    return _lenient(struct, value)


def _count(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        raise _NotACount
    return value


def _raw(value: object) -> msgspec.Raw:
    if value is None:
        return msgspec.Raw(b"")
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
