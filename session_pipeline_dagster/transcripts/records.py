"""The typed, frozen records that a session file decodes to, and the transcript they make up.

Put a field here when a processor needs it; what is not declared is skipped by the decoder, which
is most of a file. Texts and tool inputs stay undecoded bytes until someone asks for them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

MAX_TOKENS = 10**12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes it does not take."""

_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
_LAST_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND

ASIDES = ("cost-state", "pr-link", "custom-title", "ai-title")
"""Types of lines whose bytes a transcript keeps."""

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)] | None
"""A token count of one API response; null is absent, a negative or larger number is no count."""

UNIQUE_CALL = "turn:"
"""How ids of tool calls begin that their reader has made unique over all files."""

_NOTHING = msgspec.Raw(b"")


INPUT_OF_PROCESS, INPUT_UNKNOWN = "process", "unknown"
"""Where it is not the response itself that says what went in: the end of its process says it, in
one sum for all; nobody does."""


class CacheCreation(msgspec.Struct, frozen=True, gc=False):
    """The cache write split by time to live."""

    ephemeral_5m_input_tokens: Tokens = 0
    ephemeral_1h_input_tokens: Tokens = 0


class ServerToolUse(msgspec.Struct, frozen=True, gc=False):
    """Tools that ran on the API's side."""

    web_search_requests: Tokens = 0


class OutputDetails(msgspec.Struct, frozen=True, gc=False):
    """What the output was made of."""

    thinking_tokens: Tokens = 0


class Iteration(msgspec.Struct, frozen=True, gc=False):
    """One model call of a response; only `advisor_message` is not in the response's counts."""

    type: str | None = None
    model: str | None = None
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cache_creation: CacheCreation | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one API response says it cost. `input_basis`: where what went in is not its own count,
    `INPUT_OF_PROCESS` or `INPUT_UNKNOWN`; then all of that is None."""

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    speed: str | None = None
    iterations: list[Iteration] | None = None
    input_basis: str | None = None


class Block(msgspec.Struct, frozen=True, gc=False):
    """One content block. Texts and tool inputs stay undecoded bytes until someone asks."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    tool_use_id: str | None = None
    is_error: bool | None = None
    text: msgspec.Raw = _NOTHING
    thinking: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING

    def decoded_text(self) -> str:
        """The text of a text block; "" where it has none."""
        value = decode_raw(self.text)
        return value if isinstance(value, str) else ""

    def decoded_input(self) -> dict[str, object]:
        """The input of a tool call; empty where it is not an object."""
        value = decode_raw(self.input)
        return value if isinstance(value, dict) else {}


class Message(msgspec.Struct, frozen=True, gc=False):
    """What went to or came from the model: `content` is a string or blocks (or bare strings).
    `served_by` is a reader's word for who served it, where that differs within a file."""

    id: str | None = None
    model: str | None = None
    content: list[Block | str] | str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    served_by: str | None = None


