"""One pass: what is taken, in which order, up to which limit, and what the report says."""

import math
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

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
    write_session,
)
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


@pytest.fixture
def echo() -> EchoProcessor:
    return EchoProcessor()


def test_a_second_pass_finds_nothing_and_does_not_call_the_processor(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 3)
    first = pipeline.run(echo)
    assert numbers(first) == (3, 3, 0, 0, 0)
    assert (first.session_files, first.items_extracted, first.lines) == (3, 6, 6)
    assert pipeline.rows() == expected_rows(pipeline.root)
    echo.calls.clear()
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)
    assert echo.calls == []


def test_a_root_without_files_is_fine_and_a_missing_root_is_not(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 1)
    pipeline.run(echo)
    before = pipeline.rows()
    shutil.rmtree(pipeline.root)
    with pytest.raises(SourceUnavailable, match="sessions"):
        pipeline.run(echo)
    assert pipeline.rows() == before
    assert list(pipeline.states(echo)) == ["alice/s00.jsonl"]
    pipeline.root.mkdir()
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)
    assert pipeline.rows() == before


def test_an_empty_result_marks_the_file(pipeline: Pipeline) -> None:
    class Nothing(EchoProcessor):
        def process(self, session: Session) -> ProcessorResult:
            self.calls.append(session.key)
            return ProcessorResult({}, 0)

    nothing = Nothing()
    write_many(pipeline.root, 1)
    (pipeline.root / "alice" / "empty.jsonl").touch()
    assert numbers(pipeline.run(nothing)) == (2, 2, 0, 0, 0)
    pipeline.run(nothing)
    assert sorted(nothing.calls) == ["alice/empty.jsonl", "alice/s00.jsonl"]


def test_done_for_one_processor_is_pending_for_the_other(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 2)
    pipeline.run(echo)
    assert numbers(pipeline.run(EchoProcessor(name="other"))) == (2, 2, 0, 0, 0)


