"""Windows of 7 and 30 days with distinct people, against counting everything by hand."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from helpers import make_pipeline
from lines import columns
from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.tables import TABLES
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store.batch import Batch, Done
from session_pipeline_dagster.store.columns import encode, pack
from session_pipeline_dagster.store.database import Store

pytestmark = pytest.mark.slow(seconds=4)

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
KINDS = {
    "skill": {"event_type": "tool_use", "tool_name": "Skill", "skill_name": "review"},
    "mcp_server": {"event_type": "mcp_call", "tool_name": "mcp__git__log", "mcp_server": "git"},
    "subagent": {"event_type": "subagent", "tool_name": "Task", "subagent_type": "explorer"},
    "slash_command": {"event_type": "slash_command", "command_name": "clear"},
    "": {"event_type": "tool_use", "tool_name": "Bash"},
}
Call = tuple[date, str, str, str, str | None]
"""Day, person, kind, name, outcome."""


def event(file: str, number: int, call: Call) -> Row:
    day, user, kind, name, outcome = call
    names = columns(TABLES["usage_events"])
    said = dict(KINDS[kind])
    said |= {
        column: name
        for column in said
        if column.endswith(("_name", "_server", "_type"))
        and column not in ("event_type", "tool_name")
    }
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=number % 24)
    whose = {"session_file": file, "username": user, "session_id": file, "line_number": number}
    row = dict.fromkeys(names) | whose | said
    key = f"{file} {number}"
    row |= {"event_key": key, "occurred_at": at, "outcome": outcome, "line_digest": key}
    return tuple(row.values())


class Story:
    """Files whose calls are another random choice each time they are written."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.processor = store, UsageProcessor()
        self.source = random.Random(seed)  # noqa: S311  to be told again
        self.files: dict[str, list[Call]] = {}

    def call(self, user: str) -> Call:
        pick = self.source
        # Days in two clusters: a window of one reaches nothing of the other.
        day = FIRST + timedelta(days=pick.choice((pick.randrange(75), 200 + pick.randrange(9))))
        kind = pick.choice(list(KINDS))
        name = f"{kind}{pick.randrange(2)}" if kind else "Bash"
        return day.date(), user, kind, name, pick.choice(("ok", "error", "rejected", None))

    def write(self) -> None:
        pick = self.source
        file = f"{pick.choice('abcd')}/p/{pick.randrange(3)}.jsonl"
        user = file[0]
        self.files[file] = [self.call(user) for _ in range(pick.randrange(6))]
        rows = [event(file, n, call) for n, call in enumerate(self.files[file])]
        encoded = encode({"usage_events": rows}, self.store.prepare(self.processor))
        signed = datetime(2026, 1, 1, tzinfo=UTC)
        done = Done(file, user, FIRST.date(), "hash", Signature(1, 2, 3), signed)
        packed = {table: [pack(found)] for table, found in encoded.items()}
        self.store.commit(self.processor, Batch(packed, [done]))

    def purge(self) -> None:
        if self.files:
            file = self.source.choice(sorted(self.files))
            del self.files[file]
            self.store.purge(self.processor, [file])

    def declare_anew(self) -> None:
        with self.store.transaction() as connection:
            connection.execute("UPDATE session_processor_declarations SET digest = 'another'")
        self.store.prepare(self.processor)

    @property
    def calls(self) -> list[Call]:
        return [call for calls in self.files.values() for call in calls]


def windows(calls: Sequence[Call]) -> list[Row]:
    found: list[Row] = []
    for day in {call[0] for call in calls}:
        for days in (7, 30):
            within = [c for c in calls if day - timedelta(days=days) < c[0] <= day and c[2]]
            for kind, name in {(c[2], c[3]) for c in within}:
                named = [c for c in within if c[2:4] == (kind, name)]
                users, outcomes = {c[1] for c in named}, [c[4] for c in named]
                sums = (len(named), outcomes.count("error"), outcomes.count("rejected"))
                found.append((day, days, kind, name, len(users), *sums))
    return sorted(found)


def tools(calls: Sequence[Call]) -> list[Row]:
    found: list[Row] = []
    for day, kind in {(call[0], call[2]) for call in calls}:
        said = KINDS[kind]
        for name in {
            c[3] if kind == "slash_command" else said["tool_name"]
            for c in calls
            if c[0] == day and c[2] == kind
        }:
            named = [
                c
                for c in calls
                if c[0] == day and c[2] == kind and (kind != "slash_command" or c[3] == name)
            ]
            users, outcomes = {c[1] for c in named}, [c[4] for c in named]
            sums = (len(named), outcomes.count("error"), outcomes.count("rejected"))
            found.append((day, said["event_type"], name, *sums, len(users)))
    return sorted(found)


@pytest.mark.parametrize("seed", range(2))
def test_people_are_distinct_in_every_window_whatever_comes_late(tmp_path: Path, seed: int) -> None:
    pipeline = make_pipeline(tmp_path)
    story = Story(pipeline.store, seed)
    pipeline.store.prepare(story.processor)
    with pipeline.store.held():
        for _ in range(7):
            acts = (story.write, story.purge, story.declare_anew)
            for act in story.source.choices(acts, (8, 1, 1), k=story.source.randrange(1, 5)):
                act()
            recompute(story.processor, pipeline.store, pipeline.settings)
            found, by_day = pipeline.store.query(
                "FROM usage_skill_window ORDER BY ALL",
                "SELECT * EXCLUDE (sessions) FROM usage_tool_daily ORDER BY ALL",
            )
            assert found[1] == windows(story.calls)
            assert by_day[1] == tools(story.calls)
    assert story.calls
