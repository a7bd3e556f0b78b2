"""`session-pipeline report`: make the reports now, say where they are, open them."""

import json
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.progress import showing
from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.report import DAYS, MOST_DAYS, Asked, Report
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.health.checkup import unread_now
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.passes.shown import bring_up
from session_pipeline_dagster.processors.usage.money.zone_spans import parse_day
from session_pipeline_dagster.processors.usage.report import digest_text, own_report
from session_pipeline_dagster.settings import Settings
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
@click.option(
    "--person", metavar="me|NAME", help="One person's own page; me: whose SESSION_USER says."
)
@click.option(
    "--digest", is_flag=True, help="Print the text of a week instead: the last whole one."
)
@click.option("--week", metavar="DAY", help="With --digest: the week that holds this day.")
@click.option("--output", metavar="DIR", help="Folder to write to, instead of the usual.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(
    context: Context,
    show: bool,
    days: int,
    person: str | None,
    digest: bool,
    week: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Make the reports of every processor that has one, or one person's, or print the digest."""
    settings = context.settings
    if digest and (person is not None or show or output is not None):
        raise click.UsageError("--digest prints a text: no --person, --open or --output with it")
    if week is not None and not digest:
        raise click.UsageError("--week is of the digest; give --digest too")
    if digest:
        return _digest(context, week, as_json=as_json)
    if output is not None:
        if not output.strip():
            raise SettingsError("--output is empty; give it a path")
        settings = replace(settings, report_dir=Path(output).expanduser())
    wanted = _wanted(context, settings, person)
    store, today = open_store(settings, looking=True), datetime.now(UTC).date()
    for usage in (p for p, _ in wanted if p.name == "usage"):
        bring_up(usage, store, settings)
    made = []
    with showing("report", hidden=as_json) as shown:
        for p, report in wanted:
            shown.phase(report.name)
            unread = {} if person is not None else unread_now(p, context.source, store, settings)
            asked = Asked(today, days, unread)
            made.append(publish(p, report, store, settings.reports, asked))
    _print(made, as_json=as_json)
    if not show:
        return 0
    if not all(webbrowser.open(published.paths[0].as_uri()) for published in made):
        say("session-pipeline: no browser could be started; open the file yourself", err=True)
        return 1
    return 0


def _wanted(
    context: Context, settings: Settings, person: str | None
) -> Sequence[tuple[Processor, Report]]:
    if person is not None:
        if not person.strip():
            raise SettingsError("--person is empty; give it me, or a name")
        return [(context.registry.get("usage"), own_report(settings, person))]
    found = [(p, report) for p in context.processors(()) for report in extras(p).reports]
    if not found:
        raise ContractError("no processor that loaded has a report; see `processors`")
    return found


def _digest(context: Context, week: str | None, *, as_json: bool) -> int:
    """The week is that from Monday to Sunday."""
    if week is None:
        day = datetime.now(UTC).date() - timedelta(days=7)
    else:
        day = parse_day(week, "--week")
    monday = day - timedelta(days=day.weekday())
    store, usage = open_store(context.settings, looking=True), context.registry.get("usage")
    bring_up(usage, store, context.settings)
    with store.held():
        store.ready(usage)
        text = digest_text(context.settings, monday + timedelta(days=7), store.query)
    if as_json:
        click.echo(json.dumps({"week": monday.isoformat(), "text": text}, indent=1))
        return 0
    for line in text.split("\n"):
        say(line)
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
        for name, number in found.headline:
            say(f"{number:>18}  {name}")
