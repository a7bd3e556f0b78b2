"""Records of one session -> rows of its API calls, tool calls and prompts, each counted once.

The counting rules live here, in `responses.py` (which lines are one response) and in `outcomes.py`
(what came of a tool call); `docs/counting.md` gives the reason for each. The rows are filled in as
lines come by, because building them afterwards costs as much again.
"""

import re
from collections.abc import Sequence

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import short
from session_pipeline_dagster.processors.copies import conversation_starts, started_us
from session_pipeline_dagster.processors.usage.costs import (
    ADVISOR,
    absorb,
    extra_calls,
    recorded,
    usage_of,
)
from session_pipeline_dagster.processors.usage.envelope import Facts, event_row, message_row
from session_pipeline_dagster.processors.usage.naming import (
    cut,
    given_name,
    plugin_of,
    project_of,
    said,
)
from session_pipeline_dagster.processors.usage.outcomes import (
    ERROR,
    outcome_of,
    outcome_of_line,
    stronger,
)
from session_pipeline_dagster.processors.usage.responses import (
    Response,
    Responses,
    inputs_of,
    key_of,
)
from session_pipeline_dagster.processors.usage.rows import EventRow, MessageRow
from session_pipeline_dagster.transcripts.claude_code import agent_progress
from session_pipeline_dagster.transcripts.prompts import Prompt, prompts
from session_pipeline_dagster.transcripts.records import (
    Block,
    Message,
    Record,
    Usage,
    decode_raw,
    epoch_us,
    times_us,
)

SYNTHETIC = "<synthetic>"

_COMMAND = re.compile(r"<command-name>/([A-Za-z][\w:-]*)</command-name>")


