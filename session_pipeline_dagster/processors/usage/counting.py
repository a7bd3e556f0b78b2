"""Records of one session -> rows of its API calls and tool calls, each counted once.

The counting rules live here and only here; `docs/counting.md` gives the reason for each. The rows
are filled in as lines come by, because building them afterwards costs as much again.
"""

import re
from collections.abc import Mapping, Sequence

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.processors.copies import started_us
from session_pipeline_dagster.processors.usage.rows import EventRow, MessageRow
from session_pipeline_dagster.transcripts.claude_code import agent_progress
from session_pipeline_dagster.transcripts.records import (
    Block,
    Message,
    Record,
    Usage,
    epoch_us,
    times_us,
)

SYNTHETIC = "<synthetic>"

_COMMAND = re.compile(r"<command-name>/([A-Za-z][\w:-]*)</command-name>")
_NOT_A_PROMPT = ("<local-command-", "<bash-", "<task-notification>")
_NOT_IN_A_FOLDER_NAME = re.compile(r"[^A-Za-z0-9]")


class Counted:
    """Everything counted in one session file.

    Attributes:
        messages: message key -> row of one API response.
        events: event key -> row of one tool call, subagent dispatch, MCP call or slash command.
        orphan_results: id of a call that stands in another file -> whether its result is an error.
        times_us: time of every line that has one, in line order.
    """

    __slots__ = (
        "_advisors",
        "_latest",
        "_usages",
        "api_errors",
        "events",
        "first_us",
        "messages",
        "orphan_results",
        "project",
        "prompts",
        "session",
        "times_us",
        "user_lines",
    )

    def __init__(self, session: Session, times_us: list[int]) -> None:
        self.session, self.times_us = session, times_us
        self.project = _project(session)
        # What stands before the first readable time has that one.
        self.first_us = started_us(times_us, session.day)
        self.messages: dict[str, MessageRow] = {}
        self.events: dict[str, EventRow] = {}
        self.orphan_results: dict[str, bool] = {}
        self.user_lines = self.prompts = self.api_errors = 0
        self._usages: dict[str, Usage] = {}
        self._advisors: dict[str, list[MessageRow]] = {}
        self._latest: dict[str, EventRow] = {}

    # --- assistant lines: responses and the tools they call --------------------------------------

    def assistant(self, record: Record, line: int, now_us: int) -> None:
        """One line of an API response."""
        message = record.message
        if message is None:
            return
        if message.model == SYNTHETIC:
            self.api_errors += 1
            return
        key = message.id
        if key is None or not key.startswith("msg_"):
            key = self._other_key(record, line, now_us)
        sidechain = record.is_sidechain is True
        row = self.messages.get(key)
        # The main thread's lines win over a subagent's copy of the same call.
        if row is None or (row.is_sidechain and not sidechain):
            row = self.messages[key] = self._message_row(key, record, message, line, now_us)
            self._usages.pop(key, None)
            self._advisors.pop(key, None)
        if row.is_sidechain == sidechain:
            self._fold(row, record, message)
        content = message.content
        if isinstance(content, list):
            for index, block in enumerate(content):
                if isinstance(block, Block) and block.type == "tool_use":
                    self._tool_use(row, record, block, index, line, now_us)

    def _fold(self, row: MessageRow, record: Record, message: Message) -> None:
        """What one more line of a response says of its cost."""
        key, usage = row.message_key, message.usage
        if message.stop_reason:
            row.output_partial = False
            for advisor in self._advisors.get(key, ()):
                advisor.output_partial = False
        if usage is not None and usage != self._usages.get(key):
            self._usages[key] = usage
            _absorb(row, usage)
            if usage.iterations:
                self._add_advisors(row, record, message, usage)

    def _message_row(
        self, key: str, record: Record, message: Message, line: int, now_us: int
    ) -> MessageRow:
        session = self.session
        session_id = record.session_id or session.stem
        return MessageRow(
            session.key,
            key,
            message.id,
            record.request_id,
            session_id,
            record.request_session_id or session_id,
            session.user,
            self.project,
            record.agent_id,
            record.is_sidechain is True,
            message.model,
            now_us,
            line_number=line,
            sent_at_inferred=record.timestamp is None,
            file_started_at=self.first_us,
        )

    def _other_key(self, record: Record, line: int, now_us: int) -> str:
        """What names an API response over all files where its id alone does not."""
        message_id = record.message.id if record.message else None
        if not message_id:
            return record.uuid or f"{self.session.key}#{line}"
        # Gateways reuse ids: only the request, its session and its time tell two calls apart.
        session = record.request_session_id or record.session_id or self.session.stem
        stamp = now_us if record.timestamp is not None else line
        return f"{message_id}|{record.request_id or ''}|{session}|{stamp}"

    def _add_advisors(
        self, row: MessageRow, record: Record, message: Message, usage: Usage
    ) -> None:
        """Extra calls to another model that the response's own counters leave out."""
        for index, iteration in enumerate(usage.iterations or ()):
            if iteration.type != "advisor_message":
                continue
            key = f"{row.message_key}:advisor:{index}"
            own = Usage(
                iteration.input_tokens,
                iteration.output_tokens,
                iteration.cache_creation_input_tokens,
                iteration.cache_read_input_tokens,
                iteration.cache_creation,
                service_tier=usage.service_tier,
                speed=usage.speed,
            )
            advisor = self.messages.get(key)
            if advisor is None or (advisor.is_sidechain and not row.is_sidechain):
                line, sent_us = row.line_number, row.sent_at
                advisor = self._message_row(key, record, message, line, sent_us)
                advisor.sent_at_inferred = row.sent_at_inferred
                advisor.model = iteration.model or message.model
                self.messages[key] = advisor
                self._advisors.setdefault(row.message_key, []).append(advisor)
            _absorb(advisor, own)
            advisor.output_partial = row.output_partial

    def _tool_use(
        self, call: MessageRow, record: Record, block: Block, index: int, line: int, now_us: int
    ) -> None:
        tool_id = block.id
        if not tool_id:
            key = f"{record.uuid or f'{self.session.key}#{line}'}:{index}"
        elif tool_id.startswith(("toolu_", "srvtoolu_")):
            key = tool_id
        else:
            # Ids that are not the API's own can repeat from call to call.
            key = f"{call.message_key}/{tool_id}"
        before = self.events.get(key)
        # As with calls: the main thread's line wins over a subagent's copy.
        if before is not None and (record.is_sidechain or not before.is_sidechain):
            return
        name = block.name
        event = self.events[key] = self._event_row(key, "tool_use", record, line, now_us, name)
        event.message_key, event.model = call.message_key, call.model
        if name == "Skill":
            given = block.decoded_input()
            event.skill_name = _name(given, "skill") or _name(given, "name")
            event.plugin = _plugin(event.skill_name)
        elif name in ("Task", "Agent"):
            event.event_type = "subagent"
            event.subagent_type = _name(block.decoded_input(), "subagent_type") or name
            event.plugin = _plugin(event.subagent_type)
        elif name is not None and name.startswith("mcp__"):
            event.event_type = "mcp_call"
            event.mcp_server = name.removeprefix("mcp__").partition("__")[0]
        if tool_id:
            self._latest[tool_id] = event
            event.is_error = self.orphan_results.pop(tool_id, False)
        if before is not None:
            event.is_error = event.is_error or before.is_error

    def _event_row(
        self,
        key: str,
        event_type: str,
        record: Record,
        line: int,
        now_us: int,
        tool_name: str | None = None,
    ) -> EventRow:
        session = self.session
        session_id = record.session_id or session.stem
        return EventRow(
            session.key,
            key,
            session_id,
            session.user,
            self.project,
            event_type,
            tool_name,
            cwd=record.cwd,
            occurred_at=now_us,
            line_number=line,
            origin_session_id=record.request_session_id or session_id,
            is_sidechain=record.is_sidechain is True,
            file_started_at=self.first_us,
        )

    # --- user lines: prompts, commands and the results of tools ----------------------------------

    def user(self, record: Record, line: int, now_us: int) -> None:
        """A line of the user's side: typed, or written by a tool."""
        self.user_lines += 1
        if record.message is None:
            return
        content = record.message.content
        has_result, texts = False, list[str]()
        if isinstance(content, list):
            for block in content:
                if isinstance(block, str):
                    texts.append(block)
                elif block.type == "tool_result":
                    has_result = True
                    self.result(block.tool_use_id, block.is_error)
                elif block.type == "text":
                    texts.append(block.decoded_text())
        elif content is not None:
            texts.append(content)
        if not has_result and _is_prompt(record, texts):
            self.prompts += 1
        if any("<command-name>" in text for text in texts):
            self._commands(record, texts, line, now_us)

    def _commands(self, record: Record, texts: Sequence[str], line: int, now_us: int) -> None:
        names = [match[1] for text in texts for match in _COMMAND.finditer(text)]
        for number, name in enumerate(names):
            key = f"{record.uuid or f'{self.session.key}#{line}'}:command:{number}"
            if key not in self.events:
                event = self._event_row(key, "slash_command", record, line, now_us)
                event.command_name, event.plugin = name, _plugin(name)
                self.events[key] = event

    def result(self, tool_id: str | None, is_error: bool | None) -> None:
        """Note whether a tool call failed; its call may stand in another file."""
        if not tool_id:
            return
        event = self._latest.get(tool_id)
        if event is None:
            known = self.orphan_results.get(tool_id, False)
            self.orphan_results[tool_id] = known or bool(is_error)
        elif is_error:
            event.is_error = True

    def nested(self, inner: Record, line: int, now_us: int) -> None:
        """A subagent's line inside a progress line: its calls and events, not a person's lines."""
        if inner.timestamp is not None:
            now_us = epoch_us(inner.timestamp)
        if inner.type == "assistant":
            self.assistant(inner, line, now_us)
        elif inner.type == "user" and inner.message and isinstance(inner.message.content, list):
            for block in inner.message.content:
                if isinstance(block, Block) and block.type == "tool_result":
                    self.result(block.tool_use_id, block.is_error)


