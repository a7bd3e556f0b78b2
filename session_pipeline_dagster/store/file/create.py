"""The first moment of a DuckDB file: it is there whole, or not at all.

DuckDB makes a file and fills it in two steps. Who dies between them leaves an empty file that
nothing opens again, and so do, now and then, two processes that both find none. So it is made under
another name, by one process at a time, and renamed.
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from session_pipeline_dagster.store.locks import locked


def is_missing(database: Path) -> bool:
    """Whether there is no database: no file, or an empty one that a death has left."""
    try:
        found = database.stat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def create(database: Path, config: dict[str, str | bool | int | float | list[str]]) -> bool:
    """Make the file if it is still missing; False = another process is just doing so.

    Raises:
        OSError, duckdb.Error: it cannot be written there.
        StoreUnusable: its file system knows no locks.
    """
    # Where a link points to is where the file belongs.
    database = database.resolve()
    fresh = database.with_name(f"{database.name}.new")
    with _alone(database.with_name(f"{database.name}.creating")) as alone:
        if alone and is_missing(database):
            fresh.unlink(missing_ok=True)
            duckdb.connect(str(fresh), config=config).close()
            # The log of a database that is gone; DuckDB drops it too when it makes a file.
            database.with_name(f"{database.name}.wal").unlink(missing_ok=True)
            fresh.replace(database)
    return alone


@contextmanager
def _alone(lock: Path) -> Generator[bool]:
    """Whether this process alone makes it. (The folder's own lock is that of the reports.)"""
    with lock.open("ab") as handle:
        # Unlinked = it was another's, who is done.
        ours = locked(handle.fileno(), lock) and os.fstat(handle.fileno()).st_nlink > 0
        try:
            yield ours
        finally:
            if ours:
                lock.unlink()
