"""Records of one session -> its API calls, tool calls and times, each counted once.

The counting rules live here and only here; `docs/counting.md` gives the reason for each.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from itertools import pairwise

from session_pipeline_dagster.processor import Session
from session_pipeline_dagster.records import Block, Message, Record, Usage, epoch_us
from session_pipeline_dagster.transcript import agent_progress

SYNTHETIC = "<synthetic>"
BLOCK_GAP_US = 600 * 1_000_000
"""A longer pause ends a block of activity."""

_COMMAND = re.compile(r"<command-name>/([A-Za-z][\w:-]*)</command-name>")
_NOT_A_PROMPT = ("<local-command-", "<bash-", "<task-notification>")
_COUNTERS = 7
_NO_COUNTS = [0] * _COUNTERS


@dataclass(slots=True)
class Call:
    """One API response, folded from its lines; `counts` in the order of `rows.COUNTERS`."""

    key: str
    record: Record
    model: str | None
    line: int
    time_us: int | None
    time_inferred: bool
    sidechain: bool
    counts: list[int]
    usage: Usage | None = None
    final: bool = False
    advisors: list["Call"] = field(default_factory=list)


@dataclass(slots=True)
class Event:
    """One tool call, subagent dispatch, MCP call or slash command."""

    key: str
    record: Record
    event_type: str
    line: int
    time_us: int | None
    tool_name: str | None = None
    skill_name: str | None = None
    subagent_type: str | None = None
    mcp_server: str | None = None
    command_name: str | None = None
    message_key: str | None = None
    model: str | None = None
    is_error: bool = False

    @property
    def plugin(self) -> str | None:
        """The plugin in `plugin:name`."""
        name = self.skill_name or self.subagent_type or self.command_name or ""
        return name.partition(":")[0] if ":" in name else None


@dataclass(slots=True)
class Counted:
    """Everything counted in one session file."""

    session: Session
    calls: dict[str, Call] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    orphan_results: dict[str, bool] = field(default_factory=dict)
    times_us: list[int] = field(default_factory=list)
    session_ids: dict[str, None] = field(default_factory=dict)
    cwd: str | None = None
    user_lines: int = 0
    prompts: int = 0
    api_errors: int = 0
    _latest: dict[str, Event] = field(default_factory=dict)

    def session_id(self) -> str:
        """The session of this file: its own name if its lines know it, else the first named."""
        stem = self.session.stem
        return stem if stem in self.session_ids else next(iter(self.session_ids), stem)

    def fallback_us(self) -> int:
        """The time of what stands before the first readable time."""
        if self.times_us:
            return self.times_us[0]
        return epoch_us(datetime.combine(self.session.day, time(), UTC))

    def active_seconds(self) -> float:
        """Seconds of activity: gaps between lines, without the long ones."""
        ordered = sorted(self.times_us)
        gaps = [later - sooner for sooner, later in pairwise(ordered)]
        return sum([gap for gap in gaps if gap <= BLOCK_GAP_US]) / 1e6


def count(session: Session) -> Counted:
    """Fold the records of one session, in line order."""
    counted = Counted(session)
    times, now_us = counted.times_us, None
    for line, record in session.transcript:
        if record.timestamp is not None:
            now_us = epoch_us(record.timestamp)
            times.append(now_us)
        kind = record.type
        if kind == "assistant":
            _assistant(counted, record, line, now_us)
        elif kind == "user":
            _user(counted, record, line, now_us)
        elif kind == "progress":
            inner = agent_progress(record)
            if inner is not None:
                _nested(counted, inner, line, now_us)
        elif kind == "tool_use_result":
            _result(counted, record.tool_use_id or record.old_tool_use_id, record.is_error)
        if record.session_id:
            counted.session_ids.setdefault(record.session_id)
            if counted.cwd is None:
                counted.cwd = record.cwd
    return counted


def _nested(counted: Counted, inner: Record, line: int, now_us: int | None) -> None:
    """A subagent's line inside a progress line: its calls and events, not the person's lines."""
    if inner.timestamp is not None:
        now_us = epoch_us(inner.timestamp)
    if inner.type == "assistant":
        _assistant(counted, inner, line, now_us)
    elif inner.type == "user" and inner.message:
        _results(counted, inner.message)


def _assistant(counted: Counted, record: Record, line: int, now_us: int | None) -> None:
    message = record.message
    if message is None:
        return
    if message.model == SYNTHETIC:
        counted.api_errors += 1
        return
    key = message.id
    if key is None or not key.startswith("msg_"):
        key = _other_key(counted, record, line, now_us)
    sidechain = bool(record.is_sidechain)
    call = counted.calls.get(key)
    # The main thread's lines win over a subagent's copy of the same call.
    if call is None or (call.sidechain and not sidechain):
        call = counted.calls[key] = _call(key, record, message, line, now_us)
    usage = message.usage
    if message.stop_reason and call.sidechain == sidechain:
        call.final = True
        for advisor in call.advisors:
            advisor.final = True
    if usage is not None and usage != call.usage and call.sidechain == sidechain:
        _absorb(call, usage)
        if usage.iterations:
            _advisors(counted, call, usage, message)
    if isinstance(message.content, list):
        _tool_uses(counted, call, record, message.content, line, now_us)


def _call(key: str, record: Record, message: Message, line: int, now_us: int | None) -> Call:
    inferred = record.timestamp is None
    return Call(
        key, record, message.model, line, now_us, inferred, bool(record.is_sidechain), _NO_COUNTS
    )


def _other_key(counted: Counted, record: Record, line: int, now_us: int | None) -> str:
    """What names an API response over all files where its id alone does not."""
    message_id = record.message.id if record.message else None
    if not message_id:
        return record.uuid or f"{counted.session.key}#{line}"
    # Gateways reuse ids: only the request, its session and its time tell two calls apart.
    session = record.request_session_id or record.session_id or counted.session.stem
    stamp = now_us if record.timestamp is not None else line
    return f"{message_id}|{record.request_id or ''}|{session}|{stamp}"


def _absorb(call: Call, usage: Usage) -> None:
    """Field-wise maximum: early lines of a response may carry a partial count."""
    counts = _counts(usage)
    if call.usage is not None:
        counts = [max(pair) for pair in zip(call.counts, counts, strict=True)]
    call.usage, call.counts = usage, counts


def _counts(usage: Usage) -> list[int]:
    split, server = usage.cache_creation, usage.server_tool_use
    return [
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.cache_creation_input_tokens or 0,
        (split.ephemeral_5m_input_tokens or 0) if split else 0,
        (split.ephemeral_1h_input_tokens or 0) if split else 0,
        usage.cache_read_input_tokens or 0,
        (server.web_search_requests or 0) if server else 0,
    ]


def _advisors(counted: Counted, call: Call, usage: Usage, message: Message) -> None:
    """Extra calls to another model that the response's own counters leave out."""
    for index, iteration in enumerate(usage.iterations or ()):
        if iteration.type != "advisor_message":
            continue
        key = f"{call.key}:advisor:{index}"
        own = Usage(
            iteration.input_tokens,
            iteration.output_tokens,
            iteration.cache_creation_input_tokens,
            iteration.cache_read_input_tokens,
            iteration.cache_creation,
            service_tier=usage.service_tier,
            speed=usage.speed,
        )
        advisor = counted.calls.get(key)
        if advisor is None or (advisor.sidechain and not call.sidechain):
            advisor = counted.calls[key] = _call(key, call.record, message, call.line, call.time_us)
            advisor.time_inferred = call.time_inferred
            advisor.model = iteration.model or message.model
            call.advisors.append(advisor)
        _absorb(advisor, own)
        advisor.final = call.final


