"""Made-up sessions of Copilot CLI: events as it writes them, with only the fields that matter."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

SONNET, OPUS, GPT, MINI = "claude-sonnet-4.6", "claude-opus-4.7", "gpt-5.4", "gpt-5-mini"
CALLS = {SONNET: "msg_01", OPUS: "msg_bdrk_01", GPT: "resp_01", MINI: ""}
"""How the ids of API calls begin, by the model; of one without, it is GitHub that served it."""
FOLDER = ".copilot/session-state"
_NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Counts = tuple[int, int, int, int]
"""Input (all of it), output, cache write, cache read."""


class Session:
    """Events of one session; each has a name of its own and is a second after the one before.

    Args:
        number: tells sessions apart.
    """

    def __init__(self, number: int = 1) -> None:
        self._number, self._events = number, 0
        self.name = self._uuid(0)
        self.lines: list[bytes] = []

    def _uuid(self, event: int) -> str:
        return str(UUID(int=(self._number << 64) + event, version=4))

    def event(self, kind: str, /, agent: str | None = None, **data: object) -> "Session":
        self._events += 1
        event: dict[str, object] = {"type": kind, "data": data, "id": self._uuid(self._events)}
        event["timestamp"] = f"{_NOON + timedelta(seconds=self._events):%Y-%m-%dT%H:%M:%S.000Z}"
        event["parentId"] = self._uuid(self._events - 1) if self._events > 1 else None
        event |= {} if agent is None else {"agentId": agent}
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        self.lines.append(line.encode() + b"\n")
        return self

    def starts(self, **data: object) -> "Session":
        context = {"cwd": "/home/alice/shop", "branch": "main", "repository": "tallowbrook/shop"}
        given = {"sessionId": self.name, "version": 1, "producer": "copilot-agent"}
        given |= {"copilotVersion": "1.0.68", "context": context}
        return self.event("session.start", **{**given, **data})

    def resumes(self, **data: object) -> "Session":
        return self.event("session.resume", eventCount=self._events, **data)

    def asks(self, text: str = "Count them.", **data: object) -> "Session":
        shown = f"<current_datetime>today</current_datetime>\n{text}"
        return self.event("user.message", content=text, transformedContent=shown, **data)

    def says(
        self,
        output: int | None,
        model: str | None = SONNET,
        agent: str | None = None,
        /,
        text: str = "Done.",
        call: str | None = None,
        tools: Iterable[dict[str, object]] = (),
    ) -> "Session":
        beginning = CALLS.get(model or "")
        named = f"{beginning}{self._number}x{self._events}" if beginning else None
        data: dict[str, object] = {"messageId": f"m{self._events}", "content": text}
        data |= {"apiCallId": call or named, "toolRequests": list(tools), "model": model}
        data |= {} if output is None else {"outputTokens": output}
        given = {name: value for name, value in data.items() if value is not None}
        return self.event("assistant.message", agent, **given)

    def came(self, call: str, error: object = None) -> "Session":
        data = {"toolCallId": call, "success": error is None}
        data |= {"result": {"content": "x"}} if error is None else {"error": error}
        return self.event("tool.execution_complete", **data)

    def ends(self, **models: Counts) -> "Session":
        return self.shutdown({KEYS[name]: counts for name, counts in models.items()})

    def shutdown(self, metrics: Mapping[str, Counts]) -> "Session":
        made = {
            model: {
                "requests": {"count": 1, "cost": 1},
                "usage": {
                    "inputTokens": all_input,
                    "outputTokens": output,
                    "cacheReadTokens": read,
                    "cacheWriteTokens": written,
                    "reasoningTokens": 0,
                },
            }
            for model, (all_input, output, written, read) in metrics.items()
        }
        return self.event("session.shutdown", shutdownType="routine", modelMetrics=made)

    @property
    def content(self) -> bytes:
        return b"".join(self.lines)

    @property
    def key(self) -> str:
        return f"{FOLDER}/{self.name}/events.jsonl"


KEYS = {"sonnet": SONNET, "opus": OPUS, "gpt": GPT, "mini": MINI}


def call(name: str, call_id: str = "toolu_1", /, **given: object) -> dict[str, object]:
    return {"toolCallId": call_id, "name": name, "type": "function", "arguments": given}
