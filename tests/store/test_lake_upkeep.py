"""Upkeep of a lake, and what `forget` leaves of somebody in it: nothing in any byte."""

import os
import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from helpers import EXAMPLES, EchoProcessor, Pipeline, append, write_many, write_session
from lakes import Lakes
from session_pipeline_dagster.cli.forget import delete
from session_pipeline_dagster.errors import StoreInterrupted
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.store.lake.catalog import Catalog
from session_pipeline_dagster.store.lake.place import LakePlace
from session_pipeline_dagster.store.lake.upkeep import tidy
from wire import Wire, wire_to

WEEK = timedelta(days=7)
AT_ONCE = timedelta(0)
FIRST, LAST = "aa-zelda", "zz-zelda"
"""Users who are the least and the greatest text of many columns."""


def lake_of(folder: Path, lakes: Lakes) -> Pipeline:
    """A lake over an empty root."""
    root = folder / "sessions"
    root.mkdir()
    return Pipeline(root, lakes.settings(folder, Settings(roots=(Root(root),), workers=1)))


def catalog(pipeline: Pipeline, sql: str) -> list[tuple[object, ...]]:
    place = pipeline.store.place
    assert isinstance(place, LakePlace)
    with place.catalog.session() as session:
        session.execute("SET search_path = public")
        answer = session.execute(sql)
        return answer.fetchall() if answer.description else []


def files(pipeline: Pipeline) -> list[Path]:
    return sorted(data(pipeline).rglob("*.parquet"))


def data(pipeline: Pipeline) -> Path:
    return Path(pipeline.settings.lake_data or "")


def copied_from(root: Path, example: str, user: str) -> None:
    """The sessions of an example's user as if they were of that one."""
    for path in (EXAMPLES / example).rglob("*.jsonl"):
        name = path.relative_to(EXAMPLES).as_posix().replace(example, user)
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # An id of a response is counted once, for whoever had it first.
        text = path.read_text("utf-8").replace(example, user).replace("msg_", f"msg_{user}")
        target.write_text(text.replace("req_", f"req_{user}"), "utf-8")


def traces(pipeline: Pipeline, word: str) -> list[str]:
    """Files and tables of the catalog in which the word is, in a byte or in a value."""
    found = []
    for path in files(pipeline):
        text = path.read_bytes()
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT t::VARCHAR FROM read_parquet(?) t", [str(path)])
            values = "\n".join(row[0] for row in rows.fetchall())
        if word.encode() in text or word in values:
            found.append(path.relative_to(data(pipeline)).as_posix())
    tables = catalog(
        pipeline,
        """SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema
        NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'""",
    )
    assert len(tables) > 20
    for schema, table in tables:
        said = catalog(pipeline, f'SELECT t::text FROM "{schema}"."{table}" t')
        found += [str(table) for (row,) in said if word in str(row)][:1]
    return found


@pytest.mark.slow(seconds=60)
def test_nothing_of_who_is_forgotten_stays_in_any_file_or_in_the_catalog(
    tmp_path: Path, lakes: Lakes
) -> None:
    lake, processors = lake_of(tmp_path, lakes), [UsageProcessor(), VerificationProcessor()]
    copied_from(lake.root, "bob", "bob")
    for processor in processors:
        lake.run(processor)
    alone = {t: lake.rows(t) for t in ("usage_messages", "usage_sessions", "usage_events")}
    for user in (FIRST, LAST):
        copied_from(lake.root, "alice", user)
    for processor in processors:
        lake.run(processor)
    for user in (FIRST, LAST):
        held = traces(lake, user)
        assert {"ducklake_file_column_stats", "ducklake_table_column_stats"} <= {*held}
        assert len(held) > 8
        # What one left who was killed before he committed.
        its = next(path for path in files(lake) if user in str(values(path)))
        left = data(lake) / "main" / "usage_messages" / "ducklake-killed.parquet"
        shutil.copy(its, left)
        os.utime(left, (time.time() - 60,) * 2)
        shutil.rmtree(lake.root / user)
        # One who read the bounds of before, and writes after.
        other = lake.store
        with other.transaction() as connection:
            connection.execute("DELETE FROM usage_messages WHERE username = 'nobody'")
        deleted = delete(lake.store, processors, lake.settings, keys_of_user(lake.store, user))
        assert sum(deleted.rows.values()) > 8
        assert deleted.tidied
        assert deleted.tidied.snapshots_after == deleted.tidied.orphans == 1
        with other.transaction() as connection:
            connection.execute("INSERT INTO usage_messages BY NAME SELECT 'm' AS username")
            connection.execute("DELETE FROM usage_messages WHERE username = 'm'")
        assert traces(lake, user) == []
    assert {t: lake.rows(t) for t in alone} == alone