def _tool_uses(
    counted: Counted,
    call: Call,
    record: Record,
    content: Sequence[Block | str],
    line: int,
    now_us: int | None,
) -> None:
    for index, block in enumerate(content):
        if isinstance(block, Block) and block.type == "tool_use":
            _tool_use(counted, call, record, block, index, line, now_us)


def _tool_use(
    counted: Counted,
    call: Call,
    record: Record,
    block: Block,
    index: int,
    line: int,
    now_us: int | None,
) -> None:
    tool_id = block.id
    if not tool_id:
        key = f"{record.uuid or f'{counted.session.key}#{line}'}:{index}"
    elif tool_id.startswith(("toolu_", "srvtoolu_")):
        key = tool_id
    else:
        # Ids that are not the API's own can repeat from call to call.
        key = f"{call.key}/{tool_id}"
    before = counted.events.get(key)
    # As with calls: the main thread's line wins over a subagent's copy.
    if before is not None and (record.is_sidechain or not before.record.is_sidechain):
        return
    event = counted.events[key] = Event(key, record, "tool_use", line, now_us, block.name)
    event.message_key, event.model = call.key, call.model
    name = block.name or ""
    if name == "Skill":
        given = block.decoded_input()
        event.skill_name = _name(given, "skill") or _name(given, "name")
    elif name in ("Task", "Agent"):
        event.event_type = "subagent"
        event.subagent_type = _name(block.decoded_input(), "subagent_type") or name
    elif name.startswith("mcp__"):
        event.event_type = "mcp_call"
        event.mcp_server = name.removeprefix("mcp__").partition("__")[0]
    if tool_id:
        counted._latest[tool_id] = event
        event.is_error = counted.orphan_results.pop(tool_id, False)
    if before is not None:
        event.is_error = event.is_error or before.is_error


def _name(given: Mapping[str, object], field_name: str) -> str | None:
    value = given.get(field_name)
    return value if isinstance(value, str) and value else None


def _user(counted: Counted, record: Record, line: int, now_us: int | None) -> None:
    counted.user_lines += 1
    if record.message is None:
        return
    has_result = _results(counted, record.message)
    texts = list(record.texts())
    if not has_result and _is_prompt(record, texts):
        counted.prompts += 1
    commands = [m for text in texts if "<command-name>" in text for m in _COMMAND.finditer(text)]
    for number, match in enumerate(commands):
        key = f"{record.uuid or f'{counted.session.key}#{line}'}:command:{number}"
        event = Event(key, record, "slash_command", line, now_us, command_name=match[1])
        counted.events.setdefault(key, event)


def _is_prompt(record: Record, texts: list[str]) -> bool:
    """Whether a person typed it, given that it holds no tool result."""
    if record.is_meta or record.is_compact_summary or record.is_sidechain:
        return False
    if b"task-notification" in bytes(record.origin):
        return False
    return not (texts and texts[0].lstrip().startswith(_NOT_A_PROMPT))


def _results(counted: Counted, message: Message) -> bool:
    """Note the tool results of a message; whether it holds any."""
    found = False
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, Block) and block.type == "tool_result":
                found = True
                _result(counted, block.tool_use_id, block.is_error)
    return found


def _result(counted: Counted, tool_id: str | None, is_error: bool | None) -> None:
    if not tool_id:
        return
    event = counted._latest.get(tool_id)
    if event is not None:
        event.is_error = event.is_error or bool(is_error)
    else:
        counted.orphan_results[tool_id] = counted.orphan_results.get(tool_id, False) or bool(
            is_error
        )
