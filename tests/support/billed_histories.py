"""Random histories of sessions as Claude Code would write them, with what was really billed.

The simulator bills every call as it happens and adds up by itself; it uses nothing of the code that
is tested. What it cannot know from the files alone (a sum that began anew and went past the old
one) it marks as ambiguous.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-4-5-20251001"
NAMES = ("input", "output", "5m", "1h", "read", "searches")
RISE = date(2026, 6, 10)
"""From this day on opus costs twice as much; haiku costs five times as much over `BAND` in."""
BAND = 1_000
# USD per million: input, output, 5m, 1h, read; per thousand searches.
RATES = {OPUS: (4, 20, 5, 8, "0.2", 10), HAIKU: (1, 5, "1.25", 2, "0.1", 10)}
Counts = tuple[int, int, int, int, int, int]
NOTHING: Counts = (0, 0, 0, 0, 0, 0)


def plus(one: Counts, other: Counts, sign: int = 1) -> Counts:
    """The sum, or the difference, counter by counter."""
    return tuple(a + sign * b for a, b in zip(one, other, strict=True))  # ty: ignore


def rates(model: str, day: date, total_in: int = 0) -> list[Decimal]:
    """USD per token or search, in the order of `NAMES`."""
    found = [Decimal(rate) / 10**6 for rate in RATES[model][:5]] + [Decimal("0.01")]
    factor = 1
    if model == OPUS and day >= RISE:
        factor = 2
    if model == HAIKU and total_in > BAND:
        factor = 5
    return [rate * factor for rate in found[:5]] + found[5:]


def price(model: str, counts: Counts, day: date) -> Decimal:
    """What one call costs on that day."""
    total_in = counts[0] + counts[2] + counts[3] + counts[4]
    return sum(
        (n * rate for n, rate in zip(counts, rates(model, day, total_in), strict=True)), Decimal(0)
    )


@dataclass
class Tally:
    """Tokens and money of one session and model."""

    counts: Counts = NOTHING
    cost: Decimal = Decimal(0)

    def add(self, counts: Counts, cost: Decimal, sign: int = 1) -> None:
        """Adds a call, or takes it away."""
        self.counts = plus(self.counts, counts, sign)
        self.cost += sign * cost


@dataclass
class Truth:
    """What really happened in one session.

    Attributes:
        recorded: what processes that wrote a cost-state were billed, for each model.
        logged: what has lines; unlogged: recorded calls without a line; cut: output that partial
            lines left out, of recorded processes.
        lost: a process went without a cost-state, or has not ended.
        unknown: why nothing can be said, as far as the files show.
        ambiguous: the files do not tell; "went past": a sum that began anew, or beside another,
            is larger in everything than the last one; "brothers": whose fork it is.
    """

    recorded: dict[str, Tally] = field(default_factory=dict)
    logged: dict[str, Tally] = field(default_factory=dict)
    unlogged: dict[str, Tally] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    states: int = 0
    lost: bool = False
    unknown: bool = False
    ambiguous: str = ""
    last_day: date | None = None
    start_day: date | None = None


@dataclass
class Sum:
    """What a process counts, and what its cost-state says."""

    start: int
    models: dict[str, Tally]

    def copy(self) -> "Sum":
        """As a process restores it."""
        return Sum(self.start, {k: Tally(v.counts, v.cost) for k, v in self.models.items()})

    def holds(self, other: "Sum") -> bool:
        """Whether it could have gone on from the other."""
        return all(
            a >= b
            for model, tally in other.models.items()
            for a, b in zip(self.models.get(model, Tally()).counts, tally.counts, strict=True)
        )


@dataclass
class Line:
    """One line of a file, and what of it the simulator must remember."""

    data: dict[str, object]
    state: Sum | None = None
    caller: str | None = None

    @property
    def uuid(self) -> str | None:
        """None where the line has none, or no fork copies it."""
        copied = not self.data.get("isSidechain") and self.data["type"] != "attachment"
        return self.data.get("uuid") if copied else None  # ty: ignore[invalid-return-type]


@dataclass
class SessionFile:
    """The main thread of a session."""

    session: str
    lines: list[Line] = field(default_factory=list)
    first_sum: Sum | None = None
    """What the first process of a fork finds."""
    inherited: Sum | None = None
    """The same, and nobody takes it away."""
    parent: str | None = None
    cut: int = 0
    known: int = 0
    """Of the parent's lines: the last one copied, and how many there were then."""
    deleted: bool = False

    def states(self) -> list[Sum]:
        """The cost-states in it."""
        return [line.state for line in self.lines if line.state]

    def newest_named(self) -> str | None:
        """The session that the last copied response names."""
        named = [str(line.data.get("requestSessionId", "")) for line in self.lines]
        return next((name for name in reversed(named) if name not in ("", self.session)), None)

    def text(self) -> bytes:
        """The file."""
        return b"".join(json.dumps(line.data).encode() + b"\n" for line in self.lines)