def values(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return connection.execute("FROM read_parquet(?)", [str(path)]).fetchall()


def many_commits(lake: Pipeline, count: int = 4) -> None:
    for path in write_many(lake.root, count):
        lake.run(EchoProcessor())
        append(path, "one line more")
    lake.run(EchoProcessor())


def test_upkeep_makes_few_files_of_many_and_changes_no_row(tmp_path: Path, lakes: Lakes) -> None:
    lake = lake_of(tmp_path, lakes)
    many_commits(lake)
    rows, states = lake.rows(), lake.states(EchoProcessor())
    with lake.store.connect() as connection:
        (before,) = connection.execute("SELECT max(snapshot_id) FROM store.snapshots()").fetchall()
        tidied = lake.store.tidy(WEEK)
        # Who has begun to read reads on: no file goes at once.
        past = f"SELECT * FROM echo_rows AT (VERSION => {before[0]}) ORDER BY ALL"
        assert connection.execute(past).fetchall() == rows
    assert tidied
    tables = catalog(lake, "SELECT count(DISTINCT table_id) FROM ducklake_data_file")[0][0]
    assert tidied.files_before > 8
    assert tidied.files_after <= int(str(tables))
    assert tidied.compacted >= tidied.files_before - tidied.files_after
    assert tidied.snapshots_after >= tidied.snapshots_before > 8
    assert tidied.deleted == tidied.orphans == 0
    assert (lake.rows(), lake.states(EchoProcessor())) == (rows, states)
    # As if it had been long ago.
    catalog(lake, "UPDATE ducklake_snapshot SET snapshot_time = snapshot_time - INTERVAL '8 days'")
    long_ago = "UPDATE ducklake_files_scheduled_for_deletion SET schedule_start = now() - INTERVAL"
    first = lake.store.tidy(WEEK)
    catalog(lake, f"{long_ago} '2 days'")
    last = lake.store.tidy(WEEK)
    assert first
    assert last
    assert first.snapshots_after == 1
    assert last.deleted > 12
    assert len(files(lake)) == last.files_after == first.files_after
    assert (lake.rows(), lake.states(EchoProcessor())) == (rows, states)


@pytest.mark.slow(seconds=5)
def test_how_long_nobody_needs_a_file_is_told_by_the_clock_that_noted_it(
    tmp_path: Path, lakes: Lakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose clock is a day ahead would delete at once what somebody reads."""
    lake = lake_of(tmp_path, lakes)
    many_commits(lake, 2)
    tidied = lake.store.tidy(WEEK)
    assert tidied
    assert (tidied.compacted > 0, tidied.deleted) == (True, 0)
    ago = Catalog.ago
    monkeypatch.setattr(Catalog, "ago", lambda catalog, age: ago(catalog, age) + 2 * age)
    tidied = lake.store.tidy(WEEK)
    assert tidied
    assert tidied.deleted > 0


def test_what_a_killed_writer_left_goes_once_nobody_can_be_at_it(
    tmp_path: Path, lakes: Lakes
) -> None:
    lake = lake_of(tmp_path, lakes)
    many_commits(lake, 1)
    some = files(lake)[0]
    young, old = some.with_name("ducklake-1.parquet"), some.with_name("ducklake-2.parquet")
    for path in (young, old):
        shutil.copy(some, path)
    os.utime(young, (time.time() - 3600,) * 2)
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    tidied = lake.store.tidy(WEEK)
    assert tidied
    assert tidied.orphans == 1
    assert young.exists()
    assert not old.exists()


def test_a_reader_of_before_is_told_to_read_again(tmp_path: Path, lakes: Lakes) -> None:
    lake = lake_of(tmp_path, lakes)
    many_commits(lake, 2)
    rows, store = lake.rows(), lake.store

    def read() -> None:
        with store.connect() as connection:
            connection.begin()
            connection.execute("SELECT count(*) FROM session_processor_state").fetchall()
            lake.store.tidy(AT_ONCE)
            connection.execute("SELECT sum(hash(t)) FROM echo_rows t").fetchall()

    with pytest.raises(StoreInterrupted):
        read()
    assert store.query("FROM echo_rows ORDER BY ALL")[0][1] == rows


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize(
    ("cut", "statement"),
    [
        ("cut_before", b"ducklake_data_file VALUES"),
        ("cut_after", b"ducklake_files_scheduled_for_deletion"),
    ],
)
def test_a_line_that_breaks_in_upkeep_costs_no_row(
    tmp_path: Path, lakes: Lakes, cut: str, statement: bytes
) -> None:
    lake = lake_of(tmp_path, lakes)
    many_commits(lake, 2)
    rows, states = lake.rows(), lake.states(EchoProcessor())
    with wire_to(lakes.server.port) as wire:
        database = lake.settings.database
        assert isinstance(database, Lake)
        through = database.catalog.replace(f"port={lakes.server.port}", f"port={wire.port}")
        other = lake.having(database=Lake(through)).store
        other.row_counts(["echo_rows"])
        setattr(wire, cut, statement)
        tidied = other.tidy(AT_ONCE)
        assert wire.cuts == 1
    assert tidied
    assert (lake.rows(), lake.states(EchoProcessor())) == (rows, states)
    lake.store.tidy(AT_ONCE)
    assert (lake.rows(), lake.states(EchoProcessor())) == (rows, states)


class LosingAnAnswer:
    """A place whose line breaks once the server has its nth commit, before anybody hears so."""

    def __init__(self, place: LakePlace, wire: Wire, nth: int) -> None:
        self.place, self.wire, self.left = place, wire, nth

    def __getattr__(self, name: str) -> object:
        return getattr(self.place, name)

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.left -= 1
        if self.left == 0:
            self.wire.cut_after = b"COMMIT"
        self.place.commit(connection)


@pytest.mark.slow(seconds=60)
def test_a_commit_of_upkeep_whose_answer_is_lost_costs_no_file(
    tmp_path: Path, lakes: Lakes
) -> None:
    lake = lake_of(tmp_path, lakes)
    paths = write_many(lake.root, 3)
    lake.run(EchoProcessor())
    with wire_to(lakes.server.port) as wire:
        database = lake.settings.database
        assert isinstance(database, Lake)
        through = database.catalog.replace(f"port={lakes.server.port}", f"port={wire.port}")
        for nth in range(1, 8):
            append(paths[nth % 3], "one line more")
            lake.run(EchoProcessor())
            rows, states = lake.rows(), lake.states(EchoProcessor())
            place = lake.having(database=Lake(through)).store.place
            assert isinstance(place, LakePlace)
            tidy(LosingAnAnswer(place, wire, nth), place.catalog, AT_ONCE)  # ty: ignore[invalid-argument-type]
            assert wire.cuts == nth
            assert (lake.rows(), lake.states(EchoProcessor())) == (rows, states)


def test_a_file_needs_no_upkeep(tmp_path: Path) -> None:
    write_session(tmp_path / "sessions", "alice/x.jsonl", "hello")
    settings = Settings(roots=(Root(tmp_path / "sessions"),), database=tmp_path / "x.duckdb")
    pipeline = Pipeline(tmp_path / "sessions", replace(settings, workers=1))
    pipeline.run(EchoProcessor())
    assert pipeline.store.tidy(WEEK) is None
