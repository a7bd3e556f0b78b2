"""What is due and what is not: every edge of the one rule, and what follows a failure."""

from datetime import UTC, date, datetime, timedelta

import pytest

from session_pipeline_dagster.passes.plan import (
    MAX_ATTEMPTS,
    Currency,
    Problem,
    clamp_day,
    currency,
    day_ranges,
    look,
    next_failure,
    until_today,
    with_quiet_days,
)
from session_pipeline_dagster.sources.files import SessionFile, Signature
from session_pipeline_dagster.store.states import Failure, FileState

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND = 10**9
OLD = int(NOW.timestamp()) * SECOND - 3600 * SECOND
THEN = Signature(100, OLD, OLD)
MINUTE = timedelta(minutes=1)
BROKEN = Problem("ValueError", "processor 'x' raised ValueError")


def file(key: str = "a/1.jsonl", signature: Signature = THEN) -> SessionFile:
    return SessionFile(key, "a", None, f"/{key}", signature)


def state(
    key: str = "a/1.jsonl",
    signature: Signature | None = THEN,
    signed_after: float = 60,
    version: int = 1,
    processed_after: float | None = 60,
) -> FileState:
    """A state row, written and signed so many seconds after OLD."""
    processed = None if processed_after is None else int(OLD / 1000 + processed_after * 1e6)
    signed = int(OLD / 1000 + signed_after * 1e6)
    return FileState(key, NOW.date(), processed, "hash", signature, signed, version)


