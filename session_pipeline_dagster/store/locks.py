"""A lock between processes that ends with its holder, and who has DuckDB's."""

import fcntl
import os
import struct
import sys
from pathlib import Path

from session_pipeline_dagster.errors import StoreUnusable


def locked(descriptor: int, path: Path) -> bool:
    """Take the lock of what is open there; False = someone else has it.

    Raises:
        StoreUnusable: the file system of `path` knows no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreUnusable(
            f"{path} cannot be locked ({error.strerror}); keep the database on a local disk"
        ) from error
    return True


# `struct flock`, which Python has no name for.
_FLOCK = ("qqihh", 2, 3) if sys.platform == "darwin" else ("hhqqi", 4, 0)
"""Its fields, and where among them are the holder and the type."""


def holder(path: Path) -> int | None:
    """The process whose lock keeps others from writing to the file; 0 = one that has no id here.

    Not for a process that has the file open itself: closing it gives up that lock.

    Raises:
        OSError: it cannot be looked at.
    """
    layout, pid, kind = _FLOCK
    asked = [0] * 5
    asked[kind] = fcntl.F_WRLCK
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *asked))
    finally:
        os.close(descriptor)
    answer = struct.unpack(layout, found)
    return None if answer[kind] == fcntl.F_UNLCK else max(answer[pid], 0)
