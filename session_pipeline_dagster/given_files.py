"""Files that people name in a setting: read whole, and what is no file is never waited for."""

import os
import stat
from pathlib import Path


class NoPlainFileError(OSError):
    """A pipe or a device: nothing may ever come of it, or no end of it."""


def content_of(file: Path) -> bytes:
    """What a file holds.

    Raises:
        OSError, ValueError: it cannot be read; `why_not` has the words.
    """
    with open(file, "rb", opener=_at_once) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise NoPlainFileError
        return opened.read()


def _at_once(file: str, flags: int) -> int:
    # Whoever opens a pipe waits for its writer, and a run would wait for ever.
    return os.open(file, flags | os.O_NONBLOCK)


def why_not(error: OSError | ValueError) -> str:
    """Why a file cannot be read, as what is said of "the file"."""
    if isinstance(error, FileNotFoundError):
        return "is not there"
    if isinstance(error, IsADirectoryError):
        return "is a directory"
    return "is a pipe or a device" if isinstance(error, NoPlainFileError) else "cannot be read"