class Attachment(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What an `attachment` line carries; of a `queued_command` what was typed."""

    type: str | None = None
    command_mode: str | None = None
    is_meta: bool | None = None
    origin: msgspec.Raw = _NOTHING
    prompt: msgspec.Raw = _NOTHING


class Record(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One line. Fields are those of the file, in snake case; absent ones are None.

    A `session_id` may stand beside `sessionId` and differ; only `sessionId` is read.
    """

    # In the order in which lines have them: a decoder that finds the next one at once is a tenth
    # faster.
    is_sidechain: bool | None = None
    agent_id: str | None = None
    message: Message | None = None
    request_id: str | None = None
    attribution_skill: str | None = None
    attribution_agent: str | None = None
    attribution_plugin: str | None = None
    attribution_mcp_server: str | None = None
    type: str | None = None
    uuid: str | None = None
    timestamp: datetime | None = None
    effort: str | None = None
    entrypoint: str | None = None
    cwd: str | None = None
    session_id: str | None = None
    version: str | None = None
    git_branch: str | None = None
    request_session_id: str | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    recorded_cost: msgspec.Raw = msgspec.field(default=_NOTHING, name="costUSD")
    permission_decision: msgspec.Raw = _NOTHING
    origin: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING
    attachment: Attachment | None = None
    operation: str | None = None
    plan_content: msgspec.Raw = _NOTHING
    tool_use_result: msgspec.Raw = _NOTHING
    tool_use_id: str | None = None
    old_tool_use_id: str | None = msgspec.field(default=None, name="tool_use_id")
    is_error: bool | None = msgspec.field(default=None, name="is_error")
    # Old collectors wrote `{"role": ..., "content": ...}` without an envelope; a queue-operation
    # has its text there, too.
    flat_role: msgspec.Raw = msgspec.field(default=_NOTHING, name="role")
    flat_content: msgspec.Raw = msgspec.field(default=_NOTHING, name="content")

    def time_us(self) -> int | None:
        """The line's time in microseconds since 1970-01-01 UTC; None where it has none."""
        return None if self.timestamp is None else epoch_us(self.timestamp)

    def texts(self) -> Iterator[str]:
        """The texts of the message, block by block; tool results are not text."""
        content = self.message.content if self.message else None
        if isinstance(content, str):
            yield content
        elif content:
            for block in content:
                if isinstance(block, str):
                    yield block
                elif block.type == "text":
                    yield block.decoded_text()

    def tool_calls(self) -> Iterator[Block]:
        """The tool calls of the message: each has an `id`, a `name` and `decoded_input()`."""
        return self._blocks("tool_use")

    def tool_results(self) -> Iterator[Block]:
        """What came of tool calls: each has its call's `tool_use_id`, and `is_error`."""
        return self._blocks("tool_result")

    def _blocks(self, kind: str) -> Iterator[Block]:
        content = self.message.content if self.message else None
        if isinstance(content, list):
            yield from (b for b in content if isinstance(b, Block) and b.type == kind)


class ProgressData(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The payload of a progress line."""

    type: str | None = None
    agent_id: str | None = None
    message: Record | None = None


@dataclass(frozen=True, slots=True)
class Aside:
    """A line beside the conversation that only few look at, as it stands in the file.

    Attributes:
        at: its place in the records.
        number: its line, from 1.
        line: its bytes; hold any JSON, or none.
    """

    at: int
    number: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that could be read of one file, in line order.

    `records[i]` stands on line `numbers[i]` (from 1, blank lines counted); an odd line can hold
    several, and count as unreadable for the rest of it. Lines that carry nothing
    for any processor (`api-request*`, `attachment` but for a `queued_command`) are records with a
    type and a time only, unless the file begins without them. Lines with nothing that is known of
    (`{}`) are no records, only counted: in `empty_lines`, and in `unknown_lines`. `agent` is who
    reads such files, as its reader is called. `asides` has the bytes of the lines of a few types
    (`ASIDES`), by type: records hold little of them. `provider` is who served the responses, where
    the file says it; `is_subagent` that it is the file of one.
    """

    records: Sequence[Record] = ()
    numbers: Sequence[int] = field(default=())
    unreadable_lines: int = 0
    unknown_lines: int = 0
    empty_lines: int = 0
    agent: str = "claude-code"
    asides: Mapping[str, Sequence[Aside]] = field(default_factory=dict)
    provider: str | None = None
    is_subagent: bool = False

    @property
    def lines(self) -> int:
        """Records, lines with something that could not be read, and those with nothing in them."""
        return len(self.records) + self.unreadable_lines + self.empty_lines

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        return zip(self.numbers, self.records, strict=True)


def parse_time(text: object) -> datetime | None:
    """An aware time from an ISO 8601 text; a naive one is UTC; None where it cannot be read."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def epoch_us(time: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; a naive time is UTC.

    An offset can lead out of the calendar; no reader takes such a time, so it is its end.
    """
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    us = (time - EPOCH) // _MICROSECOND
    return us if _FIRST_US <= us <= _LAST_US else min(max(us, _FIRST_US), _LAST_US)


def times_us(records: Sequence[Record]) -> list[int | None]:
    """Each record's time in microseconds since 1970-01-01 UTC; None where it has none."""
    times = [record.timestamp for record in records]
    try:
        # All in one go; what this cannot take (a naive time, one out of the calendar) is rare.
        found = [None if time is None else (time - EPOCH) // _MICROSECOND for time in times]
    except TypeError:
        return [None if time is None else epoch_us(time) for time in times]
    known = [us for us in found if us is not None]
    if known and not _FIRST_US <= min(known) <= max(known) <= _LAST_US:
        return [None if time is None else epoch_us(time) for time in times]
    return found


SYNTHETIC = "<synthetic>"
"""The model of a line that reports a failed call of the API."""


def encode_raw(value: object) -> msgspec.Raw:
    """A value as undecoded bytes, which `decode_raw` reads; none for nothing."""
    if value is None:
        return _NOTHING
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def storable(text: str) -> str:
    """The same text with lone surrogates replaced: no encoding takes them, and so no store."""
    return text.encode("utf-8", "replace").decode()


def decode_raw(raw: msgspec.Raw) -> object:
    """The value of undecoded bytes; None where there are none or they cannot be read."""
    encoded = bytes(raw)
    if not encoded:
        return None
    try:
        return msgspec.json.decode(encoded)
    except DECODE_ERRORS:
        return read_json(encoded)


def read_json(encoded: bytes) -> object:
    """Any value a lenient reader can make of the bytes; None where even that fails.

    Takes what real files hold and strict readers refuse: invalid UTF-8, lone surrogates, NaN.
    """
    try:
        return json.loads(encoded.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
