"""A refresh that reads a few days makes what one over everything makes."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from helpers import make_pipeline
from lines import columns
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor, unique
from session_pipeline_dagster.processors.usage.rollups import (
    ROLLUPS,
    USAGE_ACTIVITY_DAILY,
)
from session_pipeline_dagster.processors.usage.summaries import summaries
from session_pipeline_dagster.processors.usage.tables import TABLES
from session_pipeline_dagster.processors.usage.unique import BLOCKS, EVENTS, MESSAGES, Thing
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store.batch import Batch, Done
from session_pipeline_dagster.store.columns import encode, pack
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.write import declaration_digest, register

pytestmark = pytest.mark.slow

FILES = [f"{user}/p/{number}.jsonl" for user in ("alice", "bob", "carol") for number in range(4)]
DAYS = (*range(20_000, 20_004), 20_400, 0, -3, 2_932_896)
"""Since 1970: days that follow each other, one long after them, one before, the calendar's last."""
_DAY_US = 86_400 * 10**6
_THINGS = (MESSAGES, EVENTS, BLOCKS)
_COLUMNS = {thing.table: columns(TABLES[thing.table]) for thing in _THINGS}
Row = tuple[object, ...]


def row_of(table: str, *first: object, **more: object) -> Row:
    """A row of the table: its first columns, some by name, counters 0, the others NULL."""
    names = _COLUMNS[table]
    found: dict[str, object] = dict.fromkeys(names)
    counters = ("_tokens", "_requests", "_characters", "line_number")
    found |= {n: 0 for n in names if n.endswith(counters)}
    found |= {
        n: False for n in names if n.startswith("is_") or n.endswith(("_inferred", "_partial"))
    }
    found |= dict(zip(names, first, strict=False)) | more
    assert found.keys() == set(names)
    return tuple(found.values())


def naive_touched(thing: Thing) -> str:
    """Days of everything that shares a name with a row of the batch."""
    return f"""SELECT {thing.day} AS day FROM {thing.table} WHERE {thing.key} IN (
            SELECT {thing.key} FROM {thing.table} SEMI JOIN batch USING (session_file))"""


NAIVE_CHANGED = {
    "usage_slots": naive_touched(MESSAGES),
    "usage_calls": f"""{naive_touched(EVENTS)}
        UNION ALL SELECT {EVENTS.day} FROM usage_events WHERE event_key IN (
            SELECT tool_use_id FROM usage_tool_results SEMI JOIN batch USING (session_file))""",
    "usage_activity_daily": naive_touched(BLOCKS),
}

NAIVE_ACTIVITY = f"""
    WITH named AS (
        SELECT {EVENTS.day} AS day, username, project, origin, event_type,
            coalesce(outcome, '') AS came
        FROM ({unique.events(("username", "project", "occurred_at", "event_type"))})
        UNION ALL
        SELECT day, username, project, session_id, 'response', '' FROM usage_slots),
    counts AS (
        SELECT day, username, project, count(DISTINCT origin) AS sessions,
            count(*) FILTER (event_type = 'prompt') AS prompts,
            count(*) FILTER (event_type = 'tool_use') AS tool_calls,
            count(*) FILTER (came = 'error') AS tool_errors,
            count(*) FILTER (came = 'rejected') AS tool_rejections
        FROM named GROUP BY ALL),
    counted AS (
        WITH {unique.whose(BLOCKS)}
        SELECT rows.*, {BLOCKS.day} AS day FROM usage_activity AS rows
        ANTI JOIN lost ON rows.line_digest = lost.name AND rows.username = lost.username),
    ends AS (
        SELECT day, username, project, epoch_us(started_at) AS began,
            epoch_us(ended_at) AS ended, max(epoch_us(ended_at)) OVER (
                PARTITION BY username, day ORDER BY started_at, session_file
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM counted),
    times AS (
        SELECT day, username, project,
            sum(greatest(0, ended - greatest(began, coalesce(before, began)))) / 1e6 AS active
        FROM ends GROUP BY ALL)
    SELECT coalesce(counts.day, times.day), coalesce(counts.username, times.username),
        coalesce(counts.project, times.project), coalesce(sessions, 0), coalesce(prompts, 0),
        coalesce(tool_calls, 0), coalesce(tool_errors, 0), coalesce(tool_rejections, 0),
        coalesce(active, 0)
    FROM counts FULL JOIN times ON counts.day = times.day
        AND counts.username = times.username
        AND counts.project IS NOT DISTINCT FROM times.project"""

NAIVE_TOOLS = """SELECT coalesce(tool_name, '/' || command_name) AS tool, event_type AS kind,
        count(*) AS calls, count(*) FILTER (is_error) AS errors,
        count(*) FILTER (outcome = 'rejected') AS rejected,
        count(DISTINCT username) AS users
    FROM usage_events_unique WHERE event_type <> 'prompt'
    GROUP BY ALL ORDER BY calls DESC, tool LIMIT 15"""

