"""`session-pipeline collect`: this machine's transcripts to where an organisation collects them."""

import json
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import say
from session_pipeline_dagster.collect.collecting import Collected, collect
from session_pipeline_dagster.collect.folder import FolderPlace
from session_pipeline_dagster.collect.host import SSH, HostPlace
from session_pipeline_dagster.collect.inventory import machine_id, take
from session_pipeline_dagster.collect.manifest import name_of
from session_pipeline_dagster.collect.place import Host, Place, Target, check_user, parse_target
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.setting_values import path
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.sources.keys import MANIFEST

_MANY = 10


@click.command("collect")
@click.option(
    "--from",
    "source",
    default="~/.claude/projects",
    show_default=True,
    metavar="DIR",
    help="The folder of projects.",
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="PLACE",
    help="The folder of all users: DIR, user@host:DIR, s3://bucket/prefix (or gs://, az://).",
)
@click.option(
    "--user", metavar="NAME", help="The user's folder in it (default: SESSION_USER, else you)."
)
@click.option("--own-folder", is_flag=True, help="--to is the user's own folder already.")
@click.option(
    "--machine", metavar="NAME", help="What this machine is called, in place of a digest of its id."
)
@click.option(
    "--ssh",
    default=SSH,
    show_default=True,
    metavar="COMMAND",
    help="How ssh is started: 'ssh -i KEY'.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be copied.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    source: str,
    target: str,
    user: str | None,
    own_folder: bool,
    machine: str | None,
    ssh: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring this machine's transcripts to where they are collected. Exit 1 if a file failed.

    Copies what is new or changed to PLACE/USER/, deletes nothing, and leaves a manifest there,
    which the check `not_arrived` reads.
    """
    began = time.monotonic()
    where = parse_target(target)
    settings = read_settings(made=None)
    if own_folder and user is not None:
        raise SettingsError("collect takes either --user NAME or --own-folder")
    name = None if own_folder else check_user(settings.user if user is None else user, where)
    found = take(path(source, "--from"))
    own = _machine(machine, found.top)
    place = _place(where, name, own, _checked(ssh), settings.s3)
    now = datetime.now(UTC)
    done = collect(found, place, own, now, version("session-pipeline-dagster"), dry_run=dry_run)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(_document(done, target, name, own, seconds))
    else:
        _print(done, target, name)
    sys.exit(1 if done.sent.failed else 0)


def _machine(given: str | None, top: Path) -> str:
    if given is None:
        return machine_id(top)
    if not MANIFEST.fullmatch(name_of(given)):
        raise SettingsError(f"--machine is {given!r}; it takes up to 64 letters, digits, _ and -")
    return given


def _checked(ssh: str) -> str:
    try:
        words = shlex.split(ssh)
    except ValueError as error:
        raise SettingsError(f"--ssh cannot be read ({error}); write 'ssh -i KEY'") from None
    if not words:
        raise SettingsError("--ssh is empty; write 'ssh -i KEY'")
    return ssh


def _place(where: Target, user: str | None, machine: str, ssh: str, s3: S3Settings) -> Place:
    if isinstance(where, Host):
        return HostPlace(where if user is None else where.below(user), ssh)
    if not isinstance(where, Bucket):
        return FolderPlace(where, user, machine)
    try:
        from session_pipeline_dagster.collect.bucket import BucketPlace  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise SettingsError(
            f"{where.url} is a bucket, and what writes to one is not installed: "
            "pip install 'session-pipeline-dagster[objects]'"
        ) from None
    prefix = where if user is None else Bucket(f"{where.url}/{user}")
    return BucketPlace(prefix, machine, s3)


def _document(done: Collected, target: str, user: str | None, machine: str, seconds: float) -> str:
    found, sent = done.inventory, done.sent
    document = {
        "from": str(found.top),
        "to": target,
        "user": user,
        "machine": machine,
        "dry_run": done.manifest is None,
        "files": len(found.files),
        "bytes": found.bytes,
        "copied": sent.copied,
        "copied_bytes": sent.copied_bytes,
        "failed": [{"session": one.key, "error": one.reason} for one in sent.failed],
        "left_out": [{"session": one.key, "reason": one.reason} for one in found.left_out],
        "manifest": done.manifest,
        "seconds": round(seconds, 3),
    }
    return json.dumps(document, indent=1)


def _print(done: Collected, target: str, user: str | None) -> None:
    found, sent = done.inventory, done.sent
    what = "would be copied" if done.manifest is None else "copied"
    into = f"{target} ({user})" if user else target
    say(
        f"{sent.copied} of {len(found.files)} session files {what} to {into}, "
        f"{sent.copied_bytes:,} bytes"
    )
    for failed in sent.failed[:_MANY]:
        say(f"session-pipeline: {failed.key}: {failed.reason}", err=True)
    if len(sent.failed) > _MANY:
        say(f"session-pipeline: and {len(sent.failed) - _MANY} more failed", err=True)
    if found.left_out:
        say(f"  left out: {len(found.left_out)} (--json lists them)")
