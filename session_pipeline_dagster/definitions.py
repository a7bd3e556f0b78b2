"""The code location: `defs` for Dagster, `build_definitions` for tests and your own location."""

import logging
from collections.abc import Sequence

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.registry import Registry, load_processors, tried
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.assets import (
    rollup_asset,
    session_files_asset,
    table_assets,
)
from session_pipeline_dagster.orchestration.checks import health_checks, plugins_check
from session_pipeline_dagster.orchestration.derivations import derivation_assets
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.orchestration.janitor import janitor_sensor
from session_pipeline_dagster.orchestration.names import PROCESSOR_TAG, health_job_name, job_name
from session_pipeline_dagster.orchestration.quality_checks import quality_checks
from session_pipeline_dagster.orchestration.reports import report_asset, report_sensors
from session_pipeline_dagster.orchestration.resources import resources
from session_pipeline_dagster.orchestration.sensors import processor_sensor, session_files_sensor
from session_pipeline_dagster.settings import Settings, read_settings
from session_pipeline_dagster.store.declare import declared_columns

_log = logging.getLogger(__name__)


def build_processor_definitions(
    processor: Processor, settings: Settings | None = None
) -> dg.Definitions:
    """Assets, checks, jobs and sensor of one processor; nobody writes Dagster code to add one.

    Args:
        settings: default: the environment's.
    """
    settings = settings or read_settings()
    columns = declared_columns(processor)
    tables = table_assets(processor, columns, settings)
    rollups = [
        rollup_asset(processor, rollup, columns, settings) for rollup in extras(processor).rollups
    ]
    derivations = extras(processor).derivations
    derived = [derivation_assets(processor, d, columns, settings) for d in derivations]
    reports = [report_asset(processor, report, settings) for report in extras(processor).reports]
    quality = quality_checks(processor)
    selection = dg.AssetSelection.assets(tables, *rollups, *derived).without_checks()
    if quality:
        selection |= dg.AssetSelection.checks(*quality)
    job = dg.define_asset_job(
        job_name(processor.name),
        selection=selection,
        tags={PROCESSOR_TAG: processor.name},
        description=f"Processes session files with `{processor.name}`: those of the chosen days, "
        "or everything pending if launched without a partition (Dagster asks whether you are sure)."
        "\n\n"
        "To process them again, whatever was done before, with the config\n\n"
        f"```yaml\nops: {{{processor.name}: {{config: {{full_refresh: true}}}}}}\n```\n\n"
        "and in the same place `users: [alice]` for one person's files, `retry: [KEY]` for a file "
        "that failed.",
    )
    health = health_checks(processor, settings)
    health_job = dg.define_asset_job(
        health_job_name(processor.name),
        selection=dg.AssetSelection.checks(health),
        description=f"Evaluates the health checks of `{processor.name}`. `health_sensor` does the "
        "same by itself, without a run.",
    )
    return dg.Definitions(
        assets=[tables, *rollups, *derived, *reports],
        asset_checks=[health, *quality],
        jobs=[job, health_job],
        sensors=[processor_sensor(processor, settings), *report_sensors(processor)],
    )


def build_definitions(
    processors: Registry | Sequence[Processor], settings: Settings | None = None
) -> dg.Definitions:
    """The whole location over these processors.

    Args:
        settings: default: the environment's.
    """
    settings = settings or read_settings()
    given = processors if isinstance(processors, Registry) else Registry(tuple(processors))
    each: list[dg.Definitions] = []
    # A plugin whose declarations Dagster or DuckDB do not take costs itself, not the location.
    registry = tried(given, lambda p: each.append(build_processor_definitions(p, settings)))
    for failed in registry.failed:
        _log.warning("plugin %s (%s) is left out: %s", failed.name, failed.target, failed.error)
    shared = dg.Definitions(
        assets=[session_files_asset(settings)],
        asset_checks=[plugins_check(registry)],
        sensors=[
            session_files_sensor(registry, settings),
            health_sensor(registry, settings),
            alert_sensor(registry, settings),
            janitor_sensor(registry),
        ],
        resources=resources(settings),
        # A run takes a whole batch of files; a process per step would cost 3 s and gain nothing.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(shared, *each)


# What Dagster loads: the installed processors under the environment's settings. The only thing in
# the package that does work when it is imported.
defs = build_definitions(load_processors(), read_settings())
