"""The output of `codex exec --json` -> Transcript: what a script kept of a thread.

It has no times, no models and no names of turns. A turn's usage is the sum of its thread so far.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from session_pipeline_dagster.transcripts.codex_lines import Counts, counts_of, usage_of
from session_pipeline_dagster.transcripts.head import BOM
from session_pipeline_dagster.transcripts.records import (
    SYNTHETIC,
    UNIQUE_CALL,
    Block,
    Message,
    Record,
    Transcript,
    Usage,
    encode_raw,
    read_json,
)
from session_pipeline_dagster.transcripts.room import Room, is_dense

_HEAD = 4096
_TOOLS = ("command_execution", "mcp_tool_call", "file_change", "web_search", "collab_tool_call")
TYPES = frozenset(
    """thread.started turn.started turn.completed turn.failed item.started item.updated
    item.completed error""".split()
)


def parse(content: bytes) -> Transcript:
    """See `TranscriptReader.parse`."""
    found = _Found(content)
    lines = content.removeprefix(BOM).split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        value = None if is_dense(line) else read_json(line)
        if not isinstance(value, dict) or not found.line(number, value):
            found.unreadable += 1
    return found.transcript()


class _Found:
    """What was read of a file so far."""

    def __init__(self, content: bytes) -> None:
        self.records: list[Record] = []
        self.numbers: list[int] = []
        self.unreadable = self._unknown = self._turns = 0
        self._thread: str | None = None
        # What names the responses of a thread that has no name.
        self._file = f"exec-{hashlib.sha256(content[:_HEAD]).hexdigest()[:32]}"
        self._total = Counts()
        self._room = Room(len(content))
        self._open: list[int] = []

    def line(self, number: int, line: dict[str, object]) -> bool:
        """One more line; false where its counts are none."""
        kind = line.get("type")
        made = [self._record("system")]
        if kind == "thread.started":
            self._close(None)
            thread = line.get("thread_id")
            self._thread = thread if isinstance(thread, str) else None
            self._total, self._turns = Counts(), 0
            made = [self._record("system")]
        elif kind == "item.completed":
            made = [*self._item(line.get("item"))] or made
        elif kind == "turn.completed":
            counts = counts_of(line.get("usage"))
            if counts is None:
                return False
            made = [self._completed(counts)]
        elif kind == "turn.failed":
            self._close(None)
            made = [self._record("assistant", Message(model=SYNTHETIC))]
        elif kind not in TYPES:
            self._unknown += 1
            made = [self._record(kind if isinstance(kind, str) else None)]
        self._room.take(made)
        self.records += made
        self.numbers += [number] * len(made)
        return True

    def _item(self, item: object) -> Iterator[Record]:
        """What a turn said, or a call with what came of it."""
        if not isinstance(item, dict):
            return
        kind, result = item.get("type"), None
        if kind == "agent_message" and isinstance(item.get("text"), str):
            block = Block(type="text", text=encode_raw(item["text"]))
        elif kind in _TOOLS:
            name = str(kind)
            if kind == "mcp_tool_call":
                name = f"mcp__{item.get('server')}__{item.get('tool')}"
            called = f"{UNIQUE_CALL}{self._place()}/{item.get('id')}"
            block = Block(type="tool_use", id=called, name=name, input=encode_raw(_given(item)))
            failed = item.get("status") in ("failed", "declined")
            result = Block(type="tool_result", tool_use_id=called, is_error=failed)
        else:
            return
        self._open.append(len(self.records))
        yield self._record("assistant", Message(content=[block]))
        if result is not None:
            yield self._record("user", Message(content=[result]))

    def _completed(self, total: Counts) -> Record:
        before, self._total = self._total, total
        usage = usage_of(total.beyond(before) if total.whole >= before.whole else total)
        self._close(usage)
        record = self._record("assistant", Message(None, None, [], "end_turn", usage))
        self._turns += 1
        return msgspec.structs.replace(record, uuid=f"{self._place(-1)}:{total.whole}")

    def _place(self, turn: int = 0) -> str:
        return f"{self._thread or self._file}:{self._turns + turn}"

    def _close(self, usage: Usage | None) -> None:
        """What was said so far was one response, as far as anyone can tell."""
        uuid = f"{self._place()}:{self._total.whole if usage else ''}"
        stop = "end_turn" if usage else None
        for at in self._open:
            record = self.records[at]
            content = record.message.content if record.message else None
            message = Message(None, None, content, stop, usage)
            self.records[at] = msgspec.structs.replace(record, message=message, uuid=uuid)
        self._open.clear()

    def _record(self, kind: str | None, message: Message | None = None) -> Record:
        return Record(type=kind, message=message, session_id=self._thread)

    def transcript(self) -> Transcript:
        """All of it."""
        self._close(None)
        given = self.records, self.numbers, self.unreadable, self._unknown
        return Transcript(*given, agent="codex", provider="openai")


def _given(item: dict[str, object]) -> dict[str, object]:
    names = ("command", "arguments", "changes", "query", "prompt")
    return {name: item[name] for name in names if name in item}
