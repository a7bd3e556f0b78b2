"""Bytes of one line of a Codex rollout -> its typed fields, whatever is odd about it.

Put a field here when `codex.py` needs it; what is not declared is skipped.
"""

from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts.lenient import LineReader, lenient
from session_pipeline_dagster.transcripts.records import OutputDetails, Tokens, Usage

TYPES = frozenset(
    """session_meta turn_context response_item event_msg compacted world_state
    inter_agent_communication inter_agent_communication_metadata token_usage_record""".split()
)
"""Of lines of a rollout. A `token_usage_record` says again what the count beside it says."""
_NOTHING = msgspec.Raw(b"")


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, or of all of a thread so far. What was cached is part of the input,
    what was reasoned of the output."""

    input_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0
    cache_write_input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    reasoning_output_tokens: Tokens = 0
    total_tokens: Tokens = None

    @property
    def whole(self) -> int:
        """All of them."""
        if self.total_tokens is not None:
            return self.total_tokens
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    def beyond(self, other: "Counts") -> "Counts":
        """What came since the other."""
        names = Counts.__struct_fields__[:-1]
        mine = [getattr(self, name) or 0 for name in names]
        its = [getattr(other, name) or 0 for name in names]
        return Counts(*[max(a - b, 0) for a, b in zip(mine, its, strict=True)])

    def is_of_a_response(self) -> bool:
        """Whether anything went in or came out; marks of a full context say neither."""
        return bool(self.input_tokens or self.output_tokens)


def usage_of(counts: Counts) -> Usage:
    """The same as the records have it: what was cached stands beside the input."""
    read, written = counts.cached_input_tokens or 0, counts.cache_write_input_tokens or 0
    return Usage(
        input_tokens=max((counts.input_tokens or 0) - read - written, 0),
        output_tokens=counts.output_tokens or 0,
        cache_creation_input_tokens=written,
        cache_read_input_tokens=read,
        output_tokens_details=OutputDetails(counts.reasoning_output_tokens or 0),
    )


class Info(msgspec.Struct, frozen=True, gc=False):
    """What a `token_count` says."""

    total_token_usage: Counts | None = None
    last_token_usage: Counts | None = None


class Git(msgspec.Struct, frozen=True, gc=False):
    """The working copy."""

    branch: str | None = None


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """The tool of an MCP server that was called."""

    server: str | None = None
    tool: str | None = None
    arguments: msgspec.Raw = _NOTHING


class Payload(msgspec.Struct, frozen=True, gc=False):
    """What any line carries: most have few of these."""

    type: str | None = None
    turn_id: str | None = None
    message: str | None = None
    role: str | None = None
    content: msgspec.Raw = _NOTHING
    info: Info | None = None
    name: str | None = None
    namespace: str | None = None
    call_id: str | None = None
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    action: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    success: bool | None = None
    invocation: Invocation | None = None
    result: msgspec.Raw = _NOTHING
    item: msgspec.Raw = _NOTHING
    images: msgspec.Raw = _NOTHING
    local_images: msgspec.Raw = _NOTHING
    kind: str | None = None
    id: str | None = None
    session_id: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    source: msgspec.Raw = _NOTHING
    cwd: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    model_provider: str | None = None
    git: Git | None = None
    model: str | None = None
    effort: str | None = None


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line."""

    timestamp: datetime | None = None
    type: str | None = None
    payload: Payload | None = None


_NEEDED = frozenset((Payload, Counts, Info))
READER = LineReader(Line, b'{"timestamp":', _NEEDED, lambda line: line.type in TYPES)


def counts_of(value: object) -> Counts | None:
    """The counts of a decoded object; None where they are none."""
    return lenient(Counts, value, _NEEDED)
