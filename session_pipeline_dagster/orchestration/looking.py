"""What the sensors of a pipeline look at in common, so that nothing is read for nothing.

A look is a scan of the session files and a stamp of what it and the database said. Where the stamp
is that of the tick before and nothing waited then, nothing can have become due: no state is read.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from threading import Lock

from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import (
    Content,
    Fingerprint,
    Scan,
    SessionFile,
    SessionSource,
)
from session_pipeline_dagster.sources.opening import open_checked
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Mark
from session_pipeline_dagster.transcripts.reader import Readers

_SHARED_FOR = 5.0
"""Seconds: as long as ticks that are due at the same time take to begin."""
_LONGEST_SHARED = timedelta(minutes=5)
"""How long a look into a bucket is shared at most, also by a sensor that comes again."""
_FAILED_FOR = 30.0
"""Seconds for which one that failed is."""


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
    """Scans that sensors share, each of them once: one that comes again gets a new one.

    One over a network is shared for as long as the shortest of `cadences`, also with who comes
    again; what is written to the database ends it before.
    """

    settings: Settings
    held: HeldInstance = field(default_factory=HeldInstance)
    cadences: Iterable[timedelta] = ()
    source: SessionSource = field(init=False)
    store: Store = field(init=False)
    _found: Look | None = None
    _at: float = 0.0
    _mark: Mark | None = None
    _shown: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _shared_for: float = _SHARED_FOR
    _failure: SourceUnavailable | None = None
    _failed_at: float = 0.0

    def __post_init__(self) -> None:
        self.source = open_checked(self.settings)
        if self.source.remote:
            # A listing is a call for a thousand objects, and calls cost money.
            shortest = min(self.cadences, default=_LONGEST_SHARED)
            self._shared_for = min(shortest, _LONGEST_SHARED).total_seconds()
        self.store = open_store(self.settings)

    def look(self, who: str) -> Look:
        """A look that is a few seconds old at most, and new to this sensor, where that is cheap.

        Raises:
            SourceUnavailable, WrongLayout: see `SessionSource.scan`.
        """
        with self._lock:
            old = time.monotonic() - self._at > self._shared_for
            again = who in self._shown and not self.source.remote
            mark = self.store.mark()
            # States that are newer than the scan would call files pending that are not.
            if self._found is None or old or again or mark != self._mark:
                self._found, self._shown = None, set()
                # Before the scan, and so before anyone reads the states: what is written meanwhile
                # makes the next stamp another one.
                at, scan = time.monotonic(), self._scanned()
                stamp = Stamp(_listing(scan), mark) if mark.lasts else None
                self._found, self._at, self._mark = Look(scan, stamp), at, mark
            self._shown.add(who)
            return self._found

    def _scanned(self) -> Scan:
        """A scan; who waited for a service that does not answer is not followed by all others."""
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILED_FOR:
            raise self._failure
        self._failure = None
        try:
            return self.source.scan()
        except SourceUnavailable as error:
            if self.source.remote:
                self._failure, self._failed_at = error, time.monotonic()
            raise


@dataclass(frozen=True, slots=True)
class Seen:
    """Session files of which a scan has been made."""

    source: SessionSource
    found: Scan

    @property
    def readers(self) -> Readers:
        """See `SessionSource`."""
        return self.source.readers

    @property
    def remote(self) -> bool:
        """See `SessionSource`."""
        return self.source.remote

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
    left_out = ((left.key, left.reason, left.documents) for left in scan.left_out)
    return hash((*files, *left_out, *(one.root for one in scan.missing), *scan.marks))
