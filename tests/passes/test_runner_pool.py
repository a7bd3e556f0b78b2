"""Worker processes give the very rows that this process gives."""

import shutil
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from example_numbers import FILES
from helpers import EXAMPLES, EchoProcessor, Pipeline, make_pipeline, numbers, write_many
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.breadcrumbs import trail
from session_pipeline_dagster.passes.work import Task, Work, Worked
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.store.columns import Packed

TABLES = (*UsageProcessor.tables, "usage_messages_unique", "usage_events_unique")


class SpoiltUsage(UsageProcessor):
    """Fails for bob's invoice sessions."""

    def process(self, session: Session) -> ProcessorResult:
        if "invoice" in session.key:
            raise ValueError
        return super().process(session)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 4000)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    shutil.copytree(EXAMPLES, pipeline.root, dirs_exist_ok=True)
    return pipeline


def contents(pipeline: Pipeline) -> dict[str, list[tuple[object, ...]]]:
    found = {table: pipeline.rows(table) for table in TABLES}
    found["state"] = pipeline.select(
        """SELECT session_file, username, session_day, items_extracted, file_hash, size_bytes,
            lines, unreadable_lines FROM session_processor_state ORDER BY ALL"""
    )
    return found


def in_workers(pipeline: Pipeline) -> Pipeline:
    """The same files, a database of its own, two workers, a commit after every chunk."""
    settings = pipeline.settings
    database = settings.database.with_name("workers.duckdb")
    return Pipeline(
        pipeline.root, replace(settings, database=database, workers=2, batch_bytes=10_000)
    )


@pytest.mark.slow
def test_two_workers_write_the_rows_that_one_process_writes(pipeline: Pipeline) -> None:
    parallel = in_workers(pipeline)
    here, there = pipeline.run(UsageProcessor()), parallel.run(UsageProcessor())
    assert len(there.commit_seconds) > 1
    assert numbers(here) == numbers(there) == (FILES, FILES, 0, 0, 0)
    assert there.items_extracted == here.items_extracted > 0
    assert there.days == here.days
    assert contents(parallel) == contents(pipeline)
    assert contents(pipeline)["usage_messages"]
    assert contents(pipeline)["usage_events"]


@pytest.mark.slow
def test_a_file_that_fails_in_a_worker_costs_itself_only(pipeline: Pipeline) -> None:
    parallel = in_workers(pipeline)
    report = parallel.run(SpoiltUsage())
    spoilt = {key for key, _ in report.errors_detail}
    assert spoilt == {f.key for f in pipeline.source.scan().files if "invoice" in f.key}
    assert report.processed == FILES - len(spoilt)
    assert {f.attempts for f in parallel.failures(UsageProcessor()).values()} == {1}
    parallel.let_back_off_pass()
    parallel.run(UsageProcessor())
    pipeline.run(UsageProcessor())
    assert contents(parallel) == contents(pipeline)


@pytest.mark.slow
def test_a_spent_budget_begins_no_further_chunk_in_workers(pipeline: Pipeline) -> None:
    parallel = in_workers(pipeline)
    report = parallel.run(UsageProcessor(), time_budget=timedelta(microseconds=1))
    assert (report.processed, report.capped) == (0, FILES)
    assert parallel.run(UsageProcessor()).processed == FILES


def test_a_processor_that_cannot_travel_is_run_here(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 40, lines=10)
    echo = EchoProcessor(lambda _session: None)
    assert in_workers(pipeline).run(echo).processed == 40
    assert len(echo.calls) == 40


class Rows:
    """Stands for worker processes: what comes of every chunk holds so many bytes of rows."""

    def __init__(self, size: int) -> None:
        self.submitted, self.came = 0, Worked(rows={"echo_rows": Packed(1, bytes(size))})

    def submit(self, *_: object) -> Future[Worked]:
        self.submitted += 1
        done: Future[Worked] = Future()
        done.set_result(self.came)
        return done


@pytest.mark.parametrize(
    ("size", "ahead"), [(100, 32), (500_000, 32), (1 << 20, 24), (5 << 20, 12)]
)
def test_workers_are_given_a_commits_work_ahead_as_far_as_what_comes_of_it_fits(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, size: int, ahead: int
) -> None:
    write_many(pipeline.root, 90)
    monkeypatch.setattr(pool, "CHUNK_BYTES", 1)
    files = pipeline.source.scan().files
    hired: Any = Rows(size)
    steps = trail(pipeline.store, "echo", 1)
    work = Work(EchoProcessor(), pipeline.source, {}, steps, float("inf"), 60.0)
    taken, most = 0, 0
    for _ in pool.work_through(hired, work, [Task(file, None) for file in files]):
        taken += 1
        most = max(most, hired.submitted - taken)
    assert (taken, hired.submitted) == (len(files), len(files))
    assert most == ahead - 1