class Counted:
    """Everything counted in one session file.

    Attributes:
        messages: message key -> row of one API response.
        events: event key -> row of one tool call, subagent, MCP call, slash command or prompt.
        orphan_results: id of a call that stands in another file -> its outcome.
        line_us: time of every record, None where it has none; `times_us` those that there are.
        file: what holds for every row of the file.
        first_us: when it began.
        started_us: when the conversation began that the line at hand belongs to.
    """

    __slots__ = (
        "_latest",
        "_responses",
        "_seen",
        "api_errors",
        "events",
        "file",
        "first_us",
        "line_us",
        "messages",
        "orphan_results",
        "project",
        "session",
        "started_us",
        "times_us",
        "user_lines",
    )

    def __init__(self, session: Session, line_us: Sequence[int | None], provider: str) -> None:
        self.session, self.line_us = session, line_us
        self.times_us = [us for us in line_us if us is not None]
        project = project_of(session)
        self.project = None if project is None else short(project)
        # What stands before the first readable time has that one.
        self.first_us = self.started_us = started_us(self.times_us, session.day)
        self.file = Facts(session, short(session.stem), self.project, provider, self.first_us)
        self.messages: dict[str, MessageRow] = {}
        self.events: dict[str, EventRow] = {}
        self.orphan_results: dict[str, str] = {}
        self.user_lines = self.api_errors = 0
        self._responses = Responses()
        self._latest: dict[str, EventRow] = {}
        # Lines that stand in the file already: their tools' ids may mean other calls by now.
        self._seen: set[int] = set()

    # --- assistant lines: responses and the tools they call --------------------------------------

    def assistant(self, record: Record, line: int, now_us: int) -> None:
        """One line of an API response."""
        message = record.message
        if message is None:
            return
        if message.model == SYNTHETIC:
            self.api_errors += 1
            return
        usage, sidechain = message.usage, record.is_sidechain is True
        found = self._responses.of(record, usage)
        if found is None:
            found = self._begin(record, message, line, now_us)
        else:
            if found.row.is_sidechain and not sidechain:
                # The main thread's lines win over a subagent's copy of the same call.
                self._forget_extra(found)
                found.row = message_row(
                    self.file, self.started_us, found.key, record, message, line, now_us
                )
                self.messages[found.key] = found.row
                found.usage = None
            self._responses.joined(found, record, usage)
        if found.row.is_sidechain == sidechain:
            self._fold(found, record, message)
        content = message.content
        if isinstance(content, list):
            for index, block in enumerate(content):
                if isinstance(block, Block) and block.type == "tool_use":
                    self._tool_use(found.row, record, block, index, line, now_us)

    def _begin(self, record: Record, message: Message, line: int, now_us: int) -> Response:
        file, usage = self.session.key, message.usage
        key = key_of(record, True, file, line)
        if key in self.messages:
            key = key_of(record, False, file, line)
            if key in self.messages:
                key = f"{file}#{line}"
        row = self.messages[key] = message_row(
            self.file, self.started_us, key, record, message, line, now_us
        )
        found = Response(key, row, message.id)
        self._responses.start(found, record, usage)
        return found

    def _fold(self, found: Response, record: Record, message: Message) -> None:
        """What one more line of a response says of its cost."""
        row, usage = found.row, message.usage
        if message.stop_reason:
            row.output_partial = False
            for extra in found.extra:
                extra.output_partial = False
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, Block):
                    row.output_characters += len(block.text) + len(block.thinking)
                    row.output_characters += len(block.input)
        if record.recorded_cost and (cost := recorded(record.recorded_cost)) is not None:
            row.recorded_cost = max(cost, row.recorded_cost or cost)
        if usage is not None and usage != found.usage:
            found.usage = usage
            absorb(row, usage)
            if usage.iterations:
                self._add_extra(found, record, message, usage)

    def _forget_extra(self, found: Response) -> None:
        for row in found.extra:
            self.messages.pop(row.message_key, None)
        found.extra = []

    def _add_extra(self, found: Response, record: Record, message: Message, usage: Usage) -> None:
        """Calls of models that the response's own counters leave out."""
        row = found.row
        for index, iteration in extra_calls(usage, message.model):
            kind = iteration.type if iteration.type != ADVISOR else "advisor"
            key = f"{row.message_key}:{kind}:{index}"
            extra = self.messages.get(key)
            if extra is None:
                extra = message_row(
                    self.file, self.started_us, key, record, message, row.line_number, row.sent_at
                )
                extra.sent_at_inferred, extra.line_digest = row.sent_at_inferred, row.line_digest
                extra.began_at = row.began_at
                extra.model = cut(iteration.model) or row.model
                self.messages[key] = extra
                found.extra.append(extra)
            absorb(extra, usage_of(iteration, usage))
            extra.output_partial = row.output_partial

    def _tool_use(
        self, call: MessageRow, record: Record, block: Block, index: int, line: int, now_us: int
    ) -> None:
        tool_id = cut(block.id)
        if not tool_id:
            key = f"{cut(record.uuid) or f'{self.session.key}#{line}'}:{index}"
        elif call.message_key == call.message_id and tool_id.startswith(("toolu_", "srvtoolu_")):
            key = tool_id
        else:
            # Ids that are not the API's own can repeat from call to call.
            key = f"{call.message_key}/{tool_id}"
        before = self.events.get(key)
        # As with calls: the main thread's line wins over a subagent's copy.
        if before is not None and (record.is_sidechain or not before.is_sidechain):
            return
        name = cut(block.name)
        # A call is shared only with the response that made it.
        says = inputs_of(record.message.usage if record.message else None)
        event = event_row(
            self.file, self.started_us, key, "tool_use", record, line, now_us, name, says
        )
        self.events[key] = event
        event.message_key, event.model = call.message_key, call.model
        if name == "Skill":
            given = block.decoded_input()
            event.skill_name = given_name(given, "skill") or given_name(given, "name")
            event.plugin = plugin_of(event.skill_name)
        elif name in ("Task", "Agent"):
            event.event_type = "subagent"
            event.subagent_type = given_name(block.decoded_input(), "subagent_type") or name
            event.plugin = plugin_of(event.subagent_type)
        elif name is not None and name.startswith("mcp__"):
            event.event_type = "mcp_call"
            event.mcp_server = name.removeprefix("mcp__").partition("__")[0]
        if tool_id:
            self._latest[tool_id] = event
            _came(event, self.orphan_results.pop(tool_id, None))
        if before is not None:
            _came(event, before.outcome)

    # --- user lines: commands and the results of tools -------------------------------------------

    def user(self, record: Record, line: int, now_us: int) -> None:
        """A line of the user's side: typed, or written by a tool."""
        self.user_lines += 1
        if record.message is None:
            self._responses.said(())
            return
        results, texts = _results_and_texts(record.message.content)
        if record.uuid is not None:
            line_again = hash((record.uuid, *[block.tool_use_id for block in results]))
            if line_again in self._seen:
                return
            self._seen.add(line_again)
        answered = [self.result(block.tool_use_id, outcome_of(block)) for block in results]
        self._responses.said(answered)
        if record.permission_decision and results:
            self._permitted(record, results)
        if record.is_sidechain and record.agent_id and not results and not record.is_meta:
            self._responses.prompted(record.agent_id)
        if any("<command-name>" in text for text in texts):
            self._commands(record, texts, line, now_us)

    def _permitted(self, record: Record, results: Sequence[Block]) -> None:
        said = decode_raw(record.permission_decision)
        if not isinstance(said, dict):
            return
        for block in results:
            if event := self._latest.get(cut(block.tool_use_id) or ""):
                event.permission_decision = given_name(said, "decision")
                event.permission_source = given_name(said, "source")

    def _commands(self, record: Record, texts: Sequence[str], line: int, now_us: int) -> None:
        names = [short(match[1]) for text in texts for match in _COMMAND.finditer(text)]
        for number, name in enumerate(names):
            key = f"{cut(record.uuid) or f'{self.session.key}#{line}'}:command:{number}"
            if key not in self.events:
                event = event_row(
                    self.file, self.started_us, key, "slash_command", record, line, now_us
                )
                event.command_name, event.plugin = name, plugin_of(name)
                self.events[key] = event

    def prompt(self, prompt: Prompt, now_us: int) -> None:
        """What a person typed, on whatever line it stands."""
        key = short(prompt.key)
        if key in self.events:
            return
        # Who writes other words under a known uuid has not copied the line.
        who, says = (prompt.record, prompt.line), said(prompt.text)
        self.events[key] = event_row(
            self.file, self.started_us, key, "prompt", *who, now_us, says=says
        )
        # An entry of the queue stands where it was typed, in the middle of an answer.
        if prompt.record.type == "queue-operation":
            return
        self._responses.prompted()
        if prompt.record.type != "user":
            self._responses.said(())

    def result(self, tool_id: str | None, outcome: str) -> str | None:
        """Note what came of a tool call; its call may stand in another file.

        Returns:
            The key of the response that called the tool; None = it is not in this file yet.
        """
        tool_id = cut(tool_id)
        if not tool_id:
            return None
        event = self._latest.get(tool_id)
        if event is None:
            known = self.orphan_results.get(tool_id)
            self.orphan_results[tool_id] = stronger(known, outcome) or outcome
            return None
        _came(event, outcome)
        return event.message_key

    def nested(self, inner: Record, line: int, now_us: int) -> None:
        """A subagent's line inside a progress line: its calls and events, not a person's lines."""
        if inner.timestamp is not None:
            now_us = epoch_us(inner.timestamp)
        if inner.type == "assistant":
            self.assistant(inner, line, now_us)
        elif inner.type == "user" and inner.message and isinstance(inner.message.content, list):
            for block in inner.message.content:
                if isinstance(block, Block) and block.type == "tool_result":
                    self.result(block.tool_use_id, outcome_of(block))


