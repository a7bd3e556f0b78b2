"""Assets of a processor: its tables (partitioned by session day) and its roll-ups."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, asset_tables, extras
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.health.last_pass import ABOUT, FILES_GIVEN_UP, given_up_now, said_of
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.catalog import (
    code_of,
    days_description,
    table_description,
    table_metadata,
)
from session_pipeline_dagster.orchestration.checks import as_result, health_asset
from session_pipeline_dagster.orchestration.config import ProcessorConfig, config_schema
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.orchestration.metadata import Metadata, report_metadata
from session_pipeline_dagster.orchestration.names import (
    BY_SENSOR,
    FAILED_TAG,
    FIRST_DAY_TAG,
    GIVEN_UP_TAG,
    SESSION_FILES,
    Names,
    shard_of,
)
from session_pipeline_dagster.orchestration.resources import keys, source_in, store_in
from session_pipeline_dagster.passes.beginning import EARLIEST, first_day
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.passes.plan import clamp_day
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.passes.veiled import files_meant, report_shown, users_meant
from session_pipeline_dagster.people.veil import Veil, veil_of
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.store.database import Store


def partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per session day, today included."""
    return dg.DailyPartitionsDefinition(start_date=first_day(settings).isoformat(), end_offset=1)


_FEW = 10

Columns = Mapping[str, Sequence[tuple[str, str]]]
"""Table -> (column, DuckDB type), as `store.declare.declared_columns` finds them."""


