"""Detail goes, and everything stays counted once: random histories, and every way to come late."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from helpers import make_pipeline
from lines import columns
from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.tables import TABLES
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store import retaining
from session_pipeline_dagster.store.batch import Batch, Done
from session_pipeline_dagster.store.columns import encode, pack
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Standing

pytestmark = pytest.mark.slow(seconds=12)

FIRST = date(2025, 1, 1)
DAYS = 12
USERS = ("alice", "bob", "carol")
ZEROS = ("_tokens", "_requests", "_characters", "line_number")
KINDS = ("messages", "events")
AT = {
    "messages": ("usage_messages", "sent_at"),
    "events": ("usage_events", "occurred_at"),
    "stretches": ("usage_activity", "started_at"),
}
COUNTS = {
    "messages": ("usage_slots", "model", "messages"),
    "events": ("usage_calls", "tool_name", "calls"),
}
"""Kind -> a roll-up, and its columns that say which thing it is and how often it counts."""
FREEZES = {
    "usage_slots": "messages",
    "usage_calls": "events",
    "usage_activity_daily": "events",
}


def row_of(table: str, **given: object) -> Row:
    names = columns(TABLES[table])
    row: dict[str, object] = dict.fromkeys(names)
    row |= {name: 0 for name in names if name.endswith(ZEROS)}
    row |= {name: False for name in names if name.endswith(("_partial", "_inferred"))}
    return tuple((row | {k: v for k, v in given.items() if k in row}).values())


@dataclass(frozen=True, slots=True)
class Thing:
    """A response, a call and a stretch of one moment; what they are called says which."""

    number: int
    user: str
    at: datetime

    def rows(self, file: str, later: int = 0) -> Mapping[str, Row]:
        """As a file has it; `later`: days that its time was moved by."""
        name, at = f"n{self.number}", self.at + timedelta(days=later)
        whose = {"session_file": file, "username": file.split("/")[0], "session_id": file}
        whose |= {"line_digest": f"{self.number:016x}{later:08x}", "began_at": at}
        called = {"event_type": "tool_use", "tool_name": name, "event_key": name}
        return {
            "usage_messages": row_of(
                "usage_messages", message_key=name, model=name, sent_at=at, input_tokens=7, **whose
            ),
            "usage_events": row_of("usage_events", occurred_at=at, **called, **whose),
            "usage_activity": row_of(
                "usage_activity", started_at=at, ended_at=at + timedelta(minutes=5), **whose
            ),
        }


@dataclass(slots=True)
class History:
    """Files that come, grow and are copied by chance, while a horizon moves over their days.

    Attributes:
        held: file -> thing -> the days that its time was moved by.
        counted: kind -> things that came while their day was not frozen: each is to count once.
        before: kind -> the first day that is not frozen.
        kept: roll-up -> day -> its rows, as they were when the day was frozen.
    """

    store: Store
    settings: Settings
    source: random.Random
    processor: UsageProcessor = field(default_factory=UsageProcessor)
    things: list[Thing] = field(default_factory=list)
    held: dict[str, dict[Thing, int]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    counted: dict[str, set[int]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    kept: dict[str, dict[date, Sequence[Row]]] = field(default_factory=dict)
    before: dict[str, date] = field(default_factory=lambda: dict.fromkeys(KINDS, FIRST))

    def new(self, user: str) -> Thing:
        at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(
            days=self.source.randrange(DAYS), minutes=self.source.randrange(1440)
        )
        self.things.append(Thing(len(self.things), user, at))
        return self.things[-1]

    def commit(self) -> None:
        pick = self.source
        file = f"{pick.choice(USERS)}/p/{pick.randrange(4)}.jsonl"
        user = file.split("/")[0]
        held = self.held.setdefault(file, {})
        for _ in range(pick.randrange(1, 4)):
            held.setdefault(self.new(user), 0)
        moved = {t for things in self.held.values() for t, later in things.items() if later}
        for thing in pick.sample(self.things, min(len(self.things), 8)):
            if thing.user != user and thing not in moved:
                held.setdefault(thing, 0)
            elif thing.user == user and not self.shared(thing):
                held.setdefault(thing, pick.choice((0, 1, 1, 4)))
        self.write([file])

    def shared(self, thing: Thing) -> bool:
        return any(
            thing in things and name.split("/")[0] != thing.user
            for name, things in self.held.items()
        )

    def write(self, files: Sequence[str]) -> None:
        rows: dict[str, list[Row]] = {}
        for file in files:
            for thing, later in self.held[file].items():
                for table, row in thing.rows(file, later).items():
                    rows.setdefault(table, []).append(row)
                for kind in KINDS:
                    if (thing.at + timedelta(days=later)).date() >= self.before[kind]:
                        self.counted[kind].add(thing.number)
        encoded = encode(rows, self.store.prepare(self.processor))
        packed = {table: [pack(found)] for table, found in encoded.items()}
        self.store.commit(self.processor, Batch(packed, [done(file) for file in files]))
        self.gone -= {*files}

    def go_or_return(self) -> None:
        some = self.source.sample(sorted(self.held), min(2, len(self.held)))
        gone, back = [f for f in some if f not in self.gone], [f for f in some if f in self.gone]
        self.store.mark_gone(self.processor, gone, back, datetime(2026, 1, 2, tzinfo=UTC))
        self.gone = (self.gone | {*gone}) - {*back}

    def declare_anew(self) -> None:
        with self.store.transaction() as connection:
            connection.execute("UPDATE session_processor_declarations SET digest = 'another'")
        self.store.prepare(self.processor)

    def read_all_again(self) -> None:
        if self.held:
            self.write(sorted(self.held))

    def retire(self) -> None:
        further = self.source.choices((0, 1, 2), k=2)
        targets = {
            kind: self.before[kind] + timedelta(days=days)
            for kind, days in zip(KINDS, further, strict=True)
        }
        if self.source.random() < 0.6:
            self.refresh()
        there, most = (
            {name: self.by_day(name) for name in FREEZES},
            self.source.choice((1, 20, 999)),
        )
        now = datetime(2026, 1, 2, tzinfo=UTC)
        self.store.done(lambda c: retaining.retire(c, self.processor, targets, most, now))
        stood = {s.kind: s.frozen_before for s in self.store.seen_there(self.standings)}
        self.before |= {kind: day for kind, day in stood.items() if day}
        for name, kind in FREEZES.items():
            for day, rows in there[name].items():
                if day < self.before[kind]:
                    self.kept.setdefault(name, {}).setdefault(day, rows)

    def standings(self, connection: object) -> list[Standing]:
        return retaining.standings(connection, self.processor)  # ty: ignore[invalid-argument-type]

    def by_day(self, name: str) -> dict[date, Sequence[Row]]:
        found: dict[date, list[Row]] = {}
        for row in self.store.query(f"FROM {name} ORDER BY ALL")[0][1]:
            found.setdefault(row[0], []).append(row)  # ty: ignore[invalid-argument-type]  a DATE
        return {**found}

    def refresh(self) -> None:
        recompute(self.processor, self.store, self.settings)

    def act(self) -> None:
        acts = (self.commit, self.go_or_return, self.retire, self.read_all_again, self.declare_anew)
        self.source.choices(acts, (6, 2, 4, 1, 1))[0]()

    def check(self) -> None:
        for kind, (rollup, name, count) in COUNTS.items():
            found = self.store.query(f"SELECT {name}, sum({count})::INT FROM {rollup} GROUP BY ALL")
            assert dict(found[0][1]) == {f"n{number}": 1 for number in self.counted[kind]}, rollup
        for name, days in self.kept.items():
            now = self.by_day(name)
            assert {day: now.get(day) for day in days} == days, name
        for kind, at in AT.items():
            table, moment = at
            upto = self.before["messages" if kind == "messages" else "events"]
            old = (
                f"SELECT count(*) FROM {table} WHERE {moment} < to_timestamp(epoch(DATE '{upto}'))"
            )
            kept = f"SELECT count(*) FROM {table}_days WHERE day < DATE '{upto}'"
            assert self.store.query(old, kept) == [(["count_star()"], [(0,)])] * 2


def done(file: str) -> Done:
    signed = datetime(2026, 1, 1, tzinfo=UTC)
    return Done(file, file.split("/")[0], FIRST, "hash", Signature(1, 2, 3), signed)


@pytest.fixture
def history(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[History]:
    pipeline = make_pipeline(tmp_path)
    found = History(pipeline.store, pipeline.settings, random.Random(request.param))  # noqa: S311  no secret
    pipeline.store.prepare(found.processor)
    with pipeline.store.held():
        found.retire()
        yield found


@pytest.mark.parametrize("history", range(2), indirect=True)
def test_each_thing_counts_once_whatever_comes_and_goes(history: History) -> None:
    for _ in range(14):
        for _ in range(history.source.randrange(1, 4)):
            history.act()
        history.refresh()
        history.check()
