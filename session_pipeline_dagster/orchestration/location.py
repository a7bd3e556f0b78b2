"""What an instance of the pipeline puts into a location: of each processor, and what they share.

Everything is called what its `Names` say, so that several instances, and a host's own assets, jobs
and resources, stand side by side.
"""

import logging
from collections.abc import Sequence

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.registry import Registry, tried
from session_pipeline_dagster.health.last_pass import FILES_GIVEN_UP
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.assets import (
    rollup_asset,
    session_files_asset,
    table_assets,
)
from session_pipeline_dagster.orchestration.checks import (
    arrivals_check,
    health_asset,
    health_checks,
    plugins_check,
    unread_check,
)
from session_pipeline_dagster.orchestration.derivations import derivation_assets
from session_pipeline_dagster.orchestration.exports import export_assets
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.orchestration.janitor import janitor_sensor
from session_pipeline_dagster.orchestration.lake_upkeep import lake_upkeep
from session_pipeline_dagster.orchestration.looking import Looks
from session_pipeline_dagster.orchestration.names import PLAIN, Names
from session_pipeline_dagster.orchestration.quality_checks import quality_checks
from session_pipeline_dagster.orchestration.reports import report_asset, report_sensors
from session_pipeline_dagster.orchestration.resources import resources
from session_pipeline_dagster.orchestration.sensors import processor_sensor, session_files_sensor
from session_pipeline_dagster.passes.beginning import beginning
from session_pipeline_dagster.passes.shards import every
from session_pipeline_dagster.passes.veiled import plugins_shown
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.settings import Settings, read_settings
from session_pipeline_dagster.store.declare import declared_columns

_log = logging.getLogger(__name__)


def build_processor_definitions(
    processor: Processor,
    settings: Settings | None = None,
    names: Names = PLAIN,
    looks: Looks | None = None,
) -> dg.Definitions:
    """Assets, checks, jobs and sensor of one processor; nobody writes Dagster code to add one.

    Args:
        settings: default: the environment's.
        looks: what its sensors share with others.
    """
    settings = beginning(settings or read_settings())
    looks = looks or Looks(settings, cadences=[settings.cadence(processor.name, processor.cadence)])
    columns, more = declared_columns(processor), extras(processor)
    tables = table_assets(processor, columns, settings, names)
    rollups = [rollup_asset(processor, r, columns, settings, names) for r in more.rollups]
    derived = [derivation_assets(processor, d, columns, settings, names) for d in more.derivations]
    reports = [report_asset(processor, report, settings, names) for report in more.reports]
    exports = export_assets(processor, settings, names)
    quality = quality_checks(processor, settings, names)
    selection = dg.AssetSelection.assets(tables, *rollups, *derived, *exports).without_checks()
    of_runs = dg.AssetCheckKey(health_asset(processor, names), FILES_GIVEN_UP)
    selection |= dg.AssetSelection.checks(of_runs)
    if quality:
        selection |= dg.AssetSelection.checks(*quality)
    job = dg.define_asset_job(
        names.job(processor.name),
        selection=selection,
        tags=names.tags(processor.name),
        description='Launch it to process what is pending now, or chosen days: "Materialize '
        f'all…". It takes session files with `{processor.name}`; its sensor asks for it by itself. '
        "Without a partition it takes everything pending (Dagster asks whether you are sure).\n\n"
        "To process days again, whatever was done before, with the config\n\n"
        f"```yaml\nops: {{{names.step(processor.name)}: {{config: {{full_refresh: true}}}}}}\n```"
        "\n\n"
        "and in the same place `users: [alice]` for one person's files, `retry: [KEY]` for a file "
        "that failed.",
        # A run takes a whole batch of files; a process per step would cost 3 s and gain nothing.
        executor_def=dg.in_process_executor,
    )
    health = health_checks(processor, settings, names)
    shards = every(settings.shards)
    health_job = dg.define_asset_job(
        names.health_job(processor.name),
        selection=dg.AssetSelection.checks(health),
        description=f"Launch it to evaluate the health checks of `{processor.name}` now. "
        f"`{names.other('health_sensor')}` does the same by itself, without a run.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        assets=[tables, *rollups, *derived, *reports, *exports],
        asset_checks=[health, *quality],
        jobs=[job, health_job],
        sensors=[
            *(processor_sensor(processor, settings, names, looks, s) for s in shards),
            *report_sensors(processor, names, looks.held),
        ],
    )


def pipeline_definitions(registry: Registry, settings: Settings, names: Names) -> dg.Definitions:
    """One instance of the pipeline. Sets nothing that the location it stands in may want to set."""
    each: list[dg.Definitions] = []
    settings = beginning(settings)
    registry = registry.under(settings)
    cadences = [settings.cadence(p.name, p.cadence) for p in registry.processors]
    looks = Looks(settings, cadences=cadences)
    # A plugin whose declarations Dagster or DuckDB do not take costs itself, not the location.
    registry = tried(
        registry,
        lambda p: each.append(build_processor_definitions(p, settings, names, looks)),
    )
    registry = plugins_shown(Veil(settings.people.mode), registry)
    for failed in registry.failed:
        said = f"plugin {failed.name} ({failed.target}) is left out: {failed.error}"
        _log.warning(printable(said))
    shared = dg.Definitions(
        assets=[session_files_asset(settings, names)],
        asset_checks=[
            plugins_check(registry, names, settings),
            arrivals_check(settings, names),
            unread_check(registry, settings, names),
        ],
        sensors=[
            session_files_sensor(registry, settings, names, looks),
            health_sensor(registry, settings, names, looks),
            alert_sensor(registry, settings, names, looks.held),
            janitor_sensor(registry, settings, names, looks.held),
        ],
        resources=resources(settings, names),
    )
    return dg.Definitions.merge(shared, lake_upkeep(settings, names), *each)


def build_definitions(
    processors: Registry | Sequence[Processor], settings: Settings | None = None
) -> dg.Definitions:
    """A whole location over these processors.

    Args:
        settings: default: the environment's.
    """
    given = processors if isinstance(processors, Registry) else Registry(tuple(processors))
    pipeline = pipeline_definitions(given, settings or read_settings(), PLAIN)
    return in_one_process(pipeline)


def in_one_process(definitions: dg.Definitions) -> dg.Definitions:
    """The same; backfills and "Materialize" on an asset's page stay in the run's process too."""
    return dg.Definitions.merge(definitions, dg.Definitions(executor=dg.in_process_executor))
