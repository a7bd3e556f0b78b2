"""What the sensors of a pipeline look at in common, so that nothing is read for nothing.

A look is a scan of the session files and a stamp of what it and the database said. Where the stamp
is that of the tick before and nothing waited then, nothing can have become due: no state is read.
"""

import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from threading import Lock

from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Content, Fingerprint, Scan, SessionFile
from session_pipeline_dagster.sources.layout import open_checked
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.transcripts.reader import Readers

_SHARED_FOR = 5.0
"""Seconds: as long as ticks that are due at the same time take to begin."""
_GRAIN_NS = 2 * 10**9
"""A database that was written to this lately may be written to again within its clock's grain."""

Written = tuple[int, int, int]
"""Inode, size and mtime of a file."""
Lies = tuple[Written | None, Written | None]
"""A database: its file, and what is not yet written into it."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The files as they were found, and the database as it lay there.

    Attributes:
        listing: a hash of every file's key and signature, and of what is left out.
        database: of its file, and of what is not yet written into it.
    """

    listing: int
    database: Lies


@dataclass(frozen=True, slots=True)
class Look:
    """A scan; `stamp` is None where the database is too fresh to be known by its times."""

    scan: Scan
    stamp: Stamp | None


@dataclass(slots=True)
class Looks:
    """Scans that sensors share, each of them once: one that comes again gets a new one."""

    settings: Settings
    held: HeldInstance = field(default_factory=HeldInstance)
    source: LocalSource = field(init=False)
    _found: Look | None = None
    _at: float = 0.0
    _lies: Lies | None = None
    _shown: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.source = open_checked(self.settings)

    def look(self, who: str) -> Look:
        """A look that is a few seconds old at most, and new to this sensor.

        Raises:
            SourceUnavailable, WrongLayout: see `SessionSource.scan`.
        """
        with self._lock:
            old = time.monotonic() - self._at > _SHARED_FOR
            lies = _lies(self.settings.database)
            # States that are newer than the scan would call files pending that are not.
            if self._found is None or old or who in self._shown or lies != self._lies:
                self._found, self._shown = None, set()
                # Before the scan, and so before anyone reads the states: what is written meanwhile
                # makes the next stamp another one.
                at, database = time.monotonic(), _settled(lies)
                scan = self.source.scan()
                stamp = None if database is None else Stamp(_listing(scan), database)
                self._found, self._at, self._lies = Look(scan, stamp), at, lies
            self._shown.add(who)
            return self._found


@dataclass(frozen=True, slots=True)
class Seen:
    """Session files of which a scan has been made."""

    source: LocalSource
    found: Scan

    @property
    def readers(self) -> Readers:
        """See `SessionSource`."""
        return self.source.readers

    def scan(self) -> Scan:
        """That scan."""
        return self.found

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return self.source.read(file)

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        return self.source.fingerprint(file)

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        return self.source.day(file)


def _listing(scan: Scan) -> int:
    files = ((f.key, s.size, s.mtime_ns, s.ctime_ns) for f in scan.files if (s := f.signature))
    return hash((*files, *((left.key, left.reason) for left in scan.left_out)))


def _lies(path: Path) -> Lies:
    return _written(path), _written(path.with_name(f"{path.name}.wal"))


def _settled(found: Lies) -> Lies | None:
    """How the database lies, if it would lie otherwise after another write."""
    now = time.time_ns()
    fresh = any(one and abs(now - one[2]) <= _GRAIN_NS for one in found)
    return None if fresh or found[0] is None else found


def _written(path: Path) -> Written | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
