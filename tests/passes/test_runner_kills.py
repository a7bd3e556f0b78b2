"""Processes that die or meet: nothing is lost, nothing doubled."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, append, expected_rows, make_pipeline, write_many
from places import SUPPORT

FILES = 40

RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from helpers import EchoProcessor, make_pipeline, Pipeline
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.settings import Root, Settings

pool.CHUNK_BYTES = 1000
root, database, fatal = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
settings = Settings(roots=(Root(root),), database=database, batch_bytes=2000, workers=1)
pipeline = Pipeline(root, settings)

def die(_session):
    if len(echo.calls) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

echo = EchoProcessor(die)
print("ready", flush=True)
sys.stdin.readline()
run_all(echo, pipeline.source, pipeline.store, settings, Options())
"""


def start(pipeline: Pipeline, fatal: int = 0) -> subprocess.Popen[bytes]:
    """A process that runs everything once told to; it kills itself at the fatal file."""
    tests, settings = SUPPORT, pipeline.settings
    return subprocess.Popen(
        [sys.executable, "-c", RUN, tests, pipeline.root, settings.database, str(fatal)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(b"\n", timeout=120)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode


def state(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        """SELECT session_file, items_extracted, file_hash, size_bytes, mtime_ns, ctime_ns, lines
        FROM session_processor_state ORDER BY ALL"""
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, FILES)
    return pipeline


def assert_everything_is_done_once(pipeline: Pipeline) -> None:
    assert pipeline.rows() == expected_rows(pipeline.root)
    files = pipeline.source.scan().files
    assert [(row[0], row[3:6]) for row in state(pipeline)] == [
        (f.key, (f.signature.size, f.signature.mtime_ns, f.signature.ctime_ns)) for f in files
    ]


@pytest.mark.slow
@pytest.mark.parametrize("fatal", [1, 2, 5, 11, 23, FILES])
def test_a_kill_at_any_file_leaves_whole_batches_and_the_next_pass_does_the_rest(
    pipeline: Pipeline, fatal: int
) -> None:
    assert finish(start(pipeline, fatal)) == -signal.SIGKILL
    echo = EchoProcessor()
    pipeline.store.prepare(echo)
    survived = set(pipeline.states(echo))
    assert {row[0] for row in pipeline.rows()} == survived
    assert pipeline.rows() == [r for r in expected_rows(pipeline.root) if r[0] in survived]
    assert len(survived) < fatal
    assert survived or fatal < 20
    report = pipeline.run(echo)
    assert report.processed == FILES - len(survived)
    assert_everything_is_done_once(pipeline)
    assert pipeline.run(echo).scanned == 0


@pytest.mark.slow
def test_a_kill_while_files_are_replaced_keeps_the_old_rows_or_has_the_new(
    pipeline: Pipeline,
) -> None:
    pipeline.run(EchoProcessor())
    before = pipeline.rows()
    for path in pipeline.root.glob("*/*.jsonl"):
        append(path, "grown")
    assert finish(start(pipeline, 20)) == -signal.SIGKILL
    wanted, found = expected_rows(pipeline.root), pipeline.rows()
    for key in {row[0] for row in wanted}:
        rows = [row for row in found if row[0] == key]
        assert rows in ([r for r in before if r[0] == key], [r for r in wanted if r[0] == key])
    assert before != found != wanted
    pipeline.run(EchoProcessor())
    assert_everything_is_done_once(pipeline)


@pytest.mark.slow
def test_two_processes_at_once_double_nothing_and_lose_nothing(pipeline: Pipeline) -> None:
    processes = [start(pipeline), start(pipeline)]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [finish(process) for process in processes] == [0, 0]
    assert_everything_is_done_once(pipeline)
    assert pipeline.failures(EchoProcessor()) == {}
