"""`session-pipeline import-agnes`: what the web app Agnes knows of sessions, taken over once."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.takeover import TABLES, TakenOver, take_over
from session_pipeline_dagster.setting_places import shown
from session_pipeline_dagster.settings import Layout
from session_pipeline_dagster.sources.keys import prefix_of
from session_pipeline_dagster.store.database import open_store

_WORDS: Mapping[str, str] = {
    "states_signed": "sessions count as read; their files are as they were",
    "states_unsigned": "sessions count as read, as long as their files are not written to",
    "states_to_be_read": "sessions are read again: their files have changed since",
    "states_here": "sessions were read here already",
    "states_of_others": "states of other processors are made again from the sessions",
    "items_approved": "items approved",
    "items_pending": "items pending",
    "items_rejected": "items rejected, revoked ones among them",
    "items_here": "reviewed items are here already, and stay as they are",
    "items_not_from_sessions": "items left out: not from a session",
    "items_personal": "items left out: personal",
    "items_too_long": "items left out: longer than a fact",
    "items_not_understood": "items left out: without words, or of an unknown status",
    "items_without_evidence": "items without evidence; they support themselves",
    "evidence_taken": "lines of evidence",
    "evidence_here": "lines of evidence are here already",
    "evidence_of_sessions_read_here": "lines of evidence left out: their session was read here",
    "contradictions_taken": "contradictions",
    "contradictions_here": "contradictions are here already",
    "contradictions_left_out": "contradictions left out: a side was, or both are one item here",
}
"""What is counted, in words; what is only for programs is not here."""


@click.command("import-agnes")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--root", metavar="NAME", help="The root its sessions are below, if that has a name.")
@click.option("--dry-run", is_flag=True, help="Only count what would be taken over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, file: Path, root: str | None, dry_run: bool, as_json: bool) -> int:
    """Take over knowledge, and which sessions are read, from the DuckDB FILE of Agnes.

    FILE is only read. What is here already stays; doing it twice changes nothing.
    """
    settings = context.settings
    if settings.layout is not Layout.USERS:
        raise SettingsError("import-agnes takes the layout users: Agnes keeps a folder per user")
    names = [each.name for each in settings.roots]
    if root is None and None not in names:
        raise SettingsError(f"all roots have names; say which it is: --root {names[0]}")
    if root is not None and root not in names:
        raise SettingsError(f"--root {root!r} names no root of the settings")
    done = take_over(
        file,
        context.registry.get("verification"),
        context.source,
        open_store(settings, looking=dry_run),
        settings,
        prefix=prefix_of(root),
        dry_run=dry_run,
    )
    if as_json:
        document = {
            "file": str(file),
            "database": shown(settings.database),
            "dry_run": dry_run,
            "counts": dict(sorted(done.counts.items())),
            "before": done.before,
            "after": done.after,
        }
        click.echo(json.dumps(document, indent=1))
    else:
        _print(done, file, dry_run=dry_run)
    return 0


def _print(done: TakenOver, file: Path, *, dry_run: bool) -> None:
    say(f"would be taken over from {file}" if dry_run else f"taken over from {file}")
    said = [(done.counts[name], text) for name, text in _WORDS.items() if done.counts.get(name)]
    for count, text in said:
        say(f"  {count:,} {text}")
    if not said:
        say("  nothing: it holds no knowledge and no sessions; newer ones may keep it in Postgres")
    if not dry_run:
        for table in TABLES:
            say(f"{table}: {done.before[table]:,} rows before, {done.after[table]:,} now")
