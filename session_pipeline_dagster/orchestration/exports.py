"""Assets of what is written for other programs: files of exports, and a copy for dashboards.

They are the last steps of the run that changed their tables; where nothing is set there is none.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, derived_assets, extras
from session_pipeline_dagster.orchestration.assets import dependencies, materialized
from session_pipeline_dagster.orchestration.catalog import code_of
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.orchestration.resources import store_in
from session_pipeline_dagster.passes.exports.copy import publish
from session_pipeline_dagster.passes.exports.export import Exported, Wanted, export
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.published_copy import Made

EXPORT, COPY, SHARED = "usage_export", "usage_published", "usage_shared"


def export_assets(
    processor: Processor, settings: Settings, names: Names
) -> list[dg.AssetsDefinition]:
    """The assets that are set; of any other processor than `usage` there are none."""
    if processor.name != "usage":
        return []
    folder, target, shared = _places(settings).values()
    made = []
    if folder is not None:
        wanted = Wanted(settings.exports.formats)
        kinds = {kind.value for kind in wanted.formats}
        said = (
            "Usage as files for other programs, one a day and table; only what has changed is "
            f"written. Formats: {', '.join(sorted(kinds))}. `docs/exports.md` says how to read "
            "them.\n\nPeople are shown as everywhere: see `SESSION_PIPELINE_PEOPLE`."
        )

        def files(store: Store) -> Metadata:
            return _of_export(export(store, processor, settings, folder, wanted))

        formats = {"file", *(kinds & {"parquet"})}
        made.append(_asset(EXPORT, said, formats, processor, settings, names, files))
    if target is not None:
        said = (
            "A DuckDB file of what may be shown, for dashboards: they open this one and never the "
            "database. Made anew as a whole; the database is closed to others for milliseconds. "
            "`docs/exports.md` shows how to connect."
        )
        made.append(_copy_asset(COPY, said, target, processor, settings, names))
    if shared is not None:
        said = (
            "The DuckDB file that may be handed to everybody: people are in it as "
            "`SESSION_PIPELINE_PEOPLE` shows them, and nothing else is. `docs/privacy.md` says "
            "what it holds."
        )
        made.append(_copy_asset(SHARED, said, shared, processor, settings, names))
    return made


def _places(settings: Settings) -> Mapping[str, Path | None]:
    """The asset -> where it is written, if it is."""
    exports = settings.exports
    return {EXPORT: exports.folder, COPY: exports.copy, SHARED: settings.shared}


def export_keys(processor: str, settings: Settings, names: Names) -> list[dg.AssetKey]:
    """The keys of these assets."""
    places = _places(settings)
    return [names.key(key) for key, place in places.items() if place and processor == "usage"]


def _copy_asset(
    name: str,
    description: str,
    target: Path,
    processor: Processor,
    settings: Settings,
    names: Names,
) -> dg.AssetsDefinition:
    def copy(store: Store) -> Metadata:
        return _of_copy(publish(store, processor, settings, target), target)

    return _asset(name, description, {"duckdb", "file"}, processor, settings, names, copy)


def _asset(
    name: str,
    description: str,
    kinds: set[str],
    processor: Processor,
    settings: Settings,
    names: Names,
    work: Callable[[Store], Metadata],
) -> dg.AssetsDefinition:
    """An asset that comes after all that is computed of the processor's rows."""
    more = extras(processor)
    tables = [rollup.name for rollup in more.rollups]
    tables += [table for d in more.derivations for table in derived_assets(processor, d.name)]

    @dg.asset(
        key=names.key(name),
        deps=dependencies(processor, tables, names),
        group_name=names.other(processor.name),
        description=description,
        kinds=kinds,
        metadata=code_of(processor),
        owners=list(more.owners),
        pool=names.pool(processor.name),
        op_tags=names.tags(processor.name),
        code_version=str(processor.version),
        required_resource_keys={names.store},
    )
    def handed_on(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with failing_in_words(settings):
            made = work(store_in(context, names))
        return materialized(context, names.key(name), made)

    return handed_on


def _of_export(made: Exported) -> Metadata:
    total: Metadata = {
        "folder": dg.MetadataValue.path(str(made.folder)),
        "seconds": round(made.seconds, 3),
    }
    for name in ("written", "kept", "removed", "rows", "bytes"):
        total[name] = sum(getattr(counts, name) for counts in made.counts.values())
    return total


def _of_copy(made: Made, target: Path) -> Metadata:
    return {
        "file": dg.MetadataValue.path(str(target)),
        "dagster/row_count": sum(made.rows.values()),
        "tables": len(made.rows),
        "bytes": made.bytes,
        "seconds": round(made.seconds, 3),
        "seconds_held": round(made.held, 3),
    }