def count(session: Session) -> Counted:
    """Fold the records of one session, in line order."""
    transcript = session.transcript
    line_us = times_us(transcript.records)
    counted = Counted(session, [us for us in line_us if us is not None])
    now_us = counted.first_us
    assistant, user = counted.assistant, counted.user
    for line, record, us in zip(transcript.numbers, transcript.records, line_us, strict=True):
        if us is not None:
            now_us = us
        kind = record.type
        if kind == "assistant":
            assistant(record, line, now_us)
        elif kind == "user":
            user(record, line, now_us)
        elif kind == "progress":
            inner = agent_progress(record)
            if inner is not None:
                counted.nested(inner, line, now_us)
        elif kind == "tool_use_result":
            counted.result(record.tool_use_id or record.old_tool_use_id, record.is_error)
    return counted


def _project(session: Session) -> str | None:
    """The project folder; without one in the path, as Claude Code names the working folder."""
    if session.project is not None:
        return session.project
    for record in session.transcript.records:
        if record.cwd is not None and record.session_id:
            return _NOT_IN_A_FOLDER_NAME.sub("-", record.cwd) if record.cwd else None
    return None


def _absorb(row: MessageRow, usage: Usage) -> None:
    """Field-wise maximum: early lines of a response may carry a partial count."""
    row.input_tokens = max(row.input_tokens, usage.input_tokens or 0)
    row.output_tokens = max(row.output_tokens, usage.output_tokens or 0)
    row.cache_read_tokens = max(row.cache_read_tokens, usage.cache_read_input_tokens or 0)
    flat = usage.cache_creation_input_tokens or 0
    if split := usage.cache_creation:
        row.cache_creation_5m_tokens = max(
            row.cache_creation_5m_tokens, split.ephemeral_5m_input_tokens or 0
        )
        row.cache_creation_1h_tokens = max(
            row.cache_creation_1h_tokens, split.ephemeral_1h_input_tokens or 0
        )
        flat = max(flat, row.cache_creation_5m_tokens + row.cache_creation_1h_tokens)
    row.cache_creation_tokens = max(row.cache_creation_tokens, flat)
    if server := usage.server_tool_use:
        row.web_search_requests = max(row.web_search_requests, server.web_search_requests or 0)
    row.service_tier, row.speed = usage.service_tier, usage.speed


def _name(given: Mapping[str, object], field_name: str) -> str | None:
    value = given.get(field_name)
    return value if isinstance(value, str) and value else None


def _plugin(name: str | None) -> str | None:
    """The plugin in `plugin:name`."""
    return name.partition(":")[0] if name and ":" in name else None


def _is_prompt(record: Record, texts: Sequence[str]) -> bool:
    """Whether a person typed it, given that it holds no tool result."""
    if record.is_meta or record.is_compact_summary or record.is_sidechain:
        return False
    if b"task-notification" in bytes(record.origin):
        return False
    return not (texts and texts[0].lstrip().startswith(_NOT_A_PROMPT))
