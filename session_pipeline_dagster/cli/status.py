"""`session-pipeline status`: what is processed, pending, failed and left out."""

from dataclasses import replace
from datetime import UTC, datetime

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.json import Standing, status_json
from session_pipeline_dagster.health.unread import by_agent, unclaimed
from session_pipeline_dagster.passes import retention
from session_pipeline_dagster.passes.deletions import to_purge
from session_pipeline_dagster.passes.plan import left_out, look
from session_pipeline_dagster.passes.seeing import see
from session_pipeline_dagster.passes.veiled import failures_shown, scan_shown
from session_pipeline_dagster.sources.several import lines_of
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.states import FileState


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, as_json: bool) -> int:
    """What is processed, what is pending, what failed and what is left out."""
    settings, registry = context.settings, context.registry
    store, scan, veil = open_store(settings, looking=True), context.source.scan(), context.veil
    found, more = [], list[FileState]()
    # Opening the database costs more than reading a small one.
    with store.held():
        now = datetime.now(UTC)
        read = [
            (one, see(one, scan, store, settings, now), retention.standings(one, store))
            for one in registry.processors
        ]
    for processor, seen, detail in read:
        known, now = seen.known, datetime.now(UTC)
        states, failures, version = known.states, known.failures, processor.version
        outlook = look(seen.files, states, failures, version, now, known.rest)
        gone = sum(one.files for one in known.gone())
        unread, _ = left_out(scan.files, known.states, context.source.readers.agents)
        more += unread
        _, purge = to_purge(known.gone(), settings)
        failed = failures_shown(veil, known.failures.values())
        private = len(seen.scan.withheld)
        found.append(Standing(processor.name, outlook, failed, gone, purge, private, detail))
    scan = replace(scan, left_out=[*scan.left_out, *unclaimed(more)])
    of_agents = by_agent(scan.left_out)
    scan = scan_shown(veil, scan)
    if as_json:
        click.echo(status_json(settings, registry, scan, found, of_agents))
    else:
        from session_pipeline_dagster.cli.output import print_status  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_status(settings, registry, scan, found, of_agents)
    if unknown := retention.unknown(registry.processors, settings):
        say(f"session-pipeline: {unknown}", err=True)
    for line in lines_of(scan.missing):
        say(f"session-pipeline: {line}", err=True)
    return 1 if scan.missing else 0
