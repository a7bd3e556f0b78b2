"""Rollout files of Codex -> Transcript: the records that Claude Code's reader gives, too.

Put here what lines mean; their fields are in `codex_lines.py`. A response has no line of its own:
what it said and called stands before the count of its tokens, which is repeated and adds up over a
thread. What names it is its turn and that sum, since a fork repeats both (docs/decisions/0049).
"""

import hashlib
from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts import codex_exec
from session_pipeline_dagster.transcripts.codex_lines import (
    READER,
    TYPES,
    Counts,
    Line,
    Payload,
    usage_of,
)
from session_pipeline_dagster.transcripts.codex_thread import Thread
from session_pipeline_dagster.transcripts.codex_tools import (
    called,
    given_texts,
    is_failed,
    own_words,
)
from session_pipeline_dagster.transcripts.head import lines_of, top_level
from session_pipeline_dagster.transcripts.looks import CODEX, CODEX_EXEC, foreign, foreign_object
from session_pipeline_dagster.transcripts.records import (
    SYNTHETIC,
    UNIQUE_CALL,
    Block,
    Message,
    Record,
    Transcript,
    decode_raw,
    encode_raw,
)
from session_pipeline_dagster.transcripts.room import Room

_NOTHING = msgspec.Raw(b"")


class CodexReader:
    """Reads rollouts of Codex, and the output of `codex exec --json`; see `TranscriptReader`."""

    agent = "codex"

    def claims(self, key: str, head: bytes) -> bool:
        """A file whose first object is a line of either."""
        return foreign(head) in (CODEX, CODEX_EXEC)

    def parse(self, content: bytes) -> Transcript:
        """See `TranscriptReader.parse`."""
        if _is_of_exec(content):
            return codex_exec.parse(content)
        found = _Found(len(content))
        for lines, is_odd in READER.each(content):
            found.more(lines, is_odd=is_odd)
        return found.transcript()


def _is_of_exec(content: bytes) -> bool:
    """Whether a claimed file is the output of `codex exec`: its first line of Codex says it."""
    looks = (foreign_object(found) for line in lines_of(content) if (found := top_level(line)))
    return next((look for look in looks if look in (CODEX, CODEX_EXEC)), None) == CODEX_EXEC


