"""Session files made by hand: the lines that Claude Code writes, with the fields that matter."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_STEP = timedelta(seconds=5)
_CACHE_READ = 1200

Block = Mapping[str, object]
"""A content block as the file has it, like `{"type": "thinking", ...}`."""


class SessionBuilder:
    """A session, line by line. Every method adds to it and returns it.

    Each line is five seconds younger than the one before. A correction is a prompt that follows a
    response; an odd line is a `line`. Keyword arguments named `envelope` are fields of the line
    itself, spelled as in the file (`isSidechain=True`).

    Args:
        session_id: also the beginning of all ids in it, so two builders need two of them.
        start: time of the first line.
        cwd: the folder that the person works in.
        model: who answers.
    """

    def __init__(
        self,
        session_id: str = "5e551017",
        *,
        start: datetime = datetime(2026, 3, 10, 12, tzinfo=UTC),
        cwd: str = "/home/alice/shop",
        model: str = "claude-opus-4-5",
    ) -> None:
        self.session_id, self.now, self.cwd, self.model = session_id, start, cwd, model
        self.lines: list[bytes] = []
        self._ids = 0

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return b"".join(line + b"\n" for line in self.lines)

    def write(self, root: Path, key: str = "alice/session.jsonl") -> Path:
        """Write the file below a root of session files, as `<user>/...jsonl`; its path."""
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path

    def wait(self, pause: timedelta) -> "SessionBuilder":
        """Nothing happens for a while."""
        self.now += pause
        return self

    def line(self, line: Mapping[str, object] | bytes) -> "SessionBuilder":
        """A line exactly as given, whatever it is."""
        raw = line if isinstance(line, bytes) else json.dumps(line, separators=(",", ":")).encode()
        self.lines.append(raw)
        return self

    def prompt(self, text: str, **envelope: Any) -> "SessionBuilder":
        """What a person says."""
        return self._line("user", {"message": {"role": "user", "content": text}, **envelope})

    def response(
        self,
        *blocks: str | Block,
        input_tokens: int = 3,
        output_tokens: int = 40,
        cache_creation_tokens: int = 0,
        cache_read_tokens: int = _CACHE_READ,
        **envelope: Any,
    ) -> "SessionBuilder":
        """One API response: a text per string, other blocks as they are.

        Each block is a line of its own with the id and the usage of the whole response; all but
        the last say a smaller `output_tokens` and no `stop_reason`, as real files do.
        """
        number = self._number()
        for place, block in enumerate(blocks, start=1):
            last = place == len(blocks)
            usage = {
                "input_tokens": input_tokens,
                "output_tokens": output_tokens if last else min(1, output_tokens),
                "cache_creation_input_tokens": cache_creation_tokens,
                "cache_read_input_tokens": cache_read_tokens,
            }
            message = {
                "id": f"msg_{number}",
                "role": "assistant",
                "model": self.model,
                "content": [{"type": "text", "text": block} if isinstance(block, str) else block],
                "stop_reason": self._stop_reason(block) if last else None,
                "usage": usage,
            }
            fields = {"message": message, "requestId": f"req_{number}", **envelope}
            self._line("assistant", fields)
        return self

    def tool_call(
        self,
        name: str,
        given: Mapping[str, object],
        *,
        result: str | None = "done",
        error: bool = False,
        **envelope: Any,
    ) -> "SessionBuilder":
        """A response that calls a tool, and what came of it.

        Args:
            given: the tool's input.
            result: what the tool returned; None = the session ends before it does.
            error: whether the result says that the call failed.
        """
        call = f"toolu_{self._number()}"
        block = {"type": "tool_use", "id": call, "name": name, "input": dict(given)}
        self.response(block, **envelope)
        if result is None:
            return self
        answer = {"type": "tool_result", "tool_use_id": call, "content": result, "is_error": error}
        return self._line("user", {"message": {"role": "user", "content": [answer]}, **envelope})

    @staticmethod
    def _stop_reason(block: str | Block) -> str:
        calls = not isinstance(block, str) and block.get("type") == "tool_use"
        return "tool_use" if calls else "end_turn"

    def _line(self, kind: str, fields: Mapping[str, object]) -> "SessionBuilder":
        number = self._number()
        line = {
            "type": kind,
            "uuid": f"uuid-{number}",
            "sessionId": self.session_id,
            "cwd": self.cwd,
            "timestamp": self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "isSidechain": False,
            **fields,
        }
        self.now += _STEP
        return self.line(line)

    def _number(self) -> str:
        self._ids += 1
        return f"{self.session_id}_{self._ids}"


def example_session(session_id: str = "5e551017") -> SessionBuilder:
    """A session with a bit of everything: what `assert_contract` uses if you give it nothing."""
    return (
        SessionBuilder(session_id)
        .line({"type": "summary", "summary": "Totals", "leafUuid": "uuid-0"})
        .prompt("The totals of the invoices are wrong. Make them right.")
        .response(
            {"type": "thinking", "thinking": "Rounding?", "signature": "c2ln"},
            "I will look at how totals are computed.",
            input_tokens=12,
            output_tokens=310,
            cache_creation_tokens=5400,
        )
        .tool_call("Read", {"file_path": "/home/alice/shop/totals.py"}, result="def total(): ...")
        .tool_call(
            "Edit",
            {"file_path": "/home/alice/shop/totals.py", "old_string": "a", "new_string": "b"},
            result="String to replace not found",
            error=True,
        )
        .tool_call(
            "Edit",
            {"file_path": "/home/alice/shop/totals.py", "old_string": "x", "new_string": "y"},
        )
        .tool_call("Write", {"file_path": "/home/alice/shop/test_totals.py", "content": "assert 1"})
        .tool_call("Bash", {"command": "pytest -q", "description": "Run the tests"})
        .tool_call("Skill", {"skill": "review:invoices"})
        .tool_call("Task", {"subagent_type": "tester", "prompt": "Test the totals"})
        .tool_call("mcp__tracker__comment", {"text": "done"})
        .response("The totals are right now.")
        .wait(timedelta(minutes=12))
        .prompt("No, that is wrong. Our fiscal year starts in February, not in January.")
        .response("Understood: the fiscal year starts in February.")
        .prompt("<command-name>/compact</command-name>")
        .line({"type": "system", "subtype": "compact_boundary", "content": "Compacted"})
        .prompt("An active customer is one who paid within the last 90 days.")
        .response("Noted: active means paid within the last 90 days.", output_tokens=22)
        .tool_call("Edit", {"file_path": "/home/alice/shop/year.py"}, result=None)
    )
