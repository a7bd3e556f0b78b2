"""What came of a tool call, by its result: it ran, it failed, or it never came to it.

A person who says no, and a call that goes because one beside it failed, are no failures of the
tool: whoever counts errors to mend tools must not find them there.
"""

from session_pipeline_dagster.transcripts.records import Block, Record, decode_raw

OK, ERROR, CANCELLED, REJECTED = "ok", "error", "cancelled", "rejected"
ORDER = (OK, ERROR, CANCELLED, REJECTED)
"""Where several results of one call differ, the later of these holds."""

_RANK = {outcome: rank for rank, outcome in enumerate(ORDER)}
_WRAPPING = "<tool_use_error>"
_REJECTED = (
    "The user doesn't want to ",
    "The user does not want to ",
    "User rejected ",
    "[Request interrupted by user",
    "Permission to use ",
    "Permission for this action has been denied",
    "Claude requested permissions to ",
    "exec command rejected by user",
    "patch rejected by user",
    "rejected by user",
)
_CANCELLED = (
    "Sibling tool call errored",
    "Cancelled:",
    "Canceled:",
    "Tool call cancelled",
    "Tool call canceled",
    "Streaming fallback - tool execution discarded",
    "aborted",
)


def outcome_of(block: Block) -> str:
    """What a tool result says of its call: one of `ORDER`."""
    if not block.is_error:
        return OK
    return outcome_of_text(_first_text(block))


def outcome_of_line(record: Record) -> str:
    """The same of a result that old versions wrote as a line of its own."""
    if not record.is_error:
        return OK
    text = decode_raw(record.flat_content)
    return outcome_of_text(text if isinstance(text, str) else "")


def outcome_of_text(text: str) -> str:
    """What an error says of its call, by how it begins."""
    text = text.lstrip().removeprefix("Error:").lstrip().removeprefix(_WRAPPING).lstrip()
    if text.startswith(_REJECTED):
        return REJECTED
    return CANCELLED if text.startswith(_CANCELLED) else ERROR


def stronger(one: str | None, other: str | None) -> str | None:
    """The one of two that holds; None = no result was seen."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=_RANK.__getitem__)


def _first_text(block: Block) -> str:
    """The first text of a result, whether it stands alone or in a list."""
    content = decode_raw(block.content)
    if isinstance(content, list):
        content = next(
            (
                part.get("text") if isinstance(part, dict) else part
                for part in content
                if isinstance(part, str) or (isinstance(part, dict) and part.get("type") == "text")
            ),
            "",
        )
    return content if isinstance(content, str) else ""