ALL_DAYS = """SELECT DISTINCT make_timestamp(epoch_us(moment))::DATE::VARCHAR AS part FROM (
    SELECT sent_at AS moment FROM usage_messages UNION ALL SELECT occurred_at FROM usage_events)"""


def naive_refresh(rollup: Rollup) -> str:
    """The same rows of every day, from whole tables."""
    sql = re.sub(r"\bFROM parts\b", "FROM all_days", rollup.refresh)
    for thing in _THINGS:
        sql = sql.replace(thing.rows(reached=True), thing.table)
    assert "reach" not in sql
    return f"WITH all_days AS MATERIALIZED ({ALL_DAYS}) {sql.strip().join(('FROM (', ')'))}"


@dataclass(slots=True)
class History:
    """Files with rows of few names on few days, that come, change and go by chance."""

    store: Store
    settings: Settings
    source: random.Random
    processor: UsageProcessor = field(default_factory=UsageProcessor)
    there: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def us(self) -> int:
        return self.source.choice(DAYS) * _DAY_US + self.source.randrange(8) * 3 * 3600 * 10**6

    def name(self, kind: str) -> str:
        return f"{kind}_{self.source.randrange(12)}"

    def messages(self, key: str) -> Iterator[Row]:
        pick = self.source.choice
        for name in sorted({self.name("msg") for _ in range(self.source.randrange(6))}):
            session = pick(("s1", "s2", "s3"))
            yield row_of(
                MESSAGES.table,
                *(key, name, name, pick(("r1", "r2", None)), session, pick((session, "s1"))),
                *(key.split("/")[0], pick(("p", "q", None)), None, pick((False, False, True))),
                *(pick(("claude-sonnet-4-5", None)), self.us()),
                input_tokens=pick((0, 3, 5)),
                output_tokens=pick((1, 9)),
                cache_read_tokens=pick((0, 100)),
                output_partial=pick((True, False)),
                file_started_at=self.us(),
                line_digest=f"{pick('ab') * 16}{pick('cd') * 8}",
                output_characters=pick((0, 40)),
                began_at=self.us(),
                agent="claude-code",
                provider="anthropic",
                git_branch=pick(("main", None)),
                recorded_cost=pick((None, Decimal("0.5"))),
            )

    def events(self, key: str) -> Iterator[Row]:
        pick = self.source.choice
        for name in sorted({self.name("tool") for _ in range(self.source.randrange(6))}):
            session = pick(("s1", "s2"))
            kind = pick(("tool_use", "prompt", "slash_command"))
            outcome = pick(("ok", "error", "rejected", None))
            yield row_of(
                EVENTS.table,
                *(key, name, session, key.split("/")[0], pick(("p", "q", None)), kind),
                tool_name=pick(("Bash", "Read")) if kind == "tool_use" else None,
                command_name="clear" if kind == "slash_command" else None,
                is_error=outcome == "error",
                occurred_at=self.us(),
                origin_session_id=pick((session, "s1", None)),
                is_sidechain=pick((False, False, True)),
                file_started_at=self.us(),
                line_digest=f"{pick('ab') * 16}{pick('cd') * 8}",
                outcome=outcome,
                began_at=self.us(),
            )

    def blocks(self, key: str) -> Iterator[Row]:
        for _ in range(self.source.randrange(4)):
            at = self.us()
            # Also where what names a stretch says nothing of its day.
            name = self.source.choice((f"{at}", self.name("block")))
            end = at + self.source.randrange(1, 3 * 3600) * 10**6
            yield row_of(
                BLOCKS.table, key, key.split("/")[0], self.source.choice("pq"), at, end, name
            )

    def commit(self, keys: Sequence[str] = ()) -> None:
        keys = keys or self.source.sample(FILES, self.source.randrange(1, 4))
        rows: dict[str, list[tuple[object, ...]]] = {}
        for key in keys:
            rows.setdefault("usage_messages", []).extend(self.messages(key))
            rows.setdefault("usage_events", []).extend(self.events(key))
            rows.setdefault("usage_activity", []).extend(self.blocks(key))
            user, outcome = key.split("/")[0], self.source.choice(("ok", "error", "rejected"))
            result = (key, self.name("tool"), outcome == "error", user, outcome)
            rows.setdefault("usage_tool_results", []).append(result)
        encoded = encode(rows, self.store.prepare(self.processor))
        done = [
            Done(
                *(key, key.split("/")[0], date(2026, 1, 1), "hash", Signature(1, 2, 3)),
                datetime(2026, 1, 1, tzinfo=UTC),
            )
            for key in keys
        ]
        batch = Batch({table: [pack(found)] for table, found in encoded.items()}, done)
        with self.noted(keys):
            self.store.commit(self.processor, batch)
        self.there.update(keys)
        self.gone.difference_update(keys)

    def noted(self, keys: Sequence[str]) -> "Noted":
        return Noted(self.store, keys)

    def go_or_return(self) -> None:
        some = self.source.sample(FILES, 2)
        gone = [key for key in some if key in self.there - self.gone]
        back = [key for key in some if key in self.gone]
        with self.noted([*gone, *back]):
            self.store.mark_gone(self.processor, gone, back, datetime(2026, 1, 2, tzinfo=UTC))
        self.gone = (self.gone | {*gone}) - {*back}

    def purge(self) -> None:
        keys = self.source.sample(FILES, 1)
        with self.noted(keys):
            self.store.purge(self.processor, keys)
        self.there.difference_update(keys)
        self.gone.difference_update(keys)

    def forget(self) -> None:
        keys = self.source.sample(FILES, 1)
        with self.noted(keys):
            self.store.forget([self.processor], keys)
        self.there.difference_update(keys)
        self.gone.difference_update(keys)

    def act(self) -> None:
        acts = (self.commit, self.go_or_return, self.purge, self.forget)
        self.source.choices(acts, (6, 2, 1, 1))[0]()

    def refresh(self) -> None:
        recompute(self.processor, self.store, self.settings)

    def check(self) -> None:
        def rows(sql: str) -> list[tuple[object, ...]]:
            return self.store.query(f"FROM ({sql}) ORDER BY ALL")[0][1]

        for rollup in ROLLUPS:
            if rollup is not USAGE_ACTIVITY_DAILY:
                assert rows(f"FROM {rollup.name}") == rows(naive_refresh(rollup)), rollup.name
        assert rows("FROM usage_activity_daily") == rows(NAIVE_ACTIVITY)
        (tools,) = [found.sql for found in summaries(Settings()) if found.title == "Tools"]
        assert self.store.query(tools) == self.store.query(NAIVE_TOOLS)


