"""What is counted of a file, before it is rows: responses and events, filled in as lines come by.

Of these `envelope.py` makes the rows of their tables. The rows of the small tables have the columns
of `tables.py` as their fields, in its order. Times are microseconds since 1970-01-01 UTC. Structs,
because there is one for every API response and tool call ever made: filling one in costs a third
of a dataclass.
"""

from decimal import Decimal

import msgspec

from session_pipeline_dagster.processors.usage.outcomes import ERROR, stronger
from session_pipeline_dagster.transcripts.records import Message, Record, Usage

Inputs = tuple[int, int, int]
"""Tokens that went in: not cached, read from the cache, written to it. All 0 = nobody says."""

NO_INPUTS: Inputs = (0, 0, 0)


class Response(msgspec.Struct):
    """One API response of a file, folded from its lines.

    Attributes:
        key: names it over all files.
        record, message, line, us: the line that began it, its number and time.
        began_us: when its conversation began.
        message_id, model: as they are stored.
        beside: the response whose counters leave this call out; None = it is one of its own.
        input_basis: as that of `Usage`.
        usage: what its last line said of its cost.
        extra: the calls that its own counters leave out.
        inputs, epoch, users, answered, others: what its next line is held against; see
            `responses.py`.
    """

    key: str
    record: Record
    message: Message
    line: int
    us: int
    began_us: int
    is_sidechain: bool
    message_id: str | None
    model: str | None
    beside: "Response | None" = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_creation_5m_tokens: int = 0
    cache_creation_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_search_requests: int = 0
    service_tier: str | None = None
    speed: str | None = None
    output_partial: bool = True
    output_characters: int = 0
    recorded_cost: Decimal | None = None
    thinking_tokens: int = 0
    input_basis: str | None = None
    usage: Usage | None = None
    extra: "list[Response]" = msgspec.field(default_factory=list)
    inputs: Inputs = NO_INPUTS
    epoch: int = 0
    users: int = 0
    answered: int = 0
    others: "dict[Inputs, Response] | None" = None

    def begin_again(self, anew: "Response") -> None:
        """Another line begins it: what was counted does not hold, but what the next line is held
        against does."""
        for name in _COUNTED:
            setattr(self, name, getattr(anew, name))


_NAMES = Response.__struct_fields__
_COUNTED = _NAMES[: _NAMES.index("inputs")]


class Event(msgspec.Struct, gc=False):
    """One tool call, subagent dispatch, MCP call, slash command or prompt of a file.

    Attributes:
        key: names it over all files.
        kind: its `event_type`.
        record, line, us: the line it stands on, its number and time.
        began_us: when its conversation began.
        says: what the line says of it that nobody may change who copies it.
    """

    key: str
    kind: str
    record: Record
    line: int
    us: int
    began_us: int
    says: Inputs | str = ""
    tool_name: str | None = None
    message_key: str | None = None
    model: str | None = None
    skill_name: str | None = None
    subagent_type: str | None = None
    mcp_server: str | None = None
    command_name: str | None = None
    plugin: str | None = None
    is_error: bool = False
    outcome: str | None = None
    permission_decision: str | None = None
    permission_source: str | None = None

    def came(self, outcome: str | None) -> None:
        """One more result of a call; None = there is none."""
        if outcome is not None and outcome != self.outcome:
            self.outcome = stronger(self.outcome, outcome)
            self.is_error = self.outcome == ERROR


class BlockRow(msgspec.Struct, gc=False):
    """A stretch of a file, within one UTC day, in which no pause is long."""

    session_file: str
    username: str
    project: str | None
    started_at: int
    ended_at: int
    line_digest: str


class SessionRow(msgspec.Struct, gc=False):
    """What one file adds up to."""

    session_file: str
    session_id: str
    username: str
    project: str | None
    is_subagent: bool
    started_at: int | None
    ended_at: int | None
    wall_seconds: float | None
    active_seconds: float
    prompts: int
    user_lines: int
    assistant_messages: int
    tool_calls: int
    tool_errors: int
    skill_invocations: int
    subagent_dispatches: int
    mcp_calls: int
    slash_commands: int
    distinct_tools: int
    distinct_skills: int
    primary_model: str | None
    input_tokens: int | None
    output_tokens: int
    cache_creation_tokens: int | None
    cache_read_tokens: int | None
    partial_messages: int
    lines: int
    unreadable_lines: int
    unknown_lines: int
    api_errors: int
    tool_rejections: int
    tool_cancellations: int
    repository: str | None
    title: str | None
    agent: str


class PullRequestRow(msgspec.Struct, gc=False):
    """A pull request that a session was linked to."""

    session_file: str
    session_id: str
    username: str
    url: str | None
    repository: str | None
    number: int | None
    linked_at: int | None
