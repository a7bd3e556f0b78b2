"""What a file looks like that is not Claude Code's: recognised by its first lines, not read.

The formats are their agents' own; what is known of them is what real files show (docs/readers.md).
"""

import re

from session_pipeline_dagster.transcripts.head import TopLevel, lines_of, top_level

CODEX, CODEX_EXEC = "a Codex session", "the output of `codex exec --json`"
COPILOT = "a GitHub Copilot CLI session"
_BY_TYPE = {
    **dict.fromkeys(("session_meta", "turn_context", "response_item", "event_msg"), CODEX),
    **dict.fromkeys(("thread.started", "turn.started", "turn.completed"), CODEX_EXEC),
}
_OF_COPILOT = re.compile(
    r"abort|(?:session|user|assistant|tool|subagent|hook|system|skill|permission|model|mcp|command|"
    r"user_input|elicitation|external_tool|exit_plan_mode|auto_mode_switch|pending_messages|"
    r"session_limits_exhausted|tool_search|sampling|capabilities|commands|factory|ui)\.[a-z_.]{1,60}"
)
_EVENT = {"id", "timestamp"}
_CODEX_OLD = {"id", "timestamp", "instructions"}
_GEMINI = {"sessionId", "projectHash"}
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
        is_event = first.names >= _EVENT and is_copilots(first.type)
        return _BY_TYPE.get(first.type) or (COPILOT if is_event else None)
    if first.names >= _CODEX_OLD:
        return "a Codex session of before its files had types"
    return "a Gemini CLI session" if first.names >= _GEMINI else None


def is_copilots(kind: str | None) -> bool:
    """Whether an event of Copilot CLI can be of that type: there are over a hundred, and most
    versions bring more."""
    return kind is not None and _OF_COPILOT.fullmatch(kind) is not None


def looks_like(head: bytes) -> str:
    """What a file looks like, in a few words that quote nothing of it."""
    return foreign(head) or "JSON lines of no known agent"
