"""What DuckDB's errors at opening mean to a user, and what to do about them."""

import re
from pathlib import Path

from session_pipeline_dagster.errors import StoreBusy, StoreUnusable

# Another process holds the file; or another thread is just closing the last connection to it.
_PASSING = ("Could not set lock on file", "Unique file handle conflict")
_FULL = ("No space left", "File too large", "Could not write", "Disk quota exceeded")
_PID = re.compile(r"\(PID (\d+)\)")


def passes(text: str) -> bool:
    """Whether an error at opening goes away by waiting."""
    return any(part in text for part in _PASSING)


def busy(database: Path, text: str) -> StoreBusy:
    """Someone else holds the file; DuckDB says which process."""
    match = _PID.search(text)
    holder = f"process {match[1]}" if match else "another process"
    pid = int(match[1]) if match else None
    return StoreBusy(f"{database} is held by {holder}; close it there, or wait", pid)


def unusable(database: Path, text: str, version: str) -> StoreUnusable:
    """The file cannot be opened or read at all."""
    if "we can only read versions" in text or "newer version" in text:
        return StoreUnusable(
            f"{database} was written by a newer DuckDB than {version}; "
            "upgrade, or set SESSION_PIPELINE_DATABASE to another file"
        )
    if "not a valid DuckDB database file" in text:
        return StoreUnusable(
            f"{database} is not a DuckDB file; set SESSION_PIPELINE_DATABASE to another path"
        )
    if any(part in text for part in _FULL):
        return StoreUnusable(
            f"{database} cannot be written, its disk is full; make room. What was committed before "
            "stays, the rest is done by the next run"
        )
    if "Out of Memory" in text:
        return StoreUnusable(
            f"{database} needs more memory than SESSION_PIPELINE_DATABASE_MEMORY_MB allows; "
            "set it to more. What was committed before stays, the rest is done by the next run"
        )
    return StoreUnusable(f"{database} cannot be used: {text.splitlines()[0]}")
