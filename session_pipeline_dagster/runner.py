"""One pass of one processor: what is due -> worked on -> committed, and a report of it.

Failure isolation lives here and in `work.py` and nowhere else: a file costs a file. Rows and state
of a batch commit together; a crash on any line leaves its files pending and the tables unchanged.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from session_pipeline_dagster.batch import Batch, Signed
from session_pipeline_dagster.breadcrumbs import Trail, blamed, trail
from session_pipeline_dagster.deletions import settle
from session_pipeline_dagster.errors import RowsRefused
from session_pipeline_dagster.plan import (
    Currency,
    Failure,
    FileState,
    Outlook,
    Problem,
    clamp_day,
    currency,
    look,
    next_failure,
    oldest_seconds,
)
from session_pipeline_dagster.pool import crew
from session_pipeline_dagster.processor import Processor, extras
from session_pipeline_dagster.rescue import alone, apart, rescued
from session_pipeline_dagster.sessions import SessionFile, SessionSource, mtime_day
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.snapshot import Signature
from session_pipeline_dagster.store import Known, Store
from session_pipeline_dagster.work import Outcome, Task

_MANY_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Options:
    """What one pass is asked to do.

    Attributes:
        days: only files of these partitions (clamped session days); None = all.
        users: only these users' files; empty = all.
        full_refresh: first mark the rows in question outdated, then work as always.
        outdated: the same for rows that are kept although they are of another version.
        verify: re-hash files that look current; finds what stat cannot.
        max_files: how many due files to take (default: the setting).
        time_budget: checked before each file (default: the setting).
        run_id: kept in the state rows.
    """

    days: frozenset[date] | None = None
    users: frozenset[str] = frozenset()
    full_refresh: bool = False
    outdated: bool = False
    verify: bool = False
    max_files: int | None = None
    time_budget: timedelta | None = None
    run_id: str | None = None


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
        session_files: files on disk, whatever their state.
        scanned: files that were due.
        processed: files whose rows were written.
        skipped: files whose content had not changed after all.
        capped: due files left for the next pass.
        errors: files that failed; `errors_detail` names the first 100: (session, error).
        shrunk: processed files that are smaller than last time: cut off or rewritten.
        gone: files that vanished while the pass ran.
        deleted, purged: files found deleted since the last pass; rows kept, or rows removed.
        backing_off, quarantined: failed earlier; waiting for their time, or given up.
        commit_seconds: how long each commit held the database.
        oldest_pending_seconds: age of the oldest file that is still pending.
        stale_rollups: roll-ups that waited for a refresh before the pass.
    """

    processor: str
    session_files: int = 0
    left_out: int = 0
    scanned: int = 0
    processed: int = 0
    skipped: int = 0
    capped: int = 0
    errors: int = 0
    shrunk: int = 0
    gone: int = 0
    deleted: int = 0
    purged: int = 0
    backing_off: int = 0
    quarantined: int = 0
    items_extracted: int = 0
    lines: int = 0
    unreadable_lines: int = 0
    bytes: int = 0
    seconds: float = 0.0
    oldest_pending_seconds: float = 0.0
    stale_rollups: list[str] = field(default_factory=list)
    errors_detail: list[tuple[str, str]] = field(default_factory=list)
    commit_seconds: list[float] = field(default_factory=list)
    days: dict[date, DayReport] = field(default_factory=dict)

    @property
    def mb_per_second(self) -> float:
        """Bytes read per second of the pass, in MB."""
        return self.bytes / 1e6 / self.seconds if self.seconds else 0.0


Progress = Callable[[int, int], None]
"""Called with (files worked on, files to work on)."""


