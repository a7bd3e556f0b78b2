"""One pass of one processor: what is due -> worked on -> committed, and a report of it.

Failure isolation lives here and in `work.py` and nowhere else: a file costs a file. Rows and state
of a batch commit together; a crash on any line leaves its files pending and the tables unchanged.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.derivation import Changes
from session_pipeline_dagster.contract.processor import Processor, begin, derived_names, extras
from session_pipeline_dagster.errors import ContractError, RowsRefused, SettingsError
from session_pipeline_dagster.passes.breadcrumbs import Trail, blamed, trail
from session_pipeline_dagster.passes.deletions import settle
from session_pipeline_dagster.passes.options import BatchReport, DayReport, Options
from session_pipeline_dagster.passes.plan import (
    Currency,
    Outlook,
    Problem,
    clamp_day,
    currency,
    look,
    next_failure,
    oldest_seconds,
)
from session_pipeline_dagster.passes.pool import crew
from session_pipeline_dagster.passes.rescue import alone, apart, rescued
from session_pipeline_dagster.passes.work import Outcome, Task
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import SessionFile, SessionSource, Signature, mtime_day
from session_pipeline_dagster.store.batch import Batch, Signed
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.read import Known
from session_pipeline_dagster.store.states import Failure, FileState

if TYPE_CHECKING:
    from session_pipeline_dagster.store.columns import Packed

_MANY_ERRORS = 100
_MOST_ROWS = 122_880
"""Rows of one table in a commit, DuckDB's row group: what goes beyond it becomes a small group, and
merging those costs later commits twice their time and 80 MB."""
_MANY_ROWS = 110_000
"""Rows that are not worth waiting for more."""
_LONGEST_UNCOMMITTED = 10.0
"""Seconds: what a crash may cost where each file takes long."""


Progress = Callable[[int, int], None]
"""Called with (files worked on, files to work on)."""


def run_batch(
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
    options: Options | None = None,
    progress: Progress | None = None,
    held: ExitStack | None = None,
) -> BatchReport:
    """Process what is due, up to the cap and the time budget.

    Args:
        held: keeps the database open from the last commit on, for who has more to do with it.

    Raises:
        SourceUnavailable: a root is missing; nothing was changed.
        StoreError: the database could not be used; what was committed before stays.
        ContractError: the processor's DDL is not valid.
        SettingsError: the processor cannot work as things are set; no file was touched.
    """
    begun = time.monotonic()
    options = options or Options()
    processor = begin(processor, settings, options.run_id)
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
    report.stale_rollups = list(known.stale_rollups)
    if not known.prepared:
        report.stale_rollups = derived_names(processor)
    report.backing_off, report.quarantined = len(outlook.backing_off), len(outlook.quarantined)
    report.given_up = [
        (f.key, known.failures[f.key].error) for f in outlook.quarantined[:_MANY_ERRORS]
    ]
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
        try:
            for outcome in rescued(pool, processor, source, schemas, safe, stop, steps):
                take(outcome)
            if risky:
                writer.commit()
            for outcome in alone(processor, source, schemas, risky, stop, steps):
                take(outcome)
                # The next one may kill this process, and this one shall not have been for nothing.
                writer.commit()
        except SettingsError:
            # What was done before it came up stays done, and what it cost stays in the journals.
            writer.commit()
            raise
        writer.finish(held)
    left = {task.file.key for task in tasks} - writer.settled
    report.capped = sum(file.key in left for file in outlook.due) + max(len(outlook.due) - cap, 0)
    pending = [file for file in outlook.waiting if file.key not in writer.written]
    report.oldest_pending_seconds = oldest_seconds(pending, time.time())
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
    """`run_batch` without cap or budget, then what is derived: one whole pass in the foreground."""
    options = replace(options, max_files=sys.maxsize, time_budget=timedelta.max)
    with ExitStack() as held:
        # A derivation may ask a model, and nobody shall wait for the database meanwhile.
        hold = None if extras(processor).derivations else held
        report = run_batch(processor, source, store, settings, options, progress, hold)
        if report.processed or report.purged or report.stale_rollups:
            report.counts.update(recompute(processor, store, settings, options.run_id))
        for summary in extras(processor).summaries if options.summaries else ():
            try:
                report.summaries.append((summary.title, *store.query(summary.sql)[0]))
            except ContractError as error:
                report.broken_summaries.append((summary.title, str(error)))
    return report


def recompute(
    processor: Processor, store: Store, settings: Settings, run_id: str | None = None
) -> dict[str, int]:
    """Bring everything that is derived from the processor's rows up to date; what it counted.

    Raises:
        StoreError, SettingsError: as `derive`.
    """
    store.refresh(*extras(processor).rollups)
    counts: dict[str, int] = {}
    for derivation in extras(processor).derivations:
        counts.update(derive(processor, derivation.name, store, settings, run_id).numbers)
    return counts


def derive(
    processor: Processor, name: str, store: Store, settings: Settings, run_id: str | None = None
) -> Changes:
    """Compute a derivation of the processor, if it is stale, in a pass of its own.

    Raises:
        StoreError: the database could not be used, or others kept writing; it stays stale.
        SettingsError: the processor cannot work as things are set.
    """
    begun = begin(processor, settings, run_id)
    derivation = next(d for d in extras(begun).derivations if d.name == name)
    return store.derive(derivation)


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
        self._begun, self._bytes = time.monotonic(), 0

    def sign(self, files: Sequence[SessionFile]) -> None:
        now = datetime.now(UTC)
        self._batch.signed += [Signed(file.key, file.signature, now) for file in files]

    def add(self, outcome: Outcome) -> None:
        if self._most_rows(outcome.rows) > _MOST_ROWS:
            self.commit()
        batch, report = self._batch, self.report
        batch.done += outcome.done
        batch.signed += outcome.signed
        for failed in outcome.failed:
            key, problem = failed.file.key, failed.problem
            batch.failures.append(self._fail(key, problem, failed.signature, failed.file_hash))
        batch.failures += outcome.touched
        for table, rows in outcome.rows.items():
            batch.rows.setdefault(table, []).append(rows)
        for table, rows in outcome.journal.items():
            batch.journal.setdefault(table, []).extend(rows)
        for name, number in outcome.counts.items():
            report.counts[name] = report.counts.get(name, 0) + number
        report.gone += len(outcome.gone)
        report.bytes += outcome.bytes_read
        self.settled.update(outcome.gone)
        self.settled.update(failure.session_file for failure in outcome.touched)
        self._bytes += outcome.bytes_read
        if (
            self._bytes >= self.batch_bytes
            or self._most_rows({}) >= _MANY_ROWS
            or time.monotonic() - self._begun >= _LONGEST_UNCOMMITTED
        ):
            self.commit()

    def _most_rows(self, more: "Mapping[str, Packed]") -> int:
        """Rows of the fullest table, were these added."""
        waiting = self._batch.rows
        return max(
            (
                sum(part.rows for part in waiting.get(table, ()))
                + (more[table].rows if table in more else 0)
                for table in {*waiting, *more}
            ),
            default=0,
        )

    def commit(self) -> None:
        batch, self._batch, self._bytes = self._batch, Batch(), 0
        self._commit(batch)
        self._begun = time.monotonic()

    def finish(self, held: ExitStack | None) -> None:
        """The last commit; see `run_batch`."""
        if held and self._batch:
            held.enter_context(self.store.held())
        self.commit()

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
        rest = Batch(signed=batch.signed, failures=batch.failures, journal=batch.journal)
        self._commit(rest)

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
