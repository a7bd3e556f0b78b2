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
from session_pipeline_dagster.orchestration.names import (
    PROCESSOR_TAG,
    pool_name,
    report_sensor_name,
)
from session_pipeline_dagster.orchestration.resources import StoreResource
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


def report_asset(processor: Processor, report: Report, settings: Settings) -> dg.AssetsDefinition:
    """A report: its files are written where the settings say, its metadata links them."""

    @dg.asset(
        name=report.name,
        deps=list(report.deps),
        group_name=processor.name,
        description=report.description or None,
        kinds={"html", "python"},
        metadata=code_of(processor),
        owners=list(extras(processor).owners),
        pool=pool_name(processor.name),
        op_tags={PROCESSOR_TAG: processor.name},
        code_version=str(processor.version),
        automation_condition=_outdated(report),
    )
    def files(config: ReportConfig, store: StoreResource) -> dg.MaterializeResult:
        asked = Asked(datetime.now(UTC).date(), config.days)
        with failing_in_words():
            made = publish(processor, report, store.store(), settings.reports, asked)
        return dg.MaterializeResult(metadata=_metadata(made, settings.report_url))

    return files


def report_sensors(processor: Processor) -> list[dg.AutomationConditionSensorDefinition]:
    """What asks for the reports of a processor; none where it has none."""
    names = [report.name for report in extras(processor).reports]
    if not names:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            report_sensor_name(processor.name),
            target=dg.AssetSelection.assets(*names),
            minimum_interval_seconds=30,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=f"Asks for the reports of `{processor.name}`: at once for the first, then "
            "once an hour, if what they are read from was refreshed, or the last one failed.",
        )
    ]


def _outdated(report: Report) -> dg.AutomationCondition:
    """Rendering takes seconds, and runs come every few minutes: once an hour is often enough."""
    table = dg.AssetSelection.assets(report.trigger)
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
