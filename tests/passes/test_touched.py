"""Touched files: stat has changed, bytes have not; their hash settles them, here and alone."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import (
    OLD,
    EchoProcessor,
    Pipeline,
    append,
    expected_rows,
    make_pipeline,
    numbers,
    set_mtime,
    write_many,
)
from places import SUPPORT
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.passes import pool, runner
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.sources.files import Content, Fingerprint, SessionFile
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store

FILES = 6
BAD = "alice/s01.jsonl"


@dataclass(frozen=True, slots=True)
class Watched(LocalSource):
    """Notes what is read whole and what is only hashed; for BAD, `before` comes first."""

    whole: list[str] = field(default_factory=list)
    hashed: list[str] = field(default_factory=list)
    before: object = None

    def read(self, file: SessionFile) -> Content:
        self.whole.append(file.key)
        return LocalSource.read(self, file)

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        self.hashed.append(file.key)
        if file.key == BAD and callable(self.before):
            self.before()
        return LocalSource.fingerprint(self, file)


@pytest.fixture
def echo() -> EchoProcessor:
    return EchoProcessor()


@pytest.fixture
def pipeline(tmp_path: Path, echo: EchoProcessor) -> Pipeline:
    """Files that have been processed and are then touched, all of them."""
    made = make_pipeline(tmp_path)
    write_many(made.root, FILES, lines=3)
    assert made.run(echo).processed == FILES
    echo.calls.clear()
    touch(made)
    return made


def touch(pipeline: Pipeline) -> None:
    for path in pipeline.root.rglob("*.jsonl"):
        set_mtime(path, OLD + timedelta(days=1))


def run(pipeline: Pipeline, echo: EchoProcessor, source: Watched, **options: object) -> BatchReport:
    return run_batch(echo, source, pipeline.store, pipeline.settings, Options(**options))


def watched(pipeline: Pipeline, before: object = None) -> Watched:
    return Watched(pipeline.settings.roots, limits=pipeline.settings.limits, before=before)


def keys(pipeline: Pipeline) -> list[str]:
    return sorted(file.key for file in pipeline.source.scan().files)


@pytest.mark.parametrize("verify", [False, True])
def test_a_pass_over_touched_files_hires_nobody_prepares_nothing_and_reads_none_whole(
    pipeline: Pipeline, echo: EchoProcessor, monkeypatch: pytest.MonkeyPatch, *, verify: bool
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 100)
    monkeypatch.delattr(pool, "hire")
    monkeypatch.delattr(Store, "prepare")
    parallel, source = pipeline.having(workers=2), watched(pipeline)
    report = run(parallel, echo, source, verify=verify)
    # A file that is due is no suspect, but both are looked at.
    assert (report.processed, report.skipped, report.errors) == (0, FILES, 0)
    assert report.bytes == sum(path.stat().st_size for path in pipeline.root.rglob("*.jsonl"))
    assert (sorted(source.hashed), source.whole, echo.calls) == (keys(pipeline), [], [])
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)


def test_a_pass_that_only_signs_imports_no_arrow(pipeline: Pipeline) -> None:
    program = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from helpers import EchoProcessor, Pipeline
from session_pipeline_dagster.settings import Root, Settings
root, database = Path(sys.argv[2]), Path(sys.argv[3])
report = Pipeline(root, Settings(roots=(Root(root),), database=database)).run(EchoProcessor())
print(report.skipped, "pyarrow" in sys.modules)
"""
    given = [SUPPORT, pipeline.root, pipeline.settings.database]
    found = subprocess.run(
        [sys.executable, "-c", program, *given], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [str(FILES), "False"]


def test_of_touched_files_only_the_changed_ones_are_read_and_processed(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    path = pipeline.root / BAD
    path.write_text(path.read_text().replace("line", "LINE"))
    append(pipeline.root / "alice/s03.jsonl", "one more")
    source, seen = watched(pipeline), []
    report = run_batch(
        echo,
        source,
        pipeline.store,
        pipeline.settings,
        progress=lambda count, total: seen.append((count, total)),
    )
    changed = [BAD, "alice/s03.jsonl"]
    assert (report.processed, report.skipped) == (2, FILES - 2)
    assert sorted(source.whole) == sorted(echo.calls) == changed
    # One that has another size is not known, whatever its hash.
    assert sorted(source.hashed) == [key for key in keys(pipeline) if key != changed[1]]
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert seen[-1] == (FILES, FILES)


def test_what_is_processed_is_what_was_read_not_what_was_compared(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    path = pipeline.root / BAD
    path.write_text(path.read_text().replace("line", "LINE"))

    @dataclass(frozen=True, slots=True)
    class Grows(Watched):
        def read(self, file: SessionFile) -> Content:
            append(path, "between")
            return Watched.read(self, file)

    source = Grows(pipeline.settings.roots, limits=pipeline.settings.limits)
    assert run(pipeline, echo, source).processed == 1
    assert pipeline.rows() == expected_rows(pipeline.root)
    (file,) = (file for file in pipeline.source.scan().files if file.key == BAD)
    assert pipeline.states(echo)[BAD].file_hash == pipeline.source.read(file).file_hash
    assert pipeline.run(echo).processed == 0


def test_a_file_that_grows_before_it_is_compared_is_processed_as_it_is_then(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    def write() -> None:
        append(pipeline.root / BAD, "meanwhile")

    source = watched(pipeline, write)
    assert run(pipeline, echo, source).processed == 1
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert pipeline.run(echo).processed == 0


def test_a_file_that_is_deleted_while_it_is_compared_is_no_error(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    source = watched(pipeline, (pipeline.root / BAD).unlink)
    report = run(pipeline, echo, source)
    assert (report.gone, report.skipped, report.errors) == (1, FILES - 1, 0)


def nap() -> None:
    time.sleep(600)


def refuse() -> None:
    raise Permanent("no content at all")


def deny() -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("before", "failure"),
    [(nap, "TookTooLong"), (refuse, "Permanent"), (deny, "PermissionError")],
)
def test_a_file_that_cannot_be_compared_costs_itself_only(
    pipeline: Pipeline, echo: EchoProcessor, before: object, failure: str
) -> None:
    hasty = pipeline.having(file_deadline=timedelta(seconds=0.3))
    report = run(hasty, echo, watched(pipeline, before))
    assert (report.skipped, report.errors) == (FILES - 1, 1)
    assert {k: f.error_class for k, f in pipeline.failures(echo).items()} == {BAD: failure}
    assert not list(pipeline.settings.database.parent.glob("*.working"))


def test_a_spent_budget_leaves_touched_files_as_they_are(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    report = run(pipeline, echo, watched(pipeline), time_budget=timedelta(microseconds=1))
    assert numbers(report) == (FILES, 0, 0, FILES, 0)
    assert numbers(pipeline.run(echo)) == (FILES, 0, FILES, 0, 0)


def test_a_new_version_compares_nothing_because_everything_is_to_be_processed(
    pipeline: Pipeline,
) -> None:
    source, newer = watched(pipeline), EchoProcessor(version=2)
    assert run(pipeline, newer, source).processed == FILES
    assert (source.hashed, sorted(source.whole)) == ([], keys(pipeline))


def test_a_file_that_was_given_up_is_known_by_its_hash_alone(
    tmp_path: Path,
) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 2)

    def give_up(session: object) -> None:
        raise Permanent("never")

    echo = EchoProcessor(give_up)
    assert pipeline.run(echo).errors == 2
    touch(pipeline)
    echo.calls.clear()
    source = watched(pipeline)
    run(pipeline, echo, source)
    assert (sorted(source.hashed), source.whole, echo.calls) == (keys(pipeline), [], [])
    assert all(f.quarantined_at for f in pipeline.failures(echo).values())


@pytest.mark.slow
def test_a_kill_while_files_are_compared_blames_the_one_and_costs_none_its_rows(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    rows, folder, child = pipeline.rows(), pipeline.settings.database.parent, os.fork()
    if not child:
        run(pipeline, echo, watched(pipeline, lambda: os._exit(139)))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 139
    assert pipeline.rows() == rows
    (crumb,) = folder.glob("*.working")
    assert BAD in crumb.read_text().splitlines()[0]
    # It is tried again at once, alone and in a process of its own.
    assert numbers(pipeline.run(echo)) == (FILES, 0, FILES, 0, 0)
    assert (pipeline.failures(echo), pipeline.rows()) == ({}, rows)
    assert not list(folder.glob("*.working"))


def test_the_tasks_are_compared_in_this_process_only(
    pipeline: Pipeline, echo: EchoProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has killed a process before is not touched here."""
    compared: list[str] = []
    real = runner.work_here

    def noting(work: object, tasks: object) -> object:
        compared.extend(task.file.key for task in tasks)
        return real(work, tasks)

    monkeypatch.setattr(runner, "work_here", noting)
    with pipeline.store.connect() as connection:
        connection.execute(
            """INSERT INTO session_processor_failures BY NAME SELECT 'echo' AS processor_name,
            ? AS session_file, 1 AS attempts, 'ProcessDied' AS error_class, '' AS error,
            now() AS first_failed_at, now() AS last_failed_at, now() AS next_attempt_at,
            1 AS tries, 1 AS processor_version""",
            [BAD],
        )
    assert pipeline.run(echo).skipped == FILES
    assert sorted(compared) == [key for key in keys(pipeline) if key != BAD]
