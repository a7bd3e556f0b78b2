"""Failure isolation: a fault in one file costs that file and nothing else."""

import logging
import os
import sys
from collections.abc import Callable
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
    write_session,
)
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.errors import Permanent, Retryable

BAD = "alice/s01.jsonl"
CANARY = "canary-5c1e"
KEY = object()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    return pipeline


class Spoilt(EchoProcessor):
    """Answers as `answer` says for the file BAD, properly for all others."""

    def __init__(self, answer: Callable[[Session], object], ddl: str = "") -> None:
        super().__init__()
        self.answer = answer
        if ddl:
            self.tables = {"echo_rows": ddl}

    def process(self, session: Session) -> object:
        if session.key == BAD:
            self.calls.append(session.key)
            return self.answer(session)
        return super().process(session)


def raising(error: Exception) -> Callable[[Session], object]:
    def answer(_session: Session) -> object:
        raise error

    return answer


def of_row(*values: object) -> Callable[[Session], object]:
    """A result of one row; KEY stands for the session's key."""
    return lambda session: ProcessorResult(
        {"echo_rows": [tuple(session.key if v is KEY else v for v in values)]}, 1
    )


ANSWERS: dict[str, Callable[[Session], object]] = {
    "ValueError": raising(ValueError(CANARY)),
    "MemoryError": raising(MemoryError(CANARY)),
    "RecursionError": raising(RecursionError(CANARY)),
    "KeyError": raising(KeyError(CANARY)),
    "UnicodeDecodeError": raising(UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY)),
    "None": lambda _session: None,
    "a dict": lambda _session: {"items": 1},
    "text": lambda _session: CANARY,
    "rows are no mapping": lambda _session: ProcessorResult([CANARY], 1),
    "rows of an unknown table": lambda _session: ProcessorResult({"other": [(CANARY,)]}, 1),
    "rows of the state table": lambda _session: ProcessorResult(
        {"session_processor_state": [(CANARY,)]}, 1
    ),
    "rows that can be read only once": lambda s: ProcessorResult(
        {"echo_rows": ((s.key, n, n) for n in range(3))}, 3
    ),
    "rows of a map": lambda s: ProcessorResult({"echo_rows": map(tuple, [(s.key, 1, 1)])}, 1),
    "a row that is a number": lambda _session: ProcessorResult({"echo_rows": [1]}, 1),
    "a row that is text": lambda _session: ProcessorResult({"echo_rows": [CANARY[:3]]}, 1),
    "a row too narrow": of_row(KEY, 1),
    "a row too wide": of_row(KEY, 1, 1, 1),
    "text for a number": of_row(KEY, CANARY, 1),
    "a number beyond int64": of_row(KEY, 2**70, 1),
    "a list for a number": of_row(KEY, [CANARY], 1),
    "another file's key": of_row("alice/s00.jsonl", 1, 1),
    "no key": of_row(None, 1, 1),
    "a key that is a list": of_row([CANARY], 1, 1),
    "items are text": lambda _session: ProcessorResult({}, CANARY),
    "items are None": lambda _session: ProcessorResult({}, None),
    "items beyond int64": lambda _session: ProcessorResult({}, 2**70),
    "the memo is a dict": lambda _session: ProcessorResult({}, 1, memo={"a": CANARY}),
    "the memo is a lone surrogate": lambda _session: ProcessorResult({}, 1, memo="\ud800"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_a_processor_does_with_one_file_costs_that_file_only(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture, name: str
) -> None:
    """And no word of the transcript, which an exception may quote, reaches anybody."""
    caplog.set_level(logging.DEBUG)
    write_session(pipeline.root, BAD, CANARY)
    spoilt = Spoilt(ANSWERS[name])
    report = pipeline.run(spoilt)
    assert numbers(report) == (3, 2, 0, 0, 1)
    assert [key for key, _ in report.errors_detail] == [BAD]
    assert pipeline.rows() == [row for row in expected_rows(pipeline.root) if row[0] != BAD]
    assert sorted(pipeline.states(spoilt)) == ["alice/s00.jsonl", "alice/s02.jsonl"]
    failure = pipeline.failures(spoilt)[BAD]
    assert (failure.attempts, failure.quarantined_at) == (1, None)
    assert failure.error
    everything = f"{report}{failure}{caplog.text}{capfd.readouterr()}"
    assert CANARY not in everything


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("line JSON", "{" + CANARY),
        ("line UUID", CANARY),
        ("line ENUM ('a')", CANARY),
        ("line BIGINT CHECK (line < 1000)", 1000),
        ("line BIGINT NOT NULL", None),
    ],
)
def test_a_row_that_only_the_database_refuses_costs_its_file_only(
    pipeline: Pipeline, column: str, value: object
) -> None:
    class NothingElse(Spoilt):
        def process(self, session: Session) -> object:
            return super().process(session) if session.key == BAD else ProcessorResult({}, 0)

    ddl = f"session_file VARCHAR, {column}, text_bytes BIGINT"
    report = pipeline.run(NothingElse(of_row(KEY, value, 1), ddl))
    assert numbers(report) == (3, 2, 0, 0, 1)
    assert CANARY not in str(report)


