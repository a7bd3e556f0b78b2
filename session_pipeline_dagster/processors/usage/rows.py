"""The rows of the usage tables: their fields are the columns of `tables.py`, in its order.

Times are microseconds since 1970-01-01 UTC. Structs, because there is one for every API response
and tool call ever made: filling one in costs a third of a dataclass, and it turns into a tuple by
itself. What goes into them is `counting.py`; what one file adds up to is `summary.py`.
"""

from decimal import Decimal

import msgspec


class MessageRow(msgspec.Struct, gc=False):
    """One API response of a file, folded from its lines."""

    session_file: str
    message_key: str
    message_id: str | None
    request_id: str | None
    session_id: str
    origin_session_id: str
    username: str
    project: str | None
    agent_id: str | None
    is_sidechain: bool
    model: str | None
    sent_at: int
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
    line_number: int = 0
    sent_at_inferred: bool = False
    file_started_at: int = 0
    line_digest: str = ""
    output_characters: int = 0
    began_at: int = 0
    agent: str = ""
    provider: str = ""
    git_branch: str | None = None
    client_version: str | None = None
    entrypoint: str | None = None
    effort: str | None = None
    attribution_skill: str | None = None
    attribution_agent: str | None = None
    attribution_plugin: str | None = None
    attribution_mcp_server: str | None = None
    recorded_cost: Decimal | None = None
    thinking_tokens: int = 0


class EventRow(msgspec.Struct, gc=False):
    """One tool call, subagent dispatch, MCP call, slash command or prompt of a file."""

    session_file: str
    event_key: str
    session_id: str
    username: str
    project: str | None
    event_type: str
    tool_name: str | None = None
    skill_name: str | None = None
    subagent_type: str | None = None
    mcp_server: str | None = None
    command_name: str | None = None
    plugin: str | None = None
    is_error: bool = False
    model: str | None = None
    cwd: str | None = None
    occurred_at: int = 0
    message_key: str | None = None
    line_number: int = 0
    origin_session_id: str | None = None
    is_sidechain: bool = False
    file_started_at: int = 0
    line_digest: str = ""
    outcome: str | None = None
    began_at: int = 0
    permission_decision: str | None = None
    permission_source: str | None = None


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
    input_tokens: int
    output_tokens: int
    cache_creation_tokens: int
    cache_read_tokens: int
    partial_messages: int
    lines: int
    unreadable_lines: int
    unknown_lines: int
    api_errors: int
    tool_rejections: int
    tool_cancellations: int
    repository: str | None
    title: str | None


class PullRequestRow(msgspec.Struct, gc=False):
    """A pull request that a session was linked to."""

    session_file: str
    session_id: str
    username: str
    url: str | None
    repository: str | None
    number: int | None
    linked_at: int | None
