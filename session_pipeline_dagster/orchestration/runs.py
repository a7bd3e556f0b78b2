"""Runs of a processor, through whichever door they were launched."""

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras, relations
from session_pipeline_dagster.orchestration.names import PROCESSOR_TAG, health_job_name, job_name

IN_FLIGHT = (
    # Not NOT_STARTED: a launch that Dagster refused leaves such a run behind for ever.
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def belongs(run: dg.DagsterRun, processor: Processor) -> bool:
    """Whether a run works for the processor; hand launches carry no tag."""
    if run.tags.get(PROCESSOR_TAG) == processor.name or run.job_name == job_name(processor.name):
        return True
    return bool(_assets(processor) & set(run.asset_selection or ()))


def concerns(run: dg.DagsterRun, processor: Processor) -> bool:
    """Whether a run works for the processor or evaluates its checks."""
    if belongs(run, processor) or run.job_name == health_job_name(processor.name):
        return True
    checked = {key.asset_key for key in run.asset_check_selection or ()}
    return bool(checked & _assets(processor))


def reports_of(run: dg.DagsterRun, processor: Processor) -> list[str]:
    """The reports of the processor that a run makes; empty if it makes anything else."""
    made = {key.to_user_string() for key in run.asset_selection or ()}
    return sorted(made) if made <= _reports(processor) else []


def _assets(processor: Processor) -> set[dg.AssetKey]:
    return {dg.AssetKey(name) for name in (*relations(processor), *_reports(processor))}


def _reports(processor: Processor) -> set[str]:
    return {report.name for report in extras(processor).reports}


def in_flight(instance: dg.DagsterInstance, processor: Processor) -> str | None:
    """The id of a run that works on session files for this processor and has not ended.

    A report takes seconds: a run that is asked for meanwhile waits in the pool.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_FLIGHT])):
        if belongs(run, processor) and not reports_of(run, processor):
            return run.run_id
    return None
