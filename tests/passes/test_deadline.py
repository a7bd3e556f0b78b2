"""A file that takes too long has failed, and the others go on, wherever it was in work."""

import itertools
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import (
    EchoProcessor,
    Pipeline,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
    write_session,
)
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.deadline import TookTooLong, within

BAD = "alice/s01.jsonl"
SECONDS = 0.4


def loop() -> None:
    while True:
        pass


def nap() -> None:
    time.sleep(600)


def lock() -> None:
    threading.Event().wait(600)


def backtrack() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def keep_exceptions() -> None:
    while True:
        with suppress(Exception):
            time.sleep(0.01)


def say_something_else() -> None:
    try:
        time.sleep(600)
    except BaseException as error:
        raise ValueError from error


def come_back_late() -> None:
    with suppress(BaseException):
        time.sleep(600)


def hold_the_interpreter() -> None:
    any(itertools.repeat(False))


def keep_everything() -> None:
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:  # noqa: BLE001, S110
            pass


# Else the timer of the tests' own timeout is the one that is looked at here.
pytestmark = pytest.mark.timeout(method="thread")

POLITE = (loop, nap, lock, backtrack, keep_exceptions, say_something_else, come_back_late)
STUBBORN = (hold_the_interpreter, keep_everything)


class Slow(EchoProcessor):
    """Does something that does not end for the file BAD."""

    def __init__(self, how: Callable[[], None], threads: int = 0) -> None:
        super().__init__()
        self.how, self.threads = how, threads
        self.journals = {"echo_costs": "session_file VARCHAR"}

    def process(self, session: Session) -> ProcessorResult:
        session.notes.add("echo_costs", (session.key,))
        if session.key == BAD:
            self.how()
        return super().process(session)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path).having(file_deadline=timedelta(seconds=SECONDS))
    write_many(made.root, 4)
    return made


def assert_bad_alone_took_too_long(pipeline: Pipeline) -> None:
    assert pipeline.rows() == [row for row in expected_rows(pipeline.root) if row[0] != BAD]
    failures = pipeline.failures(EchoProcessor())
    assert {key: f.attempts for key, f in failures.items()} == {BAD: 1}
    assert failures[BAD].error_class == "TookTooLong"
    assert failures[BAD].error.startswith("took longer than 0.4 s")
    assert not list(pipeline.settings.database.parent.glob("*.working"))


@pytest.mark.parametrize("how", POLITE)
def test_a_file_that_takes_too_long_in_this_process_costs_itself_only(
    pipeline: Pipeline, how: Callable[[], None]
) -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert numbers(pipeline.run(Slow(how))) == (4, 3, 0, 0, 1)
    assert_bad_alone_took_too_long(pipeline)
    assert len(pipeline.rows("echo_costs")) == 4
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("how", [loop, nap, lock, keep_exceptions])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_that_takes_too_long_in_a_thread_costs_itself_only(
    pipeline: Pipeline, how: Callable[[], None], threads: int
) -> None:
    assert numbers(pipeline.run(Slow(how, threads))) == (4, 3, 0, 0, 1)
    assert_bad_alone_took_too_long(pipeline)


def test_what_a_thread_that_was_given_up_has_cost_is_kept_if_it_comes_back(
    pipeline: Pipeline,
) -> None:
    class LateOnes(Slow):
        def process(self, session: Session) -> ProcessorResult:
            if session.key == "alice/s02.jsonl":
                time.sleep(SECONDS * 0.8)
            return super().process(session)

    slow = LateOnes(lambda: time.sleep(SECONDS * 1.2), 1)
    slow.threads = 2
    assert numbers(pipeline.run(slow)) == (4, 3, 0, 0, 1)
    assert_bad_alone_took_too_long(pipeline)


@pytest.mark.parametrize("how", [loop, nap])
def test_a_pass_in_a_thread_of_somebodys_has_the_deadline_too(
    pipeline: Pipeline, how: Callable[[], None]
) -> None:
    reports = []
    thread = threading.Thread(target=lambda: reports.append(pipeline.run(Slow(how))))
    thread.start()
    thread.join(60)
    assert numbers(reports[0]) == (4, 3, 0, 0, 1)
    assert_bad_alone_took_too_long(pipeline)


@pytest.mark.slow
@pytest.mark.parametrize("how", [loop, backtrack, *STUBBORN])
def test_a_file_that_takes_too_long_in_a_worker_costs_itself_only(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None]
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 100)
    assert numbers(pipeline.having(workers=2).run(Slow(how))) == (4, 3, 0, 0, 1)
    assert_bad_alone_took_too_long(pipeline)


@pytest.mark.slow
def test_a_file_that_took_too_long_is_tried_again_last_and_in_a_process_of_its_own(
    pipeline: Pipeline,
) -> None:
    pipeline.run(Slow(nap))
    pipeline.let_back_off_pass()
    write_session(pipeline.root, "bob/t.jsonl", "one")
    report = pipeline.run(Slow(hold_the_interpreter))
    assert (report.scanned, report.processed, report.errors) == (2, 1, 1)
    assert pipeline.failures(EchoProcessor())[BAD].attempts == 2
    assert pipeline.failures(EchoProcessor())[BAD].error_class == "TookTooLong"


def test_who_wants_all_of_it_to_end_is_heard_after_the_deadline_too() -> None:
    def interrupted() -> None:
        try:
            time.sleep(600)
        except TookTooLong:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        within(0.1, interrupted)
    assert within(9, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(9, lambda: 1 / 0)


def test_the_alarm_of_somebody_else_comes_all_the_same() -> None:
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_given: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert within(9, lambda: 7) == 7
        assert not rung
        time.sleep(0.5)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_where_c_code_has_the_alarm_it_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _number: None)
    assert within(9, lambda: 7) == 7
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(TookTooLong):
        within(0.05, lambda: time.sleep(0.1))


@pytest.mark.parametrize("seconds", [10.0**13, 1e-6])
def test_any_time_that_can_be_set_can_be_kept(pipeline: Pipeline, seconds: float) -> None:
    limited = pipeline.having(file_deadline=timedelta(seconds=seconds))
    assert limited.run(EchoProcessor()).processed == (4 if seconds > 1 else 0)
    for key in ("bob/t.jsonl", "bob/u.jsonl"):
        write_session(pipeline.root, key, "one")
    echo = EchoProcessor()
    echo.threads = 2
    assert limited.run(echo).processed == (2 if seconds > 1 else 0)
