"""Bytes of one line of a Gemini CLI session -> its typed fields, whatever is odd about it.

Put a field here when `gemini.py` needs it; what is not declared is skipped.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from session_pipeline_dagster.transcripts.records import (
    DECODE_ERRORS,
    MAX_TOKENS,
    OutputDetails,
    Tokens,
    Usage,
    parse_time,
    read_json,
)
from session_pipeline_dagster.transcripts.room import is_dense

_PADDING = b" \t\r\n\0"
_NOTHING = msgspec.Raw(b"")
_S = TypeVar("_S", bound=msgspec.Struct)


class _NotACount(ValueError):
    """A token count that is none: the line cannot be trusted."""


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, as the API counts them; `thoughts` are no part of the output."""

    input: Tokens = None
    output: Tokens = None
    cached: Tokens = None
    thoughts: Tokens = None
    tool: Tokens = None
    total: Tokens = None

    def usage(self) -> Usage:
        """The same as the records have it: what was cached stands beside the input, what was
        thought in the output. What tools put in is input."""
        given, cached, tool = self.input or 0, self.cached or 0, self.tool or 0
        thoughts = self.thoughts or 0
        output = (self.output or 0) + thoughts
        within = cached <= given and self.total in (None, 0, given + output + tool)
        return Usage(
            input_tokens=given + tool - (cached if within else 0),
            output_tokens=output,
            cache_read_input_tokens=cached,
            output_tokens_details=OutputDetails(thoughts),
        )


class Call(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A tool call, and what came of it so far."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = _NOTHING
    result: msgspec.Raw = _NOTHING
    status: str | None = None
    timestamp: datetime | None = None


class Said(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A message, as it stood when it was written."""

    id: str | None = None
    timestamp: datetime | None = None
    type: str | None = None
    content: msgspec.Raw = _NOTHING
    display_content: msgspec.Raw = _NOTHING
    tokens: Counts | None = None
    model: str | None = None
    tool_calls: list[Call] | None = None


class About(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a line says of the session; `messages` is what the model is shown from now on."""

    directories: list[str] | None = None
    messages: list[Said] | None = None


class Line(Said, frozen=True, gc=False, rename="camel"):
    """One line: a message, the session's beginning, a change of what is said of it, a rewind."""

    session_id: str | None = None
    kind: str | None = None
    directories: list[str] | None = None
    messages: list[Said] | None = None
    about: About | None = msgspec.field(default=None, name="$set")
    rewind_to: str | None = msgspec.field(default=None, name="$rewindTo")


_decoder = msgspec.json.Decoder(Line)
_STRUCTS = (Counts, Call, Said, About)


def read_line(content: bytes, view: memoryview, start: int, end: int) -> tuple[Line | None, bool]:
    """The line of the content between two places, and whether something in it cannot be read;
    None where that is all of it, or nothing stands there."""
    if is_dense(content, start, end):
        return None, True
    try:
        return _decoder.decode(view[start:end]), False
    except DECODE_ERRORS:
        whole = content[start:end].strip()
    odd = whole.strip(_PADDING)
    if not odd:
        return None, bool(whole)
    try:
        line = _lenient(Line, read_json(odd))
    except _NotACount:
        line = None
    return line, line is None or odd != whole


def _lenient(struct: type[_S], value: object) -> _S | None:
    """The struct of a decoded object, of which every field that does not fit is left out."""
    if not isinstance(value, dict):
        return None
    found = {}
    for name, key, kind in _fields(struct):
        if (given := value.get(key)) is not None:
            fits = _value(kind, given)
            if fits is not None:
                found[name] = fits
            elif kind == Tokens or kind == Counts | None:
                raise _NotACount
    return struct(**found)


def _value(kind: Any, given: object) -> Any:
    """The value where it fits the declared kind, else None."""
    if kind is msgspec.Raw:
        return raw(given)
    options = get_args(kind) or (kind,)
    if isinstance(given, dict):
        struct = next((option for option in options if option in _STRUCTS), None)
        return None if struct is None else _lenient(struct, given)
    if isinstance(given, list):
        within = next((option for option in options if get_origin(option) is list), None)
        if within is None:
            return None
        (member,) = get_args(within)
        return [fits for one in given if (fits := _value(member, one)) is not None]
    if isinstance(given, bool):
        return None
    if isinstance(given, int):
        return given if kind == Tokens and 0 <= given <= MAX_TOKENS else None
    if isinstance(given, str) and (str in options or datetime in options):
        text = given.encode("utf-8", "replace").decode()
        return parse_time(text) if datetime in options else text
    return None


@cache
def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, str, Any]]:
    """Name, name in the line, and kind of each."""
    return [(f.name, f.encode_name, f.type) for f in msgspec.structs.fields(struct)]


def raw(value: object) -> msgspec.Raw:
    """A value as undecoded bytes; none for nothing."""
    if value is None:
        return _NOTHING
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
