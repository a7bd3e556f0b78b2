"""`session-pipeline retry`: forget failures, so that the files are tried again."""

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.store.database import open_store


@click.command("retry")
@click.argument("keys", nargs=-1)
@click.option("--all-quarantined", is_flag=True, help="Every file that was given up.")
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@common
def command(
    context: Context, keys: tuple[str, ...], all_quarantined: bool, processor: tuple[str, ...]
) -> int:
    """Try failed files again at the next run: KEY..., or --all-quarantined."""
    if bool(keys) == all_quarantined:
        raise SettingsError("retry takes either KEY... or --all-quarantined")
    store = open_store(context.settings)
    released = 0
    for chosen in context.processors(processor):
        for key in store.release(chosen.name, None if all_quarantined else keys):
            say(f"{chosen.name}: {key} will be tried again")
            released += 1
    if not released:
        say("no failed file of that name" if keys else "no file is quarantined")
    return 0
