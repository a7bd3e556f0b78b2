"""What one pass is asked to do, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from session_pipeline_dagster.passes.shards import Shard

Summarized = tuple[str, Sequence[str], Sequence[tuple[object, ...]]]
"""Title, column names, rows."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one pass is asked to do.

    Attributes:
        days: only files of these partitions (clamped session days); None = all.
        users: only these users' files; empty = all.
        shard: only files of this shard; None = all, which is as exact beside other runs.
        full_refresh: first mark the rows in question outdated, then work as always.
        outdated: the same for rows that are kept although they are of another version.
        verify: re-hash files that look current; finds what stat cannot.
        max_files: how many due files to take (default: the setting).
        time_budget: checked before each file (default: the setting).
        run_id: kept in the state rows.
        summaries: also ask what the processor's summaries say after the pass.
    """

    days: frozenset[date] | None = None
    users: frozenset[str] = frozenset()
    shard: Shard | None = None
    full_refresh: bool = False
    outdated: bool = False
    verify: bool = False
    max_files: int | None = None
    time_budget: timedelta | None = None
    run_id: str | None = None
    summaries: bool = False


@dataclass(slots=True)
class DayReport:
    """What was processed of one session day (as stored, not clamped)."""

    processed: int = 0
    items: int = 0
    lines: int = 0


@dataclass(slots=True)
class BatchReport:
    """What one pass did.

    Attributes:
        shard: of which part of all files the numbers are, such as `1/4`; None = of all.
        session_files: files on disk, whatever their state.
        left_out: entries that are no session files, and files that no reader claims.
        missing: roots that could not be looked at while others could, a line for each.
        scanned: files that were due.
        processed: files whose rows were written.
        skipped: files whose content had not changed after all.
        capped: due files left for the next pass.
        errors: files that failed; `errors_detail` names the first 100: (session, error), and
            `failed_with` has their kinds of error. `gave_up`: how many of them are not tried again.
        shrunk: processed files that are smaller than last time: cut off or rewritten.
        gone: files that vanished while the pass ran.
        deleted, purged, returned: files found deleted since the last pass, marked; rows removed;
            files that had been deleted and are there again.
        to_purge, next_purge: deleted files whose rows are to be removed, and when the first are.
        backing_off, quarantined: failed earlier; waiting for their time, or given up.
            `given_up` names the first 100 of the latter: (session, error), and `given_up_with` has
            their kinds of error.
        commit_seconds: how long each commit held the database.
        oldest_pending_seconds: age of the oldest file that is still pending and not given up.
        derived_seconds: how long each roll-up and derivation took that was brought up to date.
        stale_rollups: roll-ups that waited for a refresh before the pass.
        counts: numbers of the processor's own, summed over the files, failed ones included.
        summaries: title, column names and rows of each, where they were asked for.
        broken_summaries: those that could not be made: (title, error).
    """

    processor: str
    shard: str | None = None
    session_files: int = 0
    left_out: int = 0
    scanned: int = 0
    processed: int = 0
    skipped: int = 0
    capped: int = 0
    errors: int = 0
    gave_up: int = 0
    shrunk: int = 0
    gone: int = 0
    deleted: int = 0
    purged: int = 0
    returned: int = 0
    to_purge: int = 0
    next_purge: datetime | None = None
    backing_off: int = 0
    quarantined: int = 0
    items_extracted: int = 0
    lines: int = 0
    unreadable_lines: int = 0
    bytes: int = 0
    seconds: float = 0.0
    oldest_pending_seconds: float = 0.0
    derived_seconds: dict[str, float] = field(default_factory=dict)
    stale_rollups: list[str] = field(default_factory=list)
    errors_detail: list[tuple[str, str]] = field(default_factory=list)
    given_up: list[tuple[str, str]] = field(default_factory=list)
    failed_with: set[str] = field(default_factory=set)
    given_up_with: set[str] = field(default_factory=set)
    commit_seconds: list[float] = field(default_factory=list)
    days: dict[date, DayReport] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    counts: dict[str, int | float] = field(default_factory=dict)
    summaries: list[Summarized] = field(default_factory=list)
    broken_summaries: list[tuple[str, str]] = field(default_factory=list)

    @property
    def mb_per_second(self) -> float:
        """Bytes read per second of the pass, in MB."""
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0
