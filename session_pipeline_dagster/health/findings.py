"""What health is made of: snapshots, findings, limits, and how findings combine.

The rules themselves are `rules.py`, gathering is `checkup.py`, severities in Dagster are
`orchestration/checks.py`. No file, table or clock is read here; `now` is an argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from session_pipeline_dagster.passes.plan import Currency, Outlook, currency, look
from session_pipeline_dagster.passes.seeing import Sight
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.settings import OnDelete, Settings
from session_pipeline_dagster.sources.files import SessionFile
from session_pipeline_dagster.store.states import Failure, FileState, Gone, LineCounts, Rest

_SKEW = 60.0


class Status(StrEnum):
    """How a finding stands, best first. There is no error: health never fails anything."""

    OK = "ok"
    INFO = "info"
    UNKNOWN = "unknown"
    WARNING = "warning"


_RANK = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one processor.

    Attributes:
        detail: what is wrong, at which stage, and what to do; names and numbers, no other text.
        numbers: to be plotted; the same names whatever the status, unless it is unknown.
        stuck_file: the file that is stuck, if the rule is about one.
        reason: why it is stuck, in the processor's own words.
        failures: the files that failed, newest first, if the rule is about them.
        files: the worst files and how many of their lines it is, if the rule is about lines.
        causes: what ails session files, where that is all that it says: the same in other checks
            and of other processors is one thing, and people are told of it once.

    Files and people are named as they may be shown.
    """

    check: str
    status: Status
    detail: str
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    stuck_file: str | None = None
    reason: str | None = None
    failures: Sequence[Failure] = ()
    files: Sequence[tuple[str, int]] = ()
    causes: Sequence[str] = ()

    @property
    def news(self) -> str:
        """Differs when there is something new to say."""
        parts = (self.status, self.stuck_file, len(self.failures), *self.causes)
        return " ".join(str(part) for part in parts if part)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a rule speaks. Shares are fractions; without `purge_after` rows are kept."""

    grace: timedelta
    stuck_grace: timedelta
    window: timedelta
    unreadable_share: float
    unknown_share: float
    purge_after: timedelta | None = None


def limits(settings: Settings, processor: str, cadence: timedelta) -> Limits:
    """The limits of a processor whose own cadence is `cadence`."""
    grace = 2 * settings.cadence(processor, cadence)
    return Limits(
        grace,
        settings.stuck_grace or 4 * grace,
        settings.format_window,
        settings.unreadable_percent / 100,
        settings.unknown_percent / 100,
        settings.purge_after if settings.on_delete is OnDelete.PURGE else None,
    )


@dataclass(frozen=True, slots=True)
class Vanished:
    """A user, or a whole root, of whom no file is left of those that were processed.

    Attributes:
        files: how many there were. `since`: when the first was missed, in seconds since the epoch.
    """

    who: str
    files: int
    since: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One processor's view of the files at one moment.

    Attributes:
        suffix: what the names of its job and its sensor end with, where a location has several.
        newest: mtime of the newest file, in seconds since the epoch, `now` at most.
        processed: when a file was last processed, likewise; None where none ever was. Times over a
            minute from now are left out.
        newest_processed: newest mtime of content that this version has processed, likewise.
        failures: by session file.
        gone: deleted files whose rows are kept, or not yet purged.
        vanished: users and roots without a file, though they had some; users as they are shown.
        veil: how findings name files and people.
        packages: agent -> the package of its reader.
    """

    processor: str
    now: float
    outlook: Outlook
    newest: float | None
    processed: float | None
    newest_processed: float | None
    failures: Mapping[str, Failure]
    lines: LineCounts
    gone: int = 0
    vanished: Sequence[Vanished] = ()
    suffix: str = ""
    veil: Veil = field(default_factory=Veil)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def job(self) -> str:
        """The job to look at, as `orchestration/names.py` calls it."""
        return f"{self.processor}_job{self._end}"

    @property
    def sensor(self) -> str:
        """The sensor to look at, likewise."""
        return f"{self.processor}_sensor{self._end}"

    @property
    def _end(self) -> str:
        return f"_{self.suffix}" if self.suffix else ""


