"""`session-pipeline status`: what is processed, pending, failed and left out."""

from datetime import UTC, datetime

import click

from session_pipeline_dagster.cli.context import Context, common
from session_pipeline_dagster.cli.json import Standing, status_json
from session_pipeline_dagster.passes.plan import look
from session_pipeline_dagster.store.database import open_store


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, as_json: bool) -> int:
    """What is processed, what is pending, what failed and what is left out."""
    settings, registry = context.settings, context.registry
    store, scan = open_store(settings), context.source.scan()
    found = []
    for processor in registry.processors:
        known, now = store.known(processor), datetime.now(UTC)
        outlook = look(scan.files, known.states, known.failures, processor.version, now)
        gone = sum(state.gone for state in known.states.values())
        found.append(Standing(processor.name, outlook, known.failures, gone))
    if as_json:
        click.echo(status_json(settings, registry, scan, found))
    else:
        from session_pipeline_dagster.cli.output import print_status  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_status(settings, registry, scan, found)
    return 0
