"""What a session file is to everyone: its record, its content, and who finds and reads it.

How local folders are walked is `local.py`; another place of files is another `SessionSource`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

import msgspec

from session_pipeline_dagster.transcripts.head import first_day
from session_pipeline_dagster.transcripts.reader import Readers


class Signature(msgspec.Struct, frozen=True, gc=False):
    """What stat says of a file's content: size in bytes, times in nanoseconds since the epoch."""

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


HIDDEN = "hidden folder"
"""Why a folder is left out of which it is known that nothing in it is a session."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something named `*.jsonl`, or a folder, that is not read, and why."""

    key: str
    reason: str

    @property
    def hides(self) -> bool:
        """Whether there may be session files below it that nobody can see."""
        return self.reason != HIDDEN


@dataclass(frozen=True, slots=True)
class Scan:
    """What is on disk now."""

    files: Sequence[SessionFile]
    left_out: Sequence[LeftOut]


class SessionSource(Protocol):
    """Where session files come from.

    Attributes:
        readers: who reads them; what none of them claims is left out.
    """

    @property
    def readers(self) -> Readers: ...

    def scan(self) -> Scan:
        """Every session file, in key order.

        Raises:
            SourceUnavailable: a root is missing; that is not the same as no files.
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
        """The file's session day, from its head alone; see `session_day`."""
        ...


def session_day(content: Content) -> date:
    """UTC day of the first top-level timestamp in line order, else of the mtime."""
    head = content.complete if content.head is None else content.head
    return first_day(head, whole=True) or mtime_day(content.signature.mtime_ns)


def mtime_day(mtime_ns: int) -> date:
    """UTC day of an mtime in nanoseconds; 1970-01-01 where no calendar holds it."""
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9, UTC).date()
    except (OverflowError, ValueError, OSError):
        return date(1970, 1, 1)
