"""A folder of this machine for what one engine needs beside the lake, for as long as it is open.

A process that is killed leaves its folder; a later one removes it, for the lock on it is gone.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.store.locks import locked

_ROOM = "open-lakes"
"""A folder of its own: what lies beside it may be anybody's, the rows of a lake too."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder that nobody else uses or removes; `descriptor` holds its lock."""

    path: Path
    descriptor: int
    maker: int

    def remove(self) -> None:
        """Remove it; not from a child that was forked off its maker."""
        if os.getpid() == self.maker:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self.descriptor)


def scratch(folder: Path) -> Scratch:
    """A new one in the folder; those that nobody holds any more go.

    Raises:
        StoreUnusable: the folder cannot be written, or knows no locks.
    """
    room = folder / _ROOM
    try:
        room.mkdir(parents=True, exist_ok=True)
        for left in room.iterdir():
            _remove_if_left(left)
        while True:
            path = Path(tempfile.mkdtemp(dir=room))
            descriptor = os.open(path, os.O_RDONLY)
            # Somebody who cleans up may have come between the folder and its lock.
            if locked(descriptor, path) and path.exists():
                return Scratch(path, descriptor, os.getpid())
            os.close(descriptor)
    except OSError as error:
        raise StoreUnusable(
            f"{folder} cannot be written ({error.strerror}); set SESSION_PIPELINE_WORK_DIR"
        ) from error


def _remove_if_left(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        # Somebody else was faster, or it is another user's.
        return
    try:
        if locked(descriptor, path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
