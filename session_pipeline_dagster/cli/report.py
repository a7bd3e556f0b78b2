"""`session-pipeline report`: make the reports now, say where they are, open them."""

import json
import webbrowser
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.progress import showing
from session_pipeline_dagster.contract.processor import extras
from session_pipeline_dagster.contract.report import DAYS, MOST_DAYS, Asked
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.store.database import open_store


@click.command("report", help="Usage as a page to look at: HTML, and a PNG for a chat.")
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=DAYS,
    show_default=True,
    help="So many, counted back from the last day with usage.",
)
@click.option("--output", metavar="DIR", help="Folder to write to, instead of the usual.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, show: bool, days: int, output: str | None, as_json: bool) -> int:
    """Make the reports of every processor that has one."""
    settings = context.settings
    if output is not None:
        if not output.strip():
            raise SettingsError("--output is empty; give it a path")
        settings = replace(settings, report_dir=Path(output).expanduser())
    wanted = [(p, report) for p in context.processors(()) for report in extras(p).reports]
    if not wanted:
        raise ContractError("no processor that loaded has a report; see `processors`")
    store, asked = open_store(settings, looking=True), Asked(datetime.now(UTC).date(), days)
    made = []
    with showing("report", hidden=as_json) as shown:
        for p, report in wanted:
            shown.phase(report.name)
            made.append(publish(p, report, store, settings.reports, asked))
    _print(made, as_json=as_json)
    if not show:
        return 0
    if not all(webbrowser.open(published.paths[0].as_uri()) for published in made):
        say("session-pipeline: no browser could be started; open the file yourself", err=True)
        return 1
    return 0


def _print(made: list[Published], *, as_json: bool) -> None:
    if as_json:
        document = [
            {"files": [str(path) for path in found.paths], "numbers": found.numbers}
            for found in made
        ]
        click.echo(json.dumps({"reports": document}, indent=1))
        return
    for found in made:
        for path in found.paths:
            say(path)
        for name, number in found.numbers.items():
            say(f"{number:>18,}  {name.replace('_', ' ')}")
