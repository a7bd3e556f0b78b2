"""A line whose fields are not all as declared -> its struct all the same: what is odd is left out.

For the formats whose lines have no reader of their own for what is odd, as `odd_lines.py` is Claude
Code's. What the fields mean belongs in the agent's module.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin

import msgspec

from session_pipeline_dagster.transcripts.head import BOM
from session_pipeline_dagster.transcripts.records import (
    DECODE_ERRORS,
    MAX_TOKENS,
    Tokens,
    parse_time,
    read_json,
    storable,
)
from session_pipeline_dagster.transcripts.room import is_dense

_MOST_PIECES = 100
_PADDING = b" \t\r\n\0"
_S = TypeVar("_S", bound=msgspec.Struct)


class LineReader(Generic[_S]):
    """Reads the lines of one format.

    Args:
        struct: what a line is.
        beginning: how its bytes begin; where a line holds several, it is cut there.
        needed: structs in it that cannot be left out where they are odd: they hold counts.
        is_one: whether a piece of a line is a line of the format.
    """

    def __init__(
        self,
        struct: type[_S],
        beginning: bytes,
        needed: frozenset[type[msgspec.Struct]],
        is_one: Callable[[_S], bool],
    ) -> None:
        self._struct, self._beginning = struct, beginning
        self._needed, self._is_one = needed, is_one
        self._decoder = msgspec.json.Decoder(struct)

    def each(self, content: bytes) -> Iterator[tuple[list[_S], bool]]:
        """The records of each line, and whether something in it cannot be read."""
        view = memoryview(content)
        at = len(BOM) if content.startswith(BOM) else 0
        while at < len(content):
            end = content.find(b"\n", at)
            end = len(content) if end < 0 else end
            yield self._read(content, view, at, end)
            at = end + 1

    def _read(
        self, content: bytes, view: memoryview, start: int, end: int
    ) -> tuple[list[_S], bool]:
        if is_dense(content, start, end):
            return [], True
        try:
            return [self._decoder.decode(view[start:end])], False
        except DECODE_ERRORS:
            odd = content[start:end].strip(_PADDING)
        if not odd:
            return [], bool(content[start:end].strip())
        whole = self._odd(odd)
        if whole is not None:
            return [whole], odd != content[start:end].strip()
        # Two processes may have written on one line, or one died in the middle of it.
        pieces = [self._odd(piece) for piece in self._pieces(odd)]
        return [piece for piece in pieces if piece is not None and self._is_one(piece)], True

    def _pieces(self, line: bytes) -> Iterator[bytes]:
        at = line.find(self._beginning)
        for _ in range(_MOST_PIECES):
            if at < 0:
                return
            end = line.find(self._beginning, at + 1)
            yield line[at : end if end > 0 else len(line)].strip(_PADDING)
            at = end

    def _odd(self, line: bytes) -> _S | None:
        """A line of which a field is odd: that costs the field; counts that are none, the line."""
        try:
            return self._decoder.decode(line)
        except DECODE_ERRORS:
            return lenient(self._struct, read_json(line), self._needed)


def lenient(
    struct: type[_S], value: object, needed: frozenset[type[msgspec.Struct]] = frozenset()
) -> _S | None:
    """The struct of a decoded object, of which every field that does not fit is left out; None
    where it is no object, or has counts that are none.

    Args:
        needed: as of a `LineReader`.
    """
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for name, encoded, kind, nested in _fields(struct):
        given = value.get(encoded)
        if given is None:
            continue
        if isinstance(given, list) and (member := _member_of(kind)) is not None:
            read = [_made(member, one, needed) for one in given]
            made: Any = [one for one in read if one is not None]
        else:
            made = _made(nested or kind, given, needed)
        if made is None and (kind == Tokens or nested in needed):
            return None
        if made is not None:
            found[name] = made
    return struct(**found)


def _made(kind: Any, given: object, needed: frozenset[type[msgspec.Struct]]) -> Any:
    """The same of a value of any kind."""
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return lenient(kind, given, needed) if is_struct else _value(kind, given)


def _value(kind: Any, given: object) -> Any:
    """The value where it fits the declared kind, else None."""
    if kind is msgspec.Raw:
        return msgspec.Raw(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"))
    if isinstance(given, bool):
        return given if kind == bool | None else None
    if isinstance(given, int):
        return given if kind == Tokens and 0 <= given <= MAX_TOKENS else None
    if isinstance(given, str) and kind in (str, str | None, datetime | None):
        text = storable(given)
        return parse_time(text) if kind == datetime | None else text
    return None


@cache
def _fields(
    struct: type[msgspec.Struct],
) -> list[tuple[str, str, Any, type[msgspec.Struct] | None]]:
    """Name, name in a line, kind and, where it is an object, its struct."""
    return [
        (f.name, f.encode_name, f.type, _struct_in(f.type)) for f in msgspec.structs.fields(struct)
    ]


def _member_of(kind: Any) -> Any:
    """What a list of this kind holds; None where it is none."""
    lists = (one for one in get_args(kind) if get_origin(one) is list)
    return next((get_args(one)[0] for one in lists), None)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    kinds = (one for one in get_args(kind) if isinstance(one, type))
    return next((one for one in kinds if issubclass(one, msgspec.Struct)), None)
