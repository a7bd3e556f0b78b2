"""Counts session files again, by the rules of identity and nothing else: a second opinion.

It knows neither the product nor how a history is told. A `Rules` says how it counts; those other
than `RULES` are wrong ones: tests use them to see that the histories would show each mistake.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from threads import Truth

Record = dict[str, object]
FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How to count. The defaults are right; every change is a mistake.

    Attributes:
        splits: an id that comes back can be another response.
        strong: a `msg_` id is another one where a foreign line and the counters say so; otherwise
            either of them, or the counters or the line alone.
        prompt_splits_weak, counters_split_weak: what makes a weak id another one.
        clock: a weak id with another time is another response.
        any_user_line: a tool result counts as what stands between.
        weak_key: uuid of the first line, or session, id or time.
        maximum: the largest of each counter; otherwise what the first line says.
        main_wins: copies in a sidechain do not matter where there is one in the main thread.
        tool_key: weak tool ids hang on their response.
        per_file: every file counts its own.
        apart: copies of a `msg_` id that share no line and differ in their input are two responses.
        lines_once: a line that stands in a file again is nothing new.
    """

    splits: bool = True
    strong: str = "both"
    prompt_splits_weak: bool = True
    counters_split_weak: bool = True
    clock: bool = False
    any_user_line: bool = False
    weak_key: str = "uuid"
    maximum: bool = True
    main_wins: bool = True
    tool_key: bool = True
    per_file: bool = False
    apart: bool = False
    lines_once: bool = True


RULES = Rules()


@dataclass(slots=True)
class Response:
    """The lines of one response in one file."""

    key: tuple[object, ...]
    file: str
    counts: list[int]
    sidechain: bool
    at: object
    calls: set[str] = field(default_factory=set)
    uuids: set[object] = field(default_factory=set)
    foreign_line: bool = False
    """A user line that is no result of it came after it."""
    prompt: bool = False
    """A person said something after it."""


@dataclass(slots=True)
class Found:
    """What is known over the files of a user.

    Attributes:
        calls: key of a tool call -> the tool, and the uuids of the lines that call it.
        errors, failed_ids: calls that failed: of weak responses by key, else by id.
        prompts, prompt_files: their uuids, and the files that have each.
        times: file -> the times of its lines, as they stand there.
    """

    copies: dict[tuple[object, ...], list[Response]] = field(default_factory=dict)
    calls: dict[tuple[object, ...], tuple[str, set[object]]] = field(default_factory=dict)
    errors: set[tuple[object, ...]] = field(default_factory=set)
    failed_ids: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    prompt_files: dict[str, set[str]] = field(default_factory=dict)
    times: dict[str, list[str]] = field(default_factory=dict)


def recount(files: Mapping[str, Iterable[bytes]], rules: Rules = RULES) -> Truth:
    """What the files of a user say by the rules."""
    return total(read(files, rules), rules)


def _apart(copies: Iterable[Response]) -> list[list[Response]]:
    """The copies of one id, those of each response together."""
    groups: list[list[Response]] = []
    for one in copies:
        fits = [group for group in groups if any(_alike(one, other) for other in group)]
        merged = [one, *(other for group in fits for other in group)]
        groups = [*(group for group in groups if group not in fits), merged]
    return groups


def _alike(one: Response, other: Response) -> bool:
    before, now = _input(one.counts), _input(other.counts)
    return bool(one.uuids & other.uuids) or before == now or not any(before) or not any(now)


def read(files: Mapping[str, Iterable[bytes]], rules: Rules = RULES) -> Found:
    found = Found()
    for key, lines in files.items():
        Reader(key, found, rules).read([json.loads(line) for line in lines])
    return found


def total(found: Found, rules: Rules = RULES) -> Truth:
    totals = [0, 0, 0, 0]
    responses = list(found.copies.values())
    if rules.apart:
        responses = [group for copies in responses for group in _apart(copies)]
    for copies in responses:
        main = [one for one in copies if not one.sidechain]
        used = main if main and rules.main_wins else copies
        for place in range(4):
            totals[place] += max(one.counts[place] for one in used)
    kinds = [_kind(name) for name, _ in found.calls.values()]
    failed = sum(key in found.errors or key[-1] in found.failed_ids for key in found.calls)
    return Truth(
        len(responses),
        *totals,
        *(kinds.count(kind) for kind in ("tool", "agent", "mcp")),
        failed,
        len(found.prompts),
    )


def _kind(name: str) -> str:
    if name.startswith("mcp__"):
        return "mcp"
    return "agent" if name in ("Task", "Agent") else "tool"


