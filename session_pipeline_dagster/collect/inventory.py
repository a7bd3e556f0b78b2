"""What one machine has: its session files, found by the same scan as anywhere, and who it is."""

import fcntl
import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from session_pipeline_dagster.errors import SettingsError, SourceUnavailable
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.settings import Layout, Root
from session_pipeline_dagster.sources.files import LeftOut
from session_pipeline_dagster.sources.keys import FLAT, key_of
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.packed import COMPRESSED
from session_pipeline_dagster.sources.snapshot import open_regular

_OF_USERS = re.compile(r"(?!-|[A-Za-z]--)[^/]+/(-|[A-Za-z]--)[^/]*/")
"""A file of a user: Claude Code's names of projects begin so, those of users do not."""
_TAIL = 256 << 10
_LONGEST_VERSION = 40
_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_DIGITS = 16
_EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Own:
    """A session file of this machine.

    Attributes:
        path: below the folder, as the machine has it; may hold bytes that are no UTF-8.
        key: the same as keys are written.
        mtime_ns: nanoseconds since the epoch.
    """

    path: str
    key: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is below one folder.

    Attributes:
        top: the folder, with no link in it.
        files: in key order.
        client: the version of Claude Code that wrote to the newest of them; None: it says none.
    """

    top: Path
    files: Sequence[Own]
    left_out: Sequence[LeftOut]
    client: str | None

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    @property
    def newest(self) -> datetime | None:
        """The newest mtime, by this machine's clock; None where there is none, or none in years."""
        try:
            newest = max(file.mtime_ns for file in self.files)
            return datetime.fromtimestamp(newest / 1e9, UTC)
        except (ValueError, OverflowError, OSError):
            return None


def take(folder: Path) -> Inventory:
    """The session files below a folder of projects, such as `~/.claude/projects`.

    Raises:
        SourceUnavailable: it is missing, or cannot be read.
        SettingsError: it is not a folder of projects.
    """
    top = Path(os.path.realpath(folder))
    try:
        os.scandir(top).close()
    except OSError as error:
        raise SourceUnavailable(
            f"--from {folder} cannot be looked into ({error.strerror}); it takes the folder of "
            "projects, ~/.claude/projects as a rule"
        ) from None
    scan = LocalSource((Root(top),), Layout.PROJECTS, "").scan()
    found = [
        Own(path, key_of(path), file.signature.size, file.signature.mtime_ns)
        for file in scan.files
        if (path := os.path.relpath(file.path, top))
    ]
    found.sort(key=lambda file: file.key)
    _check(folder, found, scan.left_out)
    # One that was emptied, by a full disk say, would empty what was collected of it.
    files = [file for file in found if file.size]
    left_out = [*scan.left_out, *(LeftOut(file.key, _EMPTY) for file in found if not file.size)]
    newest = max(files, key=lambda file: file.mtime_ns, default=None)
    return Inventory(top, files, left_out, _client(top, newest) if newest else None)


def _check(folder: Path, files: Sequence[Own], left_out: Sequence[LeftOut]) -> None:
    if files and all(file.path.startswith("projects/-") for file in files):
        raise SettingsError(
            f"--from {folder} is the folder of Claude Code; its sessions are one deeper: "
            f"--from {folder / 'projects'}"
        )
    if files and all(_OF_USERS.match(file.path) for file in files):
        user = printable(files[0].path.partition("/")[0])
        raise SettingsError(
            f"--from {folder} holds users, not projects; collect each of them: "
            f"--from {shlex.quote(str(folder / user))} --user {shlex.quote(user)}"
        )
    if any(left.reason.startswith(FLAT) for left in left_out) and not files:
        raise SettingsError(
            f"--from {folder} holds session files itself, so it is one project; take the folder "
            f"that it lies in"
        )


class _Line(msgspec.Struct):
    version: str | None = None


def _client(top: Path, newest: Own) -> str | None:
    """What the last lines of a file say."""
    if newest.path.endswith(COMPRESSED):
        return None
    try:
        with open_regular(f"{top}/{newest.path}", str(top)) as handle:
            handle.seek(max(0, newest.size - _TAIL))
            lines = handle.read(_TAIL).split(b"\n")
    except OSError:
        # Whoever copies it says so.
        return None
    for line in reversed(lines):
        try:
            version = msgspec.json.decode(line, type=_Line).version
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if version and version.isprintable() and len(version) <= _LONGEST_VERSION:
            return version
    return None


def machine_id(top: Path, places: Sequence[str] = _IDS) -> str:
    """What stands for this machine and this folder, the same every time.

    A digest: a machine's own id is not to be shown to others.

    Raises:
        SettingsError: the machine has no id.
    """
    own = _own_id(places)
    if own is None:
        raise SettingsError(
            f"this machine has no id of its own ({places[0]}); give it a name that stays: "
            "--machine laptop"
        )
    digest = hashlib.sha256(f"session-pipeline collect\0{own}\0".encode() + os.fsencode(top))
    return digest.hexdigest()[:_DIGITS]


def _own_id(places: Sequence[str]) -> str | None:
    for place in places:
        try:
            found = Path(place).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if found:
            return found
    if sys.platform != "darwin":
        return None
    asked = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
    said = subprocess.run(  # noqa: S603  macOS's own program, no shell
        asked, capture_output=True, text=True, check=False
    ).stdout
    _, _, after = said.partition('"IOPlatformUUID" = "')
    return after.partition('"')[0] or None


@contextmanager
def alone(top: Path) -> Generator[None]:
    """Nobody else collects from this folder meanwhile.

    Raises:
        SettingsError: somebody does.
    """
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another `session-pipeline collect` is at work on {top}; wait until it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)