def table_assets(
    processor: Processor, columns: Columns, settings: Settings, names: Names
) -> dg.AssetsDefinition:
    """The processor's tables as one multi-asset: one run takes a whole batch of files."""
    more, name = extras(processor), processor.name
    tables_of = {names.key(table): table for table in asset_tables(processor)}
    asset = health_asset(processor, names)
    specs = [
        dg.AssetSpec(
            key,
            deps=[names.key(SESSION_FILES)],
            group_name=names.other(name),
            description=table_description(
                table, more.descriptions.get(table) or more.description, settings, more.views
            )
            + days_description(names.step(name)),
            kinds={"duckdb", "table"},
            owners=list(more.owners),
            code_version=str(processor.version),
            skippable=True,
            metadata=table_metadata(processor, table, columns[table]),
        )
        for key, table in tables_of.items()
    ]

    @dg.multi_asset(
        name=names.step(name),
        specs=specs,
        can_subset=True,
        partitions_def=partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=names.pool(name),
        op_tags=names.tags(name),
        description=more.description or None,
        check_specs=[dg.AssetCheckSpec(FILES_GIVEN_UP, asset=asset, description=ABOUT)],
        config_schema=config_schema(),
        required_resource_keys=keys(names),
    )
    def tables(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        config = ProcessorConfig(**context.op_execution_context.op_config)
        source, store = source_in(context, names), store_in(context, names)
        mark, checked = veil_of(settings).mark, bool(context.selected_asset_check_keys)
        if not context.selected_asset_keys:
            # The button of the check alone.
            failures = store.known(processor).failures
            yield as_result(asset, given_up_now(failures.values()), mark)
            return
        days = _days(context)
        report = _run(context, config, days, processor, source, store, settings)
        if checked:
            yield as_result(asset, said_of(report, by_hand=_by_hand(context)), mark)
        _check_any_processed(report)
        context.log.info(printable(_sentence(report)))
        counts = store.row_counts(tables_of[key] for key in context.selected_asset_keys)
        _log_days(context, report, settings, days)
        for key in sorted(context.selected_asset_keys):
            yield materialized(context, key, report_metadata(report, counts.get(tables_of[key])))

    return tables


def materialized(
    context: dg.AssetExecutionContext, key: dg.AssetKey, metadata: Metadata
) -> dg.MaterializeResult:
    """The asset with its metadata. As those of the result, Dagster would store them twice."""
    context.add_asset_metadata(metadata, asset_key=key)
    return dg.MaterializeResult(asset_key=key)


def _run(
    context: dg.AssetExecutionContext,
    config: ProcessorConfig,
    days: frozenset[date] | None,
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
) -> BatchReport:
    if asked_first := context.run.tags.get(FIRST_DAY_TAG):
        # This process may know of older sessions than the sensor did that asked for their day.
        settings = replace(settings, start_date=date.fromisoformat(asked_first))
    with failing_in_words(settings):
        veil = veil_of(settings)
        options = config.options(days, context.run.run_id, shard_of(context.run.tags))
        users = users_meant(veil, [*options.users], store, source)
        options = replace(options, users=frozenset(users))
        _check_users(source, options.users, veil)
        _release(processor, source, store, config.retry, veil)
        done = run_batch(processor, source, store, settings, options)
        report = report_shown(veil, done)
    if report.errors:
        for key, error in report.errors_detail[:_FEW]:
            context.log.warning(printable(f"{key} failed: {error}"))
        context.instance.add_run_tags(context.run.run_id, {FAILED_TAG: str(report.errors)})
    for line in report.missing:
        context.log.warning(printable(line))
    if report.quarantined and _by_hand(context):
        _name_given_up(context, report)
    return report


def _by_hand(context: dg.AssetExecutionContext) -> bool:
    return BY_SENSOR not in context.run.tags or bool(context.run.parent_run_id)


def _check_any_processed(report: BatchReport) -> None:
    if report.errors and not (report.processed or report.skipped):
        key, error = report.errors_detail[0]
        raise dg.Failure(
            f"{report.errors} of {report.scanned} files failed and none was processed; "
            + printable(f"the first, {key}: {error}"),
            metadata=report_metadata(report, None),
        )


def _name_given_up(context: dg.AssetExecutionContext, report: BatchReport) -> None:
    """Who launches failed days again expects their files to be tried: say that these are not."""
    for key, error in report.given_up[:_FEW]:
        context.log.warning(printable(f"{key} was given up earlier and is not tried: {error}"))
    said = (
        f"{report.quarantined} given up; config retry: [KEY] or full_refresh: true tries again, "
        "new content does so by itself"
    )
    context.log.warning(printable(said))
    context.instance.add_run_tags(context.run.run_id, {GIVEN_UP_TAG: str(report.quarantined)})


def _check_users(source: SessionSource, users: frozenset[str], veil: Veil) -> None:
    """A name that nobody has is a mistake, not a user without sessions."""
    there = {file.user for file in source.scan().files} if users else set()
    if unknown := users - there:
        raise dg.Failure(
            f"users: no session file of {_some(map(veil.person, unknown))}; there are files of "
            f"{_some(map(veil.person, there)) or 'nobody'}"
        )


def _release(
    processor: Processor,
    source: SessionSource,
    store: Store,
    words: Sequence[str],
    veil: Veil,
) -> None:
    """Forget the failures of these files; a key that nothing has is a mistake, and releases none.

    A file without a failure is none: when a run is executed again, the first has released it.
    """
    if not words:
        return
    keys = files_meant(veil, words, store, source)
    failed = store.known(processor).failures
    unknown = {*keys} - {*failed}
    if unknown:
        unknown -= {file.key for file in source.scan().files}
    if unknown:
        raise dg.Failure(
            f"retry: no session file {_some(map(veil.file, unknown))}; what failed: "
            f"{_some(map(veil.file, failed)) or 'nothing'}"
        )
    store.release(processor.name, keys)


def _some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    found = sorted({*names})
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return printable(", ".join(found[:_FEW])) + more


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
    start, today = first_day(settings), datetime.now(UTC).date()
    days: dict[date, list[int]] = {}
    for raw, numbers in report.days.items():
        sums = days.setdefault(clamp_day(raw, start, today), [0, 0, 0])
        for index, number in enumerate((numbers.processed, numbers.items, numbers.lines)):
            sums[index] += number
    for key in context.selected_asset_keys:
        for day, (files, items, lines) in sorted(days.items()):
            metadata = {"day_files": files, "day_items": items, "day_lines": lines}
            if asked is None or day not in asked:
                # Without a partition of its own, the run says itself which days it filled; and of
                # days that were in the first one of who asked.
                context.log_event(
                    dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata)
                )
            else:
                context.add_asset_metadata(metadata, asset_key=key, partition_key=day.isoformat())
        # In the first one here as well, and on their own once the location is loaded again.
        for day in sorted(day for day in report.days if EARLIEST <= day < start):
            context.log_event(dg.AssetMaterialization(key, partition=day.isoformat()))


