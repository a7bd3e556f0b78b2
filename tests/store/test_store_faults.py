"""What can happen to a database: a full disk, a long lock, two writers, many tiny files."""

import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_store_opening import Holder

from helpers import (
    EXAMPLES,
    EchoProcessor,
    Pipeline,
    append,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
    write_session,
)
from places import SUPPORT
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.errors import StoreBusy, StoreUnusable
from session_pipeline_dagster.passes.plan import look
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).with_name("session-pipeline")

FILL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from helpers import EchoProcessor, Pipeline
from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.settings import Root, Settings

root, database, size = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
settings = Settings(roots=(Root(root),), database=database, workers=1, batch_bytes=300_000)
try:
    Pipeline(root, settings).run(EchoProcessor())
except StoreUnusable as error:
    print(error)
"""


def test_too_little_memory_is_said_and_what_to_set(tmp_path: Path) -> None:
    store = Store(DuckDBFile(tmp_path / "small.duckdb", memory_mb=16))
    with pytest.raises(StoreUnusable, match="set it to more") as found:
        store.query("SELECT list(n) FROM range(5_000_000) AS t(n)")
    assert "SESSION_PIPELINE_DATABASE_MEMORY_MB" in str(found.value)
    assert store.query("SELECT 1") == [(["1"], [(1,)])]


def test_a_database_that_is_taken_between_look_and_commit_costs_only_the_pass(
    tmp_path: Path,
) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    pipeline.run(EchoProcessor())
    before = pipeline.rows(), pipeline.states(EchoProcessor())
    append(pipeline.root / "alice" / "s01.jsonl", "one more")
    holders: list[Holder] = []
    taken = EchoProcessor(hook=lambda _: holders.append(Holder(pipeline.settings.database)))
    with pytest.raises(StoreBusy):
        pipeline.having(lock_timeout=timedelta(seconds=0.2)).run(taken)
    holders[0].let_go()
    assert (pipeline.rows(), pipeline.states(EchoProcessor())) == before
    assert pipeline.failures(EchoProcessor()) == {}
    assert pipeline.run(EchoProcessor()).processed == 1
    assert pipeline.rows() == expected_rows(pipeline.root)


class Wide(EchoProcessor):
    """Two kilobytes a line."""

    def __init__(self) -> None:
        super().__init__(name="wide")
        self.tables = {"wide_rows": "session_file VARCHAR, text VARCHAR"}

    def process(self, session: Session) -> ProcessorResult:
        rows = [(session.key, f"{number:08}" * 256) for number in session.transcript.numbers]
        return ProcessorResult({"wide_rows": rows}, len(rows))


def test_a_batch_larger_than_the_memory_is_written_all_the_same(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path).having(database_memory_mb=32)
    write_many(pipeline.root, 20, lines=2000)
    assert pipeline.run(Wide()).commit_seconds[1:] == []
    (found,) = pipeline.select(
        "SELECT count(*), count(DISTINCT text), sum(length(text)) FROM wide_rows"
    )
    assert found == (40_000, 2000, 40_000 * 2048)


@pytest.mark.parametrize("room", [0, 4_000, 50_000, 100_000])
def test_a_full_disk_fails_the_pass_in_words_and_costs_nothing(tmp_path: Path, room: int) -> None:
    """No file may grow any more, wherever in the pass that hits."""
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    echo = EchoProcessor()
    pipeline.run(echo)
    before = pipeline.rows()
    write_many(pipeline.root, 20, lines=2000)
    size = pipeline.settings.database.stat().st_size + room
    arguments = [SUPPORT, pipeline.root, pipeline.settings.database, str(size)]
    found = subprocess.run(
        [sys.executable, "-c", FILL, *arguments], capture_output=True, text=True, check=True
    )
    assert "its disk is full; make room" in found.stdout
    wanted = expected_rows(pipeline.root)
    for key in {row[0] for row in wanted}:
        rows = [row for row in pipeline.rows() if row[0] == key]
        assert rows in ([r for r in before if r[0] == key], [r for r in wanted if r[0] == key])
    assert pipeline.failures(echo) == {}
    assert pipeline.run(echo).errors == 0
    assert pipeline.rows() == wanted


@pytest.mark.slow(seconds=30)
def test_a_database_that_is_held_for_20_seconds_is_waited_for(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path).having(lock_timeout=timedelta(seconds=60))
    write_many(pipeline.root, 3)
    pipeline.store.known(EchoProcessor())
    holder = Holder(pipeline.settings.database)
    begun, waiter = time.monotonic(), threading.Timer(20, holder.let_go)
    waiter.start()
    try:
        assert numbers(pipeline.run(EchoProcessor())) == (3, 3, 0, 0, 0)
    finally:
        waiter.join()
    # Little more than the holder's time, and no attempt of any file.
    assert 20 <= time.monotonic() - begun < 25
    assert pipeline.failures(EchoProcessor()) == {}
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.slow
def test_command_lines_beside_each_other_double_nothing_and_show_no_error(tmp_path: Path) -> None:
    """No lock of Dagster's is held: a stray run beside the daemon is safe by itself."""
    root, database = tmp_path / "sessions", tmp_path / "x.duckdb"
    for number in range(5):
        shutil.copytree(EXAMPLES, root / f"n{number}")
    for number, said in enumerate(
        (
            "the stock report is closed on the third day of each month.",
            "the stock report is always closed on the third day of each month by the accountants.",
        )
    ):
        write_session(root, f"n0/said{number}.jsonl", f"FYI our convention is that {said}")
    command = [PROGRAM, "run", "--sessions", root, "--database", database]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert (run.returncode, errors) == (0, b"")
    alone = tmp_path / "alone.duckdb"
    subprocess.run([*command[:-1], alone], check=True, capture_output=True)
    tables = ["usage_messages", "usage_events", "usage_sessions", "usage_daily", "verifications"]
    tables += ["verification_readings", "knowledge_items", "verification_evidence"]
    tables += ["knowledge_relations", "knowledge_contradictions"]
    dumps = [
        [Pipeline(root, Settings(database=path)).rows(table) for table in tables]
        for path in (database, alone)
    ]
    assert dumps[0] == dumps[1]
    assert all(dumps[0])


