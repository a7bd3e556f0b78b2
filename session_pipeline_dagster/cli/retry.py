"""`session-pipeline retry`: forget failures, so that the files are tried again."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.health.alerts import quiet
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.store.compare import Listing
from session_pipeline_dagster.store.database import Store, open_store

_MANY = 10


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
    store, chosen = open_store(context.settings), context.processors(processor)
    store.require()
    veil = context.veil
    wanted = None if all_quarantined else _meant(store, chosen, keys, veil)
    released = 0
    for each in chosen:
        for key in store.release(each.name, wanted):
            say(f"{each.name}: {veil.file(key)} will be tried again")
            released += 1
    if not released:
        say("no failed file of that name" if keys else "no file is quarantined")
    return 0


def _meant(store: Store, chosen: Sequence[Processor], keys: Sequence[str], veil: Veil) -> list[str]:
    """The keys as they are stored; one may be given as it was shown.

    Raises:
        ContractError: no file is known by one of them; nothing is released.
    """
    failed: set[str] = set()
    there: set[str] = set()
    for processor in chosen:
        known = store.known(processor, listing=Listing([], datetime.now(UTC), keys=keys))
        failed |= known.failures.keys()
        there |= known.states.keys()
    shown: dict[str, list[str]] = {}
    for key in failed:
        for form in {printable(key), quiet(key), veil.file(key)}:
            shown.setdefault(form, []).append(key)
    found = {key: [key] if key in failed | there else shown.get(key, []) for key in keys}
    if unknown := [key for key, meant in found.items() if not meant]:
        listed = ", ".join(map(veil.file, sorted(failed)[:_MANY])) or "nothing"
        raise ContractError(f"no session file {', '.join(unknown)} is known; what failed: {listed}")
    return [key for meant in found.values() for key in meant]