@dataclass(slots=True)
class Noted:
    """All that today's statements say is touched, before and after, is noted meanwhile."""

    store: Store
    keys: Sequence[str]
    wanted: dict[str, set[str]] = field(default_factory=dict)

    def _touched(self) -> None:
        with self.store.connect() as connection:
            register(connection, "batch", self.keys)
            for name, sql in NAIVE_CHANGED.items():
                rows = connection.execute(f"SELECT DISTINCT day::VARCHAR FROM ({sql})").fetchall()
                self.wanted.setdefault(name, set()).update(row[0] for row in rows)

    def __enter__(self) -> None:
        self._touched()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        self._touched()
        for name, parts in self.wanted.items():
            sql = f"SELECT part FROM session_rollup_changes WHERE rollup = '{name}'"
            assert parts <= {row[0] for row in self.store.query(sql)[0][1]}, name


@pytest.fixture
def history(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[History]:
    pipeline = make_pipeline(tmp_path)
    found = History(pipeline.store, pipeline.settings, random.Random(request.param))  # noqa: S311  no secret
    pipeline.store.prepare(found.processor)
    with pipeline.store.held():
        yield found


@pytest.mark.parametrize("history", range(2), indirect=True)
def test_roll_ups_and_notes_are_those_of_statements_that_read_everything(history: History) -> None:
    for _ in range(10):
        for _ in range(history.source.randrange(1, 4)):
            history.act()
        history.refresh()
        history.check()


@pytest.mark.parametrize("history", [7], indirect=True)
def test_nothing_is_kept_of_the_names_of_files_that_were_purged(history: History) -> None:
    store, processor = history.store, history.processor
    history.commit(FILES)
    for leave in (
        lambda: store.purge(processor, FILES[:3]),
        lambda: store.forget([processor], FILES[3:9]),
    ):
        leave()
        for thing in _THINGS:
            held = store.query(
                f"SELECT DISTINCT {thing.hashed} AS hashed FROM {thing.table} ORDER BY 1"
            )
            kept = store.query(f"SELECT DISTINCT hashed FROM {thing.keeps.name} ORDER BY 1")
            assert held == kept != [(["hashed"], [])]


@pytest.mark.parametrize("history", [3], indirect=True)
def test_what_a_version_without_these_roll_ups_left_behind_goes_with_the_next_declaration(
    history: History,
) -> None:
    """It deletes rows, notes nothing of what it does not know, and writes its own digest."""
    store, processor = history.store, history.processor
    history.commit(FILES)
    history.refresh()
    with store.transaction() as connection:
        for table in (*processor.tables, "session_processor_state"):
            connection.execute(f"DELETE FROM {table} WHERE session_file <> '{FILES[-1]}'")
        connection.execute("UPDATE session_processor_declarations SET digest = 'of another'")
    store.prepare(processor)
    history.refresh()
    history.check()
    (users,) = store.query("SELECT list(DISTINCT username) FROM usage_calls")[0][1]
    assert set(users[0] or ()) <= {"carol"}


def test_another_duckdb_whose_hashes_may_differ_makes_the_whereabouts_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = declaration_digest(UsageProcessor())
    monkeypatch.setattr("duckdb.__version__", "1.9.0")
    assert declaration_digest(UsageProcessor()) != before
