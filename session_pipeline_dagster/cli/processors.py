"""`session-pipeline processors`: what loaded, what did not, and why."""

import click

from session_pipeline_dagster.cli.context import Context, common
from session_pipeline_dagster.cli.json import processors_json
from session_pipeline_dagster.contract.registry import tried
from session_pipeline_dagster.passes.veiled import plugins_shown
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.store.declare import check_declarations


@click.command("processors")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, as_json: bool) -> int:
    """The processors that loaded and the plugins that did not. Exit 1 if one failed."""
    hiding = Veil(context.settings.people.mode)
    registry = plugins_shown(hiding, tried(context.registry, check_declarations))
    if as_json:
        click.echo(processors_json(context.settings, registry))
    else:
        from session_pipeline_dagster.cli.output import print_processors  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_processors(context.settings, registry)
    return 1 if registry.failed else 0
