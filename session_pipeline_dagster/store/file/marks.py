"""How a DuckDB file lies, to tell without opening it whether anybody has written to it."""

import time
from pathlib import Path

GRAIN_NS = 2 * 10**9
"""A database that was written to this lately may be written to again within its clock's grain."""

Written = tuple[int, int, int]
"""Inode, size and mtime of a file."""
Lies = tuple[Written | None, Written | None]
"""A database: its file, and what is not yet written into it."""


def lies(path: Path) -> Lies:
    """How the file lies now."""
    return _written(path), _written(path.with_name(f"{path.name}.wal"))


def is_settled(found: Lies) -> bool:
    """Whether the database would lie otherwise after another write."""
    now = time.time_ns()
    fresh = any(one and abs(now - one[2]) <= GRAIN_NS for one in found)
    return found[0] is not None and not fresh


def _written(path: Path) -> Written | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
