"""A corpus of made-up sessions with known totals; sizes log-normal, shapes as in real files."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_WORDS = "data table query revenue churn metric asset sensor run error file".split()
_TOOLS = ("Bash", "Read", "Edit", "Write", "Grep", "Glob", "mcp__github__search", "Task", "Skill")
_START = datetime(2026, 7, 1, tzinfo=UTC)


@dataclass(slots=True)
class Truth:
    """What a correct reader must find."""

    files: int = 0
    bytes: int = 0
    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    events: int = 0


def make(folder: Path, files: int, megabytes: float, seed: int = 1) -> Truth:
    """Write the corpus into an empty folder, as `<user>/<session>.jsonl`; what is in it."""
    source, truth = random.Random(seed), Truth()
    pool = words(source)
    weights = [source.lognormvariate(0, 1.2) for _ in range(files)]
    scale = megabytes * 1e6 / sum(weights)
    for number, weight in enumerate(weights):
        path = folder / f"user{number % 20:02}" / f"{number:08x}-0000-4000-8000-000000000000.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = session(source, truth, pool, path.stem, int(weight * scale))
        path.write_bytes(content)
        truth.files += 1
        truth.bytes += len(content)
    return truth


def words(source: random.Random) -> str:
    """Words that texts are cut from."""
    return " ".join(source.choices(_WORDS, k=60_000))


def session(source: random.Random, truth: Truth, pool: str, session_id: str, size: int) -> bytes:
    """A session of Claude Code of about so many bytes, added to the truth; `pool`: words."""
    lines: list[str] = []
    written, time = 0, _START + timedelta(days=45 * source.random())

    def text(most: int) -> str:
        start = source.randrange(len(pool) - most)
        return pool[start : start + source.randrange(most // 4, most)]

    def add(kind: str, message: dict[str, object], **more: object) -> None:
        nonlocal written, time
        time += timedelta(seconds=source.choice((0.3, 2, 9, 60)))
        envelope = {"parentUuid": None, "isSidechain": False, "userType": "external"}
        place = {"cwd": "/home/user/project", "sessionId": session_id, "version": "2.1.40"}
        ids = {"uuid": f"{source.getrandbits(128):032x}", "timestamp": f"{time:%FT%T.000Z}"}
        record = {**envelope, **place, "type": kind, "message": message, **ids, **more}
        line = json.dumps(record, separators=(",", ":"))
        lines.append(line)
        written += len(line) + 1

    while written < size or not lines:
        add("user", {"role": "user", "content": text(900)})
        for _ in range(source.choice((1, 2, 3, 5))):
            blocks: list[dict[str, object]] = [{"type": "text", "text": text(1200)}]
            tools = [
                f"toolu_{source.getrandbits(96):024x}" for _ in range(source.choice((0, 1, 2)))
            ]
            for tool in tools:
                given = {"command": text(300), "skill": "review", "subagent_type": "Explore"}
                name = source.choice(_TOOLS)
                blocks.append({"type": "tool_use", "id": tool, "name": name, "input": given})
            usage = {
                "input_tokens": source.randrange(1, 40),
                "cache_creation_input_tokens": source.randrange(6000),
                "cache_read_input_tokens": source.randrange(8000, 120_000),
                "output_tokens": source.randrange(20, 2500),
                "service_tier": "standard",
            }
            response = {
                "id": f"msg_{source.getrandbits(96):024x}",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5",
                "stop_reason": "end_turn",
                "usage": usage,
            }
            for block in blocks:
                add("assistant", {**response, "content": [block]}, requestId="req_1")
            truth.messages += 1
            truth.input_tokens += int(usage["input_tokens"])
            truth.output_tokens += int(usage["output_tokens"])
            truth.events += len(tools)
            for tool in tools:
                result = {"tool_use_id": tool, "type": "tool_result", "content": text(6000)}
                add("user", {"role": "user", "content": [result]}, toolUseResult={"stdout": "x"})
    return ("\n".join(lines) + "\n").encode()