def _sentence(report: BatchReport) -> str:
    part = f" (shard {report.shard})" if report.shard else ""
    return (
        f"{report.processor}: {report.processed} files processed, {report.skipped} unchanged, "
        f"{report.errors} failed, {report.capped} left for later; {report.items_extracted} items "
        f"from {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s{part}"
    )


def dependencies(
    processor: Processor, tables: Iterable[str], names: Names
) -> Sequence[dg.AssetKey]:
    """The assets among these tables: the lineage would show an internal one as somebody else's."""
    internal = {*extras(processor).internal}
    return [names.key(table) for table in tables if table not in internal]


def rollup_asset(
    processor: Processor, rollup: Rollup, columns: Columns, settings: Settings, names: Names
) -> dg.AssetsDefinition:
    """A derived table: recomputed for the parts that changed since its last refresh."""
    more, name = extras(processor), rollup.name

    @dg.asset(
        key=names.key(name),
        deps=dependencies(processor, rollup.deps or asset_tables(processor), names),
        group_name=names.other(processor.name),
        description=table_description(name, rollup.description, settings),
        kinds={"duckdb", "table"},
        owners=list(more.owners),
        metadata=table_metadata(processor, name, columns[name]),
        pool=names.pool(processor.name),
        op_tags=names.tags(processor.name),
        code_version=str(processor.version),
        required_resource_keys={names.store},
    )
    def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        begun, store = time.monotonic(), store_in(context, names)
        # Opened once: that costs as much as most refreshes.
        with failing_in_words(settings), store.held():
            store.prepare(processor)
            parts = sorted({*store.refresh(*_with_sources(rollup, more.rollups))})
            rows = store.row_counts([name])[name]
            shown = store.query(rollup.numbers)[0] if rollup.numbers else ([], [])
        found: Metadata = {
            "dagster/row_count": rows,
            "parts_refreshed": len(parts),
            "seconds": round(time.monotonic() - begun, 3),
        }
        if parts:
            found |= {"first_part": parts[0], "last_part": parts[-1]}
        found |= _numbers(*shown)
        return materialized(context, names.key(name), found)

    return table


def _numbers(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Metadata:
    """What a SELECT of one row says, as numbers that Dagster plots; what is NULL is left out."""
    pairs = [pair for row in rows[:1] for pair in zip(names, row, strict=True)]
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in pairs
        if isinstance(value, int | float | Decimal)
    }


def _with_sources(rollup: Rollup, rollups: Sequence[Rollup]) -> list[Rollup]:
    """The roll-up behind those that it reads: alone, it would miss what waits for them."""
    sources = [other for other in rollups if other.name in rollup.deps]
    return [*(more for source in sources for more in _with_sources(source, rollups)), rollup]


def session_files_asset(settings: Settings, names: Names) -> dg.AssetSpec:
    """The session files themselves: an external asset that a sensor observes."""
    return dg.AssetSpec(
        names.key(SESSION_FILES),
        group_name=names.other("sessions"),
        description=f"""See whether transcripts arrive: session files, on disk or in a bucket.

Written by whatever collects them, not by Dagster. `{names.other("session_files_sensor")}` observes
them: how many, how big, how new, and for each processor how many are pending and how old the oldest
of them is (see "Plots" below). `session-pipeline status` lists what is pending, what failed and
what is left out.

Everything to the right of it is made from them, the tables with rows per file in daily partitions:
the UTC day on which a session **began**. Quiet days count as done with the next day that has a
session, or until today with the newest; pauses of over a week stay "missing", and nothing is
missing.""",
        kinds={"file", "json"},
        owners=["team:session-pipeline"],
        metadata={
            "layout": settings.layout.value,
            "roots": len(settings.roots),
            **code_of(SessionSource),
        },
    )