def changed(**changes: int) -> Signature:
    fields = {"size": THEN.size, "mtime_ns": THEN.mtime_ns, "ctime_ns": THEN.ctime_ns}
    return Signature(**{name: value + changes.get(name, 0) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("now", "row", "expected"),
    [
        (THEN, None, Currency.PENDING),
        (THEN, state(), Currency.CURRENT),
        (changed(size=1), state(), Currency.PENDING),
        (changed(size=-1), state(), Currency.PENDING),
        (changed(mtime_ns=1), state(), Currency.PENDING),
        (changed(mtime_ns=-1), state(), Currency.PENDING),
        (changed(mtime_ns=-SECOND, ctime_ns=9), state(), Currency.PENDING),
        (changed(ctime_ns=1), state(), Currency.SUSPECT),
        (changed(ctime_ns=-1), state(), Currency.SUSPECT),
        (THEN, state(signed_after=2), Currency.SUSPECT),
        (THEN, state(signed_after=2.000001), Currency.CURRENT),
        (THEN, state(signed_after=-2), Currency.SUSPECT),
        (THEN, state(signed_after=-2.000001), Currency.CURRENT),
        (THEN, state(version=2), Currency.CURRENT),
        (THEN, state(version=0), Currency.PENDING),
        (THEN, state(processed_after=-60), Currency.CURRENT),
        (THEN, state(signature=None), Currency.UNSIGNED),
        (THEN, state(signature=None, processed_after=0), Currency.UNSIGNED),
        (THEN, state(signature=None, processed_after=-0.000001), Currency.PENDING),
        (THEN, state(signature=None, processed_after=None), Currency.PENDING),
    ],
    ids=[
        "no row",
        "all equal",
        "grown",
        "shrunk",
        "mtime later",
        "mtime earlier",
        "mtime earlier, ctime later",
        "ctime later only",
        "ctime earlier only",
        "signed 2 s after the mtime",
        "signed later than that",
        "signed 2 s before the mtime",
        "signed earlier than that",
        "older version on disk",
        "marked outdated",
        "mtime after processed_at",
        "imported, older than processed_at",
        "imported, equal to processed_at",
        "imported, written since",
        "imported without a time",
    ],
)
def test_currency(now: Signature, row: FileState | None, expected: Currency) -> None:
    assert currency(file(signature=now), row, version=1) is expected


def failure(
    attempts: int = 1, *, wait: timedelta = MINUTE, signature: Signature = THEN, final: bool = False
) -> Failure:
    given_up = NOW if final else None
    return Failure(
        "a/1.jsonl",
        attempts,
        "E",
        "e",
        NOW,
        NOW,
        NOW + wait,
        given_up,
        "hash",
        signature,
        processor_version=1,
    )


BUCKETS = ("due", "suspect", "unsigned", "backing_off", "quarantined")


@pytest.mark.parametrize(
    ("found", "row", "failed", "bucket"),
    [
        (file(), None, None, "due"),
        (file(), state(), None, None),
        (file(), state(), failure(), "backing_off"),
        (file(), state(), failure(signature=changed(size=-1)), None),
        (file(signature=changed(ctime_ns=1)), state(), None, "suspect"),
        (file(), state(signature=None), None, "unsigned"),
        (file(), None, failure(), "backing_off"),
        (file(), None, failure(wait=timedelta(0)), "due"),
        (file(), None, failure(wait=-MINUTE), "due"),
        (file(), None, failure(5, final=True), "quarantined"),
        (file(), None, failure(signature=changed(size=-1)), "due"),
        (file(), None, failure(5, final=True, signature=changed(size=-1)), "due"),
        (file(), state(version=2), failure(), "backing_off"),
    ],
)
def test_look_puts_a_file_where_it_belongs(found, row, failed, bucket: str | None) -> None:
    states = {row.session_file: row} if row else {}
    failures = {failed.session_file: failed} if failed else {}
    outlook = look([found], states, failures, 1, NOW)
    assert outlook.files == 1
    assert [name for name in BUCKETS if getattr(outlook, name)] == ([bucket] if bucket else [])
    assert bool(outlook.pending) == (bucket in ("due", "backing_off", "quarantined"))


def test_files_are_due_by_attempts_then_age_then_key() -> None:
    files = [
        file("a/young", changed(mtime_ns=SECOND)),
        file("a/2"),
        file("a/1"),
        file("a/ancient-poison", changed(mtime_ns=-(10**15))),
    ]
    poison = {"a/ancient-poison": failure(2, wait=-MINUTE, signature=files[3].signature)}
    outlook = look(files, {}, poison, 1, NOW)
    assert [f.key for f in outlook.due] == ["a/1", "a/2", "a/young", "a/ancient-poison"]


@pytest.mark.parametrize(
    ("mtimes", "age"), [([], 0), ([-10], 10), ([-10, -70], 70), ([3600], 0), ([3600, -5], 5)]
)
def test_the_age_of_the_oldest_pending_file_is_never_negative(mtimes, age: float) -> None:
    now_ns = int(NOW.timestamp()) * SECOND
    files = [
        file(f"a/{n}", Signature(1, now_ns + seconds * SECOND, 0))
        for n, seconds in enumerate(mtimes)
    ]
    assert look(files, {}, {}, 1, NOW).oldest_pending_seconds(NOW) == age
    given_up = {f.key: failure(signature=f.signature, final=True) for f in files}
    outlook = look(files, {}, given_up, 1, NOW)
    assert len(outlook.pending) == len(files)
    assert outlook.oldest_pending_seconds(NOW) == 0, "it would grow for ever"


def fail(
    earlier: Failure | None,
    problem: Problem = BROKEN,
    signature: Signature = THEN,
    file_hash: str = "hash",
    now: datetime = NOW,
) -> Failure:
    return next_failure("a/1.jsonl", "", problem, earlier, now, signature, file_hash, version=1)


def test_attempts_back_off_doubling_and_end_in_quarantine() -> None:
    found, waits = None, []
    for attempt in range(1, MAX_ATTEMPTS + 1):
        found = fail(found, now=NOW + attempt * MINUTE)
        assert found.attempts == attempt
        waits.append(found.next_attempt_at and found.next_attempt_at - found.last_failed_at)
    assert waits == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, None]
    assert found.quarantined_at == NOW + MAX_ATTEMPTS * MINUTE
    assert found.first_failed_at == NOW + MINUTE


def test_five_attempts_are_the_most() -> None:
    assert MAX_ATTEMPTS == 5


def test_a_final_problem_quarantines_at_once() -> None:
    found = fail(None, Problem("Permanent", "bad", final=True))
    assert (found.attempts, found.quarantined_at, found.next_attempt_at) == (1, NOW, None)


