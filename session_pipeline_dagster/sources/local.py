"""Session files in local folders: find and stat them.

One scan serves runner, sensors, status and the command line, so they can never disagree about what
a session file is. Reading one is `snapshot.py`.
"""

import os
import re
from dataclasses import dataclass, field
from datetime import date

from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.settings import Layout, Limits, Root
from session_pipeline_dagster.sources.files import Content, LeftOut, Scan, SessionFile, mtime_day
from session_pipeline_dagster.sources.snapshot import (
    COMPRESSED,
    read_head,
    read_snapshot,
    signature_of,
)
from session_pipeline_dagster.transcripts.head import HEAD_BYTES, first_day
from session_pipeline_dagster.transcripts.reader import Readers, installed_readers

_ENDINGS = (".jsonl", f".jsonl{COMPRESSED}")
_SHORT_HEAD = 16 << 10
_ESCAPED_BYTE = re.compile(r"[\udc80-\udcff]")
_LOOKS_ESCAPED = re.compile(r"%(?=[89A-F][0-9A-F]|25)")


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
        files.sort(key=lambda file: file.key)
        return Scan(_one_a_key(files, left_out), left_out)

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return read_snapshot(file.path, self.limits)

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        head = read_head(file.path, _SHORT_HEAD)
        day = first_day(head, whole=len(head) < _SHORT_HEAD)
        if day is None and len(head) == _SHORT_HEAD:
            day = first_day(read_head(file.path, HEAD_BYTES + 1), whole=True)
        return day or mtime_day(file.signature.mtime_ns)


def _key(name: str) -> str:
    """A name as a key: bytes that are not UTF-8 become %XX, so that every store takes it."""
    if name.isascii() and "%" not in name:
        return name
    name = _LOOKS_ESCAPED.sub("%25", name)
    return _ESCAPED_BYTE.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", name)


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
            key = _key(entry.name)
            if entry.is_dir(follow_symlinks=False) and not entry.name.endswith(_ENDINGS):
                self._folder(entry.path, f"{key}/", self._owner(key))
            elif entry.name.endswith(_ENDINGS) or entry.is_symlink():
                reason = self._why_not(entry) or f"not inside a folder of {self._first()}"
                self.left_out.append(LeftOut(self.prefix + key, reason))

    def _first(self) -> str:
        return "a user" if self.layout is Layout.USERS else "a project"

    def _owner(self, first: str) -> tuple[str, str | None]:
        return (first, None) if self.layout is Layout.USERS else (self.user, first)

    def _folder(self, path: str, key: str, owner: tuple[str, str | None]) -> None:
        """Walk with a list instead of recursion: nesting is not ours to trust."""
        waiting = [(path, key)]
        while waiting:
            path, key = waiting.pop()
            try:
                entries = list(os.scandir(path))
            except OSError as error:
                reason = f"folder cannot be read: {error.strerror}"
                self.left_out.append(LeftOut(self.prefix + key, reason))
                continue
            for entry in entries:
                if entry.name.endswith(_ENDINGS):
                    self._candidate(entry, key + _key(entry.name), owner)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{key}{_key(entry.name)}/"))
                elif entry.is_symlink() and entry.is_dir():
                    reason = "symbolic link to a folder"
                    self.left_out.append(LeftOut(self.prefix + key + _key(entry.name), reason))

    def _candidate(self, entry: os.DirEntry[str], key: str, owner: tuple[str, str | None]) -> None:
        reason = self._why_not(entry)
        if reason is None:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError as error:
                reason = f"cannot be looked at: {error.strerror}"
        if reason is not None:
            self.left_out.append(LeftOut(self.prefix + key, reason))
            return
        user, project = owner
        if project is None:
            project = _project_of(key)
        self.files.append(
            SessionFile(
                self.prefix + key,
                user,
                project,
                entry.path,
                signature_of(found),
                self.root.name or "",
            )
        )

    def _why_not(self, entry: os.DirEntry[str]) -> str | None:
        if entry.is_file(follow_symlinks=False):
            return None
        if entry.is_symlink():
            return "symbolic link"
        return "folder" if entry.is_dir(follow_symlinks=False) else "not a regular file"


def _project_of(key: str) -> str | None:
    """The project folder of `<user>/<project>/<session>.jsonl`; None for `<user>/<session>.jsonl`.

    Claude Code keeps a session's subagents in `<session>/subagents/`, which is no project.
    """
    folders = key.split("/")[1:-1]
    if "subagents" in folders:
        folders = folders[: max(folders.index("subagents") - 1, 0)]
    return folders[0] if folders else None
