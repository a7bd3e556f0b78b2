"""Assets of a processor: its tables (partitioned by session day) and its roll-ups."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from pydantic import Field

from session_pipeline_dagster.defs.metadata import Metadata, column_schema, report_metadata
from session_pipeline_dagster.defs.names import (
    PROCESSOR_TAG,
    SESSION_FILES,
    pool_name,
)
from session_pipeline_dagster.defs.resources import SessionsResource, StoreResource
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.plan import clamp_day
from session_pipeline_dagster.processor import Processor, Rollup, asset_tables, extras
from session_pipeline_dagster.report import BatchReport, Options
from session_pipeline_dagster.runner import run_batch
from session_pipeline_dagster.settings import Settings


class ProcessorConfig(dg.Config):
    """What a run of a processor can be told, in the launchpad or a backfill."""

    full_refresh: bool = Field(
        default=False,
        description="False: only files that are new or changed. True: first mark the rows of these "
        "partitions outdated, then process their files again.",
    )
    outdated: bool = Field(
        default=False,
        description="True: also process again what an older version of the processor did, where it "
        "does that on request only.",
    )
    users: list[str] = Field(default=[], description="Only these users' files; empty = everyone's.")
    max_files: int | None = Field(
        default=None, gt=0, description="Files this run takes; the sensor finishes the rest."
    )
    time_budget_seconds: float | None = Field(
        default=None, gt=0, description="Seconds after which no further file is begun."
    )


def partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per session day, today included."""
    return dg.DailyPartitionsDefinition(start_date=settings.start_date.isoformat(), end_offset=1)


Columns = Mapping[str, Sequence[tuple[str, str]]]
"""Table -> (column, DuckDB type), as `store.declared_columns` finds them."""


def table_assets(processor: Processor, columns: Columns, settings: Settings) -> dg.AssetsDefinition:
    """The processor's tables as one multi-asset: one run takes a whole batch of files."""
    more, name = extras(processor), processor.name
    specs = [
        dg.AssetSpec(
            table,
            deps=[SESSION_FILES],
            group_name=name,
            description=more.descriptions.get(table) or more.description or None,
            kinds={"duckdb", "table"},
            owners=list(more.owners),
            code_version=str(processor.version),
            skippable=True,
            metadata={
                "dagster/column_schema": column_schema(table, columns[table], more.descriptions),
                "dagster/table_name": table,
            },
        )
        for table in asset_tables(processor)
    ]

    @dg.multi_asset(
        name=name,
        specs=specs,
        can_subset=True,
        partitions_def=partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool_name(name),
        op_tags={PROCESSOR_TAG: name},
        description=more.description or None,
    )
    def tables(
        context: dg.AssetExecutionContext,
        config: ProcessorConfig,
        sessions: SessionsResource,
        store: StoreResource,
    ) -> Iterator[dg.MaterializeResult]:
        days = _days(context)
        options = Options(
            days=days,
            users=frozenset(config.users),
            full_refresh=config.full_refresh,
            outdated=config.outdated,
            max_files=config.max_files,
            time_budget=timedelta(seconds=config.time_budget_seconds)
            if config.time_budget_seconds
            else None,
            run_id=context.run.run_id,
        )
        report = _run(processor, sessions, store, settings, options)
        context.log.info(_sentence(report))
        counts = store.store().row_counts(k.to_user_string() for k in context.selected_asset_keys)
        _log_days(context, report, settings, days)
        for key in sorted(context.selected_asset_keys):
            table = key.to_user_string()
            yield dg.MaterializeResult(
                asset_key=key, metadata=report_metadata(report, counts.get(table))
            )

    return tables


def _run(
    processor: Processor,
    sessions: SessionsResource,
    store: StoreResource,
    settings: Settings,
    options: Options,
) -> BatchReport:
    try:
        report = run_batch(processor, sessions.source(), store.store(), settings, options)
    except PipelineError as error:
        raise dg.Failure(str(error)) from None
    if report.errors and not (report.processed or report.skipped):
        raise dg.Failure(
            f"{report.errors} of {report.scanned} files failed and none was processed",
            metadata=report_metadata(report, None),
        )
    return report


def _days(context: dg.AssetExecutionContext) -> frozenset[date] | None:
    """The partitions of this run; None where it was launched without one: everything pending."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    return frozenset(date.fromisoformat(key) for key in context.partition_keys)


def _log_days(
    context: dg.AssetExecutionContext,
    report: BatchReport,
    settings: Settings,
    asked: frozenset[date] | None,
) -> None:
    """Per-day numbers on the partitions that were worked on."""
    today = datetime.now(UTC).date()
    days: dict[date, list[int]] = {}
    for raw, numbers in report.days.items():
        sums = days.setdefault(clamp_day(raw, settings.start_date, today), [0, 0, 0])
        for index, number in enumerate((numbers.processed, numbers.items, numbers.lines)):
            sums[index] += number
    for key in context.selected_asset_keys:
        for day, (files, items, lines) in sorted(days.items()):
            metadata = {"day_files": files, "day_items": items, "day_lines": lines}
            if asked is None:
                # Without a partition of its own, the run says itself which days it filled.
                context.log_event(
                    dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata)
                )
            elif day in asked:
                context.add_asset_metadata(metadata, asset_key=key, partition_key=day.isoformat())


def _sentence(report: BatchReport) -> str:
    return (
        f"{report.processor}: {report.processed} files processed, {report.skipped} unchanged, "
        f"{report.errors} failed, {report.capped} left for later; {report.items_extracted} items "
        f"from {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s"
    )


def rollup_asset(processor: Processor, rollup: Rollup, columns: Columns) -> dg.AssetsDefinition:
    """A derived table: recomputed for the parts that changed since its last refresh."""
    more, name = extras(processor), rollup.name
    metadata = {
        "dagster/column_schema": column_schema(name, columns[name], more.descriptions),
        "dagster/table_name": rollup.name,
    }

    @dg.asset(
        name=rollup.name,
        deps=asset_tables(processor),
        group_name=processor.name,
        description=rollup.description or None,
        kinds={"duckdb", "table"},
        owners=list(more.owners),
        metadata=metadata,
        pool=pool_name(processor.name),
        op_tags={PROCESSOR_TAG: processor.name},
        code_version=str(processor.version),
    )
    def table(store: StoreResource) -> dg.MaterializeResult:
        try:
            store.store().prepare(processor)
            parts = store.store().refresh(rollup)
            rows = store.store().row_counts([rollup.name])[rollup.name]
        except PipelineError as error:
            raise dg.Failure(str(error)) from None
        found: Metadata = {"dagster/row_count": rows, "parts_refreshed": len(parts)}
        if parts:
            found |= {"first_part": parts[0], "last_part": parts[-1]}
        return dg.MaterializeResult(metadata=found)

    return table


def session_files_asset(settings: Settings) -> dg.AssetSpec:
    """The session files themselves: an external asset that a sensor observes."""
    return dg.AssetSpec(
        SESSION_FILES,
        group_name="sessions",
        description="Session transcripts of coding agents, as they are on disk. Written by "
        "whatever collects them, not by Dagster; observed by `session_files_sensor`: how many, how "
        "big, how new, and how old the oldest is that a processor has not seen.",
        kinds={"file", "json"},
        owners=["team:session-pipeline"],
        metadata={
            "layout": settings.layout.value,
            "roots": len(settings.roots),
        },
    )
