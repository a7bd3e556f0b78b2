"""What a file looks like that is not Claude Code's: recognised by its first lines or its name, not
read.

The formats are their agents' own; what is known of them is what real files show (docs/readers.md).
"""

import re
from collections.abc import Mapping

from session_pipeline_dagster.transcripts.head import TopLevel, lines_of, top_level

CODEX, CODEX_EXEC = "a Codex session", "the output of `codex exec --json`"
CODEX_OLD = "a Codex session of before its files had types"
COPILOT = "a GitHub Copilot CLI session"
GEMINI, GEMINI_DOCUMENT = "a Gemini CLI session", "a Gemini CLI document"
OPENCODE, OPENCODE_DOCUMENT = "the output of `opencode run`", "an OpenCode document"
PI, DROID, CURSOR = "a Pi session", "a Droid session", "a Cursor transcript"
AMP = "an Amp thread"
NO_AGENT = "no known agent"
_UNKNOWN = f"JSON lines of {NO_AGENT}"
AGENTS: Mapping[str, str] = {
    **dict.fromkeys((CODEX, CODEX_EXEC, CODEX_OLD), "Codex"),
    COPILOT: "GitHub Copilot CLI",
    **dict.fromkeys((GEMINI, GEMINI_DOCUMENT), "Gemini CLI"),
    **dict.fromkeys((OPENCODE, OPENCODE_DOCUMENT), "OpenCode"),
    PI: "Pi",
    DROID: "Droid",
    CURSOR: "Cursor",
    AMP: "Amp",
}
"""What a file looks like -> whose it is, as people call the agent."""

_CALLED = {
    "claude-code": "Claude Code",
    "codex": "Codex",
    "copilot-cli": AGENTS[COPILOT],
    "gemini-cli": AGENTS[GEMINI],
}
_NO_READER = "; no reader"
_BY_TYPE = {
    **dict.fromkeys(("session_meta", "turn_context", "response_item", "event_msg"), CODEX),
    **dict.fromkeys(("thread.started", "turn.started", "turn.completed"), CODEX_EXEC),
}
_OF_COPILOT = re.compile(
    r"abort|(?:session|user|assistant|tool|subagent|hook|system|skill|permission|model|mcp|command|"
    r"user_input|elicitation|external_tool|exit_plan_mode|auto_mode_switch|pending_messages|"
    r"session_limits_exhausted|tool_search|sampling|capabilities|commands|factory|ui)\.[a-z_.]{1,60}"
)
_EVENT = frozenset({"id", "timestamp"})
_BY_TYPE_AND_NAMES = {
    "session": (frozenset({"id", "timestamp", "cwd"}), PI),
    "session_start": (frozenset({"id"}), DROID),
}
_RUN = frozenset({"sessionID", "timestamp"})
"""What every line of `opencode run --format json` has, whatever its type."""
_BY_NAMES = (
    (frozenset({"id", "timestamp", "instructions"}), CODEX_OLD),
    (frozenset({"sessionId", "projectHash", "messages"}), GEMINI_DOCUMENT),
    (frozenset({"sessionId", "projectHash"}), GEMINI),
    (frozenset({"id", "sessionID"}), OPENCODE_DOCUMENT),
    (frozenset({"id", "projectID"}), OPENCODE_DOCUMENT),
    (frozenset({"id", "created", "messages"}), AMP),
)
_OPENS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\s*\n\s*\"\w+\":")
_DOCUMENTS = (
    (re.compile(rb'"sessionId":(?s:.*)"startTime":(?s:.*)"messages":'), GEMINI_DOCUMENT),
    (re.compile(rb'"id": ?"(?:ses|msg)_\w'), OPENCODE_DOCUMENT),
    (re.compile(rb'"id": ?"T-[0-9a-f]{8}-(?s:.*)"messages":'), AMP),
)
_NAMES = (
    (re.compile(r"session-\d{4}-\d\d-\d\dT\d\d-\d\d-[0-9a-f]{8}\.json"), GEMINI_DOCUMENT),
    (re.compile(r"(?:ses|msg)_[0-9A-Za-z]+\.json|opencode(?:-\w+)?\.db"), OPENCODE_DOCUMENT),
    (re.compile(r"T-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json"), AMP),
)
_ENDINGS = (".json", ".db")


def foreign(head: bytes) -> str | None:
    """Which other agent's session it is, by its first object; None where nobody is recognised."""
    first = next(filter(None, map(top_level, lines_of(head))), None)
    if first is not None:
        return foreign_object(first)
    if not _OPENS.match(head):
        return None
    # One document over many lines, none of which is an object.
    return next((look for pattern, look in _DOCUMENTS if pattern.search(head)), None)


def foreign_object(first: TopLevel) -> str | None:
    """The same by the first object alone."""
    if first.type is not None:
        if first.names >= _EVENT and is_copilots(first.type):
            return COPILOT
        names, look = _BY_TYPE_AND_NAMES.get(first.type, (_RUN, OPENCODE))
        return _BY_TYPE.get(first.type) or (look if first.names >= names else None)
    if first.role is not None and "message" in first.names and "content" not in first.names:
        return CURSOR
    return next((look for names, look in _BY_NAMES if first.names >= names), None)


def is_copilots(kind: str | None) -> bool:
    """Whether an event of Copilot CLI can be of that type: there are over a hundred, and most
    versions bring more."""
    return kind is not None and _OF_COPILOT.fullmatch(kind) is not None


def looks_like(head: bytes) -> str:
    """What a file looks like, in a few words that quote nothing of it."""
    return foreign(head) or _UNKNOWN


def document(name: str) -> str | None:
    """What a file that has no lines looks like, by its name alone: most files are none, and nobody
    shall open them at each look. None where it is not recognised."""
    if not name.endswith(_ENDINGS):
        return None
    return next((look for pattern, look in _NAMES if pattern.fullmatch(name)), None)


def unread_reason(look: str) -> str:
    """Why a file of this look is left out, for people."""
    return f"{look}{_NO_READER}"


def agent_of(reason: str) -> str | None:
    """Whose a file is that was left out for this reason, for people; None where another one than
    that nobody reads it."""
    if not reason.endswith(_NO_READER):
        return None
    return AGENTS.get(reason.removesuffix(_NO_READER), NO_AGENT)


def worded(unread: Mapping[str, int]) -> str:
    """Files by agent as `12 files of OpenCode are not read`; empty where there are none."""
    if not unread:
        return ""
    first, *others = [f"{many:,} of {agent}" for agent, many in unread.items()]
    many, _, of = first.partition(" ")
    total = sum(unread.values())
    named = [f"{many} file{'s' * (many != '1')} {of}", *others]
    said = named[0] if not others else f"{', '.join(named[:-1])} and {named[-1]}"
    return f"{said} {'is' if total == 1 else 'are'} not read"


def called(agent: str) -> str:
    """An agent that has a reader, as people call it."""
    return _CALLED.get(agent, agent)
