"""`session-pipeline run`: one pass of every processor over everything that is pending."""

from collections.abc import Sequence

import click

from session_pipeline_dagster.cli.context import (
    Context,
    common,
    say,
    say_absent,
    unusable_directory,
)
from session_pipeline_dagster.cli.ending import COULD_NOT
from session_pipeline_dagster.cli.json import reports_json
from session_pipeline_dagster.cli.progress import showing
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import ContractError, SettingsError, StoreError
from session_pipeline_dagster.passes.breadcrumbs import leased
from session_pipeline_dagster.passes.exports.upkeep import HandedOn, hand_on, is_due
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.passes.shards import parse
from session_pipeline_dagster.passes.veiled import report_shown
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.store.database import open_store


@click.command("run")
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--full-refresh", is_flag=True, help="Process every file again.")
@click.option("--outdated", is_flag=True, help="Process again what an older version did.")
@click.option("--shard", metavar="I/N", help="Only this part of the people, such as 1/4.")
@click.option("--verify", is_flag=True, help="Re-hash files that look unchanged.")
@click.option("--debug", is_flag=True, help="Show plugins' exceptions; may quote transcripts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(
    context: Context,
    processor: tuple[str, ...],
    full_refresh: bool,
    outdated: bool,
    shard: str | None,
    verify: bool,
    debug: bool,
    as_json: bool,
) -> int:
    """Process everything that is pending, once. Exit 1 if a file failed, 2 if it could not work."""
    reports, broken, veil = [], {}, context.veil
    options = Options(
        shard=None if shard is None else parse(shard),
        full_refresh=full_refresh,
        outdated=outdated,
        verify=verify,
        summaries=True,
    )
    for chosen in context.processors(processor):
        holding = leased(open_store(context.settings), shard=str(options.shard or ""))
        with showing(chosen.name, hidden=as_json) as shown, holding as store:
            try:
                made = _debugged(chosen, veil) if debug else chosen
                given = (context.source, store, context.settings, options)
                done = run_all(made, *given, shown.advance, shown.phase)
                reports.append(report_shown(veil, done))
            except (SettingsError, ContractError) as error:
                # It costs this processor; the others have work to do.
                broken[chosen.name] = veil.error(error)
                if debug:
                    from session_pipeline_dagster.cli.debug import show_cause  # noqa: PLC0415  as below

                    show_cause(chosen.name, error, veil)
    handed_on = None if broken else _hand_on(context, reports, broken, hidden=as_json)
    if as_json:
        click.echo(reports_json(reports, broken, context.registry))
    else:
        from session_pipeline_dagster.cli.output import print_reports  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_reports(reports, context.settings, context.registry)
        for line in handed_on.lines() if handed_on else ():
            say(line)
    say_absent(context.settings)
    if unusable := unusable_directory(context.settings.people):
        say(f"session-pipeline: {unusable}", err=True)
    for name, error in broken.items():
        say(f"session-pipeline: {name} could not go on: {error}", err=True)
    for line in dict.fromkeys(line for report in reports for line in report.missing):
        say(f"session-pipeline: {line}", err=True)
    if broken or any(report.broken_summaries for report in reports):
        return COULD_NOT
    return 1 if any(report.errors or report.missing for report in reports) else 0


def _hand_on(
    context: Context, reports: Sequence[BatchReport], broken: dict[str, str], *, hidden: bool
) -> HandedOn | None:
    """Write what is exported by itself, if anything is; `broken` says why it could not be."""
    store = open_store(context.settings)
    if not is_due(store, context.settings, reports):
        return None
    with showing("exports", hidden=hidden) as shown:
        shown.phase("exports")
        try:
            return hand_on(store, context.registry.get("usage"), context.settings)
        except (SettingsError, StoreError, ContractError) as error:
            broken["exports"] = str(error)
            return None


def _debugged(processor: Processor, veil: Veil) -> Processor:
    from session_pipeline_dagster.cli.debug import debugged  # noqa: PLC0415  few passes are asked for it

    return debugged(processor, veil)
