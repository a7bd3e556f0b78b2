"""`session-pipeline upkeep`: what a lake needs once a day."""

import json
from dataclasses import asdict

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.setting_places import shown
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.states import PAST


@click.command("upkeep")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, as_json: bool) -> int:
    """What a lake needs once a day: few files of many, and none that nobody reads."""
    database = context.settings.database
    tidied = open_store(context.settings).tidy(PAST)
    if as_json:
        document = {"database": shown(database), "upkeep": asdict(tidied) if tidied else None}
        click.echo(json.dumps(document, indent=1))
        return 0
    if tidied is None:
        say(f"{database} is a file of DuckDB, which needs no upkeep")
        return 0
    say(
        f"{tidied.files_before:,} files of {tidied.bytes_before:,} bytes are now "
        f"{tidied.files_after:,} of {tidied.bytes_after:,}"
    )
    say(f"  written again, into fewer: {tidied.compacted:,}")
    say(f"  deleted, since nobody reads them: {tidied.deleted:,}")
    say(f"  deleted, left by a writer that was killed: {tidied.orphans:,}")
    say(f"  snapshots of the last {PAST.days} days: {tidied.snapshots_after:,}")
    say(f"  seconds: {tidied.seconds:.1f}")
    return 0
