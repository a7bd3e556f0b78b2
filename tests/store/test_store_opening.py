"""How the DuckDB file is opened, and what is refused."""

import struct
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from helpers import EchoProcessor, Pipeline, make_pipeline, write_many
from session_pipeline_dagster.errors import StoreBusy, StoreUnusable
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

HOLD = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


@pytest.fixture
def store(pipeline: Pipeline) -> Store:
    return pipeline.store


def test_a_missing_folder_is_refused_and_the_setting_named(tmp_path: Path) -> None:
    store = Store(DuckDBFile(tmp_path / "gone" / "x.duckdb"))
    with pytest.raises(StoreUnusable, match="SESSION_PIPELINE_DATABASE"):
        store.row_counts(["x"])
    assert not (tmp_path / "gone").exists()


def test_the_default_folder_is_created(tmp_path: Path) -> None:
    database = tmp_path / "var" / "deep" / "x.duckdb"
    Store(DuckDBFile(database, create_folder=True)).known(EchoProcessor())
    assert database.is_file()


def test_a_folder_that_cannot_be_created_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    with pytest.raises(StoreUnusable, match="var"):
        Store(DuckDBFile(tmp_path / "var" / "x.duckdb", create_folder=True)).row_counts(["x"])


def test_a_text_file_is_no_database(pipeline: Pipeline) -> None:
    pipeline.settings.database.write_text("these are my notes\n" * 1000)
    with pytest.raises(StoreUnusable, match="is not a DuckDB file; set SESSION_PIPELINE_DATABASE"):
        pipeline.store.known(EchoProcessor())
    assert pipeline.settings.database.read_text().startswith("these are my notes")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_database_that_was_cut_off_is_refused_in_words(pipeline: Pipeline, kept: float) -> None:
    write_many(pipeline.root, 3)
    pipeline.run(EchoProcessor())
    database = pipeline.settings.database
    whole = database.read_bytes()
    database.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(StoreUnusable, match=r"test\.duckdb"):
        pipeline.run(EchoProcessor())


def test_a_newer_schema_is_refused(store: Store) -> None:
    store.known(EchoProcessor())
    with store.connect() as connection:
        connection.execute("UPDATE session_pipeline_schema SET version = 99")
    for touch in (lambda: store.known(EchoProcessor()), lambda: store.prepare(EchoProcessor())):
        with pytest.raises(StoreUnusable, match=r"schema 99.*upgrade session-pipeline-dagster"):
            touch()


def header_checksum(block: bytes) -> int:
    """DuckDB's checksum of a header block."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        found ^= word * 0xBF58476D1CE4E5B9 & (2**64 - 1)
    return found


def test_a_file_of_a_newer_duckdb_is_refused_and_says_upgrade(pipeline: Pipeline) -> None:
    pipeline.store.known(EchoProcessor())
    content = bytearray(pipeline.settings.database.read_bytes())
    assert struct.unpack_from("<Q", content)[0] == header_checksum(content[8:4096])
    struct.pack_into("<Q", content, 12, 10_000)  # the storage version behind the magic bytes
    struct.pack_into("<Q", content, 0, header_checksum(content[8:4096]))
    pipeline.settings.database.write_bytes(content)
    with pytest.raises(StoreUnusable, match=r"newer DuckDB.*upgrade"):
        pipeline.store.known(EchoProcessor())


def open_elsewhere(database: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys, duckdb; duckdb.connect(sys.argv[1]).close()"
    return subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=False
    )


def test_the_connection_is_closed_when_the_body_raises(pipeline: Pipeline) -> None:
    store = pipeline.store

    def fail_inside() -> None:
        with store.connect() as connection:
            connection.execute("CREATE TABLE t (i INTEGER)")
            assert open_elsewhere(pipeline.settings.database).returncode != 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert open_elsewhere(pipeline.settings.database).returncode == 0


class Holder:
    """Another process that holds the database until told to let go."""

    def __init__(self, database: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"held\n"

    def let_go(self) -> None:
        self.process.communicate(b"\n", timeout=30)


def test_a_held_lock_is_busy_after_the_timeout_and_names_the_holder(pipeline: Pipeline) -> None:
    pipeline.store.known(EchoProcessor())
    holder = Holder(pipeline.settings.database)
    try:
        with pytest.raises(StoreBusy) as caught:
            pipeline.store.known(EchoProcessor(), timeout=timedelta(seconds=0.2))
        assert caught.value.pid == holder.process.pid
        assert f"process {holder.process.pid}" in str(caught.value)
    finally:
        holder.let_go()


def test_a_lock_that_is_freed_in_time_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.store.known(EchoProcessor())
    holder = Holder(pipeline.settings.database)
    waiter = threading.Timer(0.3, holder.let_go)
    waiter.start()
    try:
        assert pipeline.store.known(EchoProcessor()).states == {}
    finally:
        waiter.join()


@pytest.mark.parametrize(
    "statement",
    [
        "SET threads = 4",
        "SET enable_external_access = true",
        "ATTACH '{folder}/other.duckdb'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "SELECT * FROM read_csv('{folder}/in.csv')",
        "SELECT * FROM '{folder}/in.csv'",
        "SELECT * FROM read_text('{folder}/in.csv')",
    ],
)
def test_what_reaches_outside_the_file_is_refused(
    store: Store, tmp_path: Path, statement: str
) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n")
    before = {path.name for path in tmp_path.iterdir()} | {"test.duckdb"}
    with store.connect() as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} <= before


def test_python_variables_are_no_tables(store: Store) -> None:
    secret = pa.table({"a": [1]})
    assert secret.num_rows == 1
    with store.connect() as connection, pytest.raises(duckdb.CatalogException):
        connection.execute("FROM secret")
