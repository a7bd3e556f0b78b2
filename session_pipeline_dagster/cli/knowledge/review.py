"""`session-pipeline knowledge review`: decide one after the other, or list what waits."""

from functools import partial

import click

from session_pipeline_dagster.cli.context import Context, common
from session_pipeline_dagster.cli.knowledge import card, deciding, keys, output
from session_pipeline_dagster.cli.knowledge.json import review_json
from session_pipeline_dagster.cli.knowledge.reviewing import Reviewing
from session_pipeline_dagster.cli.tables import new_console
from session_pipeline_dagster.processors.verification.knowledge.heard import Heard
from session_pipeline_dagster.processors.verification.knowledge.questions import questions

_INTERRUPTED = 130


@click.command("review")
@click.option("--items", is_flag=True, help="After the candidates, items nobody has reviewed.")
@click.option("--json", "as_json", is_flag=True, help="Only list them, as one JSON document.")
@common
def command(context: Context, items: bool, as_json: bool) -> int:
    """Decide about what was found but is not sure: one question at a time, one key each."""
    there = deciding.readable(context)
    found = questions(there) if there else None
    if as_json:
        click.echo(review_json(found, context.veil, items=items))
        return 0
    console = new_console()
    console.width = min(console.width, card.WIDEST)
    if found is None:
        console.print("No knowledge yet; `session-pipeline run` reads the sessions")
        return 0
    if not found.candidates and not (items and found.items):
        output.print_waiting(console, found, {})
        return 0
    store = deciding.writable(context)
    by, answers = partial(deciding.reviewer, context), keys.answers()
    heard = Heard(lambda: context.source, context.settings.personal)
    sitting = Reviewing(store, by, heard, console, answers, context.veil)
    try:
        if sitting.ask(found.candidates, found) and items:
            # What was approved takes others along.
            deciding.merge(store)
            found = questions(deciding.inputs(store))
            sitting.ask(found.items, found)
    except KeyboardInterrupt:
        console.print()
        output.print_waiting(console, None, sitting.made)
        return _INTERRUPTED
    deciding.merge(store)
    output.print_waiting(console, questions(deciding.inputs(store)), sitting.made)
    return 0