def snapshot(
    processor: str,
    version: int,
    seen: Sight,
    now: datetime,
    suffix: str = "",
    veil: Veil | None = None,
    packages: Mapping[str, str] | None = None,
) -> Snapshot:
    """A snapshot from a scan and what the store knows."""
    files, known, rest = seen.scan.files, seen.known, seen.known.rest
    states, failures = _by_key(known.states, seen.files), known.failures
    at, odd = now.timestamp(), {file.session_file for file in known.lines.odd}
    there = {file.key for file in files if file.key in odd} if odd else odd
    # A time in the future is of a clock that was wrong, and would hide everything until then.
    soon = (at + _SKEW) * 1e6
    times = (row.processed_us or 0 for row in states.values())
    done = max((us for us in times if us <= soon), default=0)
    done = max(done, rest.processed_us)
    gone, veil = known.gone(), veil or Veil()
    return Snapshot(
        processor,
        at,
        look(seen.files, states, failures, version, now, rest),
        min(max(file.signature.mtime_ns for file in files) / 1e9, at) if files else None,
        min(done / 1e6, at) if done else None,
        _newest_processed(seen.files, states, version, rest),
        failures,
        # A file that is gone since the last pass is not marked yet; one of an absolute path was
        # imported, and has no key to look for.
        known.lines.without(lambda key: not key.startswith("/") and key not in there),
        sum(one.files for one in gone),
        _vanished(files, gone, veil),
        suffix,
        veil,
        packages or {},
    )


def _vanished(files: Sequence[SessionFile], gone: Sequence[Gone], veil: Veil) -> list[Vanished]:
    """Whoever has marked files and none on disk."""
    if not gone:
        return []
    present = {(file.root, file.user) for file in files}
    roots = {root for root, _ in present}
    found: dict[str, list[Gone]] = {}
    for one in gone:
        if (one.root, one.user) in present:
            continue
        who = veil.person(one.user) if one.user else "an unknown user"
        if one.root and one.root not in roots:
            who = f"root {one.root}"
        found.setdefault(who, []).append(one)
    return [
        Vanished(who, sum(one.files for one in ones), min(one.since_us for one in ones) / 1e6)
        for who, ones in sorted(found.items())
    ]


def _by_key(
    states: Mapping[str, FileState], files: Sequence[SessionFile]
) -> Mapping[str, FileState]:
    """Rows that were imported under a file's absolute path are rows of that file."""
    absolute = {path: row for path, row in states.items() if path.startswith("/")}
    if not absolute:
        return states
    named = {file.key: absolute.get(str(Path(file.path).absolute())) for file in files}
    return {**{key: row for key, row in named.items() if row is not None}, **states}


def _newest_processed(
    files: Sequence[SessionFile], states: Mapping[str, FileState], version: int, rest: Rest
) -> float | None:
    rows = [row for row in states.values() if row.processor_version >= version]
    signed = (row.signature.mtime_ns for row in rows if row.signature)
    unsigned = ()
    if any(row.signature is None for row in rows):
        unsigned = (
            file.signature.mtime_ns
            for file in files
            if currency(file, states.get(file.key), version) is Currency.UNSIGNED
        )
    before = () if rest.newest_ns is None else (rest.newest_ns,)
    newest = max((*signed, *unsigned, *before), default=None)
    return None if newest is None else newest / 1e9


def worst(statuses: Iterable[Status]) -> Status:
    """warning > unknown > info > ok."""
    return max(statuses, key=_RANK.__getitem__, default=Status.OK)


def at_least(status: Status, level: Status) -> bool:
    """Whether a status is as bad as `level` or worse."""
    return _RANK[status] >= _RANK[level]


def headline(statuses: Iterable[Status]) -> str:
    """`degraded` with any warning, else `unknown` where it was not possible to look, else `ok`."""
    found = worst(statuses)
    if found is Status.WARNING:
        return "degraded"
    return found.value if found is Status.UNKNOWN else "ok"
