"""What a processor may declare for its passes: a beginning, journals, counts, threads."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers import EchoProcessor, Pipeline, make_pipeline, write_many, write_session
from session_pipeline_dagster.contract.processor import (
    Processor,
    ProcessorResult,
    Session,
    asset_tables,
    relations,
)
from session_pipeline_dagster.contract.registry import check_contract
from session_pipeline_dagster.errors import (
    ContractError,
    Deferred,
    Permanent,
    Retryable,
    SettingsError,
)
from session_pipeline_dagster.passes import pool, writer
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store


class Journaling(EchoProcessor):
    """Notes a row for every file before anything else happens to it."""

    journals = {"echo_calls": "session_file VARCHAR, n BIGINT"}

    def process(self, session: Session) -> ProcessorResult:
        session.notes.add("echo_calls", (session.key, 1))
        session.notes.count("echo_calls")
        return super().process(session)


class Threaded(Journaling):
    threads = 3


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def calls(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        "SELECT session_file, count(*) FROM echo_calls GROUP BY ALL ORDER BY ALL"
    )


@pytest.mark.parametrize("kind", [Journaling, Threaded])
@pytest.mark.parametrize("error", [ValueError("x"), Permanent("x"), Retryable("x"), Deferred("x")])
def test_a_journal_keeps_the_rows_of_files_that_fail(
    pipeline: Pipeline, kind: type[Journaling], error: Exception
) -> None:
    def fail(session: Session) -> None:
        if session.key.endswith("s01.jsonl"):
            raise error

    write_many(pipeline.root, 3)
    report = pipeline.run(kind(fail))
    assert report.processed == 2
    assert calls(pipeline) == [(f"alice/s0{n}.jsonl", 1) for n in range(3)]
    assert report.counts == {"echo_calls": 3}


def test_a_journal_s_rows_are_added_and_never_replaced(pipeline: Pipeline) -> None:
    (path,) = write_many(pipeline.root, 1)
    pipeline.run(Journaling())
    pipeline.run(Journaling(), full_refresh=True)
    path.write_text("")
    pipeline.run(Journaling())
    assert calls(pipeline) == [("alice/s00.jsonl", 3)]
    assert pipeline.rows() == []


def test_a_deferred_file_stays_pending_and_nothing_is_noted_against_it(pipeline: Pipeline) -> None:
    def defer(session: Session) -> None:
        if session.key != "alice/s00.jsonl":
            raise Deferred("no room")

    write_many(pipeline.root, 3)
    report = pipeline.run(EchoProcessor(defer))
    assert (report.processed, report.capped, report.errors) == (1, 2, 0)
    assert pipeline.failures(EchoProcessor()) == {}
    assert pipeline.run(EchoProcessor()).processed == 2


@pytest.mark.parametrize("row", [(1,), ("other/file.jsonl", 1), ("alice/s01.jsonl", "no number")])
def test_a_wrong_row_of_a_journal_costs_its_file_only(
    pipeline: Pipeline, row: tuple[object, ...]
) -> None:
    def spoil(session: Session) -> None:
        if session.key.endswith("s01.jsonl"):
            session.notes.add("echo_calls", row)

    write_many(pipeline.root, 3)
    report = pipeline.run(Journaling(spoil))
    assert (report.processed, report.errors) == (2, 1)
    assert [key for key, _ in report.errors_detail] == ["alice/s01.jsonl"]


def test_a_journal_is_an_asset_and_a_relation_and_needs_a_session_file() -> None:
    processor = Journaling()
    assert asset_tables(processor) == ["echo_rows", "echo_calls"]
    assert "echo_calls" in relations(processor)

    class Broken(EchoProcessor):
        journals = {"echo_calls": "n BIGINT"}

    with pytest.raises(ContractError, match="session_file"):
        check_contract(Broken())


def test_a_pass_begins_before_a_file_is_touched(pipeline: Pipeline) -> None:
    class Unready(EchoProcessor):
        def begin(self, settings: Settings, run_id: str | None) -> Processor:
            raise SettingsError("set ECHO_KEY")

    write_many(pipeline.root, 1)
    with pytest.raises(SettingsError, match="ECHO_KEY"):
        pipeline.run(Unready())
    assert not pipeline.settings.database.exists()


def test_a_pass_has_a_processor_of_its_own(pipeline: Pipeline) -> None:
    class Beginning(EchoProcessor):
        def begin(self, settings: Settings, run_id: str | None) -> Processor:
            begun.append((settings, run_id))
            return worker

    begun: list[tuple[Settings, str | None]] = []
    worker = EchoProcessor()
    write_many(pipeline.root, 2)
    assert pipeline.run(Beginning(), run_id="r1").processed == 2
    assert begun == [(pipeline.settings, "r1")]
    assert len(worker.calls) == 2


@pytest.mark.parametrize("threads", [0, 2])
def test_a_settings_error_ends_the_pass_and_keeps_what_was_done(
    pipeline: Pipeline, threads: int
) -> None:
    def refuse(session: Session) -> None:
        if session.key.endswith("s03.jsonl"):
            raise SettingsError("the key is refused")
        # As long as an answer takes at least: others do not rush past the refusal.
        time.sleep(0.02)

    processor = Threaded(refuse)
    processor.threads = threads
    write_many(pipeline.root, 40)
    with pytest.raises(SettingsError):
        pipeline.run(processor)
    assert pipeline.failures(processor) == {}
    assert len(processor.calls) < 10
    if threads:
        assert ("alice/s03.jsonl", 1) in calls(pipeline)
        assert len(pipeline.states(processor)) >= 3


def test_threads_work_on_so_many_files_at_once_and_write_the_same(pipeline: Pipeline) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def wait(_session: Session) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    write_many(pipeline.root, 9)
    write_session(pipeline.root, "bob/x.jsonl", "hello")
    processor = Threaded(wait)
    report = pipeline.run(processor)
    assert (report.processed, most) == (10, 3)
    other = make_pipeline_beside(pipeline)
    other.run(EchoProcessor())
    assert pipeline.rows() == other.rows()


def make_pipeline_beside(pipeline: Pipeline) -> Pipeline:
    """The same files, another database."""
    return pipeline.having(database=pipeline.settings.database.with_name("beside.duckdb"))


def test_threads_begin_nothing_after_the_time_budget(pipeline: Pipeline) -> None:
    write_many(pipeline.root, 12)
    processor = Threaded(lambda _session: time.sleep(0.1))
    report = pipeline.run(processor, time_budget=timedelta(seconds=0.15))
    assert 0 < report.processed < 12
    assert report.processed + report.capped == 12


def test_slow_files_are_committed_before_the_pass_ends(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LONGEST_UNCOMMITTED", 0.05)
    write_many(pipeline.root, 6)
    report = pipeline.run(Threaded(lambda _session: time.sleep(0.1)))
    assert len(report.commit_seconds) > 1


def test_where_commits_take_long_they_are_as_much_rarer(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of eleven seconds each: more than the longest that is left uncommitted."""
    now, commit = 0.0, Store.commit

    def after(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow(store: Store, *given: Any) -> frozenset[str]:
        after(5.0)
        return commit(store, *given)

    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(writer, "time", clock)
    monkeypatch.setattr(Store, "commit", slow)
    monkeypatch.setattr(pool, "CHUNK_BYTES", 1)
    write_many(pipeline.root, 11)
    report = pipeline.run(EchoProcessor(lambda _: after(11.0)))
    # After the first file; then ten times what a commit takes lie between two.
    assert (report.processed, report.commit_seconds) == (11, [5.0, 5.0, 5.0])