def test_a_failing_processor_changes_nothing_for_another(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    def fail(_session: Session) -> None:
        raise ValueError

    write_many(pipeline.root, 3)
    broken = EchoProcessor(fail, name="broken")
    assert numbers(pipeline.run(broken)) == (3, 0, 0, 0, 3)
    assert numbers(pipeline.run(echo)) == (3, 3, 0, 0, 0)
    assert pipeline.failures(echo) == {}
    assert pipeline.states(broken) == {}
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert pipeline.rows("broken_rows") == []


def test_the_rest_of_a_capped_pass_is_taken_by_the_next(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 3)
    assert numbers(pipeline.run(echo, max_files=2)) == (3, 2, 0, 1, 0)
    assert numbers(pipeline.run(echo, max_files=2)) == (1, 1, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_the_settings_cap_a_pass_by_processor(pipeline: Pipeline, echo: EchoProcessor) -> None:
    write_many(pipeline.root, 3)
    capped = pipeline.having(max_files={"echo": 1}, max_files_per_run=2)
    assert numbers(capped.run(EchoProcessor(name="other"))) == (3, 2, 0, 1, 0)
    assert numbers(capped.run(echo)) == (3, 1, 0, 2, 0)
    options = Options(max_files=1, time_budget=timedelta(microseconds=1))
    whole = run_all(echo, capped.source, capped.store, capped.settings, options)
    assert numbers(whole) == (2, 2, 0, 0, 0)


def test_what_is_done_when_the_budget_is_spent_stays_done(
    pipeline: Pipeline, echo: EchoProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: math.inf if echo.calls else 0.0)
    monkeypatch.setattr(pool, "time", clock)
    write_many(pipeline.root, 3)
    assert numbers(pipeline.run(echo)) == (3, 1, 0, 2, 0)
    assert len(pipeline.rows()) == 2
    monkeypatch.undo()
    assert numbers(pipeline.run(echo)) == (2, 2, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_files_are_taken_by_attempts_and_then_by_age(pipeline: Pipeline) -> None:
    def fail_twice(session: Session) -> None:
        if session.key.endswith(("s00.jsonl", "s01.jsonl")):
            raise ValueError

    write_many(pipeline.root, 4)
    set_mtime(pipeline.root / "alice" / "s03.jsonl", OLD - timedelta(days=1))
    echo = EchoProcessor(fail_twice)
    pipeline.run(echo)
    assert echo.calls == [f"alice/s0{number}.jsonl" for number in (3, 0, 1, 2)]
    write_session(pipeline.root, "bob/new.jsonl", "young and healthy")
    set_mtime(pipeline.root / "bob" / "new.jsonl", OLD + timedelta(days=9))
    pipeline.let_back_off_pass()
    echo.calls.clear()
    pipeline.run(echo, max_files=2)
    assert echo.calls == ["bob/new.jsonl", "alice/s00.jsonl"]


def test_poison_files_in_front_starve_nobody(pipeline: Pipeline) -> None:
    def poison(session: Session) -> None:
        if session.user == "alice":
            raise ValueError

    write_many(pipeline.root, 5)
    for number in range(5):
        write_session(pipeline.root, f"bob/{number}.jsonl", "x", mtime=OLD + timedelta(days=1))
    echo = EchoProcessor(poison)
    reports = [pipeline.run(echo, max_files=5) for _ in range(2)]
    assert [numbers(report) for report in reports] == [(10, 0, 0, 5, 5), (5, 5, 0, 0, 0)]
    assert {row[0] for row in pipeline.rows()} == {f"bob/{number}.jsonl" for number in range(5)}


def test_days_choose_files_by_their_session_day(pipeline: Pipeline, echo: EchoProcessor) -> None:
    for day in range(1, 5):
        write_session(pipeline.root, f"alice/{day}.jsonl", "x", day=f"2025-03-0{day}")
    report = pipeline.run(echo, days=frozenset({date(2025, 3, 2), date(2025, 3, 3)}))
    assert numbers(report) == (2, 2, 0, 0, 0)
    assert sorted(report.days) == [date(2025, 3, 2), date(2025, 3, 3)]
    assert sorted(echo.calls) == ["alice/2.jsonl", "alice/3.jsonl"]


def test_a_start_date_moved_past_sessions_takes_them_with_its_first_day(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_session(pipeline.root, "alice/old.jsonl", "x", day="2025-03-01")
    write_session(pipeline.root, "alice/future.jsonl", "x", day="2999-01-01")
    write_session(pipeline.root, "alice/first.jsonl", "x", day="2026-01-01")
    moved = pipeline.having(start_date=date(2026, 1, 1))
    assert moved.run(echo, days=frozenset({date(2025, 3, 1)})).scanned == 0
    assert moved.run(echo, days=frozenset({date(2026, 1, 1)})).processed == 2
    assert moved.run(echo, days=frozenset({datetime.now(UTC).date()})).processed == 1
    stored = {key: state.session_day for key, state in pipeline.states(echo).items()}
    assert stored == {
        "alice/old.jsonl": date(2025, 3, 1),
        "alice/future.jsonl": date(2999, 1, 1),
        "alice/first.jsonl": date(2026, 1, 1),
    }


def test_users_choose_files(pipeline: Pipeline, echo: EchoProcessor) -> None:
    for user in ("alice", "bob", "carol", "carolina"):
        write_session(pipeline.root, f"{user}/x.jsonl", "x")
    report = pipeline.run(echo, users=frozenset({"bob", "carol"}))
    assert numbers(report) == (2, 2, 0, 0, 0)
    assert sorted(echo.calls) == ["bob/x.jsonl", "carol/x.jsonl"]


def test_what_a_full_refresh_leaves_over_stays_pending_until_a_plain_pass(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 5)
    pipeline.run(echo)
    before = pipeline.rows()
    echo.calls.clear()
    assert numbers(pipeline.run(echo, full_refresh=True, max_files=2)) == (5, 2, 0, 3, 0)
    assert pipeline.rows() == before
    assert numbers(pipeline.run(echo)) == (3, 3, 0, 0, 0)
    assert sorted(echo.calls) == [f"alice/s0{number}.jsonl" for number in range(5)]
    assert pipeline.rows() == before


def test_a_full_refresh_touches_only_the_days_and_users_asked_for(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    for user in ("alice", "bob"):
        for day in (1, 2):
            write_session(pipeline.root, f"{user}/{day}.jsonl", "x", day=f"2025-03-0{day}")
    pipeline.run(echo)
    echo.calls.clear()
    days, users = frozenset({date(2025, 3, 2)}), frozenset({"bob"})
    assert pipeline.run(echo, full_refresh=True, days=days, users=users).processed == 1
    assert echo.calls == ["bob/2.jsonl"]
    assert pipeline.run(echo).scanned == 0


def test_a_new_version_of_a_processor_works_on_everything_again(pipeline: Pipeline) -> None:
    write_many(pipeline.root, 3)
    pipeline.run(EchoProcessor())
    newer = EchoProcessor(version=2)
    assert numbers(pipeline.run(newer)) == (3, 3, 0, 0, 0)
    assert numbers(pipeline.run(newer)) == (0, 0, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert {state.processor_version for state in pipeline.states(newer).values()} == {2}


def test_a_progress_callback_hears_of_every_file(pipeline: Pipeline, echo: EchoProcessor) -> None:
    write_many(pipeline.root, 3)
    heard: list[tuple[int, int]] = []
    run_all(
        echo,
        pipeline.source,
        pipeline.store,
        pipeline.settings,
        Options(),
        lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (3, 3)


def test_the_report_says_how_old_the_oldest_pending_file_is(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    write_many(pipeline.root, 2)
    age = time.time() - (OLD + timedelta(minutes=1)).timestamp()
    assert pipeline.run(echo, max_files=1).oldest_pending_seconds == pytest.approx(age, abs=60)
    assert pipeline.run(echo).oldest_pending_seconds == 0


def test_a_future_mtime_is_processed_once_and_is_then_stable(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "x")
    set_mtime(path, datetime.now(UTC) + timedelta(days=20))
    assert [numbers(pipeline.run(echo))[:3] for _ in range(3)] == [(1, 1, 0), (0, 0, 0), (0, 0, 0)]


def test_the_run_id_is_kept_with_what_the_run_did(pipeline: Pipeline, echo: EchoProcessor) -> None:
    write_many(pipeline.root, 1)
    pipeline.run(echo, run_id="run-1")
    assert pipeline.select("SELECT run_id FROM session_processor_state") == [("run-1",)]


def test_a_half_written_line_waits_and_counts_once_when_it_is_whole(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "first")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    pipeline.run(echo)
    assert pipeline.rows() == [("alice/x.jsonl", 1, 5)]
    path.write_bytes(whole + whole)
    pipeline.run(echo)
    append(path, "third")
    pipeline.run(echo)
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert len(pipeline.rows()) == 3
