"""Bytes of one session file -> Transcript: typed, frozen records, and what could not be read.

Put here how lines are found and read. What a line holds is in `records.py`; what it means for
usage or for knowledge belongs in the processors. The format is internal to Claude Code and
changes, so unknown types are counted, never an error.

Reading a line takes three steps, so that an odd one costs itself and nothing else: bytes that carry
nothing are skipped, the rest is decoded typed, and what fails goes to `spliced.read_odd`.
"""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts.head import BOM, TopLevel, lines_of, top_level
from session_pipeline_dagster.transcripts.looks import foreign, foreign_object
from session_pipeline_dagster.transcripts.odd_lines import read_progress
from session_pipeline_dagster.transcripts.records import (
    ASIDES,
    DECODE_ERRORS,
    Aside,
    ProgressData,
    Record,
    Transcript,
    parse_time,
)
from session_pipeline_dagster.transcripts.room import LONG, Room, is_dense
from session_pipeline_dagster.transcripts.spliced import read_odd

_SKIPS_START_BY = 16 << 10
"""Versions that write skippable lines begin with some; elsewhere they would be decoded."""
_LONGEST_RUN = 512
"""Lines that are decoded at once, and so again one by one where a single one of them is odd."""

KNOWN_TYPES = frozenset(
    """user assistant system attachment progress summary custom-title ai-title tag agent-name
    agent-color agent-setting last-prompt mode permission-mode queue-operation
    file-history-snapshot file-history-delta content-replacement continued-in relocated
    api-request api-request-shape api-request-blob fork-context-ref frame-link pr-link
    ended-by-model bridge-session history-suppression attribution-snapshot isolation-latch
    dev-mods memory-mode atis-latch worktree-state cost-state observer-ref tools-used started
    result tool_use_result artifact-autoreact-ledger artifact-comment-monitor speculation-accept
    marble-origami-commit marble-origami-snapshot marble-origami-reset task-summary failed
    launched""".split()
)


_decoder = msgspec.json.Decoder(Record)
_progress_decoder = msgspec.json.Decoder(ProgressData)

# These patterns walk top-level scalars from the line's first byte or to its last, so a match is
# never inside a nested object or a string.
_SCALAR = rb'"\w+":(?:null|true|false|-?[0-9.]+|"[^"\\]*")'
_API_REQUEST = re.compile(
    rb'\{"type":"(api-request[a-z-]*)"(?:(?:,"\w+":"[^"\\]*")*?,"timestamp":"([^"\\]+)")?'
)
_ATTACHMENT = re.compile(rb"\{(?:" + _SCALAR + rb',)*"attachment":\{')
_ATTACHMENT_TYPE = b'"type":"attachment"'
_ATTACHMENT_END = re.compile(_ATTACHMENT_TYPE + rb"(?:," + _SCALAR + rb")*\}\s*")
_BEGINNINGS = (b'{"parentUuid":', b'{"type":"user"', b'{"type":"assistant"', b'{"type":"queue-')
"""How lines begin that carry something; one may have been written over the end of another."""
_TYPED = b'"queued_command"'
"""What a person typed while the agent worked; wherever else it stands, the line is just decoded."""
_TIME = re.compile(rb'"timestamp":"([^"\\]+)"')


class ClaudeCodeReader:
    """Reads what Claude Code writes; see `TranscriptReader`."""

    agent = "claude-code"

    def claims(self, key: str, head: bytes) -> bool:
        """A file with a line of a known type, and one in which no line can be read: its lines are
        then counted as unreadable. Not what another agent is known to write."""
        read = False
        for found in filter(None, map(top_level, lines_of(head))):
            if not read and foreign_object(found):
                return False
            read = True
            if found.type in KNOWN_TYPES or _is_flat(found):
                return True
        return not (read or foreign(head))

    def parse(self, content: bytes) -> Transcript:
        """See `TranscriptReader.parse`."""
        return parse(content)


