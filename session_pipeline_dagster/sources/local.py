"""Session files in local folders: find and stat them.

One scan serves runner, sensors, status and the command line, so they can never disagree about what
a session file is. Reading one is `snapshot.py`.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from operator import attrgetter

from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.settings import Layout, Limits, Root
from session_pipeline_dagster.sources.files import (
    HIDDEN,
    MARKS,
    Content,
    Fingerprint,
    LeftOut,
    Scan,
    SessionFile,
    head_day,
)
from session_pipeline_dagster.sources.keys import (
    ENDINGS,
    Owner,
    documents_left_out,
    first_key,
    flat,
    is_entered,
    is_hidden,
    key_of,
    may_be_manifest,
    one_a_key,
    owner_of,
    prefix_of,
)
from session_pipeline_dagster.sources.snapshot import (
    fingerprint,
    read_head,
    read_snapshot,
    signature_of,
)
from session_pipeline_dagster.transcripts.looks import document
from session_pipeline_dagster.transcripts.reader import Readers, installed_readers


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

    @property
    def remote(self) -> bool:
        """See `SessionSource`."""
        return False

    def scan(self) -> Scan:
        """See `SessionSource.scan`."""
        files: list[SessionFile] = []
        left_out: list[LeftOut] = []
        marks: list[str] = []
        manifests: list[SessionFile] = []
        for root in self.roots:
            walk = _Walk(root, self.layout, self.user, files, left_out, manifests)
            walk.run()
            marks += walk.marks
            left_out += documents_left_out(walk.documents, walk.prefix)
        files.sort(key=attrgetter("key"))
        kept = one_a_key(files, left_out)
        return Scan(kept, left_out, marks=marks, manifests=manifests)

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return read_snapshot(file.path, self.limits, self._top(file))

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        return fingerprint(file.path, self.limits, self._top(file))

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        top = self._top(file)
        return head_day(lambda size: read_head(file.path, size, top), file.signature.mtime_ns)

    def _top(self, file: SessionFile) -> str | None:
        """The folder of the file's root; None where it is of no root that is set."""
        paths = (os.fspath(root.path) for root in self.roots if (root.name or "") == file.root)
        return next((path for path in paths if file.path.startswith(path)), None)


class _Walk:
    """One pass below one root."""

    def __init__(
        self,
        root: Root,
        layout: Layout,
        user: str,
        files: list[SessionFile],
        left_out: list[LeftOut],
        manifests: list[SessionFile],
    ) -> None:
        self.root, self.layout, self.user = root, layout, user
        self.files, self.left_out, self.manifests = files, left_out, manifests
        self.marks: list[str] = []
        self.documents = Counter[tuple[str, str]]()
        self.name = root.name or ""
        self.prefix = prefix_of(root.name)

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
            key = first_key(key_of(entry.name))
            if self._take(entry, key, None) and is_entered(key, self.layout):
                self._folder(entry.path, f"{key}/")

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
                below = key + key_of(entry.name)
                if self._take(entry, below, owner):
                    waiting.append((entry.path, f"{below}/"))

    def _take(self, entry: os.DirEntry[str], key: str, owner: Owner | None) -> bool:
        """Take a session file, or list why it is none.

        Returns whether it is a folder to walk. Nowhere else is an entry looked at: a look that
        fails costs this entry, not the scan.

        Args:
            owner: whose it is; None where it lies in the root itself.
        """
        try:
            found = kind(entry)
            if not entry.name.endswith(ENDINGS):
                return self._beside(entry, found, key, owner)
            if found is not Kind.FILE:
                self._leave_out(key, _NO_SESSION[found])
            elif owner is None:
                self._leave_out(key, flat(self.layout))
            else:
                self.files.append(self._file(entry, key, owner))
        except OSError as error:
            self._leave_out(key, f"cannot be looked at: {error.strerror}")
        return False

    def _beside(self, entry: os.DirEntry[str], found: Kind, key: str, owner: Owner | None) -> bool:
        """Take note of what is not named like a session file; whether it is a folder to walk."""
        if found is Kind.LINK and owner is None:
            self._leave_out(key, _NO_SESSION[found])
        elif found is Kind.LINK and entry.is_dir():
            self._leave_out(key, "symbolic link to a folder")
        if found is not Kind.FOLDER and entry.name in MARKS:
            self.marks.append(self.prefix + key.removesuffix(entry.name))
        if found is Kind.FOLDER and is_hidden(entry.name):
            self._leave_out(f"{key}/", HIDDEN)
            return False
        # Before any folder beside it is listed: what it speaks of was there by then.
        if found is Kind.FILE and owner and may_be_manifest(key, self.layout):
            self.manifests.append(self._file(entry, key, owner))
        elif found is Kind.FILE and owner and (look := document(entry.name)):
            self.documents[key[: key.rfind("/") + 1], look] += 1
        return found is Kind.FOLDER

    def _file(self, entry: os.DirEntry[str], key: str, owner: Owner) -> SessionFile:
        signature = signature_of(entry.stat(follow_symlinks=False))
        return SessionFile(self.prefix + key, *owner, entry.path, signature, self.name)

    def _leave_out(self, key: str, reason: str) -> None:
        self.left_out.append(LeftOut(self.prefix + key, reason))


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
