"""What the sensors of a pipeline look at in common, so that nothing is read for nothing.

A look is a scan of the session files and a stamp of what it and the database said. Where the stamp
is that of the tick before and nothing waited then, nothing can have become due: no state is read.
"""

import time
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Content, Fingerprint, Scan, SessionFile
from session_pipeline_dagster.sources.layout import open_checked
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Mark
from session_pipeline_dagster.transcripts.reader import Readers

_SHARED_FOR = 5.0
"""Seconds: as long as ticks that are due at the same time take to begin."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The files as they were found, and the database as it was then.

    Attributes:
        listing: a hash of every file's key and signature, and of what is left out.
        database: its mark.
    """

    listing: int
    database: Mark


@dataclass(frozen=True, slots=True)
class Look:
    """A scan; `stamp` is None where the database has no mark that lasts."""

    scan: Scan
    stamp: Stamp | None


@dataclass(slots=True)
class Looks:
    """Scans that sensors share, each of them once: one that comes again gets a new one."""

    settings: Settings
    held: HeldInstance = field(default_factory=HeldInstance)
    source: LocalSource = field(init=False)
    store: Store = field(init=False)
    _found: Look | None = None
    _at: float = 0.0
    _mark: Mark | None = None
    _shown: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.source = open_checked(self.settings)
        self.store = open_store(self.settings)

    def look(self, who: str) -> Look:
        """A look that is a few seconds old at most, and new to this sensor.

        Raises:
            SourceUnavailable, WrongLayout: see `SessionSource.scan`.
        """
        with self._lock:
            old = time.monotonic() - self._at > _SHARED_FOR
            mark = self.store.mark()
            # States that are newer than the scan would call files pending that are not.
            if self._found is None or old or who in self._shown or mark != self._mark:
                self._found, self._shown = None, set()
                # Before the scan, and so before anyone reads the states: what is written meanwhile
                # makes the next stamp another one.
                at, scan = time.monotonic(), self.source.scan()
                stamp = Stamp(_listing(scan), mark) if mark.lasts else None
                self._found, self._at, self._mark = Look(scan, stamp), at, mark
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
