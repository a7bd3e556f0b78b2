"""A lock between processes that ends with its holder."""

import fcntl
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
