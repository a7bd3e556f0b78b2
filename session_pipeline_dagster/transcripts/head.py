"""What the first bytes of a session file say before anyone reads the rest: its day, its lines."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec

from session_pipeline_dagster.transcripts.records import (
    DECODE_ERRORS,
    EPOCH,
    decode_raw,
    epoch_us,
    read_json,
)
from session_pipeline_dagster.transcripts.room import is_dense
from session_pipeline_dagster.transcripts.spliced import read_odd

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 20
_NOTHING = msgspec.Raw(b"")


class _Timed(msgspec.Struct):
    timestamp: datetime | None = None


_timed_decoder = msgspec.json.Decoder(_Timed)


def first_day(head: bytes, *, whole: bool) -> date | None:
    """UTC day of the first top-level timestamp in line order; None where the head has none.

    Args:
        head: the first bytes of a file. Only the first HEAD_BYTES count, so that everyone who
            asks gets the same answer.
        whole: the head is all there is; else its last line may be cut and is left alone.
    """
    whole = whole and len(head) <= HEAD_BYTES
    start, end = (len(BOM) if head.startswith(BOM) else 0), min(len(head), HEAD_BYTES)
    while start < end:
        stop = head.find(b"\n", start, end)
        if stop < 0:
            if not whole:
                return None
            stop = end
        line = head[start:stop]
        start = stop + 1
        if b'"timestamp"' not in line:
            continue
        try:
            time = _timed_decoder.decode(line).timestamp
        except DECODE_ERRORS:
            times = (record.timestamp for record in read_odd(line).records)
            time = next((time for time in times if time is not None), None)
        if time is not None:
            return (EPOCH + timedelta(microseconds=epoch_us(time))).date()
    return None


def first_lines(content: bytes) -> bytes:
    """The complete lines in the first HEAD_BYTES, but at least one.

    Args:
        content: complete lines.
    """
    if len(content) <= HEAD_BYTES:
        return content
    end = content.rfind(b"\n", 0, HEAD_BYTES) + 1 or content.find(b"\n") + 1
    return content[: end or len(content)]


def lines_of(head: bytes) -> Iterator[bytes]:
    """The lines that are not blank."""
    start = len(BOM) if head.startswith(BOM) else 0
    while start < len(head):
        end = head.find(b"\n", start)
        end = len(head) if end < 0 else end
        if line := head[start:end].strip():
            yield line
        start = end + 1


class _Top(msgspec.Struct, gc=False):
    """The fields that tell formats apart, undecoded: a line can be megabytes."""

    type: msgspec.Raw = _NOTHING
    role: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING
    id: msgspec.Raw = _NOTHING
    timestamp: msgspec.Raw = _NOTHING
    instructions: msgspec.Raw = _NOTHING
    sessionId: msgspec.Raw = _NOTHING
    projectHash: msgspec.Raw = _NOTHING
    sessionID: msgspec.Raw = _NOTHING
    projectID: msgspec.Raw = _NOTHING
    cwd: msgspec.Raw = _NOTHING
    created: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING


class TopLevel(msgspec.Struct, frozen=True):
    """What the object of a line says at its top level.

    Attributes:
        type, role: None where they are no text.
        names: which of the fields that tell formats apart it has.
    """

    type: str | None
    role: str | None
    names: frozenset[str]


_top_decoder = msgspec.json.Decoder(_Top)


def top_level(line: bytes) -> TopLevel | None:
    """The object of a line, whatever is odd about it; None where it is none."""
    try:
        found = _top_decoder.decode(line)
    except DECODE_ERRORS:
        value = None if is_dense(line) else read_json(line)
        if not isinstance(value, dict):
            return None
        names = frozenset(_Top.__struct_fields__) & value.keys()
        return TopLevel(_text(value.get("type")), _text(value.get("role")), names)
    given = [name for name in _Top.__struct_fields__ if getattr(found, name) is not _NOTHING]
    kind, role = decode_raw(found.type), decode_raw(found.role)
    return TopLevel(_text(kind), _text(role), frozenset(given))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
