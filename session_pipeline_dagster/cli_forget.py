"""`session-pipeline forget`: what it finds, says and deletes."""

from collections.abc import Mapping, Sequence

import click

from session_pipeline_dagster.deletions import count_rows, forget, keys_of_user
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.processor import Processor
from session_pipeline_dagster.runner import refresh_rollups
from session_pipeline_dagster.sessions import SessionSource
from session_pipeline_dagster.store import Store

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
        click.echo(f"session-pipeline: {error}; going on with the database alone", err=True)
        files = []
    if user is None:
        keys = list(dict.fromkeys(sessions))
    else:
        keys = sorted({*keys_of_user(store, user), *(f.key for f in files if f.user == user)})
    wanted = set(keys)
    return keys, [file.key for file in files if file.key in wanted]


def print_found(store: Store, keys: Sequence[str], on_disk: Sequence[str]) -> None:
    """How many rows of which tables it is about."""
    counts = {table: count for table, count in count_rows(store, keys).items() if count}
    click.echo(f"{len(keys)} session files, {sum(counts.values())} rows")
    for table, count in counts.items():
        click.echo(f"  {table}: {count}")
    if on_disk:
        click.echo(
            f"{len(on_disk)} of the files are still on disk and will be read again; "
            "delete them first:"
        )
        for key in on_disk[:_MANY]:
            click.echo(f"  {key}")
        if len(on_disk) > _MANY:
            click.echo(f"  ... and {len(on_disk) - _MANY} more")


def delete(store: Store, processors: Sequence[Processor], keys: Sequence[str]) -> Mapping[str, int]:
    """Delete the rows from every table, and bring the roll-ups up to date."""
    for processor in processors:
        # Roll-ups can only hear of a change in tables that are as they are declared.
        store.prepare(processor)
    deleted = forget(store, processors, keys, everywhere=True)
    for processor in processors:
        refresh_rollups(processor, store)
    return deleted


def print_deleted(deleted: Mapping[str, int]) -> None:
    """What was done."""
    click.echo(f"deleted {sum(deleted.values())} rows")
