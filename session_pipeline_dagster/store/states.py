"""What the store says: of files their states and failures, of itself whether it is as it was."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import msgspec

from session_pipeline_dagster.sources.files import Signature

LONGEST_WAIT = timedelta(hours=6)
"""The longest that a failed file waits for its next attempt."""
PAST = timedelta(days=7)
"""How long what a lake was can still be read, if nobody is forgotten."""

RACY_NS = 2 * 10**9
"""A signature taken this close to the mtime may hide a later write within the clock's grain."""


class FileState(msgspec.Struct, frozen=True, gc=False):
    """What the state table says of one file. A row without a signature was imported.

    `processed_us`, `signed_us` and `gone_us` are microseconds since 1970-01-01 UTC: there can be
    100,000 rows, and a datetime costs as much as the rest of a row. `gone_us`: since when the file
    is missing; only then its `user` is read too. `kept`: of an older version of the processor, to
    stay so until someone asks. `root`: the name of the root it was below; None where nobody knows.
    `left_out`: what it looks like, if no reader claims it; `readers`: who was asked then, and of a
    file that is read the agent whose reader it is.
    """

    session_file: str
    session_day: date | None
    processed_us: int | None
    file_hash: str | None
    signature: Signature | None
    signed_us: int | None
    processor_version: int
    memo: str | None = None
    gone_us: int | None = None
    user: str | None = None
    kept: bool = False
    root: str | None = None
    left_out: str | None = None
    readers: str | None = None

    @property
    def gone(self) -> bool:
        """Whether the file was missing lately."""
        return self.gone_us is not None


class Failure(msgspec.Struct, frozen=True):
    """What the failures table says of one file.

    `tries` counts all of them and paces the next one; `attempts` only those that were the file's or
    the processor's fault, and leads to quarantine.
    """

    session_file: str
    attempts: int
    error_class: str
    error: str
    first_failed_at: datetime
    last_failed_at: datetime
    next_attempt_at: datetime | None
    quarantined_at: datetime | None
    file_hash: str | None = None
    signature: Signature | None = None
    tries: int = 0
    processor_version: int = 0
    root: str | None = None


class OddLines(msgspec.Struct, frozen=True, gc=False):
    """Lines of one file with some that are odd; `agent` is None where no pass has noted it."""

    session_file: str
    lines: int
    unreadable: int
    unknown: int
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class LineCounts:
    """Lines of the files that were written lately, as they were processed; `odd`: of those of them
    with odd lines, which are in the sums too."""

    lines: int = 0
    unreadable: int = 0
    unknown: int = 0
    odd: Sequence[OddLines] = ()

    def without(self, gone: Callable[[str], bool]) -> "LineCounts":
        """Without the odd files that are gone."""
        lost = [file for file in self.odd if gone(file.session_file)]
        if not lost:
            return self
        return LineCounts(
            self.lines - sum(file.lines for file in lost),
            self.unreadable - sum(file.unreadable for file in lost),
            self.unknown - sum(file.unknown for file in lost),
            [file for file in self.odd if not gone(file.session_file)],
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """Files of one user below one root that are gone, and since when the first of them is, in
    microseconds since the epoch."""

    root: str | None
    user: str | None
    files: int
    since_us: int


@dataclass(frozen=True, slots=True)
class Rest:
    """What nobody has to look at one by one, in sums: files that are processed, and rows of files
    that are gone and noted, or of which nothing can be said. Empty where every row was read.

    The newest times and the days may be those of rows that were read as well.

    Attributes:
        files: those of the listing that are processed as they are there.
        outdated, newer: how many of them have rows of an older or newer version.
        changed_us: when a run last wrote anything, in microseconds since the epoch; 0 = never.
        processed_us: when a file was last processed, likewise; a time to come is none.
        newest_ns: newest mtime that this version of the processor has processed, or a newer one.
        days: session days.
    """

    files: int = 0
    outdated: int = 0
    newer: int = 0
    changed_us: int = 0
    processed_us: int = 0
    newest_ns: int | None = None
    days: frozenset[date] = frozenset()
    gone: Sequence[Gone] = ()


NOTHING = Rest()


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one processor's files.

    Attributes:
        states, failures: rows by session file. Of states only those that somebody has to look at,
            where it was compared with a listing in the database.
        stale_rollups: roll-ups and derivations of the processor with parts that wait.
        prepared: the tables and views of the processor are as it declares them.
        lines: of files written since `lines_since`.
        rest: what is known of the others.
        places: where in the listing the files are that have to be looked at; None = all of them.
    """

    states: Mapping[str, FileState]
    failures: Mapping[str, Failure]
    stale_rollups: Sequence[str]
    prepared: bool
    lines: LineCounts = field(default_factory=LineCounts)
    rest: Rest = NOTHING
    places: Sequence[int] | None = None

    def gone(self, without: Collection[str] = ()) -> list[Gone]:
        """What is gone; `without` these keys of `states`."""
        read = self.states.items()
        marked = [s for key, s in read if s.gone_us is not None and key not in without]
        return [Gone(s.root, s.user, 1, s.gone_us or 0) for s in marked] + [*self.rest.gone]


@dataclass(frozen=True, slots=True)
class Mark:
    """What changes with every write; two that are equal say that nothing was written between.

    Attributes:
        lasts: whether the next write is sure to make another one.
    """

    of: object
    lasts: bool = field(compare=False)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What upkeep of a place has done.

    Attributes:
        files_before: files that a query over everything opens; `bytes_before` of those.
        snapshots_before: moments of the past that can still be read.
        compacted: files that were written again, into fewer.
        deleted: files that nobody needs any more and that are gone.
        orphans: files of a killed writer that are gone; no commit ever had them.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    snapshots_before: int
    snapshots_after: int
    compacted: int
    deleted: int
    orphans: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Retired:
    """What went of one kind in one transaction, or would go.

    Attributes:
        frozen_before: the first UTC day that is not frozen, after it; None where no day is.
        days: UTC days whose detail goes. oldest: the first of them.
        rows: table -> rows removed, or emptied.
        emptied: those of the tables whose rows stay and lose a text.
        moves: whether there is anything to do.
        left: rows that are as old and wait for the next transaction.
        waits: why they have to wait for something else; empty where they do not.
    """

    kind: str
    frozen_before: date | None
    days: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    left: int = 0
    waits: str = ""
    moves: bool = False
    oldest: date | None = None
    emptied: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of a kind since it was first set.

    Attributes:
        removed, emptied: rows. turned_away: rows that came for frozen days, or were copies of what
            these had counted; most were read once more.
        late: things that came for a frozen day for the first time, and are in no roll-up.
    """

    kind: str
    frozen_before: date | None
    removed: int
    emptied: int
    turned_away: int
    late: int
