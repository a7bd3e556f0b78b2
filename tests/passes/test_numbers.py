"""Numbers and texts that no column takes: they are bounded, or they cost their file alone."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path

import msgspec
import pytest

from helpers import (
    EchoProcessor,
    Pipeline,
    append,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
    write_session,
)
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import check_contract
from session_pipeline_dagster.errors import ContractError, Permanent, Retryable
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.sources.files import Content, Fingerprint, Scan, Signature
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.transcripts.reader import Readers
from session_pipeline_dagster.transcripts.records import Transcript

BAD = "alice/s01.jsonl"
CENTURY = 3_155_760_000
BEYOND = 2**70


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 5)
    return pipeline


def others(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return [row for row in expected_rows(pipeline.root) if row[0] != BAD]


@pytest.mark.parametrize(
    "seconds", [3 * CENTURY + CENTURY // 2, 2**33, -1, -CENTURY, -5 * CENTURY, 2**34 - 1, -(2**31)]
)
def test_an_mtime_that_no_column_holds_costs_nothing(pipeline: Pipeline, seconds: int) -> None:
    """`touch -d 2300-01-01` is enough for one."""
    path = pipeline.root / BAD
    os.utime(path, (seconds, seconds))
    echo = EchoProcessor()
    assert numbers(pipeline.run(echo)) == (5, 5, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)
    append(path, "more")
    os.utime(path, (seconds, seconds))
    assert pipeline.run(echo).processed == 1
    found = examine(
        [echo], pipeline.source, pipeline.store, pipeline.settings, datetime.now(UTC)
    ).findings["echo"]
    assert len(found) >= 7


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"],
)
def test_a_timestamp_at_the_end_of_the_calendar_costs_at_most_its_file(
    pipeline: Pipeline, time: str
) -> None:
    path = pipeline.root / BAD
    path.write_text(path.read_text().replace("2025-03-01T12:00:00.000Z", time))
    (file,) = (file for file in pipeline.source.scan().files if file.key == BAD)
    day = pipeline.source.day(file)
    assert pipeline.run(EchoProcessor(), days=frozenset([date(2025, 3, 1)])).errors == 0
    assert pipeline.run(EchoProcessor(), days=frozenset([date(2025, 2, 1)])).errors == 0
    pipeline.run(EchoProcessor())
    assert set(pipeline.rows()) >= set(others(pipeline))
    assert date.min <= day <= date.max


class OddReader:
    """Counts as it likes in the file BAD."""

    agent = "odd"

    def __init__(self, **counts: object) -> None:
        self.counts = counts

    def claims(self, key: str, _head: bytes) -> bool:
        return key == BAD

    def parse(self, _content: bytes) -> Transcript:
        return replace(Transcript(), **self.counts)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *((name, BEYOND) for name in ("unreadable_lines", "unknown_lines")),
        *((name, -1) for name in ("unreadable_lines", "unknown_lines")),
        ("unknown_lines", -BEYOND),
        ("unknown_lines", 2**63),
        ("unknown_lines", "1"),
        ("unknown_lines", None),
        ("unknown_lines", 1.5),
    ],
)
def test_counts_of_a_reader_that_no_column_takes_cost_their_file(
    pipeline: Pipeline, name: str, count: object
) -> None:
    source, echo = pipeline.source, EchoProcessor()
    odd = replace(source, readers=Readers((OddReader(**{name: count}), *source.readers.readers)))
    report = run_batch(echo, odd, pipeline.store, pipeline.settings)
    assert numbers(report) == (5, 4, 0, 0, 1)
    assert pipeline.rows() == others(pipeline)


def test_sums_of_counts_beyond_a_column_end_no_look(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    with pipeline.store.transaction() as connection:
        connection.execute(f"UPDATE session_processor_state SET lines = {2**62}")
    now = datetime.now(UTC)
    known = pipeline.store.known(EchoProcessor(), lines_since=now - timedelta(days=36_500))
    assert known.lines.lines == 2**63 - 1


def test_a_day_that_is_none_in_python_is_no_day(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    for day in ("infinity", "-infinity", "0044-03-15 (BC)", "290000-01-01"):
        with pipeline.store.transaction() as connection:
            connection.execute("UPDATE session_processor_state SET session_day = ?::DATE", [day])
        assert {s.session_day for s in pipeline.states(EchoProcessor()).values()} == {None}
        assert pipeline.run(EchoProcessor(), days=frozenset([date(2025, 3, 1)])).errors == 0


def answering(answer: Callable[[Session], object], **declared: object) -> EchoProcessor:
    class Odd(EchoProcessor):
        def process(self, session: Session) -> object:
            return answer(session) if session.key == BAD else super().process(session)

    odd = Odd()
    for name, value in declared.items():
        setattr(odd, name, value)
    return odd


def raising(error: BaseException) -> Callable[[Session], object]:
    def answer(_session: Session) -> object:
        raise error

    return answer


class Wordless(Permanent):
    """Cannot be said."""

    def __str__(self) -> str:
        raise ValueError


class Bare(Retryable):
    """Does not say how long to wait."""

    def __init__(self) -> None:
        Exception.__init__(self)


ERRORS = {
    "a message that is no text for a database": Permanent("\ud800 and \x00"),
    "a message without end": Permanent("x" * 10_000_000),
    "a message that cannot be made": Wordless(),
    "a wait that is no length of time": Retryable("later", 30.0),
    "a wait in the past": Retryable("later", timedelta(days=-9)),
    "a wait without end": Retryable("later", timedelta.max),
    "no word about a wait": Bare(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_an_error_says_costs_nobody_else(pipeline: Pipeline, name: str) -> None:
    odd = answering(raising(ERRORS[name]))
    now = datetime.now(UTC)
    assert numbers(pipeline.run(odd)) == (5, 4, 0, 0, 1)
    failure = pipeline.failures(odd)[BAD]
    assert len(failure.error) < 5000
    if failure.next_attempt_at:
        assert now < failure.next_attempt_at < now + timedelta(hours=7)


def test_a_version_that_no_column_takes_is_refused_at_the_door() -> None:
    check_contract(EchoProcessor(version=2**31 - 1))
    with pytest.raises(ContractError, match="version must be an int from 1 to"):
        check_contract(EchoProcessor(version=2**31))


JOURNAL = {"echo_costs": "session_file VARCHAR, cost BIGINT NOT NULL CHECK (cost < 9)"}


def noting(*rows: tuple[object, ...], failing: bool = False) -> Callable[[Session], object]:
    def answer(session: Session) -> object:
        for row in rows:
            session.notes.add("echo_costs", (session.key, *row))
        if failing:
            raise ValueError
        return EchoProcessor().process(session)

    return answer


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("cost", [None, 10])
def test_a_journal_that_the_database_refuses_costs_its_file(
    pipeline: Pipeline, cost: int | None, failing: bool
) -> None:
    def good(session: Session) -> None:
        if session.key != BAD:
            session.notes.add("echo_costs", (session.key, 1))

    odd = answering(noting((cost,), failing=failing), journals=JOURNAL, hook=good)
    assert numbers(pipeline.run(odd)) == (5, 4, 0, 0, 1)
    assert pipeline.rows() == others(pipeline)
    assert len(pipeline.rows("echo_costs")) == 4
    assert set(pipeline.failures(odd)) == {BAD}


@pytest.mark.parametrize("number", [BEYOND, "1", None, 0.5, True])
def test_a_number_of_a_processors_own_that_is_none_costs_its_file(
    pipeline: Pipeline, number: object
) -> None:
    def answer(session: Session) -> object:
        session.notes.counts["tokens"] = number
        return EchoProcessor().process(session)

    assert numbers(pipeline.run(answering(answer))) == (5, 4, 0, 0, 1)


class OddSource(LocalSource):
    """Says of the file BAD what no column takes."""

    def scan(self) -> Scan:
        scan = super().scan()
        return Scan([self._odd(f) if f.key == BAD else f for f in scan.files], scan.left_out)

    def read(self, file) -> Content:
        content = super().read(file)
        return replace(content, signature=BIG) if file.key == BAD else content

    def fingerprint(self, file) -> Fingerprint:
        found = super().fingerprint(file)
        return msgspec.structs.replace(found, signature=BIG) if file.key == BAD else found

    def _odd(self, file):
        return type(file)(file.key, file.user, file.project, file.path, BIG, file.root)


BIG = Signature(2**65, 2**65, -(2**65))


@pytest.mark.parametrize("failing", [False, True])
def test_a_state_or_failure_row_that_is_refused_costs_its_file(
    pipeline: Pipeline, failing: bool
) -> None:
    answer = raising(ValueError()) if failing else EchoProcessor().process
    odd, source = answering(answer), OddSource(pipeline.settings.roots)
    report = run_batch(odd, source, pipeline.store, pipeline.settings)
    assert numbers(report) == (5, 4, 0, 0, 1)
    assert pipeline.rows() == others(pipeline)


@pytest.mark.slow
def test_a_signature_that_is_refused_costs_its_file(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    pipeline.run(echo)
    for path in pipeline.root.rglob("*.jsonl"):
        path.touch()
    source = OddSource(pipeline.settings.roots)
    report = run_batch(echo, source, pipeline.store, pipeline.settings)
    assert (report.skipped, report.errors) == (4, 0)
    write_session(pipeline.root, "bob/t.jsonl", "one")
    assert run_batch(echo, source, pipeline.store, pipeline.settings).processed == 1


def test_a_row_whose_values_raise_while_they_are_encoded_costs_its_file(
    pipeline: Pipeline,
) -> None:
    class Zone(tzinfo):
        def utcoffset(self, _when: object) -> timedelta:
            raise RuntimeError

    odd = answering(
        lambda s: ProcessorResult({"echo_rows": [(s.key, datetime(2026, 1, 1, tzinfo=Zone()))]}, 1),
        tables={"echo_rows": "session_file VARCHAR, seen TIMESTAMPTZ"},
    )
    odd.process = lambda s: type(odd).process(odd, s) if s.key == BAD else ProcessorResult({}, 0)
    assert numbers(pipeline.run(odd)) == (5, 4, 0, 0, 1)
