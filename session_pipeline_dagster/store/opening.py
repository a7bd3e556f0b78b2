"""Which place the settings mean: the one choice between a DuckDB file and a lake."""

from datetime import timedelta
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.file.place import DuckDBFile
from session_pipeline_dagster.store.place import Place

_PATIENCE = timedelta(seconds=5)
"""Whoever only looks is told at once who has the database."""


def open_place(settings: Settings, *, looking: bool = False) -> Place:
    """The place of the settings; nothing is opened yet.

    Args:
        looking: only look: needs no right to write, and makes nothing.

    Raises:
        SettingsError: it is a lake, and what a lake needs is not installed or not set.
    """
    timeout = min(settings.lock_timeout, _PATIENCE) if looking else settings.lock_timeout
    if isinstance(settings.database, Path):
        return DuckDBFile(
            settings.database,
            timeout,
            settings.database_memory_mb,
            settings.database_threads,
            settings.create_database_folder,
            looking,
        )
    # What a lake needs takes 0.1 s to load, and no file store pays for it.
    try:
        from session_pipeline_dagster.store.lake.place import open_lake  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"a lake needs {error.name}; pip install 'session-pipeline-dagster[lake]', or set "
            "SESSION_PIPELINE_DATABASE to a DuckDB file"
        ) from None
    return open_lake(settings, settings.database, timeout, looking=looking)