@dataclass(frozen=True)
class Slot:
    """A response that has a line: who made the call, model as the line says, what it counts."""

    session: str
    model: str
    counts: Counts
    cost: Decimal
    partial: bool
    day: date


class History:
    """One family of sessions, from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311
        self.now = datetime(2026, 6, 9, 20, tzinfo=UTC) + timedelta(
            minutes=self.random.randrange(600)
        )
        self.discount = self.random.random() < 0.08
        self.long_context = self.random.random() < 0.2
        self.files: dict[str, SessionFile] = {}
        self.truth: dict[str, Truth] = {}
        self.slots: list[Slot] = []
        self.kinds: set[str] = set()
        first = self._new_file()
        self._process(first)
        for _ in range(self.random.randrange(6)):
            self._step()
        self._delete_one()
        for name, file in self.files.items():
            self._settle(name, file)

    def _id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def _tick(self, most: int = 90) -> str:
        self.now += timedelta(seconds=1 + self.random.randrange(most))
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _new_file(self) -> SessionFile:
        file = SessionFile(self._id())
        self.files[file.session] = file
        self.truth[file.session] = Truth()
        return file

    def _step(self) -> None:
        file = self.random.choice(list(self.files.values()))
        act = self.random.random()
        if act < 0.4:
            self.kinds.add("resume")
            self._process(file)
        elif act < 0.8:
            self._fork(file)
        elif act < 0.9:
            self.kinds.add("from zero")
            self._process(file, restores=False)
        else:
            self._side_by_side(file)

    # --- processes -----------------------------------------------------------------------------

    def _begin(self, file: SessionFile, restores: bool) -> Sum:
        found = file.states()
        last = found[-1] if found else file.first_sum
        file.first_sum = None
        self._tick()
        if last is not None and restores:
            return last.copy()
        return Sum(int(self.now.timestamp() * 1000), {})

    def _process(self, file: SessionFile, restores: bool = True) -> None:
        last = file.states()[-1] if file.states() else file.inherited
        counted = self._begin(file, restores)
        began = counted.copy()
        if self.random.random() < 0.3:
            file.lines.append(Line({"type": "mode", "mode": "normal", "sessionId": file.session}))
        calls = self._calls(file, counted)
        if self.random.random() < 0.12:
            self.kinds.add("crash")
            self.truth[file.session].lost = True
            return
        self._end(file, counted, calls, expected=began, last=last)

    def _side_by_side(self, file: SessionFile) -> None:
        """Two processes resume one state; the one that ends last knows nothing of the other."""
        if not file.states():
            return
        self.kinds.add("side by side")
        last = file.states()[-1]
        one, two = self._begin(file, True), self._begin(file, True)
        of_one, of_two = self._calls(file, one), self._calls(file, two)
        self._end(file, one, of_one, expected=last, last=last)
        self._end(file, two, of_two, expected=last, last=one)

    def _end(
        self,
        file: SessionFile,
        counted: Sum,
        calls: list[tuple[str, Counts, Decimal, bool, int]],
        *,
        expected: Sum,
        last: Sum | None,
    ) -> None:
        """Writes the cost-state, and says what is true of it.

        Args:
            expected: the sum the process began with.
            last: the last one in the file, which a reader would think it began with.
        """
        truth = self.truth[file.session]
        truth.states += 1
        truth.start_day = datetime.fromtimestamp(counted.start / 1000, UTC).date()
        for model, counts, cost, logged, cut in calls:
            truth.recorded.setdefault(model, Tally()).add(counts, cost)
            if not logged:
                truth.unlogged.setdefault(model, Tally()).add(counts, cost)
            truth.cut[model] = truth.cut.get(model, 0) + cut
        if last is not None and counted.holds(last) and expected.models != last.models:
            truth.ambiguous = truth.ambiguous or "went past"
        saved = counted.copy()
        file.lines.append(Line(self._cost_state(file, saved), state=saved))

    def _cost_state(self, file: SessionFile, counted: Sum) -> dict[str, object]:
        usage = {}
        for model, tally in counted.models.items():
            fresh, out, short, long, read, searches = tally.counts
            name = model + "[1m]" if self.long_context and model == OPUS else model
            usage[name] = {
                "inputTokens": fresh, "outputTokens": out, "thinkingTokens": 0,
                "cacheReadInputTokens": read, "cacheCreationInputTokens": short + long,
                "cacheCreationEphemeral5mInputTokens": short,
                "cacheCreationEphemeral1hInputTokens": long, "webSearchRequests": searches,
                "costUSD": float(tally.cost),
            }  # fmt: skip
        return {
            "type": "cost-state", "sessionId": file.session,
            "totalCostUSD": float(sum(t.cost for t in counted.models.values())),
            "totalAPIDuration": 1, "totalToolDuration": 0, "totalLinesAdded": 0,
            "totalLinesRemoved": 0, "totalDuration": 2, "startTime": counted.start,
            "modelUsage": usage, "hasUnknownModelCost": False,
        }  # fmt: skip

    # --- calls ---------------------------------------------------------------------------------

    def _calls(
        self, file: SessionFile, counted: Sum
    ) -> list[tuple[str, Counts, Decimal, bool, int]]:
        """(model, counts, cost, has a line, output its line leaves out) of each call."""
        calls = []
        for _ in range(self.random.randrange(1, 6)):
            kind = self.random.random()
            if kind < 0.70:
                calls.append(self._response(file))
            elif kind < 0.78:
                calls.append(self._response(file, sidechain=True))
            elif kind < 0.92:
                calls.append(self._without_line(file))
            else:
                calls.append(self._without_line(file))
                self._compacted(file)
            model, counts, cost, *_ = calls[-1]
            counted.models.setdefault(model, Tally()).add(counts, cost)
        return calls

    def _counts(self) -> Counts:
        pick = self.random.randrange
        searches = pick(1, 4) if self.random.random() < 0.1 else 0
        return (pick(5, 300), pick(20, 900), pick(400), pick(600), pick(900), searches)

    def _bill(self, model: str, counts: Counts) -> Decimal:
        cost = price(model, counts, self.now.date())
        return cost * Decimal("0.8") if self.discount else cost

    def _add_line(self, file: SessionFile, kind: str, **data: object) -> Line:
        uuids = [line.uuid for line in file.lines if line.uuid]
        line = Line(
            {
                "parentUuid": uuids[-1] if uuids else None, "isSidechain": False, "type": kind,
                "uuid": self._id(), "timestamp": self._tick(), "sessionId": file.session, **data,
            }
        )  # fmt: skip
        file.lines.append(line)
        return line

    def _response(
        self, file: SessionFile, sidechain: bool = False
    ) -> tuple[str, Counts, Decimal, bool, int]:
        model = HAIKU if self.random.random() < 0.2 else OPUS
        if not sidechain:
            self._add_line(file, "user", message={"role": "user", "content": "go on"})
        counts = self._counts()
        self._tick()
        cut = 0
        if self.random.random() < 0.08:
            self.kinds.add("partial")
            cut = self.random.randrange(counts[1])
        seen: Counts = (counts[0], counts[1] - cut, *counts[2:])
        said = model + "[1m]" if self.long_context and self.random.random() < 0.3 else model
        day = self.now.date()
        truth = self.truth[file.session]
        cost = price(model, seen, day)
        truth.logged.setdefault(model, Tally()).add(seen, cost)
        truth.last_day = day
        partial = cut > 0
        if partial:
            truth.partial.add(model)
        self.slots.append(Slot(file.session, said, seen, cost, partial, day))
        if sidechain:
            self.kinds.add("subagent")
            return model, counts, self._bill(model, counts), True, cut
        fresh, out, short, long, read, searches = seen
        line = self._add_line(
            file, "assistant",
            message={
                "id": "msg_" + self._id(), "role": "assistant", "model": said, "content": [],
                "stop_reason": None if partial else "end_turn",
                "usage": {
                    "input_tokens": fresh, "output_tokens": out, "cache_read_input_tokens": read,
                    "cache_creation_input_tokens": short + long,
                    "cache_creation": {"ephemeral_5m_input_tokens": short,
                                       "ephemeral_1h_input_tokens": long},
                    "server_tool_use": {"web_search_requests": searches},
                },
            },
        )  # fmt: skip
        line.data["timestamp"] = self.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        line.caller = file.session
        if self.random.random() < 0.3:
            self._add_line(file, "attachment", attachment={"type": "model"})
        return model, counts, self._bill(model, counts), True, cut

    def _without_line(self, file: SessionFile) -> tuple[str, Counts, Decimal, bool, int]:
        self.kinds.add("unlogged")
        model = HAIKU if self.random.random() < 0.5 else OPUS
        counts = self._counts()
        self._tick()
        return model, counts, self._bill(model, counts), False, 0

    def _compacted(self, file: SessionFile) -> None:
        self.kinds.add("compaction")
        boundary = self._add_line(file, "system", subtype="compact_boundary", content="")
        boundary.data["parentUuid"] = None
        self._add_line(
            file, "user", isCompactSummary=True, message={"role": "user", "content": "summary"}
        )

    # --- forks ---------------------------------------------------------------------------------

    def _fork(self, parent: SessionFile) -> None:
        """A new file with the history since the last compaction, up to some line."""
        chain = [at for at, line in enumerate(parent.lines) if line.uuid]
        if not chain:
            return
        cut = len(chain) - 1
        if self.random.random() < 0.4:
            # Within its own lines: further up the fork would be one of the parent's parent.
            own = [
                n for n, at in enumerate(chain)
                if parent.parent is None or parent.lines[at].data.get("own")
            ]  # fmt: skip
            if not own:
                return
            cut = self.random.choice(own)
            self.kinds.add("fork in the middle")
        boundaries = [
            n for n, at in enumerate(chain[: cut + 1])
            if parent.lines[at].data.get("subtype") == "compact_boundary"
        ]  # fmt: skip
        if boundaries:
            self.kinds.add("fork after compaction")
        copied = chain[boundaries[-1] if boundaries else 0 : cut + 1]
        self.kinds.add("fork of a fork" if parent.parent else "fork")
        fork = self._new_file()
        fork.parent = parent.session
        fork.lines.append(Line({"type": "mode", "mode": "normal", "sessionId": fork.session}))
        for at in copied:
            source = parent.lines[at]
            data = {k: v for k, v in source.data.items() if k != "own"}
            data["sessionId"] = fork.session
            if source.caller:
                data["requestSessionId"] = source.caller
            fork.lines.append(Line(data, caller=source.caller))
        after = chain[cut + 1] if cut + 1 < len(chain) else len(parent.lines)
        saved = [line.state for line in parent.lines[:after] if line.state]
        fork.first_sum = fork.inherited = saved[-1] if saved else None
        fork.cut, fork.known = copied[-1], len(parent.lines)
        if saved:
            self.kinds.add("fork with a baseline")
        count = len(fork.lines)
        self._process(fork, restores=self.random.random() < 0.9)
        for line in fork.lines[count:]:
            line.data["own"] = True

    # --- what becomes of it --------------------------------------------------------------------

    def _delete_one(self) -> None:
        parents = {file.parent for file in self.files.values() if file.parent}
        if not parents or self.random.random() > 0.25:
            return
        gone = self.random.choice(sorted(parents))
        # Only where the forks' lines say whose history they begin with.
        if any(file.newest_named() != gone for file in self.files.values() if file.parent == gone):
            return
        self.kinds.add("missing parent")
        self.files[gone].deleted = True

    def _settle(self, name: str, file: SessionFile) -> None:
        truth = self.truth[name]
        named = file.newest_named()
        missing = named is not None and self.files[named].deleted
        truth.unknown = not truth.states or missing
        if file.parent and self.files[file.parent].parent:
            # It copied nothing that was the parent's own, and could be its brother.
            of_parent = self.files[file.parent]
            grandparent = {line.uuid for line in self.files[str(of_parent.parent)].lines}
            if of_parent.lines[file.cut].uuid in grandparent:
                truth.ambiguous = "brothers"
        if file.parent and named is None and file.inherited is None:
            # It copied a prompt and nothing more: the parent could as well be a fork of it.
            self.truth[file.parent].ambiguous = truth.ambiguous = "brothers"
        # The parent was resumed, billed, and wrote no line: nothing says that it was later.
        states = file.states()
        later = self.files[file.parent].lines if file.parent else []
        for at, line in enumerate(later[file.cut + 1 :], file.cut + 1):
            if line.uuid:
                break
            if at >= file.known and line.state and states and states[0].holds(line.state):
                truth.ambiguous = truth.ambiguous or "went past"
        for line in file.lines:
            line.data.pop("own", None)
