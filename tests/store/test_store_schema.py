"""A database of any version: brought up with a copy kept, or refused with what to do."""

import gzip
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from places import DATA
from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store import schema as store_schema
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

STORES = DATA / "stores"
CASES = DATA / "golden" / "cases"
VERSIONS = range(1, store_schema.VERSION + 1)
ROWS = {"usage_messages": 8, "usage_sessions": 5, "session_processor_state": 5, "usage_daily": 2}
"""What the pass over alice = case 08 and bob = case 07 left that made each of the stores."""


class AsThen(UsageProcessor):
    """In the version that made the stores: a newer one reads every file again."""

    version = 1


def unpack(folder: Path, version: int) -> Store:
    """A database as that version of the schema left it."""
    database = folder / "old.duckdb"
    database.write_bytes(gzip.decompress((STORES / f"schema-{version}.duckdb.gz").read_bytes()))
    return Store(DuckDBFile(database))


def schema(store: Store) -> list[tuple[object, ...]]:
    (_, columns), (_, version) = store.query(
        """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE table_name LIKE 'session%' ORDER BY table_name, column_index""",
        "SELECT version FROM session_pipeline_schema",
    )
    return [*columns, *version]


def say_version(store: Store, sql: str) -> None:
    with store.connect() as connection:
        connection.execute(f"DELETE FROM session_pipeline_schema; {sql}")


def test_a_database_of_every_version_is_kept() -> None:
    assert [f"schema-{v}.duckdb.gz" for v in VERSIONS] == sorted(p.name for p in STORES.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_store_is_brought_up_and_keeps_every_row(tmp_path: Path, version: int) -> None:
    old, new = unpack(tmp_path, version), Store(DuckDBFile(tmp_path / "new.duckdb"))
    known, _ = old.known(UsageProcessor()), new.known(UsageProcessor())
    assert schema(old) == schema(new)
    assert old.row_counts(ROWS) == ROWS
    assert len(known.states) == 5
    assert known.failures == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_files_of_an_older_store_are_not_processed_again(tmp_path: Path, version: int) -> None:
    old, root = unpack(tmp_path, version), tmp_path / "sessions"
    for user, case in (("alice", "08_subagents_dir"), ("bob", "07_fork_copies_history")):
        for path in (CASES / case / "projects").rglob("*.jsonl"):
            target = root / user / path.relative_to(CASES / case / "projects")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    ((columns, before),) = old.query("FROM usage_messages ORDER BY ALL")
    settings = Settings(workers=1)
    report = run_all(AsThen(), LocalSource((Root(root),)), old, settings, Options())
    assert (report.processed, report.skipped, report.errors) == (0, 5, 0)
    kept = f"SELECT {', '.join(columns)} FROM usage_messages ORDER BY ALL"
    assert old.query(kept) == [(columns, before)]


@pytest.mark.parametrize("version", VERSIONS)
def test_whose_files_they_are_is_answered_by_an_older_store_too(
    tmp_path: Path, version: int
) -> None:
    """`forget` asks it before anything else has brought it up."""
    named, failed = unpack(tmp_path, version).files_of("bob")
    assert {key.partition("/")[0] for key in named} == {"bob"}
    assert failed == {}


def test_a_copy_of_the_older_store_is_kept_beside_it(tmp_path: Path) -> None:
    store = unpack(tmp_path, 1)
    store.known(UsageProcessor())
    assert {p.name for p in tmp_path.iterdir()} == {"old.duckdb", "old.duckdb.schema-1"}
    with duckdb.connect(tmp_path / "old.duckdb.schema-1") as connection:
        assert connection.execute("FROM session_pipeline_schema").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM usage_messages").fetchall() == [(8,)]


def test_a_copy_holds_what_a_killed_process_left_in_the_log(tmp_path: Path) -> None:
    store = unpack(tmp_path, 1)
    code = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1], config={"storage_compatibility_version": "v1.5.0"})
connection.execute("UPDATE session_processor_state SET run_id = 'killed'")
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "old.duckdb"], check=False)
    assert (tmp_path / "old.duckdb.wal").exists()
    store.known(UsageProcessor())
    for name in ("old.duckdb", "old.duckdb.schema-1"):
        with duckdb.connect(tmp_path / name) as connection:
            sql = "SELECT DISTINCT run_id FROM session_processor_state"
            assert connection.execute(sql).fetchall() == [("killed",)]


