"""Where the kill sweep keeps its database: in a DuckDB file or in a lake, and how it is copied.

Nothing is held open, and nothing of DuckDB runs in the process that asks, so that it may fork.
"""

import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from lakes import Lakes, database_of, named_files
from session_pipeline_dagster.settings import Settings


@dataclass(frozen=True)
class InFile:
    """A DuckDB file."""

    database: Path

    def settings(self, settings: Settings) -> Settings:
        """The settings with this database."""
        return replace(settings, database=self.database)

    def copy(self, name: str) -> "InFile":
        """What it holds, once more; what was there of that name is gone."""
        to = self.database.with_name(f"{name}.duckdb")
        for left in to.parent.glob(f"{to.name}*"):
            left.unlink()
        shutil.copy(self.database, to)
        return InFile(to)

    def left(self) -> list[str]:
        """Notes of files in work that nobody has taken away."""
        return [path.name for path in self.database.parent.glob("*.working")]

    def unknown(self) -> list[str]:
        """Files of rows that nothing knows of."""
        return []


@dataclass(frozen=True)
class InLake:
    """A lake, its Parquet and its work folder in a folder."""

    at: Lakes
    folder: Path
    made: Settings

    @classmethod
    def new(cls, at: Lakes, folder: Path) -> "InLake":
        """A lake that is not there yet."""
        return cls(at, folder, at.settings(folder))

    def settings(self, settings: Settings) -> Settings:
        """The settings with this database, and fewer commits: each takes a tenth of a second."""
        made = self.made
        return replace(
            settings,
            batch_bytes=5 * settings.batch_bytes,
            database=made.database,
            lake_data=made.lake_data,
            work_dir=made.work_dir,
            lock_timeout=timedelta(seconds=60),
        )

    def copy(self, name: str) -> "InLake":
        """What it holds, once more; what was there of that name is gone."""
        to = self.folder.with_name(name)
        if to.exists():
            shutil.rmtree(to)
        return InLake(self.at, to, self.at.copy(self.made, to))

    def left(self) -> list[str]:
        """Notes of files in work that nobody has taken away."""
        return [path.name for path in self.made.work_dir.glob("*.working")]

    def unknown(self) -> list[str]:
        """Files of rows that the catalog does not name, and is not about to delete."""
        data, named = Path(str(self.made.lake_data)), named_files(self.made)
        with self.at.server.connect(database_of(self.made)) as session:
            rows = session.execute("SELECT path FROM ducklake_files_scheduled_for_deletion")
            scheduled = {Path(str(path)).name for (path,) in rows.fetchall()}
        there = [path.relative_to(data).as_posix() for path in data.rglob("*.parquet")]
        return [name for name in there if name not in named and Path(name).name not in scheduled]


Kept = InFile | InLake
