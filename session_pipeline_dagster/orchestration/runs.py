"""Runs of a processor, through whichever door they were launched."""

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras, relations
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.orchestration.names import Names, shard_of
from session_pipeline_dagster.passes.shards import Shard

IN_FLIGHT = (
    # Not NOT_STARTED: a launch that Dagster refused leaves such a run behind for ever.
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def belongs(run: dg.DagsterRun, processor: Processor, names: Names) -> bool:
    """Whether a run works for the processor; hand launches carry no tag."""
    tagged = run.tags.items() >= names.tags(processor.name).items()
    if tagged or run.job_name == names.job(processor.name):
        return True
    return bool(assets_of(processor, names) & set(run.asset_selection or ()))


def concerns(run: dg.DagsterRun, processor: Processor, names: Names) -> bool:
    """Whether a run works for the processor or evaluates its checks."""
    if belongs(run, processor, names) or run.job_name == names.health_job(processor.name):
        return True
    checked = {key.asset_key for key in run.asset_check_selection or ()}
    return bool(checked & assets_of(processor, names))


def reports_of(run: dg.DagsterRun, processor: Processor, names: Names) -> list[str]:
    """The reports of the processor that a run makes; empty if it makes anything else."""
    reports = {names.key(name): name for name in _reports(processor)}
    made = set(run.asset_selection or ())
    return sorted(reports[key] for key in made) if made <= reports.keys() else []


def assets_of(processor: Processor, names: Names) -> set[dg.AssetKey]:
    """Tables, roll-ups and reports of the processor."""
    return {names.key(name) for name in (*relations(processor), *_reports(processor))}


def _reports(processor: Processor) -> set[str]:
    return {report.name for report in extras(processor).reports}


def in_flight(
    instance: dg.DagsterInstance, processor: Processor, names: Names, shard: Shard | None = None
) -> str | None:
    """The id of a run that works on session files for this processor and has not ended.

    A report takes seconds: a run that is asked for meanwhile waits in the pool.

    Args:
        shard: runs of other shards do not matter; one without a shard takes its files, too.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_FLIGHT])):
        if not belongs(run, processor, names) or reports_of(run, processor, names):
            continue
        if shard is None or not _is_beside(run, shard):
            return run.run_id
    return None


def _is_beside(run: dg.DagsterRun, shard: Shard) -> bool:
    """Whether it takes none of the shard's files. Parts of another number may overlap."""
    try:
        found = shard_of(run.tags)
    except SettingsError:
        return False
    return found is not None and found.of == shard.of and found != shard


def is_new(instance: dg.DagsterInstance, processor: Processor, names: Names) -> bool:
    """Whether this Dagster has never run the processor, so that its catalog knows of no row."""
    tags = names.tags(processor.name)
    return not instance.get_runs_count(dg.RunsFilter(tags=tags))


def last_materialized(instance: dg.DagsterInstance, key: dg.AssetKey) -> float:
    """When the asset was last materialized, in seconds since the epoch; 0 = never."""
    entry = instance.get_latest_materialization_event(key)
    return entry.timestamp if entry else 0.0
