"""`session-pipeline forget`: what it finds, says and deletes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.contract.processor import Processor, begin, extras
from session_pipeline_dagster.contract.report import Report
from session_pipeline_dagster.errors import SettingsError, SourceUnavailable, StoreError
from session_pipeline_dagster.names import short
from session_pipeline_dagster.passes.breadcrumbs import forget_notes
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.passes.exports.export import discard as discard_exports
from session_pipeline_dagster.passes.exports.export import made as exports_made
from session_pipeline_dagster.passes.exports.upkeep import hand_on, is_set
from session_pipeline_dagster.passes.publish import discard, made
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.passes.veiled import files_meant, folders_of, users_meant
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.sources.keys import as_shown
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Tidied

_MANY = 20
_NOTHING = 2
"""The exit code where there is nothing to forget."""


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
        found = source.scan()
        files = found.files
        for one in found.missing:
            say(f"session-pipeline: {one.reason}; going on without it", err=True)
    except SourceUnavailable as error:
        say(f"session-pipeline: {error}; going on with the database alone", err=True)
        files = []
    if user is None:
        keys = list(dict.fromkeys(sessions))
    else:
        user = as_shown(user)
        theirs = (file.key for file in files if file.user == short(user))
        keys = sorted({*keys_of_user(store, user), *theirs})
    wanted = set(keys)
    return keys, [file.key for file in files if file.key in wanted]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of who or what is to be forgotten.

    Attributes:
        counts: table -> rows. `on_disk`: files that are still there, `where` in words. `reports`,
            `exports`: files that may name who was deleted before.
    """

    keys: Sequence[str]
    counts: Mapping[str, int]
    on_disk: Sequence[str]
    reports: Sequence[Path]
    where: str = "on disk"
    exports: Sequence[Path] = ()

    @property
    def is_known(self) -> bool:
        """Whether the database or the disk knows of it."""
        return bool(self.counts or self.on_disk)


def print_found(found: Found, what: str, veil: Veil) -> None:
    """How many rows of which tables it is about, and what else.

    Args:
        what: `user` or `session`.
    """
    if not found.is_known:
        unknown = f"nothing is known of such a {what} in the database"
        if not (found.reports or found.exports):
            say(f"{unknown}, and there is no report or export")
            return
        say(f"0 session files, 0 rows: {unknown}")
    else:
        say(f"{len(found.keys)} session files, {sum(found.counts.values())} rows")
    for table, count in found.counts.items():
        say(f"  {table}: {count}")
    for path in found.reports:
        say(f"  report {path}")
    if found.exports:
        say(f"  exports: {len(found.exports)} files")
    if found.on_disk:
        say(
            f"{len(found.on_disk)} of the files are still {found.where} and will be read again; "
            "delete them first:"
        )
        for key in found.on_disk[:_MANY]:
            say(f"  {veil.file(key)}")
        if len(found.on_disk) > _MANY:
            say(f"  ... and {len(found.on_disk) - _MANY} more")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone.

    Attributes:
        rows: table -> how many it lost. `reports`: files of them. `exports`: files of theirs, also
            those that were made again.
        tidied: what that took where the place keeps what it was; None where it does not.
    """

    rows: Mapping[str, int]
    reports: Sequence[Path]
    exports: Sequence[Path]
    tidied: Tidied | None


def delete(
    store: Store,
    processors: Sequence[Processor],
    settings: Settings,
    keys: Sequence[str],
    user: str | None = None,
) -> Deleted:
    """Delete the rows from every table, and bring what was derived from them up to date.

    Reports and exports are deleted too, also where there was no key: they may name who was deleted
    before. Exports that are set are made again. Files of a lake may name somebody, too, and what it
    was before can be read no longer.

    Raises:
        SettingsError: a processor cannot work as things are set; nothing was deleted.
        StoreError: says what is deleted already, if anything is.
    """
    for processor in processors:
        begin(processor, settings, None)
    before = store.rows_of(keys, processors, user)
    for processor in processors:
        # Roll-ups can only hear of a change in tables that are as they are declared.
        store.prepare(processor)
    store.forget(processors, keys, user)
    forget_notes(store, keys)
    reports = _reports(processors)
    gone = discard(reports, store, settings.reports)
    exported = discard_exports(store, settings)
    try:
        for processor in processors:
            recompute(processor, store, settings)
    finally:
        # One that was made meanwhile may have been read from what was not up to date.
        gone += discard(reports, store, settings.reports)
        exported += discard_exports(store, settings)
    # Before anything is made again, which may fail.
    tidied = _tidied(store)
    usage = [processor for processor in processors if processor.name == "usage"]
    if usage and is_set(settings):
        hand_on(store, usage[0], settings)
    after = store.rows_of(keys, processors, user)
    lost = {table: count - after.get(table, 0) for table, count in before.items()}
    lost = {table: count for table, count in lost.items() if count}
    found = [list(dict.fromkeys(paths)) for paths in (gone, exported)]
    return Deleted(lost, *found, tidied)


def _tidied(store: Store) -> Tidied | None:
    try:
        return store.tidy(timedelta(0))
    except StoreError as error:
        raise type(error)(
            f"the rows are deleted, and files of before still hold them ({error}); "
            "start the same again with --yes"
        ) from error


def _reports(processors: Sequence[Processor]) -> list[Report]:
    return [report for processor in processors for report in extras(processor).reports]


def print_deleted(deleted: Deleted) -> None:
    """What was done."""
    files = f"{len(deleted.reports)} report{'s' * (len(deleted.reports) != 1)}"
    exports = f", and {len(deleted.exports)} files of exports" if deleted.exports else ""
    say(f"deleted {sum(deleted.rows.values())} rows and {files}{exports}")
    for table, count in deleted.rows.items():
        say(f"  {table}: {count}")
    for path in deleted.reports:
        say(f"  {path}")
    if deleted.tidied:
        print_tidied(deleted.tidied)


def _folder(user: str, store: Store, veil: Veil) -> str:
    """The user's folder, also of somebody whom only the directory calls so."""
    found = folders_of(user, store)
    if not found or user in found:
        return user
    if len(found) > 1:
        named = ", ".join(map(veil.person, found))
        raise SettingsError(f"{veil.person(user)} has several folders: {named}; forget each")
    return found[0]


