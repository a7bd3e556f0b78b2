"""Bytes of one line of a Gemini CLI session -> its typed fields, whatever is odd about it.

Put a field here when `gemini.py` needs it; what is not declared is skipped.
"""

from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts.lenient import LineReader
from session_pipeline_dagster.transcripts.records import OutputDetails, Tokens, Usage

TYPES = frozenset(("user", "gemini", "info", "warning", "error"))
"""Of messages."""
_NOTHING = msgspec.Raw(b"")


class Counts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, as the API counts them; `thoughts` are no part of the output."""

    input: Tokens = None
    output: Tokens = None
    cached: Tokens = None
    thoughts: Tokens = None
    tool: Tokens = None
    total: Tokens = None

    def usage(self) -> Usage:
        """The same as the records have it: what was cached stands beside the input, what was
        thought in the output. What tools put in is input."""
        given, cached, tool = self.input or 0, self.cached or 0, self.tool or 0
        thoughts = self.thoughts or 0
        output = (self.output or 0) + thoughts
        within = cached <= given and self.total in (None, 0, given + output + tool)
        return Usage(
            input_tokens=given + tool - (cached if within else 0),
            output_tokens=output,
            cache_read_input_tokens=cached,
            output_tokens_details=OutputDetails(thoughts),
        )


class Call(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A tool call, and what came of it so far."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = _NOTHING
    result: msgspec.Raw = _NOTHING
    status: str | None = None
    timestamp: datetime | None = None


class Said(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A message, as it stood when it was written."""

    id: str | None = None
    timestamp: datetime | None = None
    type: str | None = None
    content: msgspec.Raw = _NOTHING
    display_content: msgspec.Raw = _NOTHING
    tokens: Counts | None = None
    model: str | None = None
    tool_calls: list[Call] | None = None


class About(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a line says of the session; `messages` is what the model is shown from now on."""

    directories: list[str] | None = None
    messages: list[Said] | None = None


class Line(Said, frozen=True, gc=False, rename="camel"):
    """One line: a message, the session's beginning, a change of what is said of it, a rewind."""

    session_id: str | None = None
    kind: str | None = None
    directories: list[str] | None = None
    about: About | None = msgspec.field(default=None, name="$set")
    rewind_to: str | None = msgspec.field(default=None, name="$rewindTo")


def _is_message(line: Line) -> bool:
    return line.type in TYPES


READER = LineReader(Line, b'{"id":', frozenset({Counts}), _is_message)
