"""What is due: pure decisions from what is on disk and what the state says.

One `currency` decides for runner, sensors, status and health alike. Nothing here reads a file, a
table or the clock; `now` is an argument.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

import msgspec

from session_pipeline_dagster.sources.files import SessionFile, Signature
from session_pipeline_dagster.store.states import (
    LONGEST_WAIT,
    NOTHING,
    RACY_NS,
    Failure,
    FileState,
    Rest,
)

BRIDGED_GAP = timedelta(days=7)
"""Days without work that one range of partitions spans rather than starting another run."""

MAX_ATTEMPTS = 5
_FIRST_BACKOFF = timedelta(minutes=1)
_MANY = 20


class Currency(Enum):
    """How a file stands to its state row."""

    CURRENT = "current"
    UNSIGNED = "unsigned"  # current by its mtime; its signature is still to be taken
    SUSPECT = "suspect"  # looks the same, but only its bytes can tell
    PENDING = "pending"  # new, changed or to be processed again by a newer version


def currency(file: SessionFile, row: FileState | None, version: int) -> Currency:
    """The one rule for "is this file processed?"; see Currency.

    `store/compare.py` says of many files in SQL which are CURRENT, and leaves all others to this.

    What a newer version has processed is processed: two versions over one database would read
    everything again and again.
    """
    if row is None or not (row.processor_version >= version or row.kept):
        return Currency.PENDING
    now, then = file.signature, row.signature
    if then is None:
        seen = row.processed_us is not None and now.mtime_ns <= row.processed_us * 1000
        return Currency.UNSIGNED if seen else Currency.PENDING
    if now != then:
        same = now.size == then.size and now.mtime_ns == then.mtime_ns
        return Currency.SUSPECT if same else Currency.PENDING
    if row.signed_us is not None and abs(row.signed_us * 1000 - now.mtime_ns) <= RACY_NS:
        return Currency.SUSPECT
    return Currency.CURRENT


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a processor stands to the files on disk.

    Attributes:
        due: pending files that may be worked on now, by (attempts, age).
        suspect: to be re-hashed; not pending until their hash says so.
        unsigned: current, to be signed.
        backing_off: pending files that failed and wait for their next attempt.
        quarantined: pending files that were given up.
        failed: keys of due files that failed before.
        outdated: how many files have rows of an older version of the processor.
        newer: how many have rows of a newer one: this installation is not the only one.
        unread: how many files no reader claims; they are none of `files`.
    """

    files: int
    due: Sequence[SessionFile]
    suspect: Sequence[SessionFile]
    unsigned: Sequence[SessionFile]
    backing_off: Sequence[SessionFile]
    quarantined: Sequence[SessionFile]
    failed: frozenset[str] = frozenset()
    outdated: int = 0
    unread: int = 0
    newer: int = 0

    @property
    def pending(self) -> list[SessionFile]:
        """Every file whose rows are not those of its present content."""
        return [*self.waiting, *self.quarantined]

    @property
    def waiting(self) -> list[SessionFile]:
        """The pending files that will be worked on without anyone's help."""
        return [*self.due, *self.backing_off]

    def oldest_pending_seconds(self, now: datetime) -> float:
        """Age of the oldest waiting file by its mtime, in seconds; 0 where none waits.

        A file that was given up would let it grow for ever, and say nothing of the pipeline.
        """
        return oldest_seconds(self.waiting, now.timestamp())


def oldest_seconds(files: Iterable[SessionFile], now: float) -> float:
    """Age of the oldest file by its mtime, in seconds; 0 without files, never negative.

    Args:
        now: seconds since the epoch.
    """
    oldest = min((file.signature.mtime_ns for file in files), default=None)
    return 0.0 if oldest is None else max(0.0, now - oldest / 1e9)


def look(
    files: Iterable[SessionFile],
    states: Mapping[str, FileState],
    failures: Mapping[str, Failure],
    version: int,
    now: datetime,
    rest: Rest = NOTHING,
) -> Outlook:
    """Sort the files on disk by what is to be done with them.

    Args:
        rest: of the files that were found current before, and are none of `files`.
    """
    count, outdated, newer, unread = rest.files, rest.outdated, rest.newer, 0
    due: list[SessionFile] = []
    found: dict[Currency, list[SessionFile]] = {kind: [] for kind in Currency}
    backing_off: list[SessionFile] = []
    quarantined: list[SessionFile] = []
    pending, current = Currency.PENDING, Currency.CURRENT
    for file in files:
        count += 1
        state = states.get(file.key)
        kind = currency(file, state, version)
        if state is not None and state.processor_version != version:
            outdated += state.processor_version < version
            newer += state.processor_version > version
        failure = failures.get(file.key) if failures else None
        if failure is not None and not _holds(failure, file, version):
            failure = None
        if kind is not pending and failure is None:
            unread += state is not None and state.left_out is not None
            # What is current is nearly everything, and nobody asks for it.
            if kind is not current:
                found[kind].append(file)
        elif failure is None:
            due.append(file)
        # A failure of this very content: it is pending even where stat sees no change.
        elif failure.quarantined_at is not None:
            quarantined.append(file)
        elif failure.next_attempt_at is not None and failure.next_attempt_at > now:
            backing_off.append(file)
        else:
            due.append(file)
    due.sort(key=lambda file: (_attempts(failures, file), file.signature.mtime_ns, file.key))
    suspect, unsigned = found[Currency.SUSPECT], found[Currency.UNSIGNED]
    failed = frozenset(file.key for file in due if file.key in failures)
    read = count - unread
    waiting = (due, suspect, unsigned, backing_off, quarantined)
    return Outlook(read, *waiting, failed, outdated, unread, newer)