@pytest.mark.parametrize("earlier", [None, failure(4)], ids=["first", "after four"])
def test_a_transient_problem_burns_no_attempt(earlier: Failure | None) -> None:
    found = fail(earlier, Problem("Retryable", "later", counts=False))
    assert found.attempts == (earlier.attempts if earlier else 0)
    assert found.quarantined_at is None
    assert found.next_attempt_at > NOW


def test_new_content_starts_again_at_the_first_attempt() -> None:
    found = fail(failure(4), signature=changed(size=1), file_hash="other", now=NOW + MINUTE)
    assert (found.attempts, found.first_failed_at) == (1, NOW + MINUTE)


def test_a_touch_is_no_new_content() -> None:
    """A backup that touches every file must not give poison five more attempts each night."""
    found = fail(failure(4), signature=changed(mtime_ns=SECOND, ctime_ns=SECOND))
    assert (found.attempts, found.quarantined_at) == (5, NOW)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("01-31", "02-01"),
        ("02-01", "02-01"),
        ("02-05", "02-05"),
        ("02-10", "02-10"),
        ("02-11", "02-10"),
    ],
)
def test_a_day_outside_the_partitions_is_clamped(day: str, expected: str) -> None:
    start, today = date(2026, 2, 1), date(2026, 2, 10)
    clamped = clamp_day(date.fromisoformat(f"2026-{day}"), start, today)
    assert clamped == date.fromisoformat(f"2026-{expected}")


def test_a_start_in_the_future_is_the_only_partition() -> None:
    start = date(2026, 3, 1)
    assert clamp_day(date(2026, 2, 1), start, today=date(2026, 2, 10)) == start


@pytest.mark.parametrize(
    ("days", "ranges"),
    [
        ([], []),
        ([1], [(1, 1)]),
        ([1, 2, 3], [(1, 3)]),
        ([3, 1, 3, 2], [(1, 3)]),
        ([1, 8], [(1, 8)]),
        ([1, 9], [(1, 1), (9, 9)]),
        ([1, 8, 15, 23, 24], [(1, 15), (23, 24)]),
    ],
)
def test_days_become_few_ranges_that_bridge_gaps_of_up_to_seven_days(days, ranges) -> None:
    found = day_ranges(date(2026, 3, day) for day in days)
    assert [(first.day, last.day) for first, last in found] == ranges


@pytest.mark.parametrize(
    ("ranges", "known", "found"),
    [
        ([(9, 10)], [5, 6], [(7, 10)]),
        ([(13, 13)], [6], [(7, 13)]),
        ([(14, 14)], [6], [(14, 14)]),
        ([(9, 10)], [6, 9], [(9, 10)]),
        ([(9, 10)], [6, 10], [(7, 10)]),
        ([(9, 10)], [11], [(9, 10)]),
        ([(9, 10)], [], [(9, 10)]),
        ([(3, 3), (12, 12), (21, 21)], [1, 2, 20], [(3, 3), (12, 12), (21, 21)]),
        ([(4, 4), (15, 15)], [1, 8], [(2, 4), (9, 15)]),
    ],
)
def test_a_new_day_takes_the_quiet_days_before_it_along(ranges, known, found) -> None:
    given = [(date(2026, 3, first), date(2026, 3, last)) for first, last in ranges]
    drawn = with_quiet_days(given, {date(2026, 3, day) for day in known})
    assert [(first.day, last.day) for first, last in drawn] == found


@pytest.mark.parametrize(
    ("ranges", "known", "today", "found"),
    [
        ([(9, 10)], [], 10, [(9, 10)]),
        ([(9, 10)], [9], 12, [(9, 12)]),
        ([(3, 4), (12, 12)], [], 19, [(3, 4), (12, 19)]),
        ([(12, 12)], [], 20, [(12, 12)]),
        ([(9, 10)], [11], 12, [(9, 10)]),
        ([], [11], 12, []),
    ],
)
def test_the_newest_day_takes_the_quiet_days_until_today_along(ranges, known, today, found) -> None:
    given = [(date(2026, 3, first), date(2026, 3, last)) for first, last in ranges]
    drawn = until_today(given, {date(2026, 3, day) for day in known}, date(2026, 3, today))
    assert [(first.day, last.day) for first, last in drawn] == found
