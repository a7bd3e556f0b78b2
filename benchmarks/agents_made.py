"""Made-up sessions of the agents beside Claude Code, big enough to time their readers with.

A function for each agent: what it writes, and what it adds to the truth.
"""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks import corpus

_START = datetime(2026, 7, 1, tzinfo=UTC)
_HOME = "/home/user/project"


class _Lines:
    """Lines of one session: they get later, and are as many as are asked for.

    Args:
        pool: whatever is said is a piece of it.
    """

    def __init__(self, source: random.Random, pool: str) -> None:
        self._source, self._pool = source, pool
        self.time = _START + timedelta(days=45 * source.random())
        self._lines: list[str] = []
        self.written = 0

    def text(self, most: int) -> str:
        start = self._source.randrange(len(self._pool) - most)
        return self._pool[start : start + self._source.randrange(most // 4, most)]

    def now(self) -> str:
        self.time += timedelta(seconds=self._source.choice((0.3, 2, 9)))
        return f"{self.time:%FT%T}.{self.time.microsecond // 1000:03}Z"

    def name(self) -> str:
        return str(UUID(int=self._source.getrandbits(128), version=4))

    def add(self, line: Mapping[str, object]) -> None:
        text = json.dumps(line, separators=(",", ":"))
        self._lines.append(text)
        self.written += len(text) + 1

    def is_done(self, size: int) -> bool:
        return self.written >= size and len(self._lines) > 1

    @property
    def content(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()


def codex(
    source: random.Random, truth: corpus.Truth, pool: str, number: int, size: int
) -> tuple[str, bytes]:
    """A rollout: turns of responses with calls, each count written twice."""
    lines = _Lines(source, pool)
    began, total = lines.time, {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}
    thread = _uuid7(source, began)

    def add(kind: str, **payload: object) -> None:
        lines.add({"timestamp": lines.now(), "type": kind, "payload": payload})

    meta = {"id": thread, "timestamp": f"{began:%FT%T}Z", "cwd": _HOME, "cli_version": "0.142.5"}
    add("session_meta", **meta, originator="codex_cli_rs", source="cli", model_provider="openai")
    while not lines.is_done(size):
        turn = _uuid7(source, lines.time)
        add("turn_context", turn_id=turn, cwd=_HOME, model="gpt-5.6", effort="high")
        add("event_msg", type="user_message", message=lines.text(900), images=[])
        for _ in range(source.choice((1, 2, 3, 5))):
            said = lines.text(1200)
            add("event_msg", type="agent_message", message=said)
            content = [{"type": "output_text", "text": said}]
            add("response_item", type="message", role="assistant", content=content)
            calls = _calls(source)
            for call in calls:
                given = json.dumps({"cmd": lines.text(300)})
                named = {"name": "exec_command", "arguments": given, "call_id": call}
                add("response_item", type="function_call", **named)
            new, cached, output = _tokens(source, truth, calls)
            last = {"input_tokens": new + cached, "cached_input_tokens": cached}
            last["output_tokens"] = output
            total = {name: total[name] + more for name, more in last.items()}
            info = {
                f"{which}_token_usage": {**sums, "total_tokens": _whole(sums)}
                for which, sums in (("total", total), ("last", last))
            }
            for _ in range(2):
                add("event_msg", type="token_count", info=info)
            for call in calls:
                came = lines.text(6000)
                add("response_item", type="function_call_output", call_id=call, output=came)
    name = f"rollout-{began:%Y-%m-%dT%H-%M-%S}-{thread}.jsonl"
    return f".codex/sessions/{began:%Y/%m/%d}/{name}", lines.content


def copilot_cli(
    source: random.Random, truth: corpus.Truth, pool: str, number: int, size: int
) -> tuple[str, bytes]:
    """One process, whose end says what went in."""
    lines, model = _Lines(source, pool), "claude-sonnet-4.6"
    session, asked, said = lines.name(), 0, 0
    cached = 0

    def add(kind: str, **data: object) -> None:
        lines.add({"type": kind, "data": data, "id": lines.name(), "timestamp": lines.now()})

    context = {"cwd": _HOME, "branch": "main"}
    add("session.start", sessionId=session, copilotVersion="1.0.68", context=context)
    while not lines.is_done(size):
        words = lines.text(900)
        add("user.message", content=words, transformedContent=f"<now/>\n{words}")
        for _ in range(source.choice((1, 2, 3, 5))):
            calls = _calls(source)
            new, read, output = _tokens(source, truth, calls)
            asked, said, cached = asked + new + read, said + output, cached + read
            requests = [
                {"toolCallId": call, "name": "bash", "arguments": {"command": lines.text(300)}}
                for call in calls
            ]
            add(
                "assistant.message",
                model=model,
                content=lines.text(1200),
                toolRequests=requests,
                outputTokens=output,
                apiCallId=f"msg_{source.getrandbits(96):024x}",
            )
            for call in calls:
                result = {"content": lines.text(6000)}
                add("tool.execution_complete", toolCallId=call, success=True, result=result)
    usage = {"inputTokens": asked, "outputTokens": said, "cacheReadTokens": cached}
    add("session.shutdown", modelMetrics={model: {"usage": {**usage, "cacheWriteTokens": 0}}})
    # The end is a row of its own, with what went in.
    truth.messages += 1
    return f".copilot/session-state/{session}/events.jsonl", lines.content


def gemini_cli(
    source: random.Random, truth: corpus.Truth, pool: str, number: int, size: int
) -> tuple[str, bytes]:
    """A session whose responses are written again, whole, once their calls are done."""
    lines = _Lines(source, pool)
    session, began = lines.name(), lines.time
    head = {"sessionId": session, "projectHash": f"{source.getrandbits(256):064x}"}
    lines.add({**head, "startTime": lines.now(), "kind": "main"})
    while not lines.is_done(size):
        words = [{"text": lines.text(900)}]
        lines.add({"id": lines.name(), "timestamp": lines.now(), "type": "user", "content": words})
        for _ in range(source.choice((1, 2, 3, 5))):
            calls = _calls(source)
            new, cached, output = _tokens(source, truth, calls)
            tokens = {"input": new + cached, "output": output, "cached": cached}
            tokens |= {"thoughts": 0, "tool": 0, "total": new + cached + output}
            message: dict[str, object] = {"id": lines.name(), "timestamp": lines.now()}
            message |= {"type": "gemini", "content": lines.text(1200), "tokens": tokens}
            message |= {"model": "gemini-2.5-flash"}
            lines.add(message)
            if calls:
                done = [
                    {
                        "id": call,
                        "name": "run_shell_command",
                        "args": {"command": lines.text(300)},
                        "status": "success",
                        "result": [
                            {"functionResponse": {"response": {"output": lines.text(6000)}}}
                        ],
                    }
                    for call in calls
                ]
                lines.add({**message, "toolCalls": done})
    name = f"session-{began:%Y-%m-%dT%H-%M}-{session[:8]}.jsonl"
    return f".gemini/tmp/project/chats/{name}", lines.content


def _calls(source: random.Random) -> list[str]:
    return [f"call_{source.getrandbits(96):024x}" for _ in range(source.choice((0, 1, 2)))]


def _tokens(source: random.Random, truth: corpus.Truth, calls: list[str]) -> tuple[int, int, int]:
    """Input that was not cached, input that was, output of one response; the truth knows them."""
    new, cached = source.randrange(1, 40), source.randrange(8000, 120_000)
    output = source.randrange(20, 2500)
    truth.messages += 1
    truth.input_tokens += new
    truth.output_tokens += output
    truth.events += len(calls)
    return new, cached, output


def _whole(sums: Mapping[str, int]) -> int:
    return sums["input_tokens"] + sums["output_tokens"]


def _uuid7(source: random.Random, at: datetime) -> str:
    digits = f"{int(at.timestamp() * 1000):012x}7{source.getrandbits(12):03x}"
    digits += f"8{source.getrandbits(60):015x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
