"""Session files in local folders: find and stat them.

One scan serves runner, sensors, status and the command line, so they can never disagree about what
a session file is. Reading one is `snapshot.py`.
"""

import os
import re
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from operator import attrgetter

from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.names import short
from session_pipeline_dagster.settings import Layout, Limits, Root, Settings
from session_pipeline_dagster.sources.files import (
    HIDDEN,
    Content,
    Fingerprint,
    LeftOut,
    Scan,
    SessionFile,
    mtime_day,
)
from session_pipeline_dagster.sources.snapshot import (
    COMPRESSED,
    fingerprint,
    read_head,
    read_snapshot,
    signature_of,
)
from session_pipeline_dagster.transcripts.head import HEAD_BYTES, first_day
from session_pipeline_dagster.transcripts.reader import Readers, installed_readers

_ENDINGS = (".jsonl", f".jsonl{COMPRESSED}")
_COLON = re.compile(r"%3A|:")
_ESCAPED_COLON = re.compile(r"%253A|%3A")
_UPLOADED = ".claude"
"""The one folder with a dot that is walked: it may be part of what somebody has copied."""
_SHORT_HEAD = 16 << 10
_ESCAPED_BYTE = re.compile(r"[\udc80-\udcff]")
_LOOKS_ESCAPED = re.compile(r"%(?=[89A-F][0-9A-F]|25)")


_Owner = tuple[str, str | None]
"""A user and a project."""


class Kind(Enum):
    """What an entry of a folder is itself, not what a link leads to."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


_NO_SESSION = {
    Kind.FOLDER: "folder",
    Kind.LINK: "symbolic link",
    Kind.OTHER: "not a regular file",
}
"""Why an entry that is named like a session file is none."""


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Session files below one or several local folders."""

    roots: tuple[Root, ...]
    layout: Layout = Layout.USERS
    user: str = "me"
    limits: Limits = field(default_factory=Limits)
    readers: Readers = field(default_factory=installed_readers)

    def scan(self) -> Scan:
        """See `SessionSource.scan`."""
        files: list[SessionFile] = []
        left_out: list[LeftOut] = []
        for root in self.roots:
            _Walk(root, self.layout, self.user, files, left_out).run()
        files.sort(key=attrgetter("key"))
        return Scan(_one_a_key(files, left_out), left_out)

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return read_snapshot(file.path, self.limits, self._top(file))

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        return fingerprint(file.path, self.limits, self._top(file))

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        top = self._top(file)
        head = read_head(file.path, _SHORT_HEAD, top)
        day = first_day(head, whole=len(head) < _SHORT_HEAD)
        if day is None and len(head) == _SHORT_HEAD:
            day = first_day(read_head(file.path, HEAD_BYTES + 1, top), whole=True)
        return day or mtime_day(file.signature.mtime_ns)

    def _top(self, file: SessionFile) -> str | None:
        """The folder of the file's root; None where it is of no root that is set."""
        paths = (os.fspath(root.path) for root in self.roots if (root.name or "") == file.root)
        return next((path for path in paths if file.path.startswith(path)), None)


def open_source(settings: Settings) -> LocalSource:
    """The session files of the settings; nothing is looked at yet."""
    roots = tuple(root for root in settings.roots if isinstance(root, Root))
    return LocalSource(roots, settings.layout, settings.user, settings.limits)


def _key(name: str) -> str:
    """A name as a key: bytes that are not UTF-8 become %XX, so that every store takes it."""
    if name.isascii() and "%" not in name:
        return name
    name = _LOOKS_ESCAPED.sub("%25", name)
    return _ESCAPED_BYTE.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", name)


def _first_key(name: str) -> str:
    """The first folder as a key: a colon in it would look like the name of a root."""
    return _COLON.sub(lambda match: "%3A" if match[0] == ":" else "%253A", name)


def _first_name(key: str) -> str:
    """The name that a first folder of a key stands for."""
    if "%" not in key:
        return key
    return _ESCAPED_COLON.sub(lambda match: ":" if match[0] == "%3A" else "%3A", key)


def former_key(file: SessionFile) -> str | None:
    """The key that the file had before colons were escaped, where it is another one."""
    if "%" not in file.key:
        return None
    prefix = f"{file.root}:" if file.root else ""
    first, slash, rest = file.key.removeprefix(prefix).partition("/")
    name = _first_name(first)
    return None if name == first else f"{prefix}{name}{slash}{rest}"


def _one_a_key(files: list[SessionFile], left_out: list[LeftOut]) -> list[SessionFile]:
    """The first file of each key: two under one would replace each other's rows for ever."""
    kept: list[SessionFile] = []
    for file in files:
        if kept and kept[-1].key == file.key:
            left_out.append(LeftOut(file.key, "another root holds a file of this key; rename one"))
        else:
            kept.append(file)
    return kept