class TwoTables(EchoProcessor):
    """A row of the last file in one table; in the other one that is refused, of BAD."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = {"echo_rows": "session_file VARCHAR", "strict": "session_file VARCHAR, n INT"}
        self.tables["strict"] += " NOT NULL"

    def process(self, session: Session) -> ProcessorResult:
        last = [(session.key,)] if session.key == "alice/s08.jsonl" else []
        bad = [(session.key, None)] if session.key == BAD else []
        return ProcessorResult({"echo_rows": last, "strict": bad}, 0)


def test_refused_rows_are_found_where_other_tables_have_none(pipeline: Pipeline) -> None:
    """Halving a batch leaves halves without a row in one of the tables."""
    write_many(pipeline.root, 9)
    report = pipeline.run(TwoTables())
    assert numbers(report) == (9, 8, 0, 0, 1)
    assert [key for key, _ in report.errors_detail] == [BAD]


def test_the_error_names_the_processor_and_what_it_returned(pipeline: Pipeline) -> None:
    report = pipeline.run(Spoilt(lambda _session: [CANARY]))
    assert report.errors_detail == [
        (BAD, "processor 'echo' returned list, not a ProcessorResult"),
    ]


def test_a_failed_file_waits_for_its_next_attempt(pipeline: Pipeline) -> None:
    spoilt = Spoilt(raising(ValueError()))
    pipeline.run(spoilt)
    spoilt.calls.clear()
    report = pipeline.run(spoilt)
    assert numbers(report) == (0, 0, 0, 0, 0)
    assert report.backing_off == 1
    assert spoilt.calls == []


@pytest.mark.slow
def test_the_waits_grow_and_the_fifth_failure_is_the_last(pipeline: Pipeline) -> None:
    spoilt = Spoilt(raising(ValueError()))
    waits = []
    for attempt in range(1, 6):
        assert pipeline.run(spoilt).errors == 1
        failure = pipeline.failures(spoilt)[BAD]
        assert failure.attempts == attempt
        if failure.next_attempt_at:
            waits.append(failure.next_attempt_at - failure.last_failed_at)
        pipeline.let_back_off_pass()
    assert waits == sorted(set(waits))
    assert len(waits) == 4
    assert failure.quarantined_at is not None
    spoilt.calls.clear()
    report = pipeline.run(spoilt)
    assert (report.scanned, report.quarantined, spoilt.calls) == (0, 1, [])


@pytest.mark.parametrize("way", ["release", "new content"])
def test_a_quarantined_file_comes_back_released_or_with_new_content(
    pipeline: Pipeline, way: str
) -> None:
    spoilt = Spoilt(raising(Permanent("cannot be used")))
    pipeline.run(spoilt)
    spoilt.answer = lambda session: EchoProcessor().process(session)
    assert pipeline.run(spoilt).scanned == 0
    if way == "release":
        pipeline.store.release("echo")
    else:
        append(pipeline.root / BAD, "new")
    assert numbers(pipeline.run(spoilt)) == (1, 1, 0, 0, 0)
    assert pipeline.failures(spoilt) == {}
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_chmod_or_touch_is_no_new_content_for_a_quarantined_file(pipeline: Pipeline) -> None:
    """A nightly backup may touch every ctime; poison must not get five more attempts from it."""
    spoilt = Spoilt(raising(Permanent("cannot be used")))
    pipeline.run(spoilt)
    spoilt.calls.clear()
    (pipeline.root / BAD).chmod(0o600)
    pipeline.run(spoilt)
    set_mtime(pipeline.root / BAD, OLD)
    pipeline.run(spoilt)
    assert spoilt.calls == []


def test_permanent_gives_up_at_once_and_says_why(pipeline: Pipeline) -> None:
    spoilt = Spoilt(raising(Permanent("line 3 is not UTF-8")))
    pipeline.run(spoilt)
    failure = pipeline.failures(spoilt)[BAD]
    assert failure.quarantined_at is not None
    assert (failure.error_class, failure.error) == ("Permanent", "line 3 is not UTF-8")


@pytest.mark.slow
def test_retryable_burns_no_attempt_but_waits(pipeline: Pipeline) -> None:
    spoilt = Spoilt(raising(Retryable("the service answered 429")))
    for _ in range(7):
        assert pipeline.run(spoilt).errors == 1
        assert pipeline.run(spoilt).scanned == 0
        failure = pipeline.failures(spoilt)[BAD]
        assert (failure.attempts, failure.quarantined_at) == (0, None)
        pipeline.let_back_off_pass()


def test_a_changed_file_that_fails_keeps_the_rows_of_before(pipeline: Pipeline) -> None:
    spoilt = Spoilt(lambda session: EchoProcessor().process(session))
    pipeline.run(spoilt)
    rows = pipeline.rows()
    append(pipeline.root / BAD, "more")
    spoilt.answer = raising(ValueError())
    pipeline.run(spoilt)
    assert pipeline.rows() == rows
    assert pipeline.run(spoilt).backing_off == 1


def test_a_change_seen_by_its_ctime_alone_backs_off_like_any_other(pipeline: Pipeline) -> None:
    spoilt = Spoilt(lambda session: EchoProcessor().process(session))
    pipeline.run(spoilt)
    path, before = pipeline.root / BAD, (pipeline.root / BAD).stat()
    path.write_text(path.read_text().replace("line", "LINE"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    spoilt.answer = raising(ValueError())
    pipeline.run(spoilt)
    spoilt.calls.clear()
    report = pipeline.run(spoilt)
    assert spoilt.calls == []
    assert report.backing_off == 1


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_link(path: Path) -> None:
    outside = path.parents[2] / "outside.jsonl"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("spoil", [make_folder, make_fifo, make_link])
def test_a_file_that_cannot_be_read_burns_no_attempt_and_holds_up_nobody(
    pipeline: Pipeline, spoil: Callable[[Path], None]
) -> None:
    """Something takes the file's place between the scan and its turn."""

    def spoil_the_next(session: Session) -> None:
        if session.key == "alice/s00.jsonl":
            spoil(pipeline.root / BAD)

    echo = EchoProcessor(spoil_the_next)
    report = pipeline.run(echo)
    assert numbers(report) == (3, 2, 0, 0, 1)
    failure = pipeline.failures(echo)[BAD]
    assert (failure.attempts, failure.quarantined_at) == (0, None)
    assert "cannot be read" in failure.error
    assert {row[0] for row in pipeline.rows()} == {"alice/s00.jsonl", "alice/s02.jsonl"}


def test_a_processor_that_exits_costs_its_file_only(pipeline: Pipeline) -> None:
    """`sys.exit` deep in a plugin's library must not make one file block all others for ever."""
    report = pipeline.run(Spoilt(lambda _session: sys.exit(3)))
    assert numbers(report) == (3, 2, 0, 0, 1)
