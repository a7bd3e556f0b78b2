"""Sessions of GitHub Copilot CLI -> Transcript: the records that Claude Code's reader gives, too.

Put here what events mean; their fields are in `copilot_lines.py`. An event says what came out of a
response; what went in only the end of the process, for all its responses together: see
`copilot_process.py` and docs/decisions/0053.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from session_pipeline_dagster.transcripts.copilot_lines import (
    READER,
    Data,
    Line,
    OddCount,
    metrics_of,
)
from session_pipeline_dagster.transcripts.copilot_process import (
    PROVIDER,
    Answer,
    Process,
    served_by,
)
from session_pipeline_dagster.transcripts.looks import COPILOT, foreign, is_copilots
from session_pipeline_dagster.transcripts.records import (
    SYNTHETIC,
    UNIQUE_CALL,
    Block,
    Message,
    Record,
    Transcript,
    decode_raw,
    encode_raw,
    storable,
)
from session_pipeline_dagster.transcripts.room import Room

_PERSON = (None, "", "user")
"""Sources of messages that a person wrote."""
_NO_MODEL = "auto"
_REFUSED = ("rejected", "denied")
_ONCE = frozenset(("user.message", "assistant.message", "session.shutdown", "session.error"))
"""Types of events of which a repeated one would count twice."""


class CopilotReader:
    """Reads `session-state/<session>/events.jsonl` of Copilot CLI; see `TranscriptReader`."""

    agent = "copilot-cli"

    def claims(self, key: str, head: bytes) -> bool:
        """A file whose first object is an event."""
        return foreign(head) == COPILOT

    def parse(self, content: bytes) -> Transcript:
        """See `TranscriptReader.parse`."""
        found = _Found(len(content))
        for lines, is_odd in READER.each(content):
            found.more(lines, is_odd=is_odd)
        return found.transcript()


class _Found:
    """What was read of a file so far."""

    def __init__(self, size: int) -> None:
        self._records: list[Record] = []
        self._numbers: list[int] = []
        self._number = self._unreadable = self._unknown = self._empty = 0
        self._room = Room(size)
        # What holds for the lines that follow.
        self._line = Record()
        self._model: str | None = None
        self._process = Process()
        self._seen: set[str] = set()
        # By who sent it: the response at hand, which the next event may go on with.
        self._answers: dict[str | None, Answer] = {}
        self._calls: dict[str, str] = {}

    def more(self, lines: list[Line], *, is_odd: bool) -> None:
        """One more line of the file, and what was read of it."""
        self._number += 1
        for line in lines:
            kind = line.type
            if is_copilots(kind):
                try:
                    made = [*self._read(line, line.data or Data())]
                except OddCount:
                    is_odd = True
                    continue
                self._keep(made or [self._record("system", line)])
            elif kind is None and line.data is None and line.timestamp is None:
                self._empty += 1
            else:
                self._unknown += 1
                self._keep([Record(type=kind, timestamp=line.timestamp)])
        self._unreadable += is_odd

    def _keep(self, records: list[Record]) -> None:
        self._room.take(records)
        self._records += records
        self._numbers += [self._number] * len(records)

    def _read(self, line: Line, data: Data) -> Iterator[Record]:
        kind = line.type
        if kind in _ONCE and line.id:
            if line.id in self._seen:
                return
            self._seen.add(line.id)
        if kind == "assistant.message":
            yield self._said(line, data)
        elif kind == "user.message":
            yield from self._typed(line, data)
        elif kind == "tool.execution_complete":
            yield from self._came(line, data)
        elif kind == "session.shutdown":
            yield from self._ended(line, data)
        elif kind == "session.error":
            yield self._record("assistant", line, Message(model=SYNTHETIC))
        elif line.agent_id is None:
            self._changed(kind, data)

    def _changed(self, kind: str | None, data: Data) -> None:
        if kind in ("session.start", "session.resume"):
            self._began(data)
        elif kind == "session.model_change":
            self._model_is(data.new_model)
            self._line = replace(self._line, effort=data.reasoning_effort or self._line.effort)
        elif kind == "session.context_changed":
            self._works_in(data.cwd, data.branch)

    # --- what holds for the lines that follow ---

    def _began(self, data: Data) -> None:
        if data.session_was_active is not True:
            self._process.begins()
            self._answers.clear()
        line = self._line
        self._line = replace(
            line,
            session_id=line.session_id or data.session_id,
            version=data.copilot_version or line.version,
            entrypoint=data.producer or line.entrypoint,
            effort=data.reasoning_effort or line.effort,
        )
        self._model_is(data.selected_model)
        if data.context is not None:
            self._works_in(data.context.cwd, data.context.branch)

    def _works_in(self, cwd: str | None, branch: str | None) -> None:
        if cwd is not None:
            self._line = replace(self._line, cwd=cwd, git_branch=branch)

    def _model_is(self, model: str | None) -> None:
        # Which one is meant by `auto`, only responses say.
        if model:
            self._model = None if model == _NO_MODEL else model

    # --- what people, the model and tools say ---

    def _typed(self, line: Line, data: Data) -> Iterator[Record]:
        if data.source not in _PERSON or data.is_autopilot_continuation:
            return
        content: list[Block | str] = (
            [Block(type="document")] if decode_raw(data.attachments) else []
        )
        if data.content and data.content.strip():
            content.append(Block(type="text", text=encode_raw(data.content)))
        if content:
            yield self._record("user", line, Message(content=content), line.id)

    def _said(self, line: Line, data: Data) -> Record:
        agent = line.agent_id or data.parent_tool_call_id
        answer = self._answers.get(agent)
        if answer is None or not data.api_call_id or answer.call != data.api_call_id:
            # Which model a subagent has is its own matter.
            model = data.model or (None if agent else self._model)
            provider = served_by(data.api_call_id) or PROVIDER
            answer = Answer(self._name(line), data.api_call_id, model, provider)
            self._answers[agent] = answer
            self._process.answered(answer)
        answer.places.append(len(self._records))
        if data.output_tokens is not None and data.output_tokens > (answer.output or -1):
            answer.output = data.output_tokens
            self._settle(answer)
        content: list[Block | str] = []
        if data.content and data.content.strip():
            content.append(Block(type="text", text=encode_raw(data.content)))
        content += self._called(answer, data)
        record = self._record("assistant", line, Message(content=content), answer.name)
        return _settled(replace(record, request_id=data.request_id), answer)

    def _called(self, answer: Answer, data: Data) -> Iterator[Block]:
        asked = decode_raw(data.tool_requests)
        for place, call in enumerate(asked if isinstance(asked, list) else ()):
            if not isinstance(call, dict):
                continue
            name, given = call.get("name"), call.get("toolCallId")
            server, tool = call.get("mcpServerName"), call.get("mcpToolName")
            if isinstance(server, str) and isinstance(tool, str):
                name = f"mcp__{server}__{tool}"
            named = given if isinstance(given, str) and given else f"{place}"
            tool_id = self._calls[named] = f"{UNIQUE_CALL}{answer.name}/{named}"
            arguments = encode_raw(call.get("arguments"))
            yield Block(
                type="tool_use",
                id=storable(tool_id),
                name=storable(name) if isinstance(name, str) else None,
                input=arguments,
            )

    def _came(self, line: Line, data: Data) -> Iterator[Record]:
        """What came of a call; those that a person made themselves have no request."""
        tool_id = self._calls.get(data.tool_call_id or "")
        if tool_id is None:
            return
        failed, error = data.success is False, decode_raw(data.error)
        said = error.get("message") if isinstance(error, dict) else error
        if isinstance(error, dict) and error.get("code") in _REFUSED:
            said = f"rejected by user: {said}"
        content = encode_raw(said) if failed and isinstance(said, str) else msgspec.Raw(b"")
        block = Block(type="tool_result", tool_use_id=tool_id, is_error=failed, content=content)
        yield self._record("user", line, Message(content=[block]))

    def _ended(self, line: Line, data: Data) -> Iterator[Record]:
        covered, sums = self._process.ends(metrics_of(data))
        for answer in covered:
            self._settle(answer)
        for one in sums:
            content: list[Block | str] = []
            message = Message(
                None, one.model, content, "end_turn", one.usage, served_by=one.provider
            )
            yield self._record("assistant", line, message, f"{self._name(line)}:{one.model}")

    def _settle(self, answer: Answer) -> None:
        """More is known of a response: all its records say the same."""
        for at in answer.places:
            if at < len(self._records):
                self._records[at] = _settled(self._records[at], answer)

    def _name(self, line: Line) -> str:
        """Names an event in every copy."""
        return line.id or f"{self._line.session_id}#{self._number}"

    def _record(
        self,
        kind: str,
        line: Line,
        message: Message | None = None,
        uuid: str | None = None,
    ) -> Record:
        agent = line.agent_id or (line.data.parent_tool_call_id if line.data else None)
        return replace(
            self._line,
            type=kind,
            timestamp=line.timestamp,
            message=message,
            uuid=uuid,
            agent_id=agent,
            is_sidechain=agent is not None or None,
        )

    def transcript(self) -> Transcript:
        """All of it."""
        return Transcript(
            self._records,
            self._numbers,
            self._unreadable,
            self._unknown + self._empty,
            self._empty,
            CopilotReader.agent,
            provider=PROVIDER,
        )


def _settled(record: Record, answer: Answer) -> Record:
    content = record.message.content if record.message else None
    stop = "end_turn" if answer.is_whole else None
    return replace(
        record,
        message=Message(None, answer.model, content, stop, answer.usage, served_by=answer.provider),
    )