def _is_flat(line: TopLevel) -> bool:
    """Whether it is a line of an old collector: a message without an envelope."""
    return "type" not in line.names and line.role is not None and "content" in line.names


def parse(content: bytes) -> Transcript:
    """Read the complete lines of one session file.

    Args:
        content: whole lines, as `sources.snapshot.complete_part` cuts them. BOM, CRLF: fine.

    Raises:
        Permanent: it holds more records than there is room for; see `room.py`.
    """
    start = len(BOM) if content.startswith(BOM) else 0
    head = content[start : start + _SKIPS_START_BY]
    found = _Found(content)
    if b'"attachment":{' in head or b'"type":"api-request' in head:
        found.carefully(start, len(content))
        return found.transcript()
    at = start
    while at < len(content):
        end, count = _plain_run(content, at)
        if count:
            found.quickly(at, end, count)
        at = content.find(b"\n", end) + 1 or len(content)
        if at > end:
            # The line that ended the run.
            found.carefully(end, at)
    return found.transcript()


def _plain_run(content: bytes, start: int) -> tuple[int, int]:
    """Where lines that begin with `{` and end with `}` stop, from `start` on, and their number.

    `decode_lines` knows no lines: it takes two objects on one line, and one over two. A newline
    between `}` and `{` cannot stand inside an object, so no object spans two of these lines; if it
    then finds as many objects as there are lines, each line is one of them.
    """
    if not content.startswith(b"{", start):
        return start, 0
    find, at, count, far = content.find, start, 0, start + LONG
    while count < _LONGEST_RUN:
        newline = find(b"\n", at)
        if newline - at > LONG:
            # So long a line is looked at before it is decoded.
            return at, count
        if newline < 0:
            # The last line has no newline of its own.
            whole = content.endswith(b"}") and len(content) - at <= LONG
            return (len(content), count + 1) if whole else (at, count)
        around = content[newline - 1 : newline + 2]
        if around != b"}\n{":
            # The last one that is plain, or none.
            return (newline + 1, count + 1) if around.startswith(b"}") else (at, count)
        at, count = newline + 1, count + 1
        if at > far:
            break
    return at, count


class _Found:
    """What was read of a file so far. Lines are looked at where they stand: a copy of each would
    cost the file's size again."""

    def __init__(self, content: bytes) -> None:
        self.records: list[Record] = []
        self.numbers: list[int] = []
        self._kinds: set[str | None] = set()
        self.line = self.unreadable = self.empty = 0
        self._content, self._view = content, memoryview(content)
        self._room = Room(len(content))

    def quickly(self, start: int, end: int, count: int) -> None:
        """Plain lines, all at once."""
        try:
            records = _decoder.decode_lines(self._view[start:end])
        except DECODE_ERRORS:
            records = []
        if len(records) != count:
            self.carefully(start, end)
            return
        first = self.line + 1
        self.line += count
        kinds = {record.type for record in records}
        if not kinds <= KNOWN_TYPES:
            self._keep(range(first, first + count), records)
            return
        self._room.take(records)
        self._kinds |= kinds
        self.records += records
        self.numbers += range(first, first + count)

    def carefully(self, start: int, end: int) -> None:
        """Whole lines, one by one, where they may be odd, blank or not worth decoding."""
        content, at = self._content, start
        while at < end:
            stop = content.find(b"\n", at, end)
            stop = end if stop < 0 else stop
            self.line += 1
            self._one(at, stop)
            at = stop + 1

    def _one(self, start: int, end: int) -> None:
        record = _skip(self._content, start, end)
        if record is None:
            if is_dense(self._content, start, end):
                self.unreadable += 1
                return
            try:
                record = _decoder.decode(self._view[start:end])
            except DECODE_ERRORS:
                line = self._content[start:end]
                if line.strip():
                    odd = read_odd(line)
                    self._keep([self.line] * len(odd.records), odd.records)
                    self.unreadable += odd.unread
                return
        if record.type in KNOWN_TYPES:
            self._room.take((record,))
            self._kinds.add(record.type)
            self.records.append(record)
            self.numbers.append(self.line)
        else:
            self._keep((self.line,), (record,))

    def _keep(self, numbers: Sequence[int], records: Sequence[Record]) -> None:
        """Records with something in them; the others are only counted."""
        bare = {kind: Record(type=kind) for kind in {r.type for r in records} - KNOWN_TYPES}
        pairs = zip(numbers, records, strict=True)
        kept = [(number, record) for number, record in pairs if record != bare.get(record.type)]
        self.empty += len(records) - len(kept)
        self._kinds |= {record.type for _, record in kept}
        self.numbers += [number for number, _ in kept]
        self.records += [record for _, record in kept]
        self._room.take(self.records[-len(kept) :] if kept else ())

    def transcript(self) -> Transcript:
        """All of it."""
        unknown, asides = self.empty, {}
        if self._kinds - KNOWN_TYPES:
            unknown += sum([record.type not in KNOWN_TYPES for record in self.records])
        if not self._kinds.isdisjoint(ASIDES):
            kinds = [record.type for record in self.records]
            asides = {
                kind: _asides(self._content, kind, kinds, self.numbers)
                for kind in ASIDES
                if kind in self._kinds
            }
        return Transcript(
            self.records, self.numbers, self.unreadable, unknown, self.empty, asides=asides
        )