def test_a_file_that_shrank_replaces_its_rows_and_is_counted(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    path = write_session(pipeline.root, "alice/s.jsonl", "a", "b", "c", "d", "e")
    echo = EchoProcessor()
    assert pipeline.run(echo).shrunk == 0
    write_session(pipeline.root, "alice/s.jsonl", "a")
    assert pipeline.run(echo).shrunk == 1
    assert pipeline.rows() == [("alice/s.jsonl", 1, 1)]
    append(path, "more")
    assert pipeline.run(echo).shrunk == 0


@pytest.mark.slow
def test_a_look_at_20_000_files_is_short_and_a_pass_takes_its_cap_of_them(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    for user in range(20):
        folder = pipeline.root / f"u{user:02}"
        folder.mkdir()
        for number in range(1000):
            (folder / f"{number}.jsonl").write_bytes(b"")
    echo = EchoProcessor()
    assert numbers(pipeline.run(echo)) == (20_000, 2_000, 0, 18_000, 0)
    begun = time.process_time()
    known, scan = pipeline.store.known(echo), pipeline.source.scan()
    outlook = look(scan.files, known.states, known.failures, echo.version, datetime.now(UTC))
    assert len(outlook.due) == 18_000
    # CPU, because other programs may be running; 0.3 s on two slow cores.
    assert time.process_time() - begun < 3


@pytest.mark.slow
def test_memory_does_not_follow_the_corpus(tmp_path: Path) -> None:
    """Four times the sessions, the same memory: a batch is committed by its size."""
    peaks = []
    for copies in (10, 40):
        root = tmp_path / f"sessions{copies}"
        text = b"".join(path.read_bytes() for path in sorted(EXAMPLES.rglob("*.jsonl")))
        for number in range(copies):
            (root / "alice").mkdir(parents=True, exist_ok=True)
            (root / "alice" / f"{number}.jsonl").write_bytes(text * 10)
        database = tmp_path / f"{copies}.duckdb"
        code = MEASURE.format(tests=str(SUPPORT), root=str(root), db=str(database))
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        peaks.append(int(found.stdout))
    assert peaks[1] < peaks[0] * 1.3
    assert peaks[1] < 300


MEASURE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from helpers import Pipeline, peak_mb
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root, Settings

root = Path({root!r})
settings = Settings(
    roots=(Root(root),), database=Path({db!r}), workers=1, batch_bytes=8 << 20
)
Pipeline(root, settings).run(UsageProcessor(), max_files=10**6)
print(peak_mb())
"""