def count(session: Session, provider: str) -> Counted:
    """Fold the records of one session, in line order.

    Args:
        provider: who served a response whose id does not say it.
    """
    transcript = session.transcript
    line_us = times_us(transcript.records)
    counted = Counted(session, line_us, provider)
    now_us = counted.started_us
    starts = conversation_starts(transcript.records, line_us, now_us)
    # The next one last; what was counted is let go, for a file may hold 100,000s of them.
    typed = [*reversed(prompts(transcript))]
    assistant, user = counted.assistant, counted.user
    records = zip(transcript.numbers, transcript.records, line_us, strict=True)
    for index, (line, record, us) in enumerate(records):
        if us is not None:
            now_us = us
        if starts is not None:
            counted.started_us = starts[index]
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
            counted.result(record.tool_use_id or record.old_tool_use_id, outcome_of_line(record))
        if typed and typed[-1].index == index:
            counted.prompt(typed.pop(), now_us)
    return counted


def _results_and_texts(
    content: Sequence[Block | str] | str | None,
) -> tuple[Sequence[Block], Sequence[str]]:
    if content is None or isinstance(content, str):
        return (), () if content is None else (content,)
    results = [b for b in content if isinstance(b, Block) and b.type == "tool_result"]
    if len(results) == len(content):
        return results, ()
    texts = [b if isinstance(b, str) else b.decoded_text() for b in content if _is_text(b)]
    return results, texts


def _is_text(block: Block | str) -> bool:
    return isinstance(block, str) or block.type == "text"


def _came(event: EventRow, outcome: str | None) -> None:
    """One more result of a call."""
    if outcome is not None and outcome != event.outcome:
        event.outcome = stronger(event.outcome, outcome)
        event.is_error = event.outcome == ERROR
