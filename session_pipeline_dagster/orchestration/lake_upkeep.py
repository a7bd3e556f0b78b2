"""The asset, check, job and schedule of a lake's upkeep; none of them where the store is a file."""

from dataclasses import asdict

import dagster as dg

from session_pipeline_dagster.health.checkup import lake_finding
from session_pipeline_dagster.orchestration.assets import materialized
from session_pipeline_dagster.orchestration.checks import as_result
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.orchestration.names import TIDIED_CHECK, UPKEEP, Names
from session_pipeline_dagster.orchestration.resources import store_in
from session_pipeline_dagster.orchestration.runs import IN_FLIGHT
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.states import PAST

_AT_NIGHT = "17 3 * * *"


def lake_upkeep(settings: Settings, names: Names) -> dg.Definitions:
    """What makes few files of many in a lake and deletes what nobody reads, once a day."""
    if not isinstance(settings.database, Lake):
        return dg.Definitions()
    key, pool = names.key(UPKEEP), names.other(UPKEEP)

    @dg.asset(
        key=key,
        group_name=names.other(UPKEEP),
        description="The lake's files: many little ones become few, what no snapshot of the last "
        f"{PAST.days} days reads is deleted, and what a killed writer left. No row changes.",
        kinds={"duckdb", "postgres"},
        pool=pool,
        required_resource_keys={names.store},
    )
    def files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with failing_in_words(settings):
            tidied = store_in(context, names).tidy(PAST)
        return materialized(context, key, asdict(tidied) if tidied else {})

    @dg.asset_check(
        asset=key,
        name=TIDIED_CHECK,
        description="The lake was tidied within the last two days.",
        required_resource_keys={names.store},
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = lake_finding(store_in(context, names), names.upkeep_job)
        assert found is not None  # noqa: S101  who tidies has a lake
        return as_result(key, found, veil_of(settings).mark)

    job = dg.define_asset_job(
        names.upkeep_job,
        selection=dg.AssetSelection.assets(key),
        description="Upkeep of the lake, as `session-pipeline upkeep`; runs go on beside it.",
        executor_def=dg.in_process_executor,
    )

    @dg.schedule(
        name=names.other("lake_upkeep_schedule"),
        job=job,
        cron_schedule=_AT_NIGHT,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Once a day, unless one is still at it.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        under_way = dg.RunsFilter(job_name=job.name, statuses=[*IN_FLIGHT])
        if context.instance.get_runs(under_way, limit=1):
            return dg.SkipReason("one is still at it")
        return dg.RunRequest()

    return dg.Definitions(assets=[files], asset_checks=[check], jobs=[job], schedules=[daily])
