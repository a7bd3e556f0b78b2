"""Assets of reports, and the sensor that keeps them no more than an hour behind their tables."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.report import DAYS, MOST_DAYS, Asked, Report
from session_pipeline_dagster.health.checkup import unread_now
from session_pipeline_dagster.orchestration.assets import materialized
from session_pipeline_dagster.orchestration.catalog import code_of
from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor
from session_pipeline_dagster.orchestration.failing import failing_in_words, skipping
from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.orchestration.resources import keys, source_in, store_in
from session_pipeline_dagster.orchestration.runs import IN_FLIGHT, last_materialized
from session_pipeline_dagster.passes.pacing import Moment
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.settings import Settings

_HOUR = 3600
_TICK = 60


class ReportConfig(dg.Config):
    """What a report can be told, in the launchpad."""

    days: int = Field(
        default=DAYS,
        gt=0,
        le=MOST_DAYS,
        description="How many days, counted back from the last one with data.",
    )


def report_asset(
    processor: Processor, report: Report, settings: Settings, names: Names
) -> dg.AssetsDefinition:
    """A report: its files are written where the settings say, its metadata links them."""

    @dg.asset(
        key=names.key(report.name),
        deps=[names.key(table) for table in report.deps],
        group_name=names.other(processor.name),
        description=report.description or None,
        kinds={"html", "python"},
        metadata=code_of(processor),
        owners=list(extras(processor).owners),
        pool=names.pool(processor.name),
        op_tags=names.tags(processor.name),
        code_version=str(processor.version),
        required_resource_keys=keys(names),
    )
    def files(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult:
        store = store_in(context, names)
        unread = unread_now(processor, source_in(context, names), store, settings)
        asked = Asked(datetime.now(UTC).date(), config.days, unread)
        with failing_in_words(settings):
            made = publish(processor, report, store, settings.reports, asked)
        return materialized(context, names.key(report.name), _metadata(made, settings.report_url))

    return files


@dataclass(frozen=True, slots=True)
class _Asked:
    """When a report was asked for, and how new its rows were then."""

    at: Moment
    fed: Moment


@dataclass(frozen=True, slots=True)
class _Memory:
    """The cursor: by report, what was asked for last."""

    asked: Mapping[str, _Asked] = field(default_factory=dict)


def report_sensors(
    processor: Processor, names: Names, held: HeldInstance | None = None
) -> list[dg.SensorDefinition]:
    """What asks for the reports of a processor; none where it has none."""
    reports, held = extras(processor).reports, held or HeldInstance()
    if not reports:
        return []

    @dg.sensor(
        name=names.report_sensor(processor.name),
        asset_selection=dg.AssetSelection.assets(*(names.key(r.name) for r in reports)),
        minimum_interval_seconds=_TICK,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Asks for the reports of `{processor.name}`: at once for the first, then "
        "once an hour, if what they are read from was refreshed, or the last one failed.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance, now = held.of(context), _now()
        asked = dict(read_cursor(_Memory, context.cursor).asked)
        due: list[dg.AssetKey] = []
        for report in reports:
            fed, made = (
                last_materialized(instance, names.key(n)) for n in (report.trigger, report.name)
            )
            if made and report.name not in asked:
                asked[report.name] = _Asked(Moment(made), Moment(min(fed, made)))
            if _is_due(instance, report, names, asked.get(report.name), fed, now):
                asked[report.name] = _Asked(Moment(now), Moment(fed))
                due.append(names.key(report.name))
        cursor = write_cursor(_Memory(asked))
        if not due:
            return skipping("nothing was refreshed for an hour, or it is to come", cursor)
        request = dg.RunRequest(asset_selection=due)
        return dg.SensorResult(run_requests=[request], cursor=cursor)

    return [sensor]


def _is_due(
    instance: dg.DagsterInstance,
    report: Report,
    names: Names,
    before: _Asked | None,
    fed: float,
    now: float,
) -> bool:
    """Whether to ask now. Rendering takes seconds, and runs come every few minutes.

    Args:
        fed: when its trigger was last materialized; 0 = never.
    """
    key = names.key(report.name)
    if before is None:
        return all(last_materialized(instance, names.key(table)) for table in report.deps)
    if before.at // _HOUR == now // _HOUR:
        return False
    run = _last_run(instance, key)
    if run is not None and run.status in IN_FLIGHT:
        return False
    # Another time, not a later one: a clock that was ahead must not hold it up until then.
    return Moment(fed) != before.fed or (run is not None and _failed(instance, key, run))


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _last_run(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.DagsterRun | None:
    """The last run over the asset; None where there is none any more."""
    for record in instance.get_asset_records([key]):
        if run_id := record.asset_entry.last_run_id:
            return instance.get_run_by_id(run_id)
    return None


def _failed(instance: dg.DagsterInstance, key: dg.AssetKey, run: dg.DagsterRun) -> bool:
    """Whether the run failed before it had made the asset: another one in it may be to blame."""
    made = instance.get_latest_materialization_event(key)
    return run.status is dg.DagsterRunStatus.FAILURE and (not made or made.run_id != run.run_id)


def _metadata(made: Published, address: str | None) -> Metadata:
    labels = [f"| {name} | {number} |" for name, number in made.headline]

    def where(path: Path) -> dg.MetadataValue:
        # A path helps only who sits at this machine; a page that is served can be clicked.
        if address:
            return dg.MetadataValue.url(f"{address}/{quote(path.name)}")
        return dg.MetadataValue.path(str(path))

    found: Metadata = {
        "report": where(made.paths[0]),
        **{path.suffix[1:]: where(path) for path in made.paths[1:]},
        "totals": dg.MetadataValue.md("\n".join(["| | |", "|---|---:|", *labels])),
    }
    if made.preview:
        picture = base64.b64encode(made.preview.encode()).decode()
        found["preview"] = dg.MetadataValue.md(f"![](data:image/svg+xml;base64,{picture})")
    return found | {**made.numbers, "bytes": made.bytes, "seconds": round(made.seconds, 3)}
