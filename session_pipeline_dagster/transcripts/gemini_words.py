"""Which words in a message of Gemini CLI are a person's or the model's, and what a call was of.

The client writes into the conversation in a person's place: what surrounds the session, what hooks
and editors say, the files that were named with @.
"""

import re
from collections.abc import Iterator

import msgspec

from session_pipeline_dagster.transcripts.gemini_lines import Call
from session_pipeline_dagster.transcripts.records import Block, decode_raw, encode_raw

_CLIENTS = (
    *("<session_context>", "<hook_context>", "<state_snapshot>", "System: ", "[System: "),
    "Here is the user's editor context",
    "Here is a summary of changes in the user's editor context",
    "I ran the following shell command:",
)
"""How texts begin that the client writes in a person's place."""
_GO_ON = "Please continue."
"""What the client says where the model stopped too early, beside what was typed before it."""
_FILES = ("--- Content from referenced files ---", "Content from @")
"""What stands before the files that a person named."""
_COMMAND = re.compile(r"/([A-Za-z][\w:-]*)(?:\s+(.*))?", re.DOTALL)
_SHOWN = ("inlineData", "fileData")
_MCP = re.compile(r"mcp_([^_].*?)_(.+)", re.DOTALL)
_ENDED = {"success": False, "error": True, "cancelled": True}
"""How a call ended -> whether that is not what it was for."""
_API_ERROR = "[API Error"


def typed(content: msgspec.Raw, display: msgspec.Raw) -> list[Block | str] | None:
    """What a person sent; None where the client wrote it.

    Args:
        display: what was typed, where the client made something else of it.
    """
    parts = [*_parts(content)]
    if any("functionResponse" in part for part in parts):
        return None
    whole = "".join(_texts(parts)).strip()
    if whole.startswith(_CLIENTS) or whole == _GO_ON:
        return None
    own = [*_own(_texts([*_parts(display)]) or _texts(parts))]
    found: list[Block | str] = [
        Block(type="text", text=encode_raw(_as_command(text))) for text in own
    ]
    if any(name in part for part in parts for name in _SHOWN):
        found.append(Block(type="image"))
    return found or None


def _own(texts: list[str]) -> Iterator[str]:
    for text in texts:
        start = text.lstrip()
        if start.startswith(_FILES):
            return
        if start and not start.startswith(_CLIENTS):
            yield text


def _as_command(text: str) -> str:
    """A command, as Claude Code writes it; other texts as they are."""
    found = _COMMAND.fullmatch(text.strip())
    if found is None:
        return text
    given = f"<command-args>{found[2]}</command-args>" if found[2] else ""
    return f"<command-name>/{found[1]}</command-name>{given}"


def spoken(content: msgspec.Raw) -> str:
    """What the model said, without what it thought."""
    return "".join(_texts([part for part in _parts(content) if not part.get("thought")]))


def is_failure(content: msgspec.Raw) -> bool:
    """Whether an error is that of a call of the API."""
    return "".join(_texts([*_parts(content)])).lstrip().startswith(_API_ERROR)


def called(call: Call, tool_id: str) -> Block:
    """The call, with the names that other agents have for a server's tool, a skill, a subagent."""
    name, given = call.name or "", call.args
    if name == "invoke_agent":
        name, given = "Agent", _renamed(given, "agent_name", "subagent_type")
    elif name == "activate_skill":
        name, given = "Skill", _renamed(given, "name", "skill")
    elif found := _MCP.fullmatch(name):
        name = f"mcp__{found[1]}__{found[2]}"
    return Block(type="tool_use", id=tool_id, name=name, input=given)


def _renamed(given: msgspec.Raw, old: str, new: str) -> msgspec.Raw:
    value = decode_raw(given)
    if isinstance(value, dict) and old in value:
        return encode_raw({new: value[old], **value})
    return given


def outcome(call: Call, tool_id: str) -> Block | None:
    """What came of the call; None while it goes on."""
    failed = _ENDED.get(call.status or "")
    if failed is None:
        return None
    content = encode_raw("Cancelled: by the person") if call.status == "cancelled" else call.result
    return Block(type="tool_result", tool_use_id=tool_id, is_error=failed, content=content)


def _parts(content: msgspec.Raw) -> Iterator[dict[str, object]]:
    """The parts of a content, whatever form it has."""
    value = decode_raw(content)
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            yield {"text": part}
        elif isinstance(part, dict):
            yield part


def _texts(parts: list[dict[str, object]]) -> list[str]:
    return [text for part in parts if isinstance(text := part.get("text"), str) and text]
