"""`session-pipeline forget`: what it finds, says and deletes."""

import sys
from collections.abc import Mapping, Sequence

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.contract.processor import Processor, begin, extras
from session_pipeline_dagster.errors import SettingsError, SourceUnavailable
from session_pipeline_dagster.names import short
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.passes.publish import discard
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.store.database import Store, open_store

_MANY = 20


def find(
    store: Store,
    processors: Sequence[Processor],
    source: SessionSource,
    user: str | None,
    sessions: Sequence[str],
) -> tuple[list[str], list[str]]:
    """The keys to forget, and those of them whose files are still there.

    A root that is missing is no obstacle: what it held may be what is to be forgotten.
    """
    try:
        files = source.scan().files
    except SourceUnavailable as error:
        say(f"session-pipeline: {error}; going on with the database alone", err=True)
        files = []
    if user is None:
        keys = list(dict.fromkeys(sessions))
    else:
        theirs = (file.key for file in files if file.user == short(user))
        keys = sorted({*keys_of_user(store, user), *theirs})
    wanted = set(keys)
    return keys, [file.key for file in files if file.key in wanted]


def print_found(store: Store, keys: Sequence[str], on_disk: Sequence[str]) -> None:
    """How many rows of which tables it is about."""
    counts = {table: count for table, count in store.rows_of(keys).items() if count}
    say(f"{len(keys)} session files, {sum(counts.values())} rows")
    for table, count in counts.items():
        say(f"  {table}: {count}")
    if on_disk:
        say(
            f"{len(on_disk)} of the files are still on disk and will be read again; "
            "delete them first:"
        )
        for key in on_disk[:_MANY]:
            say(f"  {key}")
        if len(on_disk) > _MANY:
            say(f"  ... and {len(on_disk) - _MANY} more")


def delete(
    store: Store, processors: Sequence[Processor], settings: Settings, keys: Sequence[str]
) -> Mapping[str, int]:
    """Delete the rows from every table, and bring what was derived from them up to date.

    Reports are deleted too, also where there was no key: they may name who was deleted before.

    Returns:
        How many rows each table lost.

    Raises:
        SettingsError: a processor cannot work as things are set; nothing was deleted.
    """
    for processor in processors:
        begin(processor, settings, None)
    before = store.rows_of(keys)
    for processor in processors:
        # Roll-ups can only hear of a change in tables that are as they are declared.
        store.prepare(processor)
    store.forget(processors, keys)
    reports = [report for processor in processors for report in extras(processor).reports]
    discard(reports, store, settings.reports)
    try:
        for processor in processors:
            recompute(processor, store, settings)
    finally:
        # One that was made meanwhile may have been read from what was not up to date.
        discard(reports, store, settings.reports)
    after = store.rows_of(keys)
    return {table: count - after.get(table, 0) for table, count in before.items()}


def print_deleted(deleted: Mapping[str, int]) -> None:
    """What was done."""
    say(f"deleted {sum(deleted.values())} rows")


@click.command("forget")
@click.option("--user", metavar="USER", help="Everything of this user.")
@click.option("--session", multiple=True, metavar="KEY", help="This session; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@common
def command(
    context: Context, user: str | None, session: tuple[str, ...], dry_run: bool, yes: bool
) -> int:
    """Delete every row of a user or of sessions, for good."""
    if bool(user) == bool(session):
        raise SettingsError("forget takes either --user USER or --session KEY")
    if dry_run == yes and (yes or not sys.stdin.isatty()):
        raise SettingsError("forget takes either --yes, or --dry-run to see what would go")
    store, installed = open_store(context.settings), context.registry.processors
    keys, on_disk = find(store, installed, context.source, user, session)
    print_found(store, keys, on_disk)
    # Without rows too: a report may still name who was deleted before.
    if dry_run or not (yes or click.confirm("Delete these rows for good, and all reports?")):
        return 0
    print_deleted(delete(store, installed, context.settings, keys))
    return 0
