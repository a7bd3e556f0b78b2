"""What a tool of Codex was given and what came of it, and which words in its lines are a person's.

Errors have no field of their own: shells say how they ended in the text that the model reads.
"""

import json
import re

import msgspec

from session_pipeline_dagster.transcripts.codex_lines import Payload
from session_pipeline_dagster.transcripts.records import decode_raw, encode_raw

_EXIT = re.compile(r"(?:Process exited with code|[Ee]xit code:?) (-?\d+)")
_HEAD = 600
"""Characters of a tool's output in which it says how it ended."""
_FAILED = (
    *("failed ", "error:", "Error:", "execution error", "apply_patch verification failed"),
    *("exec command rejected", "patch rejected", "rejected by user", "aborted", "tool call error"),
    *("unsupported call", "collab spawn failed", "collab tool failed", "command timed out"),
)
_CLIENTS = (
    *("# AGENTS.md instructions", "<environment_context>", "<user_instructions>", "<turn_aborted>"),
    *("<subagent_notification>", "<skill>", "<permissions instructions>"),
)
"""How texts begin that the client writes in a person's place."""
_REQUEST = "## My request for Codex:"
"""What an editor puts before a person's words ends so."""


def own_words(text: str) -> str | None:
    """What a person wrote of a message; None where the client wrote it."""
    if text.lstrip().startswith(_CLIENTS):
        return None
    context, mark, request = text.partition(_REQUEST)
    return (
        request.strip() if mark and context.lstrip().startswith("# Context from my IDE") else text
    )


def called(item: Payload) -> tuple[str, msgspec.Raw]:
    """The name of the tool that was called, and what it was given."""
    name = item.name or (item.type or "").removesuffix("_call")
    if item.namespace and not name.startswith("mcp__"):
        name = f"{item.namespace.removesuffix('__')}__{name}"
    if bytes(item.input):
        return name, encode_raw({"input": decode_raw(item.input)})
    if bytes(item.action):
        return name, item.action
    given = decode_raw(item.arguments)
    return name, msgspec.Raw(given.encode()) if isinstance(given, str) else item.arguments


def is_failed(output: msgspec.Raw) -> bool:
    """Whether a tool says that it failed."""
    value = decode_raw(output)
    if isinstance(value, dict):
        if value.get("success") is False or "Err" in value or value.get("isError") is True:
            return True
        ok = value.get("Ok")
        if isinstance(ok, dict):
            return ok.get("isError") is True or ok.get("is_error") is True
        value = value.get("content")
    if isinstance(value, list):
        value = "\n".join(given_texts(encode_raw(value)))
    return isinstance(value, str) and _says_failed(value)


def _says_failed(text: str) -> bool:
    if text.startswith('{"output":'):
        # Older versions wrap the text and say beside it how it ended.
        try:
            metadata = json.loads(text).get("metadata")
        except (ValueError, RecursionError):
            metadata = None
        if isinstance(metadata, dict):
            return metadata.get("exit_code") not in (None, 0)
    head = text[:_HEAD]
    if found := _EXIT.search(head.partition("Output:")[0]):
        return int(found[1]) != 0
    return head.lstrip().startswith(_FAILED)


def given_texts(content: msgspec.Raw) -> list[str]:
    """The texts of a content, whatever form it has."""
    value = decode_raw(content)
    if isinstance(value, str):
        return [value]
    parts = value if isinstance(value, list) else []
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return [text for text in texts if isinstance(text, str)]