class _Walk:
    """One pass below one root."""

    def __init__(
        self,
        root: Root,
        layout: Layout,
        user: str,
        files: list[SessionFile],
        left_out: list[LeftOut],
    ) -> None:
        self.root, self.layout, self.user = root, layout, user
        self.files, self.left_out = files, left_out
        self.name = root.name or ""
        self.prefix = f"{root.name}:" if root.name else ""

    def run(self) -> None:
        top = os.fspath(self.root.path)
        try:
            entries = sorted(os.scandir(top), key=lambda entry: entry.name)
        except FileNotFoundError as error:
            raise SourceUnavailable(
                f"session root {top} does not exist; create or mount it, or set SESSION_DATA_DIR"
            ) from error
        except NotADirectoryError as error:
            raise SourceUnavailable(
                f"session root {top} is not a directory; set SESSION_DATA_DIR"
            ) from error
        except OSError as error:
            raise SourceUnavailable(
                f"session root {top} cannot be read ({error.strerror}); give this user access"
            ) from error
        for entry in entries:
            key = _first_key(_key(entry.name))
            if self._take(entry, key, None):
                self._folder(entry.path, f"{key}/")

    def _first(self) -> str:
        return "a user" if self.layout is Layout.USERS else "a project"

    def _folder(self, path: str, key: str) -> None:
        """Walk with a list instead of recursion: nesting is not ours to trust."""
        waiting = [(path, key)]
        while waiting:
            path, key = waiting.pop()
            owner = owner_of(key, self.layout, self.user)
            try:
                entries = list(os.scandir(path))
            except OSError as error:
                self._leave_out(key, f"folder cannot be read: {error.strerror}")
                continue
            for entry in entries:
                below = key + _key(entry.name)
                if self._take(entry, below, owner):
                    waiting.append((entry.path, f"{below}/"))

    def _take(self, entry: os.DirEntry[str], key: str, owner: _Owner | None) -> bool:
        """Take a session file, or list why it is none.

        Returns whether it is a folder to walk. Nowhere else is an entry looked at: a look that
        fails costs this entry, not the scan.

        Args:
            owner: whose it is; None where it lies in the root itself.
        """
        try:
            found = kind(entry)
            if not entry.name.endswith(_ENDINGS):
                if found is Kind.LINK and owner is None:
                    self._leave_out(key, _NO_SESSION[found])
                elif found is Kind.LINK and entry.is_dir():
                    self._leave_out(key, "symbolic link to a folder")
                if found is Kind.FOLDER and _is_hidden(entry.name):
                    self._leave_out(f"{key}/", HIDDEN)
                    return False
                return found is Kind.FOLDER
            if found is not Kind.FILE:
                self._leave_out(key, _NO_SESSION[found])
            elif owner is None:
                self._leave_out(key, f"not inside a folder of {self._first()}")
            else:
                signature = signature_of(entry.stat(follow_symlinks=False))
                file = SessionFile(self.prefix + key, *owner, entry.path, signature, self.name)
                self.files.append(file)
        except OSError as error:
            self._leave_out(key, f"cannot be looked at: {error.strerror}")
        return False

    def _leave_out(self, key: str, reason: str) -> None:
        self.left_out.append(LeftOut(self.prefix + key, reason))


def _is_hidden(folder: str) -> bool:
    """Whether a tool keeps things of its own there: old versions, snapshots, what was deleted."""
    return folder.startswith(".") and folder != _UPLOADED


def kind(entry: os.DirEntry[str]) -> Kind:
    """What the entry is; no link is followed.

    Raises:
        OSError: the file system does not say, and it cannot be asked.
    """
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    if entry.is_dir(follow_symlinks=False):
        return Kind.FOLDER
    return Kind.LINK if entry.is_symlink() else Kind.OTHER


def owner_of(key: str, layout: Layout = Layout.USERS, user: str = "me") -> _Owner:
    """The user and the project of a file, by the folders of its key below its root. All files of a
    folder have the same; its key ends with a slash.

    Names as they are stored: as the folders are called, but no longer than `names.LONGEST`.

    The project is that of `<user>/<project>/<session>.jsonl`, None for `<user>/<session>.jsonl`.
    Claude Code keeps a session's subagents in `<session>/subagents/`, which is no project.
    """
    first, *folders = key.split("/")[:-1]
    first = _first_name(first)
    if layout is Layout.PROJECTS:
        return short(user), short(first)
    if "subagents" in folders:
        folders = folders[: max(folders.index("subagents") - 1, 0)]
    return short(first), short(folders[0]) if folders else None
