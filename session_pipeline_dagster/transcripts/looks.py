"""What a file looks like that is not Claude Code's: recognised by its first lines, not read.

The formats are their agents' own; what is known of them is what real files show (docs/readers.md).
"""

import re

from session_pipeline_dagster.transcripts.head import TopLevel, lines_of, top_level

CODEX, CODEX_EXEC = "a Codex session", "the output of `codex exec --json`"
GEMINI = "a Gemini CLI session"
_BY_TYPE = {
    **dict.fromkeys(("session_meta", "turn_context", "response_item", "event_msg"), CODEX),
    **dict.fromkeys(("thread.started", "turn.started", "turn.completed"), CODEX_EXEC),
    **dict.fromkeys(
        ("session.start", "session.model_change", "user.message", "assistant.message"),
        "a GitHub Copilot CLI session",
    ),
}
_CODEX_OLD = {"id", "timestamp", "instructions"}
_GEMINI_NAMES = {"sessionId", "projectHash"}
_GEMINI_DOCUMENT = (b'"sessionId":', b'"startTime":', b'"messages":')
_OPENS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*\n\s*\"\w+\":")


def foreign(head: bytes) -> str | None:
    """Which other agent's session it is, by its first object; None where nobody is recognised."""
    first = next(filter(None, map(top_level, lines_of(head))), None)
    if first is None:
        # One document over many lines, none of which is an object.
        whole = all(name in head for name in _GEMINI_DOCUMENT)
        return "a Gemini CLI document" if whole and _OPENS.match(head) else None
    return foreign_object(first)


def foreign_object(first: TopLevel) -> str | None:
    """The same by the first object alone."""
    if first.type is not None:
        return _BY_TYPE.get(first.type)
    if first.names >= _CODEX_OLD:
        return "a Codex session of before its files had types"
    return GEMINI if first.names >= _GEMINI_NAMES else None


def looks_like(head: bytes) -> str:
    """What a file looks like, in a few words that quote nothing of it."""
    return foreign(head) or "JSON lines of no known agent"
