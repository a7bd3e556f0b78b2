"""What SQL of a plugin reaches from inside a lake, and what a process that was killed leaves."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from lakes import Lakes, database_of, missing_files
from places import SUPPORT
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake.scratch import scratch
from tallies import Tallies, batch, held, settled, wanted

TALLIES = Tallies()
PREFIX = "ducklake:postgres:"


@pytest.fixture(scope="module")
def settings(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = lakes.settings(tmp_path_factory.mktemp("lake"))
    open_store(made).prepare(TALLIES)
    return made


@pytest.fixture(scope="module")
def store(settings: Settings) -> Store:
    return open_store(settings)


REFUSED = (
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_text('{data}../work/x')",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{data}../out.csv'",
    "ATTACH '{folder}/other.duckdb' AS other",
    "SELECT * FROM read_parquet('s3://elsewhere/x.parquet')",
    "SELECT * FROM read_text('http://127.0.0.1:9/')",
    "LOAD '{folder}/x.duckdb_extension'",
    "INSTALL json",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET memory_limit = '1TB'",
)
# Whoever installs a plugin lets it do this: the catalog has a role and a database of its own, which
# is no superuser's and holds nothing else.
ALLOWED = (
    "SELECT * FROM postgres_query('__ducklake_metadata_store', 'SELECT 1')",
    "CALL postgres_execute('__ducklake_metadata_store', 'SELECT 1')",
    "SELECT count(*) FROM postgres_scan('{conninfo}', 'pg_catalog', 'pg_class')",
    "ATTACH ':memory:' AS nowhere",
)


@pytest.mark.parametrize("way", ["connect", "transaction"])
@pytest.mark.parametrize("sql", [*REFUSED, *ALLOWED])
def test_only_the_lake_itself_is_reached_from_inside(
    store: Store, settings: Settings, tmp_path: Path, way: str, sql: str
) -> None:
    # A name that DuckDB did not know would be an error, too.
    database = settings.database
    given = {"data": settings.lake_data, "folder": tmp_path, "conninfo": database.catalog}
    open_ = store.connect if way == "connect" else store.place.writing
    with open_() as connection:
        if sql in ALLOWED:
            connection.execute(sql.format(**given)).fetchall()
        else:
            with pytest.raises(
                (duckdb.PermissionException, duckdb.InvalidInputException),
                match=r"disabled|locked|denied",
            ):
                connection.execute(sql.format(**given)).fetchall()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_holds_is_removed_and_no_other(tmp_path: Path) -> None:
    mine = scratch(tmp_path)
    (mine.path / "spilled").write_text("x")
    left = mine.path.parent / "left"
    (left / "temporary").mkdir(parents=True)
    kept = tmp_path / "lake-left"
    kept.mkdir()
    other = scratch(tmp_path)
    assert sorted(mine.path.parent.iterdir()) == sorted([mine.path, other.path])
    mine.remove()
    other.remove()
    assert list(mine.path.parent.iterdir()) == []
    assert kept.is_dir()


PROGRAM = """
import os, signal, sys
from contextlib import contextmanager
from session_pipeline_dagster.store import replacing, write
from session_pipeline_dagster.store.lake.engine import Engine
from session_pipeline_dagster.store.lake.place import LakePlace
import tally_worker
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
@contextmanager
def cut_off(self):
    self.way.unlink()
    yield
    die()
# The first commit is that of `prepare`.
commit, commits = LakePlace.commit, []
def die_later(place, connection):
    if commits:
        if step == "commit":
            die()
        Engine.cut_off = cut_off
    commits.append(1)
    commit(place, connection)
step = sys.argv.pop(1)
if step == "statements":
    write.insert_states = die
else:
    LakePlace.commit = die_later
tally_worker.main()
"""


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("step", ["statements", "commit", "committed"])
def test_a_writer_that_is_killed_leaves_tables_as_before_or_after_and_the_next_is_exact(
    lakes: Lakes, settings: Settings, tmp_path: Path, step: str
) -> None:
    copy = lakes.copy(settings, tmp_path)
    place = [copy.database.catalog, str(copy.lake_data), str(copy.work_dir)]
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, step, *place, "1", "a/1", "b/2"],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        input="go\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list((copy.work_dir / "open-lakes").iterdir())) == 1
    store = open_store(copy)
    calls = [("a/1", 1), ("b/2", 1)] if step == "committed" else []
    assert held(store)["calls"] == calls
    store.commit(TALLIES, batch(2, "a/1", "b/2"))
    settled(store)
    assert held(store) == wanted({"a/1": 2, "b/2": 2}, [*calls, ("a/1", 2), ("b/2", 2)])
    assert not missing_files(copy)
    # One that reads and one that writes; what was left by the killed one is gone.
    assert len(list((copy.work_dir / "open-lakes").iterdir())) == 2


@pytest.mark.slow(seconds=5)
def test_a_function_that_somebody_else_made_does_not_run_with_the_rights_of_who_asks(
    lakes: Lakes, settings: Settings
) -> None:
    """Postgres takes one in `public` whose types fit better than those of its own."""
    with lakes.server.connect(database_of(settings)) as session:
        for kinds in ("int4, int2", "int4, int4"):
            session.execute(
                f"CREATE FUNCTION public.pg_try_advisory_lock({kinds}) RETURNS bool LANGUAGE sql "
                "AS 'CREATE TABLE public.taken (); SELECT true'"
            )
    # What is said in the setting is heard all the same.
    database = Lake(f"{settings.database} options=-cwork_mem=1MB".removeprefix(PREFIX))
    with open_store(replace(settings, database=database)).transaction() as connection:
        told = "FROM postgres_query('__ducklake_metadata_store', $1)"
        asked = ["SELECT current_setting('work_mem')"]
        assert connection.execute(told, asked).fetchall() == [("1MB",)]
    with lakes.server.connect(database_of(settings)) as session:
        assert session.execute("SELECT to_regclass('public.taken')").fetchone() == (None,)