def test_the_lock_is_held_all_the_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may write between the copy and the migration."""
    store, answers = unpack(tmp_path, 1), []
    code = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    run = store_schema._run

    def looking(*given: object) -> None:
        command = [sys.executable, "-c", code, str(tmp_path / "old.duckdb")]
        answers.append(subprocess.run(command, capture_output=True, check=False).stderr)
        run(*given)

    monkeypatch.setattr(store_schema, "_run", looking)
    store.known(UsageProcessor())
    assert len(answers) == 1
    assert b"Conflicting lock" in answers[0]


def test_a_step_that_fails_changes_nothing_and_the_next_start_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = unpack(tmp_path, 1)
    with duckdb.connect(tmp_path / "old.duckdb") as connection:
        before = connection.execute("FROM duckdb_columns() ORDER BY ALL").fetchall()
    steps = store_schema.STEPS
    monkeypatch.setattr(
        store_schema, "STEPS", steps | {2: (*steps[2], "ALTER TABLE nothing ADD a INT")}
    )
    with pytest.raises(duckdb.CatalogException):
        store.known(UsageProcessor())
    with duckdb.connect(tmp_path / "old.duckdb") as connection:
        assert connection.execute("FROM duckdb_columns() ORDER BY ALL").fetchall() == before
        assert connection.execute("FROM session_pipeline_schema").fetchall() == [(1,)]
    monkeypatch.setattr(store_schema, "STEPS", steps)
    store.known(UsageProcessor())
    assert schema(store)[-1] == (store_schema.VERSION,)


def test_eight_threads_bring_an_older_store_up_once(tmp_path: Path) -> None:
    store, problems = unpack(tmp_path, 1), []

    def look() -> None:
        try:
            store.known(UsageProcessor())
        except Exception as error:  # noqa: BLE001  a thread's error would be lost
            problems.append(error)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert schema(store)[-1] == (store_schema.VERSION,)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("INSERT INTO session_pipeline_schema VALUES (99)", "schema 99.*upgrade"),
        ("INSERT INTO session_pipeline_schema VALUES (0)", "is damaged"),
        ("INSERT INTO session_pipeline_schema VALUES (NULL)", "is damaged"),
        ("INSERT INTO session_pipeline_schema VALUES (1), (2)", "is damaged"),
    ],
)
def test_a_store_of_a_newer_or_senseless_schema_is_refused_and_left_alone(
    tmp_path: Path, sql: str, message: str
) -> None:
    store = Store(DuckDBFile(tmp_path / "x.duckdb"))
    store.known(UsageProcessor())
    say_version(store, sql)
    before = (tmp_path / "x.duckdb").read_bytes()
    with pytest.raises(StoreUnusable, match=message):
        store.known(UsageProcessor())
    assert (tmp_path / "x.duckdb").read_bytes() == before


def test_a_store_whose_making_was_cut_short_is_made(tmp_path: Path) -> None:
    store, fresh = unpack(tmp_path, 1), Store(DuckDBFile(tmp_path / "fresh.duckdb"))
    say_version(store, "")
    store.known(UsageProcessor())
    fresh.known(UsageProcessor())
    assert schema(store) == schema(fresh)


def test_no_room_for_the_copy_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    store = unpack(tmp_path, 1)
    (tmp_path / "old.duckdb.schema-1.part").symlink_to(tmp_path / "no" / "room")
    before = (tmp_path / "old.duckdb").read_bytes()
    with pytest.raises(StoreUnusable, match="make room there"):
        store.known(UsageProcessor())
    assert (tmp_path / "old.duckdb").read_bytes() == before


def test_what_a_key_said_of_its_root_is_written_down_and_other_agents_files_are_looked_at_again(
    tmp_path: Path,
) -> None:
    store = unpack(tmp_path, 2)
    rows = [("eu:alice/a.jsonl", 9, 3), ("alice/b.jsonl", 9, 9), ("alice/x:y/c.jsonl", 0, 0)]
    with duckdb.connect(tmp_path / "old.duckdb") as connection:
        for key, lines, unknown in rows:
            connection.execute(
                """INSERT INTO session_processor_state (processor_name, session_file,
                    processor_version, lines, unknown_lines) VALUES ('usage', ?, 1, ?, ?)""",
                [key, lines, unknown],
            )
        connection.execute(
            """INSERT INTO session_processor_failures (processor_name, session_file, error_class,
                error, attempts) VALUES ('usage', 'eu:bob/d.jsonl', 'E', 'e', 1)"""
        )
    known = store.known(UsageProcessor())
    roots = {key: known.states[key].root for key, _, _ in rows}
    assert roots == {"eu:alice/a.jsonl": "eu", "alice/b.jsonl": "", "alice/x:y/c.jsonl": ""}
    assert known.failures["eu:bob/d.jsonl"].root == "eu"
    versions = {key: known.states[key].processor_version for key, _, _ in rows}
    assert versions == {"eu:alice/a.jsonl": 1, "alice/b.jsonl": 0, "alice/x:y/c.jsonl": 1}
