"""Bytes of one line of a Codex rollout -> its typed fields, whatever is odd about it.

Put a field here when `codex.py` needs it; what is not declared is skipped.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, get_args

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

TYPES = frozenset(
    """session_meta turn_context response_item event_msg compacted world_state
    inter_agent_communication inter_agent_communication_metadata""".split()
)
"""Of lines of a rollout."""
_BEGINNING = b'{"timestamp":'
_MOST_PIECES = 100
_PADDING = b" \t\r\n\0"
_NOTHING = msgspec.Raw(b"")
_S = TypeVar("_S", bound=msgspec.Struct)


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, or of all of a thread so far. What was cached is part of the input,
    what was reasoned of the output."""

    input_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0
    cache_write_input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    reasoning_output_tokens: Tokens = 0
    total_tokens: Tokens = None

    @property
    def whole(self) -> int:
        """All of them."""
        if self.total_tokens is not None:
            return self.total_tokens
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    def beyond(self, other: "Counts") -> "Counts":
        """What came since the other."""
        names = Counts.__struct_fields__[:-1]
        mine = [getattr(self, name) or 0 for name in names]
        its = [getattr(other, name) or 0 for name in names]
        return Counts(*[max(a - b, 0) for a, b in zip(mine, its, strict=True)])

    def is_of_a_response(self) -> bool:
        """Whether anything went in or came out; marks of a full context say neither."""
        return bool(self.input_tokens or self.output_tokens)


def usage_of(counts: Counts) -> Usage:
    """The same as the records have it: what was cached stands beside the input."""
    read, written = counts.cached_input_tokens or 0, counts.cache_write_input_tokens or 0
    return Usage(
        input_tokens=max((counts.input_tokens or 0) - read - written, 0),
        output_tokens=counts.output_tokens or 0,
        cache_creation_input_tokens=written,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(counts.reasoning_output_tokens or 0),
    )


class Info(msgspec.Struct, frozen=True, gc=False):
    """What a `token_count` says."""

    total_token_usage: Counts | None = None
    last_token_usage: Counts | None = None


class Git(msgspec.Struct, frozen=True, gc=False):
    """The working copy."""

    branch: str | None = None


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """The tool of an MCP server that was called."""

    server: str | None = None
    tool: str | None = None
    arguments: msgspec.Raw = _NOTHING


class Payload(msgspec.Struct, frozen=True, gc=False):
    """What any line carries: most have few of these."""

    type: str | None = None
    turn_id: str | None = None
    message: str | None = None
    role: str | None = None
    content: msgspec.Raw = _NOTHING
    info: Info | None = None
    name: str | None = None
    namespace: str | None = None
    call_id: str | None = None
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    action: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    success: bool | None = None
    invocation: Invocation | None = None
    result: msgspec.Raw = _NOTHING
    item: msgspec.Raw = _NOTHING
    images: msgspec.Raw = _NOTHING
    local_images: msgspec.Raw = _NOTHING
    kind: str | None = None
    id: str | None = None
    session_id: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    source: msgspec.Raw = _NOTHING
    cwd: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    model_provider: str | None = None
    git: Git | None = None
    model: str | None = None
    effort: str | None = None


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line."""

    timestamp: datetime | None = None
    type: str | None = None
    payload: Payload | None = None


_decoder = msgspec.json.Decoder(Line)


def read_line(content: bytes, view: memoryview, start: int, end: int) -> tuple[list[Line], bool]:
    """The records of a line of the content, and whether something in it cannot be read."""
    if is_dense(content, start, end):
        return [], True
    try:
        return [_decoder.decode(view[start:end])], False
    except DECODE_ERRORS:
        odd = content[start:end].strip(_PADDING)
    if not odd:
        return [], bool(content[start:end].strip())
    whole = _odd(odd)
    if whole is not None:
        return [whole], odd != content[start:end].strip()
    # Two processes may have written on one line, or one died in the middle of it.
    pieces = [_odd(piece) for piece in _pieces(odd)]
    return [piece for piece in pieces if piece is not None and piece.type in TYPES], True


def _pieces(line: bytes) -> Iterator[bytes]:
    at = line.find(_BEGINNING)
    for _ in range(_MOST_PIECES):
        if at < 0:
            return
        end = line.find(_BEGINNING, at + 1)
        yield line[at : end if end > 0 else len(line)].strip(_PADDING)
        at = end


def _odd(line: bytes) -> Line | None:
    """A line of which a field is odd: that costs the field; counts that cannot be one, the line."""
    try:
        return _decoder.decode(line)
    except DECODE_ERRORS:
        value = read_json(line)
    return lenient(Line, value)


def lenient(struct: type[_S], value: object) -> _S | None:
    """The struct of a decoded object, of which every field that does not fit is left out; None
    where it is no object, or has counts that are none."""
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for name, kind, nested in _fields(struct):
        given = value.get(name)
        if given is None:
            continue
        found[name] = _value(kind, given) if nested is None else lenient(nested, given)
        if found[name] is None and (kind == Tokens or nested in (Payload, Counts, Info)):
            return None
    return struct(**{name: value for name, value in found.items() if value is not None})


def _value(kind: Any, given: object) -> Any:
    """The value where it fits the declared kind, else None."""
    if kind is msgspec.Raw:
        return msgspec.Raw(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"))
    if isinstance(given, bool):
        return given if kind == bool | None else None
    if isinstance(given, int):
        return given if kind == Tokens and 0 <= given <= MAX_TOKENS else None
    if isinstance(given, str) and kind in (str | None, datetime | None):
        text = given.encode("utf-8", "replace").decode()
        return parse_time(text) if kind == datetime | None else text
    return None


@cache
def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, Any, type[msgspec.Struct] | None]]:
    """Name, kind and, where it is an object, its struct."""
    return [(f.name, f.type, _struct_in(f.type)) for f in msgspec.structs.fields(struct)]


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    structs = (Payload, Info, Counts, Git, Invocation)
    return next((struct for struct in structs if struct in get_args(kind)), None)
