"""Lakes for tests: one Postgres a test process, a new catalog and a new folder a lake."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg

from postgres import Postgres, postgres
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store

_NAMED = """SELECT s.path || t.path || f.path FROM (
        SELECT table_id, path, begin_snapshot FROM ducklake_data_file
        UNION ALL SELECT table_id, path, begin_snapshot FROM ducklake_delete_file) f
    JOIN ducklake_table t ON t.table_id = f.table_id
        AND f.begin_snapshot >= t.begin_snapshot
        AND (t.end_snapshot IS NULL OR f.begin_snapshot < t.end_snapshot)
    JOIN ducklake_schema s ON s.schema_id = t.schema_id"""


@dataclass
class Lakes:
    """Where lakes are made."""

    server: Postgres
    first: Settings | None = None

    def settings(self, folder: Path, settings: Settings | None = None) -> Settings:
        """Settings of a new lake in the folder, its Parquet in `data/`."""
        return replace(
            settings or Settings(workers=1),
            database=Lake(self.server.catalog()),
            lake_data=f"{folder}/data/",
            work_dir=folder / "work",
            lock_timeout=timedelta(seconds=30),
        )

    def copy(self, made: Settings, folder: Path) -> Settings:
        """A lake that holds what `made` holds, in the folder; it takes a tenth of a new one's time.

        Whoever has `made` open is thrown out.
        """
        settings = self.settings(folder, made)
        assert made.lake_data
        assert settings.lake_data
        shutil.copytree(made.lake_data, settings.lake_data)
        old, new = database_of(made), database_of(settings)
        with self.server.connect("postgres") as session:
            session.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                [old],
            )
            session.execute(f'DROP DATABASE "{new}"')
            session.execute(f'CREATE DATABASE "{new}" TEMPLATE "{old}"')
        with self.server.connect(new) as session:
            session.execute(
                "UPDATE ducklake_metadata SET value = %s WHERE key = 'data_path'",
                [settings.lake_data],
            )
        return settings

    def filled(self, folder: Path, settings: Settings) -> Settings:
        """The settings with a new lake in the folder, which has the store's own tables already.

        It is a copy of the first one; see `copy`.
        """
        if self.first is None:
            self.first = self.settings(self.server.folder / "first")
            with open_store(self.first).transaction():
                pass
        return self.copy(replace(settings, **of_the_lake(self.first)), folder)

    def store(self, folder: Path) -> Store:
        """A new lake in the folder."""
        return open_store(self.settings(folder))


def of_the_lake(settings: Settings) -> dict[str, object]:
    """What of the settings says which lake it is."""
    names = ("database", "lake_data", "work_dir", "lock_timeout")
    return {name: getattr(settings, name) for name in names}


def database_of(settings: Settings) -> str:
    """The name of the catalog's database."""
    assert isinstance(settings.database, Lake)
    return settings.database.catalog.partition("dbname=")[2].split()[0]


def over(settings: Settings, port: int) -> Settings:
    """The same lake, its catalog reached at another port of this machine."""
    assert isinstance(settings.database, Lake)
    catalog = re.sub(r"port=\d+", f"port={port}", settings.database.catalog)
    return replace(settings, database=Lake(catalog))


def missing_files(settings: Settings) -> list[str]:
    """Files that the catalog names and that are not there, of a lake in a folder."""
    assert settings.lake_data
    data = Path(settings.lake_data)
    return [name for name in named_files(settings) if not (data / name).is_file()]


def named_files(settings: Settings) -> list[str]:
    """Files that the catalog names, as they are below the lake's Parquet."""
    assert isinstance(settings.database, Lake)
    with psycopg.connect(settings.database.catalog) as session:
        return [str(row[0]) for row in session.execute(_NAMED).fetchall()]


@contextmanager
def lakes() -> Iterator[Lakes]:
    """Lakes for as long as the block."""
    with postgres() as server:
        yield Lakes(server)
