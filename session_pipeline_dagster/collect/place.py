"""Where transcripts are collected: what `--to` may name, and what every kind of place does.

A folder is `folder.py`, a machine that ssh reaches `host.py`, a bucket `bucket.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from session_pipeline_dagster.collect.inventory import Inventory
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Bucket, parse_root
from session_pipeline_dagster.setting_values import path
from session_pipeline_dagster.sources.keys import ENDINGS, is_plain

_HOST = re.compile(r"((?:[\w.+-]+@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\])):(.*)", re.ASCII)
_NO_SHELL = re.compile(r"[\w@%+=.,/~-]*", re.ASCII)
"""What no shell of any machine reads as something else."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that did not get there, and why; tried again the next time."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it.

    Attributes:
        tags: key -> the etag that a bucket has for it.
    """

    copied: int
    copied_bytes: int
    failed: Sequence[Failed] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class Place(Protocol):
    """The folder of one user in a place; under a final name there is never half a file."""

    def send(self, inventory: Inventory, *, dry_run: bool) -> Sent:
        """Bring what is not there, or otherwise there. Deletes nothing.

        Args:
            dry_run: only say what would be brought.

        Raises:
            TargetUnavailable: it cannot work, for no fault of a single file.
        """
        ...

    def leave(self, name: str, content: bytes) -> None:
        """Put a file beside them, whole; its mtime is of the place's own clock.

        Raises:
            TargetUnavailable: as `send`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """A folder of a machine that ssh reaches.

    Attributes:
        path: on that machine; empty = what it is by itself, as with `rrsync`.
    """

    host: str
    path: str

    def below(self, folder: str) -> "Host":
        """A folder in it."""
        return Host(self.host, f"{self.path.rstrip('/')}/{folder}" if self.path else folder)

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


Target = Path | Host | Bucket


def parse_target(text: str) -> Target:
    """What `--to` names.

    Raises:
        SettingsError: nothing that it may name.
    """
    if not text.strip():
        raise SettingsError("--to is empty; it takes a folder, user@host:folder or s3://bucket/…")
    if "=" not in text.partition("://")[0] and isinstance(
        found := parse_root(text, "--to"), Bucket
    ):
        if not is_plain(found.url.partition("://")[2]):
            raise SettingsError(f"--to has {found.url}, which is no prefix to put things below")
        return found
    if ":" not in text.partition("/")[0]:
        return path(text, "--to")
    host = _HOST.fullmatch(text)
    if host is None or host[1].startswith("-"):
        raise SettingsError(
            f"--to is {text!r}, which is no user@host:folder; a folder with a colon in its name is "
            f"written ./{text}"
        )
    if host[2].startswith(":"):
        raise SettingsError(
            "--to names rsync's own service, which does not encrypt; use host:folder"
        )
    if not _NO_SHELL.fullmatch(host[2]):
        raise SettingsError(
            "--to has a folder on another machine with a space or a character in it that a shell "
            "there may read as something else; rename it"
        )
    return Host(host[1], host[2])


def check_user(user: str, target: Target) -> str:
    """The name of a user's folder.

    Raises:
        SettingsError: no folder is called so, or nothing in it would be read.
    """
    fit = user and "/" not in user and is_plain(user) and not user.startswith((".", "-"))
    if not fit or user.endswith(ENDINGS):
        raise SettingsError(f"--user is {user!r}; it takes the name of a folder, without a slash")
    if isinstance(target, Host) and not _NO_SHELL.fullmatch(user):
        raise SettingsError(
            f"--user is {user!r}; for another machine it takes letters, digits and @ % + = . , _ -"
        )
    return user
