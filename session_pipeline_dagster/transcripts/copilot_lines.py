"""Bytes of one line of a Copilot CLI session -> its typed fields, whatever is odd about it.

Put a field here when `copilot.py` needs it; what is not declared is skipped.
"""

from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts.lenient import LineReader
from session_pipeline_dagster.transcripts.looks import is_copilots
from session_pipeline_dagster.transcripts.records import MAX_TOKENS, Tokens, decode_raw

_NOTHING = msgspec.Raw(b"")


class Context(msgspec.Struct, frozen=True, gc=False):
    """Where the agent works."""

    cwd: str | None = None
    branch: str | None = None


class Data(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What any event carries: most have few of these."""

    content: str | None = None
    model: str | None = None
    api_call_id: str | None = None
    request_id: str | None = None
    output_tokens: Tokens = None
    tool_requests: msgspec.Raw = _NOTHING
    tool_call_id: str | None = None
    success: bool | None = None
    error: msgspec.Raw = _NOTHING
    parent_tool_call_id: str | None = None
    source: str | None = None
    is_autopilot_continuation: bool | None = None
    attachments: msgspec.Raw = _NOTHING
    session_id: str | None = None
    copilot_version: str | None = None
    producer: str | None = None
    context: Context | None = None
    cwd: str | None = None
    branch: str | None = None
    selected_model: str | None = None
    new_model: str | None = None
    reasoning_effort: str | None = None
    session_was_active: bool | None = None
    model_metrics: msgspec.Raw = _NOTHING


class Line(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One event."""

    type: str | None = None
    data: Data | None = None
    id: str | None = None
    timestamp: datetime | None = None
    agent_id: str | None = None


READER = LineReader(
    Line, b'{"type":"', frozenset((Data,)), lambda line: is_copilots(line.type) and bool(line.id)
)


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """What a process says of one model at its end. What was cached is part of the input, what was
    reasoned of the output."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def beyond(self, other: "Metrics") -> "Metrics":
        """What came since the other; below 0 where it did not grow."""
        names = Metrics.__struct_fields__
        return Metrics(*[getattr(self, name) - getattr(other, name) for name in names])

    @property
    def least(self) -> int:
        """The smallest of them."""
        return min(getattr(self, name) for name in Metrics.__struct_fields__)


class OddCount(ValueError):
    """A count of an event is none."""


def metrics_of(data: Data) -> dict[str, Metrics]:
    """Model -> what the process says of it; empty where it says nothing.

    Raises:
        OddCount: something stands there that cannot be a count.
    """
    found = decode_raw(data.model_metrics)
    if not isinstance(found, dict):
        return {}
    made = {}
    for model, metric in found.items():
        usage = metric.get("usage") if isinstance(metric, dict) else None
        if isinstance(usage, dict):
            requests = metric.get("requests")
            calls = requests.get("count") if isinstance(requests, dict) else None
            counts = (usage.get(f"{name}Tokens") for name in _COUNTS)
            made[model] = Metrics(_count(calls), *map(_count, counts))
    return made


_COUNTS = ("input", "output", "cacheRead", "cacheWrite", "reasoning")


def _count(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        raise OddCount
    return value
