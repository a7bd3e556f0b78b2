"""Records of one session -> its API calls, tool calls and prompts, each counted once.

The counting rules live here, in `responses.py` (which lines are one response) and in `outcomes.py`
(what came of a tool call); `docs/counting.md` gives the reason for each. What is counted is filled
in as lines come by; the rows of it are made in `envelope.py`.
"""

import re
from collections.abc import Sequence

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import LONGEST, short
from session_pipeline_dagster.processors.copies import conversation_starts, started_us
from session_pipeline_dagster.processors.usage.costs import (
    ADVISOR,
    absorb,
    extra_calls,
    recorded,
    usage_of,
)
from session_pipeline_dagster.processors.usage.envelope import Facts
from session_pipeline_dagster.processors.usage.naming import (
    cut,
    given_name,
    plugin_of,
    project_of,
    said,
)
from session_pipeline_dagster.processors.usage.outcomes import (
    OK,
    outcome_of,
    outcome_of_line,
    stronger,
)
from session_pipeline_dagster.processors.usage.responses import (
    Responses,
    call_key,
    inputs_of,
    key_of,
)
from session_pipeline_dagster.processors.usage.rows import Event, Response
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
        messages: message key -> one API response.
        events: event key -> one tool call, subagent, MCP call, slash command or prompt.
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
        stem = session.stem
        served = cut(session.transcript.provider) or provider
        self.file = Facts(session, stem, short(stem), self.project, served, self.first_us)
        self.messages: dict[str, Response] = {}
        self.events: dict[str, Event] = {}
        self.orphan_results: dict[str, str] = {}
        self.user_lines = self.api_errors = 0
        self._responses = Responses()
        self._latest: dict[str, Event] = {}
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
        sidechain, usage = record.is_sidechain is True, message.usage
        found = self._responses.of(record, message)
        if found is None:
            found = self._begin(record, message, line, now_us)
        elif found.is_sidechain and not sidechain:
            # The main thread's lines win over a subagent's copy of the same call.
            self._forget_extra(found)
            names = found.key, found.message_id
            found.begin_again(self._response(*names, record, message, line, now_us))
        news = usage if usage is not None and usage != found.usage else None
        self._responses.joined(found, record, news)
        counts = found.is_sidechain == sidechain
        if counts:
            self._fold(found, record, message, news)
        if isinstance(message.content, list):
            self._blocks(found, record, message.content, counts, line, now_us)

    def _blocks(
        self,
        found: Response,
        record: Record,
        content: Sequence[Block | str],
        counts: bool,
        line: int,
        now_us: int,
    ) -> None:
        """What a line holds: some of the response's output, calls of tools."""
        for index, block in enumerate(content):
            if isinstance(block, str):
                continue
            if counts:
                size = len(block.text) + len(block.thinking) + len(block.input)
                found.output_characters += size
            if block.type == "tool_use":
                self._tool_use(found, record, block, index, line, now_us)

    def _fold(self, found: Response, record: Record, message: Message, news: Usage | None) -> None:
        """What one more line of a response says of its cost.

        Args:
            news: as `joined` is told.
        """
        if message.stop_reason:
            found.output_partial = False
            for extra in found.extra:
                extra.output_partial = False
        if record.recorded_cost and (cost := recorded(record.recorded_cost)) is not None:
            found.recorded_cost = max(cost, found.recorded_cost or cost)
        if news is not None:
            found.usage = news
            absorb(found, news)
            if news.iterations:
                self._add_extra(found, record, message, news)

    def _begin(self, record: Record, message: Message, line: int, now_us: int) -> Response:
        message_id, file = cut(message.id), self.session.key
        key = key_of(message_id, record.uuid, file, line)
        if key in self.messages:
            key = key_of(None, record.uuid, file, line)
            if key in self.messages:
                key = key_of(None, None, file, line)
        found = self.messages[key] = self._response(key, message_id, record, message, line, now_us)
        self._responses.start(found)
        return found

    def _response(
        self,
        key: str,
        message_id: str | None,
        record: Record,
        message: Message,
        line: int,
        now_us: int,
    ) -> Response:
        sidechain, model, began_us = record.is_sidechain is True, message.model, self.started_us
        if model is not None and len(model) > LONGEST:
            model = short(model)
        return Response(key, record, message, line, now_us, began_us, sidechain, message_id, model)

    def _forget_extra(self, found: Response) -> None:
        for extra in found.extra:
            self.messages.pop(extra.key, None)
        found.extra = []

    def _add_extra(self, found: Response, record: Record, message: Message, usage: Usage) -> None:
        """Calls of models that the response's own counters leave out."""
        for index, iteration in extra_calls(usage, message.model):
            kind = iteration.type if iteration.type != ADVISOR else "advisor"
            key = f"{found.key}:{kind}:{index}"
            extra = self.messages.get(key)
            if extra is None:
                message_id = cut(message.id)
                extra = self._response(key, message_id, record, message, found.line, found.us)
                extra.beside, extra.began_us = found, found.began_us
                extra.model = cut(iteration.model) or found.model
                self.messages[key] = extra
                found.extra.append(extra)
            absorb(extra, usage_of(iteration, usage))
            extra.output_partial = found.output_partial

    def _tool_use(
        self, call: Response, record: Record, block: Block, index: int, line: int, now_us: int
    ) -> None:
        tool_id = cut(block.id)
        if not tool_id:
            key = f"{cut(record.uuid) or f'{self.session.key}#{line}'}:{index}"
        else:
            key = call_key(call, tool_id)
        before = self.events.get(key)
        # As with calls: the main thread's line wins over a subagent's copy.
        if before is not None and (record.is_sidechain or not before.record.is_sidechain):
            return
        name = cut(block.name)
        # A call is shared only with the response that made it.
        says = inputs_of(record.message.usage if record.message else None)
        event = self.events[key] = Event(
            key, "tool_use", record, line, now_us, self.started_us, says, name, call.key, call.model
        )
        if name in ("Skill", "skill"):
            given = block.decoded_input()
            event.skill_name = given_name(given, "skill") or given_name(given, "name")
            event.plugin = plugin_of(event.skill_name)
        elif name in ("Task", "Agent", "spawn_agent", "task"):
            event.kind, given = "subagent", block.decoded_input()
            asked = given_name(given, "subagent_type") or given_name(given, "agent_type")
            event.subagent_type = asked or name
            event.plugin = plugin_of(event.subagent_type)
        elif name is not None and name.startswith("mcp__"):
            event.kind = "mcp_call"
            event.mcp_server = name.removeprefix("mcp__").partition("__")[0]
        if tool_id:
            self._latest[tool_id] = event
            if self.orphan_results:
                event.came(self.orphan_results.pop(tool_id, None))
        if before is not None:
            event.came(before.outcome)

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
        answered = []
        for block in results:
            outcome = outcome_of(block) if block.is_error else OK
            answered.append(self.result(block.tool_use_id, outcome))
        self._responses.said(answered)
        if record.permission_decision and results:
            self._permitted(record, results)
        if record.is_sidechain and record.agent_id and not results and not record.is_meta:
            self._responses.prompted(record.agent_id)
        for text in texts:
            if "<command-name>" in text:
                self._commands(record, texts, line, now_us)
                break

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
                event = Event(key, "slash_command", record, line, now_us, self.started_us)
                event.command_name, event.plugin = name, plugin_of(name)
                self.events[key] = event

    def prompt(self, prompt: Prompt, now_us: int) -> None:
        """What a person typed, on whatever line it stands."""
        key = short(prompt.key)
        if key in self.events:
            return
        # Who writes other words under a known uuid has not copied the line.
        says = said(prompt.text)
        self.events[key] = Event(
            key, "prompt", prompt.record, prompt.line, now_us, self.started_us, says
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
        event.came(outcome)
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
    results: list[Block] = []
    texts: list[str] = []
    for block in content:
        if isinstance(block, str):
            texts.append(block)
        elif block.type == "tool_result":
            results.append(block)
        elif block.type == "text":
            texts.append(block.decoded_text())
    return results, texts
