"""The sensor that ends what a crash left behind, beside Dagster's own run monitoring, and old runs.

A run whose machine went down stays STARTED or STARTING for ever and keeps its processor's slot; a
run whose worker was killed may keep the slot. Both would hold up the processor until someone looks.
Where runs have leases (a lake), one that nobody keeps up says it of a worker on any machine.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg
import psutil

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.health.orphans import Worker, is_gone
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.failing import skipping
from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.orchestration.names import PLAIN, Names
from session_pipeline_dagster.orchestration.runs import IN_FLIGHT, concerns
from session_pipeline_dagster.orchestration.starting import never_began
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store

if TYPE_CHECKING:
    from session_pipeline_dagster.orchestration.retention import Retention

_TICK = 30
_GLANCE = timedelta(seconds=2)
_STARTED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_STARTING = dg.DagsterRunStatus.STARTING


def janitor_sensor(
    registry: Registry,
    settings: Settings,
    names: Names = PLAIN,
    held: HeldInstance | None = None,
) -> dg.SensorDefinition:
    """Fails runs whose worker is gone, frees slots of runs that have ended, deletes old runs."""
    held, keep, store = held or HeldInstance(), settings.keep_runs, open_store(settings)
    deletes = (
        f"Deletes runs that ended over {keep.days} days ago, those of no note sooner, but for what "
        "the pages of today are made of."
        if keep
        else "Deletes no run."
    )

    @cache
    def retention() -> "Retention":
        # Whoever loads the location need not load Dagster's storage and SQLAlchemy, 34 MB.
        from session_pipeline_dagster.orchestration.retention import Retention  # noqa: PLC0415

        return Retention(registry, names, keep)

    @dg.sensor(
        name=names.other("janitor_sensor"),
        minimum_interval_seconds=_TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs of the processors whose worker process is gone, and frees the "
        f"slots of runs that have ended, so that a crash or a reboot holds up nobody. {deletes}",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance, said = held.of(context), []
        try:
            lost = _lost(instance, store, registry.processors, names)
        except StoreError as error:
            # Dagster's own things go on without it.
            lost = []
            said.append(f"leases cannot be looked at: {error}")
        for run in [*_orphans(instance, registry.processors, names), *lost]:
            if end(instance, run):
                context.log.warning(printable(f"run {run.run_id}: its worker is gone; ended it"))
                said.append(f"ended {run.run_id}")
        for run_id in _leaked_slots(instance, registry.processors, names):
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
            freed = f"run {run_id} has ended and still held a slot; freed it"
            context.log.warning(printable(freed))
            said.append(f"freed the slot of {run_id}")
        if deleted := retention().tick(instance, datetime.now(UTC)):
            said.append(f"deleted {deleted} old runs")
        return skipping("; ".join(said) or "nothing was left behind")

    return sensor


def _lost(
    instance: dg.DagsterInstance, store: Store, processors: Sequence[Processor], names: Names
) -> list[dg.DagsterRun]:
    """Runs of the processors whose lease nobody keeps up, whatever has launched them.

    What such a worker had in work is left for the next pass, which knows what came of it. A run
    that has no lease yet is none of them: whether it comes to start is for Dagster to see.
    """
    leases = store.place.leases()
    if leases is None:
        return []
    found = []
    for lease in leases.lost(patience=_GLANCE):
        run = instance.get_run_by_id(lease.run_id) if lease.run_id else None
        if run is not None and any(concerns(run, p, names) for p in processors):
            found.append(run)
        if not lease.working_on:
            leases.release(lease, patience=_GLANCE)
    return found


def _orphans(
    instance: dg.DagsterInstance, processors: Sequence[Processor], names: Names
) -> Iterator[dg.DagsterRun]:
    """Runs of the processors whose worker is gone."""
    # With another launcher the worker's process is on another machine, and this cannot see it.
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return
    nameless = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[*_STARTED, _STARTING])):
        run = record.dagster_run
        if not any(concerns(run, processor, names) for processor in processors):
            continue
        worker = _worker(instance, run)
        if worker is None and run.status is _STARTING:
            nameless.append(record)
        elif worker is not None and is_gone(worker, _alive_since(worker.pid)):
            yield run
    yield from never_began(nameless, datetime.now(UTC))


def _worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Worker | None:
    """Who works on the run; None where its log does not say."""
    begun = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.PIPELINE_START)
    for entry in begun:
        if entry.dagster_event and entry.dagster_event.pid:
            return Worker(entry.dagster_event.pid, entry.timestamp)
    if run.status is not _STARTING:
        return None
    # Its process says so before it loads what it is to run.
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        said = entry.dagster_event and entry.dagster_event.engine_event_data.metadata.get("pid")
        if said and str(said.value).isdecimal():
            return Worker(int(str(said.value)), entry.timestamp)
    return None


def _alive_since(pid: int) -> float | None:
    """When the process of this id began; None where there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        # Nothing can be said of it, so nothing is done to its run.
        return 0.0


def end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """End a run whose worker is gone; False where the worker did it itself before it went, or has
    begun after all."""
    now = instance.get_run_by_id(run.run_id)
    judged = [_STARTING] if run.status is _STARTING else _STARTED
    if now is None or now.status not in judged:
        return False
    message = (
        "The process that worked on this run is gone (a crash or a restart). What it had committed "
        "is kept; the processor's sensor asks for the rest."
    )
    if now.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(now, message)
    else:
        instance.report_run_failed(now, message)
    return True


def _leaked_slots(
    instance: dg.DagsterInstance, processors: Iterable[Processor], names: Names
) -> list[str]:
    """Runs that hold or wait for a slot of a processor although they have ended or are unknown."""
    storage = instance.event_log_storage
    holders: set[str] = set()
    for processor in processors:
        info = storage.get_concurrency_info(names.pool(processor.name))
        holders |= info.active_run_ids | info.pending_run_ids | info.assigned_run_ids
    if not holders:
        return []
    waiting = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.MANAGED, *IN_FLIGHT}
    alive = {
        run.run_id
        for run in instance.get_runs(dg.RunsFilter(run_ids=sorted(holders)))
        if run.status in waiting
    }
    return sorted(holders - alive)
