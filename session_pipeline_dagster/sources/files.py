"""What a session file is to everyone: its record, its content, and who finds and reads it.

How local folders are walked is `local.py`, how buckets are listed `objects.py`; another place of
files is another `SessionSource`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

import msgspec

from session_pipeline_dagster.transcripts.head import HEAD_BYTES, first_day
from session_pipeline_dagster.transcripts.reader import Readers

_SHORT_HEAD = 16 << 10


class Signature(msgspec.Struct, frozen=True, gc=False):
    """What stat says of a file's content: size in bytes, times in nanoseconds since the epoch.

    Of an object, `mtime_ns` is when it was put, and `ctime_ns` 63 bits of a hash of its etag.
    """

    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Content:
    """The complete lines of a file, the hash of these very bytes, and the signature they had.

    Attributes:
        complete: the lines; a too long one is represented by an unreadable one.
        file_hash: of all complete lines as they are in the file, too long ones included.
        head: the file's first bytes where `complete` does not begin with them.
    """

    complete: bytes
    file_hash: str
    signature: Signature
    head: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of the lines."""
        return len(self.complete)


class Fingerprint(msgspec.Struct, frozen=True):
    """What `Content` says of the same bytes, without their lines."""

    size: int
    file_hash: str
    signature: Signature


class SessionFile(msgspec.Struct, frozen=True, gc=False):
    """One session file as a scan found it. `path` is for opening only; rows and logs hold `key`.

    `root` is the name of the root it is below, empty for the unnamed one: it is kept with what is
    known of the file, because a key alone does not say it.
    """

    key: str
    user: str
    project: str | None
    path: str
    signature: Signature
    root: str = ""


MARKS = frozenset({".private", ".no-knowledge"})
"""Files by which people say that what lies beside and below them is not to be read for knowledge:
of a project or a session, and of all that is theirs."""
HIDDEN = "hidden folder"
"""Why a folder is left out of which it is known that nothing in it is a session."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something named `*.jsonl`, or a folder, that is not read, and why.

    Attributes:
        documents: how many files without lines in this folder it is about; 0 = about none.
    """

    key: str
    reason: str
    documents: int = 0

    @property
    def hides(self) -> bool:
        """Whether there may be session files below it that nobody can see."""
        return self.reason != HIDDEN and not self.documents


@dataclass(frozen=True, slots=True)
class Missing:
    """A root that cannot be looked at while others can: what is below it nobody knows.

    Attributes:
        root: its name, empty for the unnamed one.
        reason: a line for people that names it.
    """

    root: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What is there now. Below a root that is `missing` nothing is known to be gone.

    Attributes:
        marks: what the keys of all files begin with that somebody has marked as private (`MARKS`).
        withheld: keys of files that are there and must not be read; they are none of `files`.
        manifests: what collectors left in users' folders (`collect/manifest.py`), in no order.
    """

    files: Sequence[SessionFile]
    left_out: Sequence[LeftOut]
    missing: Sequence[Missing] = ()
    marks: Sequence[str] = ()
    withheld: frozenset[str] = frozenset()
    manifests: Sequence[SessionFile] = ()


class SessionSource(Protocol):
    """Where session files come from.

    Attributes:
        readers: who reads them; what none of them claims is left out.
        remote: files are read over a network. Then several heads are read at a time, and worker
            processes are spawned: the client's threads do not survive a fork, and it waits for
            them for ever.
    """

    @property
    def readers(self) -> Readers: ...

    @property
    def remote(self) -> bool: ...

    def scan(self) -> Scan:
        """Every session file, in key order.

        Raises:
            SourceUnavailable: a root is missing, which is not the same as no files; where roots
                cost only themselves, all of them.
        """
        ...

    def read(self, file: SessionFile) -> Content:
        """Open once, read once.

        Raises:
            OSError: gone (FileNotFoundError) or not readable.
            Permanent, Retryable: it can be opened, but what it holds cannot be had.
        """
        ...

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """What `read` would say of it, but its lines; raises as `read`."""
        ...

    def day(self, file: SessionFile) -> date:
        """The file's session day, from its head alone; see `session_day`.

        Raises:
            OSError, Retryable: as `read`.
        """
        ...


def session_day(content: Content) -> date:
    """UTC day of the first top-level timestamp in line order, else of the mtime."""
    head = content.complete if content.head is None else content.head
    return first_day(head, whole=True) or mtime_day(content.signature.mtime_ns)


def head_day(read: Callable[[int], bytes], mtime_ns: int) -> date:
    """The session day of a file of which first bytes are read, as few as may do.

    Args:
        read: so many first bytes of what it holds; fewer where there are no more.
    """
    head = read(_SHORT_HEAD)
    day = first_day(head, whole=len(head) < _SHORT_HEAD)
    if day is None and len(head) == _SHORT_HEAD:
        day = first_day(read(HEAD_BYTES + 1), whole=True)
    return day or mtime_day(mtime_ns)


def mtime_day(mtime_ns: int) -> date:
    """UTC day of an mtime in nanoseconds; 1970-01-01 where no calendar holds it."""
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9, UTC).date()
    except (OverflowError, ValueError, OSError):
        return date(1970, 1, 1)
