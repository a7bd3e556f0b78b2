"""`session-pipeline copy-store`: a file into a lake, or a lake into a file."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Lake, parse_database, shown
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store.copying import copy
from session_pipeline_dagster.store.database import open_store


@click.command("copy-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(source: str, target: str, as_json: bool) -> None:
    """Copy a store FROM a file TO a lake, or back: all tables and views, compared, or nothing.

    The lake's Parquet is where SESSION_PIPELINE_LAKE_DATA says. TO must hold no rows.
    """
    sys.exit(_copy(parse_database(source, "FROM"), parse_database(target, "TO"), as_json))


def _copy(source: Path | Lake, target: Path | Lake, as_json: bool) -> int:
    if isinstance(source, Lake) and isinstance(target, Lake):
        raise SettingsError(
            "copy-store does not copy a lake into a lake, for SESSION_PIPELINE_LAKE_DATA names the "
            "data of one; copy it into a file first, or restore a backup (docs/scale.md)"
        )
    if isinstance(source, Path) and isinstance(target, Path):
        raise SettingsError(
            "copy-store copies a file into a lake or a lake into a file; copy a file with cp while "
            "nothing runs"
        )
    settings = replace(read_settings(), create_database_folder=False)
    copied = copy(
        open_store(replace(settings, database=source), looking=True),
        open_store(replace(settings, database=target)),
    )
    if as_json:
        document = {
            "from": shown(source),
            "to": shown(target),
            "rows": copied.rows,
            "views": copied.views,
            "seconds": copied.seconds,
        }
        click.echo(json.dumps(document, indent=1))
        return 0
    say(
        f"{sum(copied.rows.values()):,} rows of {len(copied.rows)} tables and {len(copied.views)} "
        f"views are now in {target}, the same as in {source} by count and content"
    )
    say("  set SESSION_PIPELINE_DATABASE to it; nothing was deleted from the other")
    return 0
