"""Session files of several places beside each other: one source that asks the one a file is of.

A place that cannot be looked at costs itself: the scan says so, the others go on.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from heapq import merge
from operator import attrgetter

from session_pipeline_dagster.errors import SourceUnavailable, WrongLayout
from session_pipeline_dagster.sources.files import (
    Content,
    Fingerprint,
    Missing,
    Scan,
    SessionFile,
    SessionSource,
)
from session_pipeline_dagster.sources.keys import one_a_key
from session_pipeline_dagster.transcripts.reader import Readers

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class SeveralSources:
    """One source over several.

    Attributes:
        parts: the name of a root -> its source; each root has one.
    """

    parts: dict[str, SessionSource]

    @property
    def readers(self) -> Readers:
        """See `SessionSource`; all parts have the same."""
        return next(iter(self.parts.values())).readers

    @property
    def remote(self) -> bool:
        """See `SessionSource`."""
        return any(part.remote for part in self.parts.values())

    def scan(self) -> Scan:
        """See `SessionSource.scan`.

        Raises:
            SourceUnavailable: of every root; or the layout of one is wrong.
        """
        # Side by side: a service that hangs shall not cost its time once a root.
        with ThreadPoolExecutor(min(len(self.parts), _AT_ONCE)) as pool:
            looked = [*pool.map(_scanned, self.parts, self.parts.values())]
        found = [scan for scan in looked if isinstance(scan, Scan)]
        missing = [one for one in looked if isinstance(one, Missing)]
        if not found:
            raise SourceUnavailable("; ".join(one.reason for one in missing))
        left_out = [left for scan in found for left in scan.left_out]
        files = merge(*(scan.files for scan in found), key=attrgetter("key"))
        marks = [mark for scan in found for mark in scan.marks]
        manifests = [one for scan in found for one in scan.manifests]
        kept = one_a_key(files, left_out)
        return Scan(kept, left_out, missing, marks=marks, manifests=manifests)

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return self.parts[file.root].read(file)

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        return self.parts[file.root].fingerprint(file)

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        return self.parts[file.root].day(file)


def _scanned(root: str, source: SessionSource) -> Scan | Missing:
    try:
        return source.scan()
    except WrongLayout:
        # A setting that is wrong, and no place that is not there for a while.
        raise
    except SourceUnavailable as error:
        return Missing(root, str(error))


def lines_of(missing: Sequence[Missing]) -> list[str]:
    """What is said of roots that could not be looked at, a line each."""
    said = "the others go on, and nothing of it counts as deleted"
    return [f"{one.reason}; {said}" for one in missing]
