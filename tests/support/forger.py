"""A user who forges: files made of other people's lines, to move other people's numbers.

An attack is a chain of changes to copies of the files of others. `ATTACKS` must move nothing of
anybody else. `TAKEOVERS` claim whole files with their uuids and an earlier time: nothing in the
files tells such a copy from the original, so it must be seen, by a check that names the forger.
Both lists are in `attacks.py`.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Line = dict[str, Any]
Lines = list[Line]
Change = Callable[[Lines, random.Random], Lines]
Files = Mapping[str, Sequence[bytes]]

FIRST, LAST = "a-forger", "zz-forger"
"""Names that sort before and behind everybody else's."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Changes to copies of all files of others.

    Attributes:
        also: changes to a second copy of each file, beside the first.
        names: what the forger may be called: the smaller name wins a tie, so what only ties is
            harmless under the last name alone.
        own_names: the copies keep the names of the files, below the forger's folder.
    """

    name: str
    changes: tuple[Change, ...]
    names: tuple[str, ...] = (FIRST, LAST)
    own_names: bool = False
    also: tuple[Change, ...] = ()

    def files(self, victims: Files, forger: str) -> dict[str, tuple[bytes, ...]]:
        """The forger's files."""
        rng = random.Random(self.name)  # noqa: S311
        made: dict[str, tuple[bytes, ...]] = {}
        for number, (key, lines) in enumerate(victims.items()):
            user, _, own = key.partition("/")
            folder, name = (
                f"{forger}/{self.name}/{user}",
                own if self.own_names else f"{number}.jsonl",
            )
            made[f"{folder}/{name}"] = _changed(lines, self.changes, rng)
            if self.also:
                made[f"{folder}/also {name}"] = _changed(lines, self.also, rng)
        return made


def encode_line(line: Line) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _changed(
    lines: Iterable[bytes], changes: Iterable[Change], rng: random.Random
) -> tuple[bytes, ...]:
    made: Lines = [json.loads(line) for line in lines]
    for change in changes:
        made = change(made, rng)
    return tuple(map(encode_line, made))


# What is changed: every change takes the lines of one file, which are its own to alter.