def print_tidied(tidied: Tidied) -> None:
    """What of a lake's past is gone, and what is out of reach."""
    say(
        f"and from the lake's files: {tidied.compacted} written again without these rows, "
        f"{tidied.deleted + tidied.orphans} deleted, {tidied.snapshots_before} snapshots ended"
    )
    say(
        "Out of reach: earlier versions of objects in a versioned bucket, dumps and write-ahead "
        "logs of the catalog's Postgres, copies that somebody made. Delete or age them there"
    )


@click.command("forget")
@click.option("--user", metavar="USER", help="Everything of this user.")
@click.option("--session", multiple=True, metavar="KEY", help="This session; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@common
def command(
    context: Context, user: str | None, session: tuple[str, ...], dry_run: bool, yes: bool
) -> int:
    """Delete every row of a user or of sessions, for good. Exit 2 if nothing is known of it."""
    if bool(user) == bool(session):
        raise SettingsError("forget takes either --user USER or --session KEY")
    if dry_run == yes and (yes or not sys.stdin.isatty()):
        raise SettingsError("forget takes either --yes, or --dry-run to see what would go")
    settings, installed = context.settings, context.registry.processors
    store = open_store(settings, looking=dry_run)
    store.require()
    veil = context.veil
    sessions = files_meant(veil, session, store, context.source)
    if user:
        (user,) = users_meant(veil, [user], store, context.source)
        user = _folder(user, store, veil)
    keys, on_disk = find(store, installed, context.source, user, sessions)
    whose = short(user) if user else None
    there = store.rows_of(keys, installed, whose)
    counts = {table: count for table, count in there.items() if count}
    where = "in the bucket or on disk" if context.source.remote else "on disk"
    reports, exports = made(_reports(installed), settings.reports), exports_made(store, settings)
    found = Found(keys, counts, on_disk, reports, where, exports)
    print_found(found, "user" if user else "session", veil)
    ended = 0 if found.is_known else _NOTHING
    # Also what nobody knows: a pass may be at work on it, and shall not write it.
    if dry_run or not (found.is_known or found.reports or found.exports or yes):
        return ended
    # Without rows too: a report may still name who was deleted before.
    if not (yes or click.confirm("Delete these rows for good, and all reports and exports?")):
        return 0
    deleted = delete(store, installed, settings, keys, whose)
    if found.is_known or deleted.rows or deleted.reports or deleted.exports:
        print_deleted(deleted)
    elif deleted.tidied:
        print_tidied(deleted.tidied)
    return 0 if deleted.rows else ended