class _Found:
    """What was read of a file so far."""

    def __init__(self, size: int) -> None:
        self._thread = Thread()
        self._records: list[Record] = []
        self._numbers: list[int] = []
        self._number = self._unreadable = self._unknown = self._empty = 0
        self._room = Room(size)
        # Of the response that is being written: the places of its records, and its texts.
        self._open: list[int] = []
        self._texts: set[str] = set()
        self._prompts: set[str] = set()
        self._calls: dict[str, str] = {}

    def more(self, lines: list[Line], *, is_odd: bool) -> None:
        """One more line of the file, and what was read of it."""
        self._number += 1
        self._unreadable += is_odd
        for line in lines:
            kind, payload, time = line.type, line.payload, line.timestamp
            if kind in TYPES:
                record = None if payload is None else self._read(kind, payload, time)
                self._keep(record or self._thread.record("system", time))
            elif kind is None and payload is None and time is None:
                self._empty += 1
            else:
                self._unknown += 1
                self._keep(Record(type=kind, timestamp=time))

    def _keep(self, record: Record) -> None:
        self._room.take((record,))
        self._records.append(record)
        self._numbers.append(self._number)

    def _read(self, kind: str | None, payload: Payload, time: datetime | None) -> Record | None:
        if kind == "event_msg":
            return self._event(payload, time)
        if kind == "response_item":
            return self._item(payload, time)
        if kind == "session_meta":
            self._thread.session(payload, time)
        elif kind == "turn_context":
            self._turn_is(payload.turn_id)
            self._thread.context(payload)
        return None

    def _turn_is(self, turn: str | None) -> None:
        # The context of a turn can be repeated in the middle of it.
        if self._thread.turn is None or turn not in (None, self._thread.turn):
            self._close()
        self._thread.turn = turn or self._thread.turn

    def _event(self, event: Payload, time: datetime | None) -> Record | None:
        kind = event.type
        if kind == "token_count":
            return self._counted(event, time)
        if kind == "user_message":
            shown = any((decode_raw(event.images), decode_raw(event.local_images)))
            is_theirs = event.kind in (None, "plain")
            return self._human(event.message or "", time, shows=shown) if is_theirs else None
        if kind == "agent_message":
            return self._text(event.message or "", time)
        if kind in ("task_started", "turn_started"):
            self._turn_is(event.turn_id)
        elif kind == "turn_aborted":
            self._close()
        elif kind == "error":
            return self._thread.record("assistant", time, Message(model=SYNTHETIC))
        return self._ended(event, time)

    def _ended(self, event: Payload, time: datetime | None) -> Record | None:
        """What tells of something once more, when it has come to its end."""
        kind, call_id = event.type, event.call_id
        if kind == "item_completed":
            return self._completed(decode_raw(event.item), time)
        if call_id is None:
            return None
        if kind == "patch_apply_end":
            return self._result(call_id, time, is_error=event.success is False)
        if kind == "mcp_tool_call_end":
            return self._mcp(call_id, event, time)
        return None

    def _completed(self, item: object, time: datetime | None) -> Record | None:
        """What newer versions write in place of a message's own event."""
        if not isinstance(item, dict):
            return None
        text = "\n".join(given_texts(encode_raw(item.get("content"))))
        if item.get("type") == "UserMessage":
            return self._human(text, time, shows=False)
        return self._text(text, time) if item.get("type") == "AgentMessage" else None

    def _item(self, item: Payload, time: datetime | None) -> Record | None:
        kind = item.type or ""
        if kind == "message":
            # What has the role of a user is the client's, too; a person's words are an event.
            is_said = item.role == "assistant"
            return self._text("\n".join(given_texts(item.content)), time) if is_said else None
        if kind.endswith("_call"):
            name, given = called(item)
            return self._call(item.call_id or item.id, name, given, time)
        if kind.endswith(("_call_output", "_search_output")) and item.call_id:
            failed = is_failed(item.output)
            return self._result(item.call_id, time, is_error=failed, output=item.output)
        return None

    # --- what people, the model and tools say ---

    def _human(self, text: str, time: datetime | None, *, shows: bool) -> Record | None:
        if self._thread.turn is None:
            self._close()
        words = own_words(text)
        if words is None or not (words.strip() or shows):
            return None
        digest = hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:16]
        uuid = f"{self._thread.turn or self._thread.place()}:prompt:{digest}"
        # Two kinds of lines can tell of one message.
        if uuid in self._prompts:
            return None
        self._prompts.add(uuid)
        content: list[Block | str] = [Block(type="image")] if shows else []
        if words.strip():
            content.append(Block(type="text", text=encode_raw(words)))
        return self._thread.record("user", time, Message(content=content), uuid)

    def _text(self, text: str, time: datetime | None) -> Record | None:
        if not text.strip() or text in self._texts:
            return None
        self._texts.add(text)
        return self._said(Block(type="text", text=encode_raw(text)), time)

    def _call(
        self, call_id: str | None, name: str, given: msgspec.Raw, time: datetime | None
    ) -> Record:
        named = call_id or f"{self._thread.place()}+{len(self._open)}"
        tool_id = self._calls[named] = self._named(named)
        return self._said(Block(type="tool_use", id=tool_id, name=name, input=given), time)

    def _named(self, call_id: str) -> str:
        return f"{UNIQUE_CALL}{self._thread.turn_or_root}/{call_id}"

    def _said(self, block: Block, time: datetime | None) -> Record:
        self._open.append(len(self._records))
        return self._thread.record("assistant", time, Message(content=[block]))

    def _result(
        self,
        call_id: str,
        time: datetime | None,
        *,
        is_error: bool,
        output: msgspec.Raw = _NOTHING,
    ) -> Record:
        tool_id = self._calls.get(call_id) or self._named(call_id)
        block = Block(type="tool_result", tool_use_id=tool_id, is_error=is_error, content=output)
        return self._thread.record("user", time, Message(content=[block]))

    def _mcp(self, call_id: str, event: Payload, time: datetime | None) -> Record:
        """The end of a call of an MCP server's tool; the call may have had a line of its own."""
        tool = event.invocation
        if call_id not in self._calls and tool is not None:
            name = f"mcp__{tool.server}__{tool.tool}"
            self._keep(self._call(call_id, name, tool.arguments, time))
        return self._result(call_id, time, is_error=is_failed(event.result))

    # --- responses ---

    def _counted(self, event: Payload, time: datetime | None) -> Record | None:
        """The count behind a response; one that is repeated, or only shows limits, ends none."""
        info, thread = event.info, self._thread
        total = info.total_token_usage if info else None
        if info is None or total is None or total == thread.total:
            return None
        before = thread.spent(total)
        counts = info.last_token_usage or (total if before is None else total.beyond(before))
        if thread.is_parents(time):
            self._drop()
            return None
        return self._whole(counts, time) if counts.is_of_a_response() else None

    def _whole(self, counts: Counts, time: datetime | None) -> Record:
        """The response that was being written is whole; the record of the line that says so."""
        thread = self._thread
        uuid, asked_by = thread.place(), thread.asked_by()
        whole = Message(None, thread.model, [], "end_turn", usage_of(counts))
        self._settle(whole, uuid, asked_by)
        return thread.record("assistant", time, whole, uuid, asked_by)

    def _close(self) -> None:
        """The response that was being written will never be whole."""
        if self._open and self._thread.asked_by() is not None:
            # The copy has lost the count; who was asked has it.
            self._drop()
        elif self._open:
            self._settle(Message(model=self._thread.model), f"{self._thread.place()}+", None)

    def _settle(self, of: Message, uuid: str, asked_by: str | None) -> None:
        for at in self._open:
            record = self._records[at]
            content = record.message.content if record.message else None
            message = Message(None, of.model, content, of.stop_reason, of.usage)
            self._records[at] = msgspec.structs.replace(
                record, message=message, uuid=uuid, request_session_id=asked_by
            )
        self._open.clear()
        self._texts.clear()

    def _drop(self) -> None:
        """What was being written is in another file, and counts there."""
        for at in self._open:
            self._records[at] = self._thread.record("system", self._records[at].timestamp)
        self._open.clear()
        self._texts.clear()

    def transcript(self) -> Transcript:
        """All of it."""
        self._close()
        return Transcript(
            self._records,
            self._numbers,
            self._unreadable,
            self._unknown + self._empty,
            self._empty,
            CodexReader.agent,
            provider=self._thread.provider,
            is_subagent=self._thread.is_subagent,
        )
