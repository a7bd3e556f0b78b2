"""One pass of one processor: what is due -> worked on -> committed, and a report of it.

Failure isolation lives in `work.py`, `rescue.py` and `writer.py`: a file costs a file. Rows and
state of a batch commit together; a crash on any line leaves its files pending and the tables
unchanged.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from session_pipeline_dagster.contract.derivation import Changes
from session_pipeline_dagster.contract.processor import Processor, begin, derived_names, extras
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.guests import aside
from session_pipeline_dagster.passes import retention
from session_pipeline_dagster.passes.beginning import drop_stale_day, first_day, note_first_day
from session_pipeline_dagster.passes.breadcrumbs import Trail, blamed, trail
from session_pipeline_dagster.passes.consent import consented
from session_pipeline_dagster.passes.days import file_days
from session_pipeline_dagster.passes.deletions import Deletions, settle
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.plan import (
    Currency,
    Outlook,
    clamp_day,
    currency,
    left_out,
    look,
    oldest_seconds,
)
from session_pipeline_dagster.passes.pool import crew, work_here
from session_pipeline_dagster.passes.rescue import apart, one_by_one, work_safely
from session_pipeline_dagster.passes.seeing import Sight, see
from session_pipeline_dagster.passes.shards import sight_in
from session_pipeline_dagster.passes.work import Postponed, Task, Work
from session_pipeline_dagster.passes.writer import Fate, Take, Writer, taking
from session_pipeline_dagster.people import lost
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan, SessionFile, SessionSource
from session_pipeline_dagster.sources.several import lines_of
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import FileState, Known

_MANY_NAMED = 100

Progress = Callable[[int, int], None]
"""Called with (files worked on, files to work on)."""
Phase = Callable[[str], None]
"""Called with the name of what begins after the files."""


@aside()
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
        held: keeps the database open from the last commit on, for who has more to do with it; from
            the look on where there is nothing to work on.

    Raises:
        SourceUnavailable: a root is missing; nothing was changed.
        StoreError: the database could not be used; what was committed before stays.
        ContractError: the processor's DDL is not valid.
        SettingsError: the processor cannot work as things are set; no file was touched.
    """
    begun = time.monotonic()
    options = options or Options()
    lost.refuse(settings)
    drop_stale_day(store, settings)
    processor = begin(processor, settings, options.run_id)
    steps = trail(store, processor.name, processor.version)
    now, scan = datetime.now(UTC), consented(processor, source.scan(), settings)
    with ExitStack() as open_for_looks:
        if held:
            open_for_looks.enter_context(store.held())
        seen = _look(processor, source, scan, store, settings, options, steps, now)
        cap = settings.cap(processor.name) if options.max_files is None else options.max_files
        tasks = _tasks(seen, processor, cap, verify=options.verify)
        if held and not tasks:
            held.enter_context(open_for_looks.pop_all())
    report = _opened(processor, seen, source.readers.agents)
    report.shard = str(options.shard) if options.shard else None
    size = settings.batch_bytes
    writer = Writer(processor, store, size, seen.known, report, options.run_id, seen.begun)
    if not options.verify:
        writer.sign(seen.outlook.unsigned)
    safe, risky = apart(tasks, seen.known.failures)
    # From here: the wait for a busy database must not use up the time for work.
    stop = time.monotonic() + (options.time_budget or settings.time_budget).total_seconds()
    seconds = settings.file_deadline.total_seconds()
    work = Work(processor, source, {}, steps, stop, seconds)
    take = taking(writer, progress, len(tasks))
    prepared = seen.known.prepared
    if prepared:
        safe = _changed(work, safe, take)
    # Who died lately is to be named for certain, so each file is begun here.
    workers = 1 if steps.careful else settings.workers
    with crew(processor, source, safe, workers) as pool:
        waited, schemas = time.monotonic(), {}
        if safe or risky or not prepared:
            schemas = store.prepare(processor)
        stop += time.monotonic() - waited
        _work_through(replace(work, schemas=schemas, stop=stop), pool, safe, risky, writer, take)
        writer.finish(held)
    lost.note(settings)
    known = seen.known
    had = (*known.rest.days, *(state.session_day for state in known.states.values()))
    note_first_day(store, (*report.days, *had))
    report.counts |= retention.numbers(processor, scan, store, settings, now)
    left = {task.file.key for task in tasks} - writer.fates.keys()
    due = seen.outlook.due
    report.capped = sum(file.key in left for file in due) + max(len(due) - cap, 0)
    pending = [f for f in seen.outlook.waiting if writer.fates.get(f.key) is not Fate.WRITTEN]
    report.oldest_pending_seconds = oldest_seconds(pending, time.time())
    report.seconds = time.monotonic() - begun
    return report


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a pass sees of its shard before it touches a file; `chosen` are the files it was asked
    for, `begun` is before the first look."""

    begun: datetime
    scan: Scan
    deletions: Deletions
    known: Known
    chosen: Sequence[SessionFile]
    outlook: Outlook


def _look(
    processor: Processor,
    source: SessionSource,
    scan: Scan,
    store: Store,
    settings: Settings,
    options: Options,
    steps: Trail,
    now: datetime,
) -> _Seen:
    """Look at files and store; settles what is gone and marks what is to be done again."""
    # What is to be done with files that are current is to be done with all.
    whole = options.full_refresh or options.outdated or options.verify

    def look_again(keys: Collection[str] = ()) -> Sight:
        return see(processor, scan, store, settings, now, keys=keys, whole=whole)

    # Who died may have been of another shard, and is blamed as what is known of it says.
    sight = sight_in(_blaming(processor, store, steps, look_again), options.shard)
    known = sight.known
    # With all that is there: a root without a file of this shard is mounted all the same.
    deletions = settle(processor, scan, known, store, settings, now)
    files = [f for f in sight.files if not options.users or f.user in options.users]
    chosen = _of_days(files, known.states, source, settings, options)
    again = _again(sight.scan, chosen, known, source.readers.agents, options)
    if again or options.full_refresh or options.outdated:
        store.mark_outdated(processor.name, again)
        sight = sight_in(look_again([file.key for file in chosen]), options.shard)
        known = sight.known
    # Later than `now`: whoever died is blamed meanwhile, and may be tried again at once.
    outlook = look(chosen, known.states, known.failures, processor.version, datetime.now(UTC))
    return _Seen(now, sight.scan, deletions, known, chosen, outlook)


def _again(
    scan: Scan, chosen: Sequence[SessionFile], known: Known, agents: str, options: Options
) -> list[str]:
    """The files to be processed again although they have not changed.

    What other readers left out is due whatever was asked for: a run over another day notes it.
    """
    _, by_others = left_out(scan.files, known.states, agents)
    again = [state.session_file for state in by_others]
    if options.full_refresh:
        return again + [file.key for file in chosen]
    if options.outdated:
        kept = {key for key, state in known.states.items() if state.kept}
        again += [file.key for file in chosen if file.key in kept]
    return again


def _opened(processor: Processor, seen: _Seen, agents: str) -> BatchReport:
    """The report of a pass that has only looked yet."""
    outlook, known = seen.outlook, seen.known
    due = {file.key for file in outlook.due}
    unread, _ = left_out((f for f in seen.scan.files if f.key not in due), known.states, agents)
    return BatchReport(
        processor.name,
        session_files=len(seen.scan.files),
        left_out=len(seen.scan.left_out) + len(unread) + len(seen.scan.withheld),
        missing=lines_of(seen.scan.missing),
        scanned=len(outlook.due),
        deleted=seen.deletions.marked,
        purged=seen.deletions.purged,
        returned=seen.deletions.returned,
        to_purge=seen.deletions.waiting,
        next_purge=seen.deletions.next_purge,
        backing_off=len(outlook.backing_off),
        quarantined=len(outlook.quarantined),
        given_up=[(f.key, known.failures[f.key].error) for f in outlook.quarantined[:_MANY_NAMED]],
        given_up_with={known.failures[file.key].error_class for file in outlook.quarantined},
        # A changed declaration makes all roll-ups stale; `prepare` notes which parts.
        stale_rollups=list(known.stale_rollups) if known.prepared else derived_names(processor),
    )


def _changed(work: Work, tasks: Sequence[Task], take: Take) -> Sequence[Task]:
    """The tasks that their hash alone does not settle.

    A restored tree can be nothing but files that were touched: they are read here and now, where
    workers, Arrow and the tables' schemas would cost more than all of it.
    """
    version = work.processor.version
    touched = [task for task in tasks if task.may_be_known(version)]
    settled: set[str] = set()
    for worked in work_here(replace(work, only_compare=True), touched) if touched else ():
        outcomes = [o for o in worked.outcomes if not isinstance(o, Postponed)]
        settled.update(outcome.session_file for outcome in outcomes)
        take(replace(worked, outcomes=outcomes))
    return [task for task in tasks if task.file.key not in settled]


def _work_through(
    work: Work,
    pool: ProcessPoolExecutor | None,
    safe: Sequence[Task],
    risky: Sequence[Task],
    writer: Writer,
    take: Take,
) -> None:
    """Work on all tasks and hand what came of them to the writer."""
    try:
        for worked in work_safely(pool, work, safe):
            take(worked)
        if risky:
            writer.commit()
        for worked in one_by_one(work, risky):
            take(worked)
            # The next one may kill this process, and this one shall not have been for nothing.
            writer.commit()
    except SettingsError:
        # What was done before it came up stays done, and what it cost stays in the journals.
        writer.commit()
        raise


@aside()
def run_all(
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
    options: Options,
    progress: Progress | None = None,
    phase: Phase | None = None,
) -> BatchReport:
    """`run_batch` without cap or budget, then what is derived: one whole pass in the foreground."""
    options = replace(options, max_files=sys.maxsize, time_budget=timedelta.max)
    with ExitStack() as held:
        # A derivation may ask a model, and nobody shall wait for the database meanwhile.
        hold = held if all(d.quick for d in extras(processor).derivations) else None
        report = run_batch(processor, source, store, settings, options, progress, hold)
        gone_or_back = report.deleted or report.returned or report.purged
        if report.processed or gone_or_back or report.stale_rollups:
            steps = _derived_steps(processor, store, settings, options.run_id)
            for name, step in steps.items():
                if phase:
                    phase(name)
                begun = time.monotonic()
                report.counts.update(step())
                report.derived_seconds[name] = round(time.monotonic() - begun, 3)
        summaries = extras(processor).summaries if options.summaries else ()
        if phase and summaries:
            phase("summaries")
        if summaries:
            # Opening the database costs more than most of them.
            held.enter_context(store.held())
        for summary in summaries:
            try:
                report.summaries.append((summary.title, *store.query(summary.sql)[0]))
            except ContractError as error:
                report.broken_summaries.append((summary.title, str(error)))
    return report


def recompute(
    processor: Processor, store: Store, settings: Settings, run_id: str | None = None
) -> dict[str, int | float]:
    """Bring everything that is derived from the processor's rows up to date; what it counted.

    Raises:
        StoreError, SettingsError: as `derive`.
    """
    counts: dict[str, int | float] = {}
    for step in _derived_steps(processor, store, settings, run_id).values():
        counts.update(step())
    return counts


def _derived_steps(
    processor: Processor, store: Store, settings: Settings, run_id: str | None
) -> dict[str, Callable[[], Mapping[str, int | float]]]:
    """What brings up to date all that is derived, in its order; each says what it counted."""
    more, steps = extras(processor), {}
    rollups = more.rollups

    def refresh() -> Mapping[str, int | float]:
        store.refresh(*rollups)
        return {}

    def computing(name: str) -> Callable[[], Mapping[str, int | float]]:
        return lambda: derive(processor, name, store, settings, run_id).numbers

    steps |= {d.name: computing(d.name) for d in more.derivations if d.first}
    if rollups:
        # All in one transaction: files that nobody holds are opened once.
        steps[", ".join(rollup.name for rollup in rollups)] = refresh
    return steps | {d.name: computing(d.name) for d in more.derivations if not d.first}


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


def _blaming(
    processor: Processor, store: Store, steps: Trail, look_again: Callable[..., Sight]
) -> Sight:
    """What is seen, including who killed the processes that died since."""
    with steps.left_behind() as crumbs:
        sight = look_again({crumb.session_file for crumb in crumbs})
        failures = blamed(crumbs, sight.known.states, sight.known.failures)
        if not failures:
            return sight
        if not sight.known.prepared:
            store.prepare(processor)
        first = datetime.fromtimestamp(min(crumb.begun for crumb in crumbs), UTC)
        store.commit(processor, Batch(failures=failures, begun=first))
    return look_again()


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
    start, today = first_day(settings), datetime.now(UTC).date()
    days = file_days(files, states, source)
    return [
        file
        for file, day in zip(files, days, strict=True)
        if clamp_day(day, start, today) in options.days
    ]


def _tasks(seen: _Seen, processor: Processor, cap: int, *, verify: bool) -> list[Task]:
    """Suspects first and outside the cap, because looking at them is cheap; then what is due."""
    suspects, states, version = seen.outlook.suspect, seen.known.states, processor.version
    if verify:
        kinds = (Currency.CURRENT, Currency.SUSPECT, Currency.UNSIGNED)
        suspects = [f for f in seen.chosen if currency(f, states.get(f.key), version) in kinds]
    # A file can be both: its hash has shown a change that stat cannot see, and then it failed.
    files = {file.key: file for file in [*suspects, *seen.outlook.due[:cap]]}
    failures = {k: f for k, f in seen.known.failures.items() if f.processor_version >= version}
    return [Task(f, states.get(f.key), failures.get(f.key)) for f in files.values()]