def run_batch(
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
    options: Options | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Process what is due, up to the cap and the time budget.

    Raises:
        SourceUnavailable: a root is missing; nothing was changed.
        StoreError: the database could not be used; what was committed before stays.
        ContractError: the processor's DDL is not valid.
    """
    begun = time.monotonic()
    options = options or Options()
    report = BatchReport(processor.name)
    scan = source.scan()
    steps = trail(store.database, processor.name, processor.version)
    known = _known(processor, store, steps)
    deletions = settle(processor, scan, known, store, settings.on_delete)
    report.deleted, report.purged = deletions.marked, deletions.purged
    files = [f for f in scan.files if not options.users or f.user in options.users]
    chosen = _of_days(files, known.states, source, settings, options)
    if options.full_refresh or options.outdated:
        kept = {key for key, state in known.states.items() if state.kept}
        again = [f.key for f in chosen if options.full_refresh or f.key in kept]
        store.mark_outdated(processor.name, again)
        known = store.known(processor)
    states = known.states
    outlook = look(chosen, states, known.failures, processor.version, datetime.now(UTC))
    report.session_files, report.left_out = len(scan.files), len(scan.left_out)
    report.scanned = len(outlook.due)
    # A changed declaration makes all roll-ups stale; `prepare` notes which parts.
    every = [rollup.name for rollup in extras(processor).rollups]
    report.stale_rollups = list(known.stale_rollups) if known.prepared else every
    report.backing_off, report.quarantined = len(outlook.backing_off), len(outlook.quarantined)
    cap = settings.cap(processor.name) if options.max_files is None else options.max_files
    tasks = _tasks(outlook, known, processor, cap, options, chosen)
    budget = options.time_budget or settings.time_budget
    writer = _Writer(processor, store, settings.batch_bytes, known, report, options.run_id)
    if not options.verify:
        writer.sign(outlook.unsigned)
    worked = 0

    def take(outcome: Outcome) -> None:
        nonlocal worked
        writer.add(outcome)
        worked += outcome.files
        if progress:
            progress(worked, len(tasks))

    safe, risky = apart(tasks, known.failures)
    with crew(processor, source, safe, settings.workers) as pool:
        schemas = store.prepare(processor) if tasks or not known.prepared else {}
        # From here: the wait for a busy database must not use up the time for work.
        stop = time.monotonic() + budget.total_seconds()
        for outcome in rescued(pool, processor, source, schemas, safe, stop, steps):
            take(outcome)
    writer.commit()
    for outcome in alone(processor, source, schemas, risky, stop, steps):
        take(outcome)
        writer.commit()
    left = {task.file.key for task in tasks} - writer.settled
    report.capped = sum(file.key in left for file in outlook.due) + max(len(outlook.due) - cap, 0)
    pending = [file for file in outlook.pending if file.key not in writer.written]
    report.oldest_pending_seconds = oldest_seconds(pending, datetime.now(UTC))
    report.seconds = time.monotonic() - begun
    return report


def run_all(
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
    options: Options,
    progress: Progress | None = None,
) -> BatchReport:
    """`run_batch` without cap or budget, then the roll-ups: one whole pass in the foreground."""
    options = replace(options, max_files=sys.maxsize, time_budget=timedelta.max)
    report = run_batch(processor, source, store, settings, options, progress)
    if report.processed or report.purged or report.stale_rollups:
        refresh_rollups(processor, store)
    return report


def refresh_rollups(processor: Processor, store: Store) -> dict[str, list[str]]:
    """Bring the stale roll-ups up to date: name -> the parts that were recomputed."""
    stale = store.known(processor).stale_rollups
    return {r.name: store.refresh(r) for r in extras(processor).rollups if r.name in stale}


def _known(processor: Processor, store: Store, steps: Trail) -> Known:
    """What the store knows, including who killed the processes that died since."""
    known = store.known(processor)
    with steps.left_behind() as crumbs:
        failures = blamed(crumbs, known.states, known.failures)
        if not failures:
            return known
        if not known.prepared:
            store.prepare(processor)
        store.commit(processor, Batch(failures=failures))
    return store.known(processor)


def _of_days(
    files: Sequence[SessionFile],
    states: Mapping[str, FileState],
    source: SessionSource,
    settings: Settings,
    options: Options,
) -> Sequence[SessionFile]:
    """The files whose partition was asked for. Heads are read only of files that may be due."""
    if options.days is None:
        return files
    today = datetime.now(UTC).date()
    return [
        file
        for file in files
        if clamp_day(file_day(file, states.get(file.key), source), settings.start_date, today)
        in options.days
    ]


def file_day(file: SessionFile, state: FileState | None, source: SessionSource) -> date:
    """The file's session day: as stored while its signature holds, else from its head."""
    if state and state.session_day and state.signature == file.signature:
        return state.session_day
    try:
        return source.day(file)
    except OSError:
        # It cannot be read now; its run will say so. Any day will do to get it into one.
        return mtime_day(file.signature.mtime_ns)


def _tasks(
    outlook: Outlook,
    known: Known,
    processor: Processor,
    cap: int,
    options: Options,
    chosen: Sequence[SessionFile],
) -> list[Task]:
    """Suspects first and outside the cap, because looking at them is cheap; then what is due."""
    suspects, version = outlook.suspect, processor.version
    if options.verify:
        kinds = (Currency.CURRENT, Currency.SUSPECT, Currency.UNSIGNED)
        suspects = [f for f in chosen if currency(f, known.states.get(f.key), version) in kinds]
    # A file can be both: its hash has shown a change that stat cannot see, and then it failed.
    files = {file.key: file for file in [*suspects, *outlook.due[:cap]]}
    failures = {k: f for k, f in known.failures.items() if f.processor_version == version}
    return [Task(f, known.states.get(f.key), failures.get(f.key)) for f in files.values()]


class _Writer:
    """Collects outcomes and commits them by size."""

    def __init__(
        self,
        processor: Processor,
        store: Store,
        batch_bytes: int,
        known: Known,
        report: BatchReport,
        run_id: str | None,
    ) -> None:
        self.processor, self.store, self.batch_bytes = processor, store, batch_bytes
        self.known, self.report, self.run_id = known, report, run_id
        self.settled: set[str] = set()
        self.written: set[str] = set()
        self._batch = Batch()
        self._bytes = 0

    def sign(self, files: Sequence[SessionFile]) -> None:
        now = datetime.now(UTC)
        self._batch.signed += [Signed(file.key, file.signature, now) for file in files]

    def add(self, outcome: Outcome) -> None:
        batch, report = self._batch, self.report
        batch.done += outcome.done
        batch.signed += outcome.signed
        for failed in outcome.failed:
            key, problem = failed.file.key, failed.problem
            batch.failures.append(self._fail(key, problem, failed.signature, failed.file_hash))
        batch.failures += outcome.touched
        for table, rows in outcome.rows.items():
            batch.rows.setdefault(table, []).append(rows)
        report.gone += len(outcome.gone)
        report.bytes += outcome.bytes_read
        self.settled.update(outcome.gone)
        self.settled.update(failure.session_file for failure in outcome.touched)
        self._bytes += outcome.bytes_read
        if self._bytes >= self.batch_bytes:
            self.commit()

    def commit(self) -> None:
        batch, self._batch, self._bytes = self._batch, Batch(), 0
        self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        report = self.report
        if not batch:
            return
        begun = time.monotonic()
        try:
            overtaken = self.store.commit(self.processor, batch, self.run_id)
        except RowsRefused as error:
            self._find_refused(batch, error)
            return
        report.commit_seconds.append(time.monotonic() - begun)
        batch.done = [done for done in batch.done if done.session_file not in overtaken]
        report.processed += len(batch.done)
        report.skipped += len(batch.signed)
        for done in batch.done:
            before = self.known.states.get(done.session_file)
            if before and before.signature and done.signature.size < before.signature.size:
                report.shrunk += 1
            day = report.days.setdefault(done.session_day, DayReport())
            day.processed += 1
            day.items += done.items
            day.lines += done.lines
            report.items_extracted += done.items
            report.lines += done.lines
            report.unreadable_lines += done.unreadable_lines
        finished = [done.session_file for done in batch.done]
        finished += [signed.session_file for signed in batch.signed]
        self.settled.update(finished)
        self.written.update(finished)

    def _find_refused(self, batch: Batch, error: RowsRefused) -> None:
        """Only the database knows what its constraints refuse: halve until the file is alone."""
        if len(batch.done) > 1:
            for half in batch.halves():
                self._commit(half)
            return
        problem = Problem(type(error).__name__, str(error))
        for done in batch.done:
            key = done.session_file
            batch.failures.append(self._fail(key, problem, done.signature, done.file_hash))
        self._commit(Batch(signed=batch.signed, failures=batch.failures))

    def _fail(
        self, key: str, problem: Problem, signature: Signature, file_hash: str | None
    ) -> Failure:
        """The failure row of a file, which the report then names too."""
        self.report.errors += 1
        self.settled.add(key)
        if len(self.report.errors_detail) < _MANY_ERRORS:
            self.report.errors_detail.append((key, problem.error))
        earlier, now = self.known.failures.get(key), datetime.now(UTC)
        version = self.processor.version
        return next_failure(key, problem, earlier, now, signature, file_hash, version)
