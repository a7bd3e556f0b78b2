"""The day with which the partitions begin: that of the oldest session, as far as it is known.

It is kept in a small file beside the database, so that a location loads while others write. Nothing
hangs on it: sessions of before are in the first partition until the location is loaded again.
"""

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError, SourceUnavailable
from session_pipeline_dagster.passes.days import file_days
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.opening import open_checked
from session_pipeline_dagster.store.database import Store, open_store

EARLIEST = date(2025, 2, 1)
"""Claude Code's first month. What says to be older has a wrong clock, and would make thousands of
empty partitions."""
_KEPT = timedelta(days=30)
"""For so long Claude Code keeps transcripts."""
_READ = 500
"""Heads that are read at most: a location has to load."""
_FILE = "first-day"


def first_day(settings: Settings) -> date:
    """The first partition: as it is set, as a pass has found it, else as the files look."""
    if settings.start_date is not None:
        return settings.start_date
    today = datetime.now(UTC).date()
    noted = None if _is_to_be_made(settings) else _noted(open_store(settings).beside(_FILE))
    return min(noted or max(EARLIEST, _looked(settings, today)), today)


def beginning(settings: Settings) -> Settings:
    """The settings with the first day in them: one for all that is made of them."""
    return replace(settings, start_date=first_day(settings))


def drop_stale_day(store: Store, settings: Settings) -> None:
    """Before a pass: who deletes a database leaves its day there, which would only move back."""
    if _is_to_be_made(settings):
        store.beside(_FILE).unlink(missing_ok=True)


def note_first_day(store: Store, days: Iterable[date | None]) -> None:
    """After a pass: keep the oldest day, if it is older than the one that is kept."""
    file = store.beside(_FILE)
    found, noted = min((day for day in days if day), default=None), _noted(file)
    if found is None:
        return
    found = max(EARLIEST, found)
    if noted is None or found < noted:
        # Two processors may end at once.
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        fresh.write_text(f"{found}\n", "utf-8")
        fresh.replace(file)


def _is_to_be_made(settings: Settings) -> bool:
    """Of a lake it is not asked: its catalog would have to answer while a location loads."""
    return isinstance(settings.database, Path) and not settings.database.exists()


def _noted(file: Path) -> date | None:
    try:
        return date.fromisoformat(file.read_text("utf-8").strip())
    except (OSError, ValueError):
        # None is kept, or a hand has written something else: a pass writes it anew.
        return None


def _looked(settings: Settings, today: date) -> date:
    """Before the first pass. What cannot be looked at now is not there yet; runs say why."""
    try:
        source = open_checked(settings)
        if source.remote:
            return today - _KEPT
        oldest = sorted(source.scan().files, key=lambda file: file.signature.mtime_ns)[:_READ]
        return min(file_days(oldest, {}, source), default=today)
    except (SourceUnavailable, SettingsError):
        return today