class Reader:
    def __init__(self, key: str, found: Found, rules: Rules) -> None:
        self.key, self.found, self.rules = key, found, rules
        self.last: dict[str, Response] = {}
        self.seen: set[str] = set()
        self.of_line: dict[object, Response] = {}
        self.said: set[object] = set()
        self.pending: dict[str, tuple[object, ...]] = {}

    def read(self, records: list[Record]) -> None:
        times = [str(record["timestamp"]) for record in records if "timestamp" in record]
        self.found.times[self.key] = times
        for record in records:
            data = record.get("data")
            if isinstance(data, dict) and data.get("type") == "agent_progress":
                self.assistant(record | data["message"] | {"isSidechain": True})
            elif record["type"] == "assistant":
                self.assistant(record)
            elif record["type"] == "user":
                self.user(record)

    def assistant(self, record: Record) -> None:
        message = record["message"]
        assert isinstance(message, dict)
        counts = _counts(message["usage"])
        given = message.get("id")
        one = self.of_line.get(record.get("uuid")) or (self.last.get(given) if given else None)
        if one is None or self.is_another(one, str(given), counts, record):
            one = self.begin(given, counts, record)
        elif self.rules.maximum:
            one.counts = list(map(max, one.counts, counts))
        one.uuids.add(record.get("uuid"))
        if record.get("uuid") and self.rules.lines_once:
            self.of_line[record["uuid"]] = one
        for block in message["content"]:
            if block["type"] == "tool_use":
                one.calls.add(block["id"])
                whole = str(block["id"]).startswith("toolu_") or not self.rules.tool_key
                call = (block["id"],) if whole else (*one.key, block["id"])
                _, uuids = self.found.calls.setdefault(call, (block["name"], set()))
                uuids.add(record.get("uuid"))
                self.pending[block["id"]] = call

    def begin(self, given: str | None, counts: list[int], record: Record) -> Response:
        key: tuple[object, ...] = (given,)
        if given is None:
            key = (record.get("uuid"),)
        elif not given.startswith("msg_"):
            choices = {"uuid": record.get("uuid"), "id": given, "time": record.get("timestamp")}
            key = (choices.get(self.rules.weak_key, f"{record['sessionId']} {given}"),)
        elif given in self.seen:
            key = (record.get("uuid"),)
        if self.rules.per_file:
            key = (self.key, *key)
        one = Response(
            key, self.key, counts, bool(record.get("isSidechain")), record.get("timestamp")
        )
        self.found.copies.setdefault(key, []).append(one)
        if given:
            self.last[given] = one
            self.seen.add(given)
        return one

    def is_another(self, one: Response, given: str, counts: list[int], record: Record) -> bool:
        """Whether a line with the id of a response is the first one of another response."""
        if record.get("uuid") in self.of_line or not self.rules.splits:
            return False
        before, now = _input(one.counts), _input(counts)
        differ = before != now and any(before) and any(now)
        if given.startswith("msg_"):
            line = one.foreign_line
            both, either = differ and line, differ or line
            choices = {"both": both, "either": either, "counters": differ, "line": line}
            return choices[self.rules.strong]
        if self.rules.clock and record.get("timestamp") != one.at:
            return True
        return (differ and self.rules.counters_split_weak) or (
            one.prompt and self.rules.prompt_splits_weak
        )

    def user(self, record: Record) -> None:
        message = record["message"]
        assert isinstance(message, dict)
        if record.get("uuid") in self.said and self.rules.lines_once:
            return
        if record.get("uuid"):
            self.said.add(record["uuid"])
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        results = {b["tool_use_id"]: b for b in blocks if b["type"] == "tool_result"}
        typed = not results and not record.get("isMeta") and not record.get("isSidechain")
        human = typed and not (isinstance(content, str) and content.startswith("<local-command-"))
        if human:
            uuid = str(record.get("uuid"))
            self.found.prompts.add(uuid)
            self.found.prompt_files.setdefault(uuid, set()).add(self.key)
        for one in self.last.values():
            foreign = not results or not set(results) <= one.calls or self.rules.any_user_line
            one.foreign_line |= foreign
            one.prompt |= human
        for call, block in results.items():
            if not block.get("is_error"):
                continue
            if str(call).startswith("toolu_"):
                self.found.failed_ids.add(call)
            elif call in self.pending:
                self.found.errors.add(self.pending[call])


def _counts(usage: Record) -> list[int]:
    return [int(str(usage[name])) for name in FIELDS]


def _input(counts: list[int]) -> list[int]:
    return [counts[0], counts[2], counts[3]]
