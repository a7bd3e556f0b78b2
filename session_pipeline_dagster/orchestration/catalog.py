"""What the catalog says of every asset alike: how to query its table, and where its code is."""

import inspect
import warnings
from collections.abc import Iterable, Sequence

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.orchestration.metadata import column_schema
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings


def table_description(table: str, text: str, settings: Settings, views: Iterable[str] = ()) -> str:
    """Markdown: a processor's words on a table, a query if it gives none, where to paste it.

    Args:
        views: of the processor; they are no assets, so without a query of its author they would be
            named nowhere.
    """
    if "```sql" not in text:
        queries = "".join(f"FROM {name} LIMIT 10;\n" for name in (table, *views))
        text = f"{text}\n\nTo look at it:\n\n```sql\n{queries}```".strip()
    file = settings.database
    if isinstance(file, Lake):
        return (
            f"{text}\n\nPaste it into `duckdb` after "
            f"`ATTACH '{file}' AS lake (READ_ONLY); USE lake;`; runs go on meanwhile."
        )
    return (
        f"{text}\n\nPaste it into `duckdb -readonly {file}`, or in Python "
        f'`duckdb.connect("{file}", read_only=True).sql(...)`; close it again, a run waits for it.'
    )


def days_description(step: str) -> str:
    """Markdown: how to process days again from the page of a partitioned table."""
    return (
        "\n\nTo process days again: Materialize…, choose them, and as Config\n\n"
        f"```yaml\nops: {{{step}: {{config: {{full_refresh: true}}}}}}\n```"
    )


def table_metadata(
    processor: Processor, table: str, columns: Sequence[tuple[str, str]]
) -> dict[str, object]:
    """What every table says of itself: its name, its columns, the class that fills it.

    Args:
        columns: (name, DuckDB type).
    """
    return {
        "dagster/column_schema": column_schema(table, columns, extras(processor).descriptions),
        "dagster/table_name": table,
        **code_of(processor),
    }


def code_of(what: object) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Metadata that links an asset to the class that fills it, or to that of an object.

    Empty where there is no file to open: a class typed at a prompt, or compiled from a text.
    """
    kind = what if isinstance(what, type) else type(what)
    try:
        file, line = inspect.getsourcefile(kind), inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return {}
    if file is None:
        return {}
    with warnings.catch_warnings():
        # Beta in Dagster, used knowingly; it would say so for every asset at every start.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _reference(file, line, kind.__name__)


def _reference(file: str, line: int, label: str) -> dict[str, dg.CodeReferencesMetadataValue]:
    found = dg.LocalFileCodeReference(file_path=file, line_number=line, label=label)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[found])}
