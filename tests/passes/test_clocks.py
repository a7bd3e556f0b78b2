"""A clock that was wrong for a while: a time that no rule can have written holds up nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, expected_rows, make_pipeline, numbers, write_many
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.passes import runner
from session_pipeline_dagster.passes.breadcrumbs import Crumb, blame
from session_pipeline_dagster.passes.plan import last_change
from session_pipeline_dagster.sources.files import Signature

BAD = "alice/s01.jsonl"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDS = ("infinity", "290000-01-01 00:00:00+00", "9999-12-31 23:59:59+00")


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    return pipeline


def change(pipeline: Pipeline, sql: str, *values: object) -> None:
    with pipeline.store.transaction() as connection:
        connection.execute(sql, list(values))


def failing(error: type[Exception] = ValueError) -> EchoProcessor:
    def fail(session: Session) -> None:
        if session.key == BAD:
            raise error

    return EchoProcessor(fail)


@pytest.mark.parametrize(
    "when", [timedelta(hours=7), timedelta(days=400), *ENDS], ids=lambda when: str(when)
)
def test_a_next_attempt_later_than_any_wait_is_due(
    pipeline: Pipeline, when: timedelta | str
) -> None:
    pipeline.run(failing())
    at = when if isinstance(when, str) else datetime.now(UTC) + when
    change(pipeline, "UPDATE session_processor_failures SET next_attempt_at = ?::TIMESTAMPTZ", at)
    assert numbers(pipeline.run(EchoProcessor())) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), 5 * HOUR])
def test_a_wait_that_began_in_the_future_is_over(pipeline: Pipeline, ahead: timedelta) -> None:
    """The clock was ahead when the file failed: its minute would take hours."""
    pipeline.run(failing())
    change(
        pipeline,
        """UPDATE session_processor_failures SET first_failed_at = first_failed_at + to_minutes(?),
        last_failed_at = last_failed_at + to_minutes(?),
        next_attempt_at = next_attempt_at + to_minutes(?)""",
        *[int(ahead / timedelta(minutes=1))] * 3,
    )
    assert numbers(pipeline.run(EchoProcessor())) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize("error", [ValueError, Permanent])
def test_a_wait_and_a_quarantine_that_can_have_been_written_hold(
    pipeline: Pipeline, error: type[Exception]
) -> None:
    pipeline.run(failing(error))
    assert numbers(pipeline.run(EchoProcessor())) == (0, 0, 0, 0, 0)
    change(pipeline, "UPDATE session_processor_failures SET quarantined_at = 'infinity'")
    report = pipeline.run(EchoProcessor())
    assert (report.scanned, report.quarantined) == (0, 1)


@pytest.mark.parametrize(
    "column", ["processed_at", "signature_at", "gone_at", "first_failed_at", "last_failed_at"]
)
@pytest.mark.parametrize("end", [*ENDS, "-infinity", "0044-03-15 (BC) 00:00:00+00"])
def test_no_time_in_the_store_ends_a_pass(pipeline: Pipeline, column: str, end: str) -> None:
    pipeline.run(failing())
    table = "failures" if "failed" in column else "state"
    change(pipeline, f"UPDATE session_processor_{table} SET {column} = ?::TIMESTAMPTZ", end)
    report = pipeline.run(EchoProcessor())
    assert report.errors == 0
    pipeline.let_back_off_pass()
    pipeline.run(EchoProcessor())
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_imported_rows_of_a_clock_that_was_ahead_hide_no_later_change(pipeline: Pipeline) -> None:
    """Without a signature, a file is current if it was written before it was processed."""
    pipeline.run(EchoProcessor())
    change(
        pipeline,
        """UPDATE session_processor_state SET size_bytes = NULL, mtime_ns = NULL, ctime_ns = NULL,
        file_hash = NULL, processed_at = processed_at + to_days(400)""",
    )
    assert pipeline.run(EchoProcessor()).processed == 3


def test_what_was_processed_in_the_future_is_no_last_change(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    change(pipeline, "UPDATE session_processor_state SET processed_at = processed_at + to_days(9)")
    change(pipeline, "UPDATE session_processor_state SET signature_at = signature_at + to_days(9)")
    known = pipeline.store.known(EchoProcessor())
    assert last_change(known.states, known.failures) is None


def test_what_was_forgotten_in_the_future_is_read_by_the_next_pass(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    pipeline.run(echo)
    pipeline.store.forget([echo], [BAD])
    change(pipeline, "UPDATE session_forgotten SET forgotten_at = forgotten_at + to_days(400)")
    assert pipeline.run(echo).processed == 1
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=400)])
def test_forget_wins_against_a_pass_during_which_the_clock_was_set_back(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """The pass began at a time that is still to come."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(tz) + ahead

    def meanwhile(session: Session) -> None:
        if session.key == BAD:
            pipeline.store.forget([echo], [BAD])
            monkeypatch.undo()

    echo = EchoProcessor(meanwhile)
    monkeypatch.setattr(runner, "datetime", Ahead)
    pipeline.run(echo)
    assert BAD not in {row[0] for row in pipeline.rows()}
    echo.hook = None
    assert pipeline.run(echo).scanned > 0
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_failure_in_the_future_does_not_clear_who_killed_a_process(pipeline: Pipeline) -> None:
    crumb = Crumb(BAD, Signature(1, 2, 3), 1, NOW.timestamp() - 60)
    earlier = blame(crumb, None, None, NOW + timedelta(days=400))
    assert earlier is not None
    second = blame(crumb, None, earlier, NOW)
    assert second is not None
    assert second.attempts == 2
