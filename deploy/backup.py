"""Copy the DuckDB file while the pipeline works: `python backup.py DATABASE COPY`.

While the file is open for reading no process writes to it, so that the copy is whole; a run that
wants to write waits. Dagster's own history is in Postgres, which pg_dump copies.
"""

import subprocess
import sys
import time
from pathlib import Path

import duckdb

_PATIENCE = 120.0


def open_for_reading(database: Path, seconds: float = _PATIENCE) -> duckdb.DuckDBPyConnection:
    """The database, once no process writes to it.

    Raises:
        duckdb.IOException: it cannot be opened, or one holds it for longer than that.
    """
    stop = time.monotonic() + seconds
    while True:
        try:
            return duckdb.connect(database, read_only=True)
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > stop:
                raise
            time.sleep(0.1)


def back_up(database: Path, copy: Path) -> None:
    """Copy `database` to `copy`, which is there as a whole or not at all.

    Raises:
        duckdb.Error: one of them cannot be read; subprocess.CalledProcessError: no room, no folder.
    """
    part = copy.with_name(f"{copy.name}.part")
    log, part_log = Path(f"{database}.wal"), Path(f"{part}.wal")
    for left in (part, part_log):
        left.unlink(missing_ok=True)
    with open_for_reading(database):
        # In a process of its own: closing the file here would release the lock.
        subprocess.run(["cp", "--", database, part], check=True)  # noqa: S603, S607
        if log.exists():
            subprocess.run(["cp", "--", log, part_log], check=True)  # noqa: S603, S607
    with duckdb.connect(part) as copied:
        copied.execute("CHECKPOINT")
    part.chmod(0o600)
    part.replace(copy)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python backup.py DATABASE COPY")
    back_up(Path(sys.argv[1]), Path(sys.argv[2]))
