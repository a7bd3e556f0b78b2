"""Assets of a derivation: its tables as one step, computed when something noted it."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

import dagster as dg

from session_pipeline_dagster.contract.derivation import Derivation
from session_pipeline_dagster.contract.processor import Processor, derivation_tables, extras
from session_pipeline_dagster.orchestration.assets import Columns, dependencies, materialized
from session_pipeline_dagster.orchestration.catalog import table_description, table_metadata
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.orchestration.resources import store_in
from session_pipeline_dagster.passes.runner import derive
from session_pipeline_dagster.settings import Settings


def derivation_assets(
    processor: Processor, derivation: Derivation, columns: Columns, settings: Settings, names: Names
) -> dg.AssetsDefinition:
    """The tables of a derivation as one multi-asset: they change together or not at all."""
    more = extras(processor)
    tables = derivation_tables(processor, derivation)
    specs = [
        dg.AssetSpec(
            names.key(table),
            deps=dependencies(processor, {*derivation.deps} - {*tables}, names),
            group_name=names.other(processor.name),
            description=table_description(table, more.descriptions.get(table, ""), settings),
            kinds={"duckdb", "table"},
            owners=list(more.owners),
            code_version=str(processor.version),
            metadata=table_metadata(processor, table, columns[table]),
        )
        for table in tables
    ]

    @dg.multi_asset(
        name=names.step(derivation.name),
        specs=specs,
        pool=names.pool(processor.name),
        op_tags=names.tags(processor.name),
        required_resource_keys={names.store},
    )
    def derived(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        begun, store = time.monotonic(), store_in(context, names)
        # A derivation may ask a model, and nobody shall wait for the database meanwhile.
        hold = store.held() if derivation.quick else nullcontext()
        with failing_in_words(settings), hold:
            store.prepare(processor)
            run_id = context.run.run_id
            changes = derive(processor, derivation.name, store, settings, run_id)
            rows = store.row_counts(tables)
        seconds = round(time.monotonic() - begun, 3)
        for table in tables:
            metadata: Metadata = {
                "dagster/row_count": rows[table],
                "rows_removed": len(changes.removed.get(table, ())),
                "seconds": seconds,
                "rows_added": len(changes.added.get(table, ())),
                **changes.numbers,
            }
            yield materialized(context, names.key(table), metadata)

    return derived
