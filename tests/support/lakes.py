"""Lakes for tests: one Postgres a test process, a new catalog and a new folder a lake."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from postgres import Postgres, postgres
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store


@dataclass
class Lakes:
    """Where lakes are made."""

    server: Postgres

    def settings(self, folder: Path, settings: Settings | None = None) -> Settings:
        """Settings of a new lake in the folder, its Parquet in `data/`."""
        return replace(
            settings or Settings(workers=1),
            database=Lake(self.server.catalog()),
            lake_data=f"{folder}/data/",
            work_dir=folder / "work",
            lock_timeout=timedelta(seconds=30),
        )

    def store(self, folder: Path) -> Store:
        """A new lake in the folder."""
        return open_store(self.settings(folder))


@contextmanager
def lakes() -> Iterator[Lakes]:
    """Lakes for as long as the block."""
    with postgres() as server:
        yield Lakes(server)
