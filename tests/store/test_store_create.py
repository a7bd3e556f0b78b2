"""A database is made whole or not at all, whoever dies or comes along meanwhile."""

import fcntl
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from helpers import EchoProcessor, Pipeline, make_pipeline, write_many
from session_pipeline_dagster.errors import StoreBusy, StoreUnusable
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

# Three processes find no file at the same moment, again and again.
MEET = """
import multiprocessing, sys
from pathlib import Path
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

def open_it(database, together):
    together.wait()
    with Store(DuckDBFile(database)).connect():
        pass

fork = multiprocessing.get_context("fork")
for number in range(int(sys.argv[2])):
    together = fork.Barrier(3)
    database = Path(sys.argv[1]) / f"{number}.duckdb"
    processes = [fork.Process(target=open_it, args=(database, together)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    assert codes == [0, 0, 0], (number, codes)
"""

MEETINGS = 60

DIE = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE t (i INTEGER)")
os._exit(0)
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    return pipeline


def assert_it_works_and_stands_alone(pipeline: Pipeline) -> None:
    assert pipeline.run(EchoProcessor()).processed == 3
    database = pipeline.settings.database
    found = database.parent.glob(f"{database.name}*")
    beside = [path.name for path in found if path.suffix != ".first-day"]
    assert beside == [database.name]


@pytest.mark.slow
def test_processes_that_find_no_database_at_once_all_get_one(tmp_path: Path) -> None:
    script = [sys.executable, "-c", MEET, str(tmp_path), str(MEETINGS)]
    met = subprocess.run(script, capture_output=True, text=True, check=False)
    assert met.returncode == 0, met.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{number}.duckdb" for number in range(MEETINGS)
    )


def test_an_empty_file_that_a_death_left_becomes_a_database(pipeline: Pipeline) -> None:
    pipeline.settings.database.touch()
    assert_it_works_and_stands_alone(pipeline)


@pytest.mark.parametrize("part", [0, 1, 5000, 12288])
def test_what_a_death_in_the_middle_left_is_replaced(pipeline: Pipeline, part: int) -> None:
    database = pipeline.settings.database
    database.with_name(f"{database.name}.creating").touch()
    database.with_name(f"{database.name}.new").write_bytes(b"x" * part)
    assert_it_works_and_stands_alone(pipeline)


def test_the_log_of_a_database_that_was_deleted_is_not_replayed_into_the_next(
    pipeline: Pipeline,
) -> None:
    database = pipeline.settings.database
    subprocess.run([sys.executable, "-c", DIE, database], check=True)
    assert database.with_name(f"{database.name}.wal").exists()
    database.unlink()
    assert_it_works_and_stands_alone(pipeline)
    with pipeline.store.connect() as connection, pytest.raises(duckdb.CatalogException):
        connection.execute("FROM t")


def test_one_waits_for_another_that_makes_it_and_gives_up_in_words(pipeline: Pipeline) -> None:
    database = pipeline.settings.database
    with database.with_name(f"{database.name}.creating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy, match=r"test\.duckdb is held by another process"):
            Store(DuckDBFile(database, timedelta(seconds=0.1))).row_counts(["x"])
        assert not database.exists()
    assert_it_works_and_stands_alone(pipeline)


def test_a_link_to_where_nothing_is_yet_stays_a_link(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    pipeline.settings.database.symlink_to(tmp_path / "disk" / "real.duckdb")
    assert_it_works_and_stands_alone(pipeline)
    assert pipeline.settings.database.is_symlink()
    there = {path.name for path in (tmp_path / "disk").iterdir()}
    assert there - {"real.duckdb.first-day"} == {"real.duckdb"}


def test_a_place_that_takes_no_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be used: File name too long"):
        Store(DuckDBFile(tmp_path / ("x" * 250))).row_counts(["x"])
