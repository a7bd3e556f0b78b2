"""Whole records inside an odd line: two on one line, one after a cut one, one among garbage.

A file that two processes wrote to, or one that died in the middle of a line, has such lines. What
is whole counts; what lies around it cannot be read. Put here where a record begins and ends in such
a line; what it holds is read by `odd_lines.py`.

An object counts only where a writer's line can have begun: at the beginning, after another record,
or where the record before breaks off. An object *in* another one never does, whatever it looks
like; texts cannot hold one, because their quotes are escaped. Time is linear.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from session_pipeline_dagster.transcripts.odd_lines import record_of
from session_pipeline_dagster.transcripts.records import DECODE_ERRORS, Record

_MOST_BREAKS = 100
"""Records of one line that break off; what comes after is not looked at."""
_START = re.compile(r'\{\s*"')
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_NOTHING = " \t\r\n"
_PADDING = _NOTHING + "\0"
_GOES_ON = ("}", "]", ":")
"""What follows an object that stands in another one."""
_FAR = 256
"""Characters that are looked at behind an object."""
_ENVELOPE = ("sessionId", "uuid", "timestamp")

# Where a record cannot stand as a value, so that one which does was written over a cut one.
_OF_A_LINE = frozenset(
    """parentUuid logicalParentUuid leafUuid uuid isSidechain isMeta userType entrypoint cwd version
    sessionId requestSessionId gitBranch slug agentId type subtype message timestamp requestId
    promptId permissionMode operation summary""".split()
)
_OF_A_MESSAGE = frozenset(
    "id type role model content stop_reason stop_sequence stop_details usage container".split()
)
_OF_A_BLOCK = frozenset("type id name text thinking signature tool_use_id is_error".split())

_decoder = json.JSONDecoder()
_typed = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Odd:
    """What an odd line holds.

    Attributes:
        unread: something in it cannot be read.
    """

    records: Sequence[Record]
    unread: bool


def read_odd(line: bytes) -> Odd:
    """The records of a line that the typed decode refuses."""
    text = line.decode("utf-8", "replace")
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError:
        return _Scan(text).run()
    except (ValueError, RecursionError):
        return Odd((), True)
    record = record_of(value)
    return Odd((), True) if record is None else Odd((record,), False)


class _Scan:
    """One walk over a line. `clean`: what comes next begins where a line of a writer can begin."""

    def __init__(self, text: str) -> None:
        self._text, self._end = text, len(text.rstrip(_PADDING))
        self._found: list[Record] = []
        self._unread = len(text.rstrip(_NOTHING)) > self._end
        self._clean = True

    def run(self) -> Odd:
        """All of it."""
        at = breaks = 0
        while breaks < _MOST_BREAKS:
            match = _START.search(self._text, at, self._end)
            self._pass_by(at, match.start() if match else self._end)
            if match is None:
                return Odd(self._found, self._unread)
            try:
                value, at = _decoder.raw_decode(self._text, match.start())
            except json.JSONDecodeError as error:
                breaks += 1
                self._broken(match.start(), min(error.pos, self._end))
                at = self._next(match.start(), error.pos)
            except (ValueError, RecursionError):
                break
            else:
                self._take(match.start(), at, value)
        return Odd(self._found, True)

    def _pass_by(self, start: int, end: int) -> None:
        if self._text[start:end].strip(_NOTHING):
            self._unread = True
            self._clean = self._clean and not self._text[start:end].strip(f"{_PADDING},")

    def _take(self, start: int, end: int, value: object) -> None:
        record = None
        if self._stands_alone(value, end):
            record = _decoded(self._text[start:end], value)
        self._clean = record is not None
        if record is None:
            self._unread = True
        else:
            self._found.append(record)

    def _stands_alone(self, value: object, end: int) -> bool:
        follows = self._text[end : end + _FAR].lstrip(_NOTHING)
        if follows.startswith(","):
            # Records of a list, one after the other; else it stands in something.
            next_one = follows[1:].lstrip(_NOTHING)[:1] in ("", "{")
            return self._clean and next_one and _has_envelope(value)
        if follows.startswith(_GOES_ON):
            return False
        if self._clean:
            return _is_record(value)
        return not follows.startswith('"') and _has_envelope(value)

    def _broken(self, start: int, end: int) -> None:
        """A record breaks off; one written over its rest may have become its last value."""
        self._unread, self._clean = True, False
        if self._text[end : end + 1] not in ("", "{", "\0"):
            return
        last = self._text[start:end].rstrip(_NOTHING)
        if not last.endswith("}"):
            return
        begin = _misplaced(self._text, start, start + len(last))
        if begin is not None:
            value, stop = _decoder.raw_decode(self._text, begin)
            if _has_envelope(value):
                self._take(begin, stop, value)

    def _next(self, start: int, broken: int) -> int:
        """Where the next record may begin: where this one breaks, or with the quote before, which
        ended a text that was cut."""
        before = self._text[start:broken].rstrip(_NOTHING)
        if before.endswith('"'):
            opened = before[:-1].rstrip(_NOTHING)
            if opened.endswith("{") and len(opened) > 1:
                return start + len(opened) - 1
        return max(broken, start + 1)


def _decoded(text: str, value: object) -> Record | None:
    try:
        return _typed.decode(text.encode("utf-8", "replace"))
    except DECODE_ERRORS:
        return record_of(value)


def _is_record(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("type"), str) or ("role" in value and "content" in value)


def _has_envelope(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    return any(isinstance(value.get(name), str) for name in _ENVELOPE)


def _misplaced(text: str, start: int, end: int) -> int | None:
    """Where the object begins that ends at `end`, in a record that is open since `start`; None
    where it may belong there."""
    path: list[tuple[int, str | None]] = []
    closed: tuple[int, str | None] | None = None
    key, at = "", -1
    for match in _STRUCTURE.finditer(text, start, end):
        mark = text[match.start()]
        if mark == '"':
            key, at = match[0][1:-1], match.end()
        elif mark in "{[":
            between = text[at : match.start()].strip(_NOTHING) if at >= 0 else ""
            path.append((match.start(), key if between == ":" else None))
            at = -1
        else:
            closed, at = path.pop(), -1
    names = [name for _, name in [*path[1:], *([closed] if closed else [])]]
    return closed[0] if closed and path and _is_no_place(names) else None


def _is_no_place(names: Sequence[str | None]) -> bool:
    """Whether no record can stand there: at the keys that lead to it, None for a list."""
    match names:
        case [name]:
            return name in _OF_A_LINE
        case ["message", name]:
            return name in _OF_A_MESSAGE
        case ["message", "content", None]:
            return True
        case ["message", "content", None, name]:
            return name in _OF_A_BLOCK
        case ["message", "usage", *_]:
            return True
    return False
