"""Assets of reports, and the sensor that keeps them no more than an hour behind their tables."""

import base64
from datetime import UTC, datetime
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.report import DAYS, MOST_DAYS, Asked, Report
from session_pipeline_dagster.orchestration.catalog import code_of
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.orchestration.resources import store_in
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.settings import Settings

_HOURLY = "0 * * * *"


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
        automation_condition=_outdated(names.key(report.trigger)),
        required_resource_keys={names.store},
    )
    def files(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult:
        asked = Asked(datetime.now(UTC).date(), config.days)
        store = store_in(context, names)
        with failing_in_words():
            made = publish(processor, report, store, settings.reports, asked)
        return dg.MaterializeResult(metadata=_metadata(made, settings.report_url))

    return files


def report_sensors(
    processor: Processor, names: Names
) -> list[dg.AutomationConditionSensorDefinition]:
    """What asks for the reports of a processor; none where it has none."""
    reports = [names.key(report.name) for report in extras(processor).reports]
    if not reports:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            names.report_sensor(processor.name),
            target=dg.AssetSelection.assets(*reports),
            minimum_interval_seconds=30,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=f"Asks for the reports of `{processor.name}`: at once for the first, then "
            "once an hour, if what they are read from was refreshed, or the last one failed.",
        )
    ]


def _outdated(trigger: dg.AssetKey) -> dg.AutomationCondition:
    """Rendering takes seconds, and runs come every few minutes: once an hour is often enough."""
    table = dg.AssetSelection.assets(trigger)
    condition = dg.AutomationCondition
    refresh = condition.any_deps_match(condition.newly_updated()).allow(table)
    # A refresh since the request may have come too late for its run: then it counts for the next.
    refreshed = refresh.since(condition.newly_requested() & ~refresh)
    hour = condition.cron_tick_passed(_HOURLY).since(condition.newly_requested())
    first = condition.missing() & ~condition.any_deps_missing().allow(table)
    due = ((refreshed | condition.execution_failed()) & hour) | first.newly_true()
    return (due & ~condition.in_progress()).with_label(
        "refreshed since or failed, and a full hour has passed"
    )


def _metadata(made: Published, address: str | None) -> Metadata:
    labels = [f"| {name.replace('_', ' ')} | {number:,} |" for name, number in made.numbers.items()]
    # A path helps only who sits at this machine; a page that is served can be clicked.
    found: Metadata = {}
    if address:
        found["link"] = dg.MetadataValue.url(f"{address}/{quote(made.paths[0].name)}")
    found |= {
        **made.numbers,
        "report": dg.MetadataValue.path(str(made.paths[0])),
        **{path.suffix[1:]: dg.MetadataValue.path(str(path)) for path in made.paths[1:]},
        "totals": dg.MetadataValue.md("\n".join(["| | |", "|---|---:|", *labels])),
        "bytes": made.bytes,
        "seconds": round(made.seconds, 3),
    }
    if made.preview:
        picture = base64.b64encode(made.preview.encode()).decode()
        found["preview"] = dg.MetadataValue.md(f"![](data:image/svg+xml;base64,{picture})")
    return found