def _holds(failure: Failure, file: SessionFile, version: int) -> bool:
    """Whether a failure says anything of this content under this version of the processor."""
    return failure.signature == file.signature and failure.processor_version >= version


def _attempts(failures: Mapping[str, Failure], file: SessionFile) -> int:
    failure = failures.get(file.key)
    return failure.attempts if failure else 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file could not be processed this time.

    Attributes:
        counts: whether it burns an attempt; a transient cause does not.
        final: the same bytes will fail again: quarantine at once.
        wait: until the next attempt, where it is known; else it is paced by the tries.
    """

    error_class: str
    error: str
    counts: bool = True
    final: bool = False
    wait: timedelta | None = None


def next_failure(
    key: str,
    root: str,
    problem: Problem,
    earlier: Failure | None,
    now: datetime,
    signature: Signature,
    file_hash: str | None,
    version: int,
) -> Failure:
    """The failure row after one more problem with a file; new content starts at zero attempts."""
    unchanged = earlier is not None and (
        earlier.signature == signature or (file_hash is not None and earlier.file_hash == file_hash)
    )
    if earlier is None or not unchanged or earlier.processor_version < version:
        earlier = None
    attempts = (earlier.attempts if earlier else 0) + problem.counts
    tries = (earlier.tries if earlier else 0) + 1
    given_up = problem.final or attempts >= MAX_ATTEMPTS
    wait = problem.wait or _FIRST_BACKOFF * 2 ** min(tries - 1, _MANY)
    wait = min(max(wait, timedelta(0)), LONGEST_WAIT)
    return Failure(
        session_file=key,
        attempts=attempts,
        error_class=problem.error_class,
        error=problem.error,
        first_failed_at=earlier.first_failed_at if earlier else now,
        last_failed_at=now,
        next_attempt_at=None if given_up else now + wait,
        quarantined_at=now if given_up else None,
        file_hash=file_hash,
        signature=signature,
        tries=tries,
        processor_version=max(version, earlier.processor_version if earlier else version),
        root=root,
    )


def still_failed(failure: Failure, signature: Signature) -> Failure:
    """The same failure of a file that was touched: its content has not changed."""
    return msgspec.structs.replace(failure, signature=signature)


def left_out(
    files: Iterable[SessionFile], states: Mapping[str, FileState], agents: str
) -> tuple[list[FileState], list[FileState]]:
    """Files that no reader claims, as far as is known: by the present readers, and by others.

    Args:
        agents: whom the present readers read.
    """
    # Few or none, of perhaps 100,000.
    known = {key: state for key, state in states.items() if state.left_out}
    found = [known[file.key] for file in files if file.key in known] if known else []
    ours = [state for state in found if state.readers == agents]
    return ours, [state for state in found if state.readers != agents]


def last_change(
    states: Mapping[str, FileState], failures: Mapping[str, Failure], rest: Rest = NOTHING
) -> float | None:
    """When a run last wrote anything about a file, in seconds since the epoch."""
    done = max((max(s.processed_us or 0, s.signed_us or 0) for s in states.values()), default=0)
    done = max(done, rest.changed_us)
    failed = max((f.last_failed_at.timestamp() for f in failures.values()), default=0.0)
    return max(done / 1e6, failed) or None


def clamp_day(day: date, start: date, today: date) -> date:
    """The partition a session day belongs to: the first or last one where it lies outside."""
    return min(max(day, start), max(start, today))


def day_ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """First and last day of as few ranges as hold all days without a gap over BRIDGED_GAP."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] <= BRIDGED_GAP:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def with_quiet_days(
    ranges: Iterable[tuple[date, date]], known: Collection[date]
) -> list[tuple[date, date]]:
    """The ranges, drawn back over the quiet days before them up to the last day that had a session.

    A weekend is then as done as the days around it. Only where the first day is new (not in
    `known`): once is enough. A gap over BRIDGED_GAP stays one.
    """
    found = []
    for first, last in ranges:
        before = max((day for day in known if day < first), default=None)
        if first not in known and before is not None and first - before <= BRIDGED_GAP:
            first = before + timedelta(days=1)
        found.append((first, last))
    return found


def until_today(
    ranges: Sequence[tuple[date, date]], known: Collection[date], today: date
) -> list[tuple[date, date]]:
    """The ranges, the one with the newest session drawn on over the quiet days after it until
    today: what has no session yet is as done as it can be. A gap over BRIDGED_GAP stays one."""
    newest = max((*known, *(last for _, last in ranges)), default=today)
    found = [*ranges]
    if found and found[-1][1] == newest and today - newest <= BRIDGED_GAP:
        found[-1] = (found[-1][0], max(newest, today))
    return found
