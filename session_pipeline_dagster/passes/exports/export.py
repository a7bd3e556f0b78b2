"""One export: which formats, of which days, into which folder; all as of one moment."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.exports import documents
from session_pipeline_dagster.passes.exports.folder import (
    Notes,
    copies,
    files,
    is_database,
    read_notes,
    remember,
    remembered,
    remove,
    sweep,
    write_notes,
)
from session_pipeline_dagster.passes.exports.tables import Counts, Days, export_table
from session_pipeline_dagster.passes.shown import bring_up
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage.money.breakdown import Asked, check
from session_pipeline_dagster.processors.usage.people.published import Published, published
from session_pipeline_dagster.processors.usage.wording import many
from session_pipeline_dagster.settings import ExportFormat, Settings
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.handing_out import Reading, reading
from session_pipeline_dagster.store.published_copy import sources

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written; days are inclusive, and those of the zone."""

    formats: frozenset[ExportFormat]
    since: date | None = None
    until: date | None = None
    zone: ZoneInfo = field(default_factory=lambda: _UTC)

    def check(self) -> None:
        """Raises SettingsError where the days or their zone are none that a format has."""
        check(Asked(since=self.since, until=self.until))
        others = self.formats - {ExportFormat.CCUSAGE}
        if self.zone != _UTC and others:
            raise SettingsError(
                f"--timezone is for --format ccusage; {_words(others)} has days of UTC, as the "
                "tables do"
            )
        if ExportFormat.PROMETHEUS in self.formats and (self.since or self.until):
            raise SettingsError("--format prometheus is of today; it takes no --since or --until")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was done: per format what its files were, and how long all of it took."""

    folder: Path
    counts: dict[ExportFormat, Counts]
    seconds: float

    def lines(self) -> list[str]:
        """What was done, for people."""
        said = [
            f"{kind.value}: {many(counts.written, 'file')} written with "
            f"{many(counts.rows, 'row')}, "
            f"{counts.kept} as they were"
            + (f", {counts.removed} removed" if counts.removed else "")
            for kind, counts in self.counts.items()
        ]
        return [*said, f"exports are in {self.folder}"]


def export(
    store: Store, usage: Processor, settings: Settings, folder: Path, wanted: Wanted
) -> Exported:
    """Bring the folder's files of these formats up to what the store has.

    A kill at any moment leaves each file as it was or as it is to be.

    Raises:
        SettingsError: the folder cannot be written, or a format shows people who are not shown.
        StoreError: the store cannot be read, or another export is being made.
    """
    begun = time.monotonic()
    wanted.check()
    if ExportFormat.CCUSAGE in wanted.formats:
        documents.refuse_nobody(settings)
    bring_up(usage, store, settings)
    store.ready(usage)
    with store.exclusive("export"):
        try:
            # What is no folder has no exports, and is not to be forgotten as one.
            folder.mkdir(parents=True, exist_ok=True)
            remember(store, folder)
            sweep(folder)
            counts = _export(store, settings, folder, wanted)
        except OSError as error:
            raise SettingsError(
                f"the export cannot be written to {folder} ({error.strerror}); give it a folder "
                "that can be"
            ) from error
    return Exported(folder, counts, time.monotonic() - begun)


def _export(
    store: Store, settings: Settings, folder: Path, wanted: Wanted
) -> dict[ExportFormat, Counts]:
    notes = _notes(settings, folder)
    shown = published(settings)

    def work(read: Reading) -> dict[ExportFormat, Counts]:
        kinds = sorted(wanted.formats, key=lambda kind: kind.value)
        jobs = {kind: _Job(read, folder, settings, wanted, shown, notes) for kind in kinds}
        return {kind: _WORK[kind](job) for kind, job in jobs.items()}

    try:
        return reading(store, work)
    finally:
        # Also of what was written before something failed.
        write_notes(folder, notes)


def _notes(settings: Settings, folder: Path) -> Notes:
    """What is there; nothing of it stays where people were shown in another way."""
    notes, people = read_notes(folder), settings.people
    # A pseudonym says which key made it.
    mark = veil_of(settings).person("")
    shown = f"{people.mode.value} {people.smallest_group} {mark}".strip()
    if notes.shown != shown:
        remove(folder, files(folder))
        notes = Notes(shown)
        write_notes(folder, notes)
    return notes


@dataclass(frozen=True, slots=True)
class _Job:
    read: Reading
    folder: Path
    settings: Settings
    wanted: Wanted
    shown: Sequence[Published]
    notes: Notes


def _tables(kind: ExportFormat) -> Callable[[_Job], Counts]:
    def work(job: _Job) -> Counts:
        days = Days(job.wanted.since, job.wanted.until)
        total = Counts()
        for table in job.shown:
            total.add(export_table(job.read, table, kind, job.folder, days, job.notes))
        return total

    return work


def _ccusage(job: _Job) -> Counts:
    asked = Asked(since=job.wanted.since, until=job.wanted.until, zone=job.wanted.zone)
    return documents.export_ccusage(job.read, job.folder, job.settings, asked)


def _focus(job: _Job) -> Counts:
    days = job.wanted.since, job.wanted.until
    return documents.export_focus(job.read, job.folder, job.settings, job.shown, *days)


def _prometheus(job: _Job) -> Counts:
    return documents.export_prometheus(job.read, job.folder, job.settings, datetime.now(UTC))


_WORK: dict[ExportFormat, Callable[[_Job], Counts]] = {
    ExportFormat.PARQUET: _tables(ExportFormat.PARQUET),
    ExportFormat.CSV: _tables(ExportFormat.CSV),
    ExportFormat.CCUSAGE: _ccusage,
    ExportFormat.FOCUS: _focus,
    ExportFormat.PROMETHEUS: _prometheus,
}


def _words(kinds: frozenset[ExportFormat]) -> str:
    return ", ".join(sorted(kind.value for kind in kinds))


def places(store: Store, settings: Settings) -> list[Path]:
    """Folders, and copies for dashboards, that exports of this store are in: those that are set,
    and those of commands."""
    own = (settings.exports.folder, *copies(settings))
    found = dict.fromkeys([*remembered(store), *(place for place in own if place)])
    return [place for place in found if not is_database(settings, place)]


def made(store: Store, settings: Settings) -> list[Path]:
    """All files of exports that are there."""
    there = [path for place in places(store, settings) for path in files(place)]
    return there + sources(store)


def discard(store: Store, settings: Settings) -> list[Path]:
    """Delete the files of all exports, so that they name nobody any more; which they were.

    Waits for an export that is being made: it may have been read before rows were deleted.

    Raises:
        StoreBusy: it is still being made after the time that one waits for the database.
        SettingsError: a file cannot be deleted.
    """
    with store.exclusive("export"):
        found = []
        for folder in places(store, settings):
            there = files(folder)
            try:
                remove(folder, there)
            except OSError as error:
                raise SettingsError(
                    f"exports in {folder} cannot be deleted ({error.strerror}); delete them"
                ) from error
            found += there
        for path in sources(store):
            path.unlink(missing_ok=True)
    return found