def _asides(
    content: bytes, kind: str, kinds: Sequence[str | None], numbers: Sequence[int]
) -> list[Aside]:
    """The lines of a type, found by its name: most lines need not be looked at for it. One whose
    type is spelt with escapes is left out."""
    lines: dict[int, tuple[int, int]] = {}
    line, counted, name = 1, 0, kind.encode()
    place = content.find(name)
    while place >= 0:
        line += content.count(b"\n", counted, place)
        end = content.find(b"\n", place)
        end = len(content) if end < 0 else end
        lines[line] = content.rfind(b"\n", 0, place) + 1, end
        counted, place = place, content.find(name, end)
    places = [at for at, other in enumerate(kinds) if other == kind and numbers[at] in lines]
    return [Aside(at, numbers[at], content[slice(*lines[numbers[at]])]) for at in places]


def _skip(content: bytes, start: int, end: int) -> Record | None:
    """The bare record of a line that carries nothing for any processor, else None."""
    if any(content.find(beginning, start + 1, end) > 0 for beginning in _BEGINNINGS):
        return None
    if match := _API_REQUEST.match(content, start, end):
        return Record(type=match[1].decode(), timestamp=_raw_time(match[2]))
    if _ATTACHMENT.match(content, start, end) and content.find(_TYPED, start, end) < 0:
        last = content.rfind(_ATTACHMENT_TYPE, start, end)
        time = _TIME.search(content, last, end) if last >= 0 else None
        if time and _ATTACHMENT_END.fullmatch(content, last, end):
            return Record(type="attachment", timestamp=_raw_time(time[1]))
    return None


def _raw_time(text: bytes | None) -> datetime | None:
    return None if text is None else parse_time(text.decode("ascii", "replace"))


def agent_progress(record: Record) -> Record | None:
    """The complete message of a subagent that a progress line carries, as a line of its own.

    What the inner message leaves out (its time, session, folder) is the progress line's.
    """
    encoded = bytes(record.data)
    if record.type != "progress" or b"agent_progress" not in encoded:
        return None
    try:
        data = _progress_decoder.decode(encoded)
    except DECODE_ERRORS:
        data = read_progress(encoded)
    if data is None or data.type != "agent_progress" or data.message is None:
        return None
    inner = data.message
    return msgspec.structs.replace(
        inner,
        timestamp=inner.timestamp or record.timestamp,
        session_id=inner.session_id or record.session_id,
        cwd=inner.cwd or record.cwd,
        agent_id=inner.agent_id or data.agent_id,
        is_sidechain=True,
    )