def _parts(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines, and the lines inside lines."""
    for line in lines:
        yield line
        if line["type"] == "progress":
            yield line["data"]["message"]


def _answers(lines: Iterable[Line]) -> Iterator[Line]:
    return (line for line in _parts(lines) if line["type"] == "assistant")


def fresh_uuids(lines: Lines, rng: random.Random, new: dict[str, str] | None = None) -> Lines:
    new = {} if new is None else new
    for line in _parts(lines):
        if "uuid" in line:
            line["uuid"] = new.setdefault(line["uuid"], rng.randbytes(16).hex())
    return lines


def uuids_all(value: object) -> Change:
    """Every line has this uuid; `...` takes it away."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _parts(lines):
            line.pop("uuid", None)
            if value is not ...:
                line["uuid"] = value
        return lines

    return change


def swapped_uuids(lines: Lines, rng: random.Random) -> Lines:
    """Each line has the uuid of another one: prompts those of answers, answers those of others."""
    holders = [line for line in _parts(lines) if line.get("uuid")]
    uuids = [line["uuid"] for line in holders]
    rng.shuffle(uuids)
    for line, uuid in zip(holders, uuids, strict=True):
        line["uuid"] = uuid
    return lines


def fresh_ids(lines: Lines, rng: random.Random) -> Lines:
    for line in _answers(lines):
        line["message"]["id"] = f"msg_{rng.randbytes(8).hex()}"
    return lines


def one_id(message_id: str) -> Change:
    """All answers of a file are one response, which holds the uuids of many."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _answers(lines):
            line["message"]["id"] = message_id
            line["message"]["usage"] = dict.fromkeys(line["message"]["usage"], 0)
        return lines

    return change


def fresh_tools(lines: Lines, rng: random.Random) -> Lines:
    """Tool calls and results have other ids."""
    new: dict[str, str] = {}
    for line in _parts(lines):
        for block in _blocks(line):
            for name in ("id", "tool_use_id"):
                if name in block:
                    block[name] = new.setdefault(block[name], f"toolu_{rng.randbytes(8).hex()}")
    return lines


def tokens(factor: int, more: int = 0) -> Change:
    """Every counter times a factor and some more."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _answers(lines):
            usage = line["message"]["usage"]
            flat = {k: v * factor + more for k, v in usage.items() if isinstance(v, int)}
            line["message"]["usage"] = flat
        return lines

    return change


def failed(lines: Lines, rng: random.Random) -> Lines:
    for line in lines:
        for block in _blocks(line):
            if block["type"] == "tool_result":
                block |= {"is_error": True, "content": "Exit code 1"}
    return lines


def succeeded(lines: Lines, rng: random.Random) -> Lines:
    for line in lines:
        for block in _blocks(line):
            if block["type"] == "tool_result":
                block |= {"is_error": False, "content": "done"}
    return lines


def other_tools(lines: Lines, rng: random.Random) -> Lines:
    for line in _answers(lines):
        for block in _blocks(line):
            if block["type"] == "tool_use":
                block["name"] = rng.choice(("Read", "Task", "mcp__evil__call", "Skill"))
    return lines


def _blocks(line: Line) -> list[Line]:
    content = line.get("message", {}).get("content")
    return content if isinstance(content, list) else []


def other_model(lines: Lines, rng: random.Random) -> Lines:
    for line in _answers(lines):
        line["message"]["model"] = "claude-forged-1"
    return lines


def synthetic(lines: Lines, rng: random.Random) -> Lines:
    for line in _answers(lines):
        line["message"]["model"] = "<synthetic>"
    return lines


def sidechain(value: bool) -> Change:
    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _parts(lines):
            line["isSidechain"] = value
            line.pop("agentId", None)
        return lines

    return change


def envelope(**values: object) -> Change:
    """Fields of every line; those with None go."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _parts(lines):
            line |= values
            for name in [name for name, value in values.items() if value is None]:
                del line[name]
        return lines

    return change


def claims_sessions(lines: Lines, rng: random.Random) -> Lines:
    """Every answer says that the forger's session asked for it."""
    for line in _answers(lines):
        line["requestSessionId"] = "forged"
    return envelope(sessionId="forged")(lines, rng)


def shifted(by: timedelta) -> Change:
    """All times are earlier or later."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in lines:
            if "timestamp" in line:
                line["timestamp"] = _text(_time(line) + by)
        return lines

    return change


def first_line_at(*times: timedelta | str) -> Change:
    """Lines of the forger's own before all others: so much earlier than them, or at a time."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        begin = min((_time(line) for line in lines if "timestamp" in line), default=_NEVER)
        session = next((line["sessionId"] for line in lines if "sessionId" in line), "s")
        made: Lines = []
        for time in times:
            at = time if isinstance(time, str) else _text(begin + time)
            said = {"message": {"role": "user", "content": "me first"}, "isSidechain": False}
            line = {"type": "user", "uuid": rng.randbytes(16).hex(), "timestamp": at}
            made.append(line | said | {"sessionId": session})
        if made:
            root = next((line for line in lines if "parentUuid" in line), None)
            if root:
                root["parentUuid"] = made[-1]["uuid"]
        return made + lines

    return change


def one_answer_at(by: timedelta) -> Change:
    """The first answer claims an earlier time than all the other lines."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in (line for line in lines if line["type"] == "assistant"):
            if "timestamp" in line:
                line["timestamp"] = _text(_time(line) + by)
                break
        return lines

    return change


def times_all(value: str | None) -> Change:
    """Every line has this time; None takes it away."""

    def change(lines: Lines, rng: random.Random) -> Lines:
        for line in _parts(lines):
            line.pop("timestamp", None)
            if value is not None:
                line["timestamp"] = value
        return lines

    return change


def only(kind: str) -> Change:
    """Only lines of that type."""
    return lambda lines, rng: [line for line in lines if line["type"] == kind]


def wrapped(lines: Lines, rng: random.Random) -> Lines:
    """Answers inside `agent_progress` lines."""
    made: Lines = []
    for line in lines:
        if line["type"] == "assistant":
            outer = {k: v for k, v in line.items() if k not in ("message", "type", "requestId")}
            inner = {k: line[k] for k in ("type", "uuid", "message") if k in line}
            data = {"type": "agent_progress", "agentId": "a", "message": inner}
            line = outer | {"type": "progress", "data": data, "uuid": rng.randbytes(16).hex()}
        made.append(line)
    return made


def many_times(lines: Lines, rng: random.Random) -> Lines:
    return lines * 3


def backwards(lines: Lines, rng: random.Random) -> Lines:
    return lines[::-1]


_NEVER = datetime(2026, 3, 1, tzinfo=UTC)


def _time(line: Line) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
