"""Transcripts into a folder of this machine, a mounted share say: a copy, or none.

Every file is written under a name of its own beside the projects, flushed to the disk, and renamed.
No link is followed on either side: a place that several people write to may hold one that leads
elsewhere.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from session_pipeline_dagster.collect.inventory import Inventory, Own
from session_pipeline_dagster.collect.place import Failed, Sent
from session_pipeline_dagster.errors import SettingsError, TargetUnavailable
from session_pipeline_dagster.sources.snapshot import open_regular

_BLOCK = 1 << 20
_FOLDER, _FILE = 0o750, 0o640
_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OF_ONE_FILE = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)
"""What is wrong with a single name; anything else is wrong with the place."""
_UNITS = (100, 1000, 10**6, 10**9, 2 * 10**9)
"""Nanoseconds that file systems cut times to."""


class _CannotRead(Exception):
    """The file cannot be read here; says why."""


class _Gone(Exception):
    """The file was deleted since it was listed."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """The folder of one user.

    Attributes:
        top: has to be there; one that is missing may be a share that is not mounted.
        user: the folder in it; None: `top` is the user's own.
        machine: tells what two machines leave half-written apart.
    """

    top: Path
    user: str | None
    machine: str

    def send(self, inventory: Inventory, *, dry_run: bool) -> Sent:
        """See `Place.send`."""
        self._check(inventory.top)
        copied = size = 0
        failed: list[Failed] = []
        with self._opened(make=not dry_run) as top:
            touched: set[str] = set()
            for file in inventory.files:
                try:
                    if _is_there(top, file):
                        continue
                    if not dry_run:
                        self._copy(inventory.top, file, top)
                        touched.add(file.path.rpartition("/")[0])
                except _Gone:
                    continue
                except _CannotRead as error:
                    failed.append(Failed(file.key, str(error)))
                    continue
                except OSError as error:
                    if error.errno not in _OF_ONE_FILE:
                        raise
                    why = f"cannot be put there: {error.strerror}"
                    failed.append(Failed(file.key, why))
                    continue
                copied, size = copied + 1, size + file.size
            for folder in touched:
                with _folder(top, folder.split("/"), make=False) as at:
                    os.fsync(at)
        return Sent(copied, size, failed)

    def leave(self, name: str, content: bytes) -> None:
        """See `Place.leave`."""
        with self._opened(make=True) as top:
            with self._written(top) as handle:
                handle.write(content)
            os.rename(self._temporary, name, src_dir_fd=top, dst_dir_fd=top)
            os.fsync(top)

    @property
    def _temporary(self) -> str:
        return f".collect-{self.machine}"

    def _check(self, source: Path) -> None:
        target = Path(os.path.realpath(self.top))
        if target == source or source in target.parents:
            raise SettingsError(f"--to {self.top} lies in --from {source}; take another folder")

    @contextmanager
    def _opened(self, *, make: bool) -> Generator[int]:
        """The user's folder; -1: it is not there yet.

        Raises:
            TargetUnavailable: also of all that is raised in it.
        """
        try:
            with _at(self.top) as top:
                if self.user is None:
                    yield top
                elif not make and not _is_folder(top, self.user):
                    yield -1
                else:
                    with _folder(top, [self.user], make=make) as own:
                        yield own
        except OSError as error:
            raise TargetUnavailable(_in_words(error, self.top)) from error

    def _copy(self, source: Path, file: Own, top: int) -> None:
        try:
            read = open_regular(f"{source}/{file.path}", str(source))
        except FileNotFoundError as error:
            raise _Gone from error
        except OSError as error:
            raise _CannotRead(f"cannot be read: {error.strerror}") from error
        *folders, name = file.path.split("/")
        with read, _folder(top, folders, make=True) as folder:
            found = os.fstat(read.fileno())
            with self._written(top) as written:
                for block in _blocks(read, found.st_size):
                    written.write(block)
            times = (found.st_mtime_ns, found.st_mtime_ns)
            os.utime(self._temporary, ns=times, dir_fd=top)
            os.rename(self._temporary, name, src_dir_fd=top, dst_dir_fd=folder)

    @contextmanager
    def _written(self, top: int) -> Generator[BinaryIO]:
        """A new file that is on the disk in the end, and gone if it does not come to that."""
        with suppress(FileNotFoundError):
            # Of one that was killed.
            os.unlink(self._temporary, dir_fd=top)
        descriptor = os.open(self._temporary, _NEW, _FILE, dir_fd=top)
        with ExitStack() as begun:
            begun.callback(self._discard, top)
            with os.fdopen(descriptor, "wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            begun.pop_all()

    def _discard(self, top: int) -> None:
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=top)


def _blocks(handle: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes: what is appended meanwhile has another time, and comes the next time."""
    while size:
        try:
            block = handle.read(min(size, _BLOCK))
        except OSError as error:
            raise _CannotRead(f"cannot be read: {error.strerror}") from error
        if not block:
            raise _CannotRead("became shorter while it was read")
        size -= len(block)
        yield block


def _is_there(top: int, file: Own) -> bool:
    """Whether the place has the file as it is here."""
    if top < 0:
        return False
    *folders, name = file.path.split("/")
    try:
        with _folder(top, folders, make=False) as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    same = stat.S_ISREG(found.st_mode) and found.st_size == file.size
    return same and _same_time(found.st_mtime_ns, file.mtime_ns)


def _same_time(there: int, here: int) -> bool:
    return there == here or any(there == here - here % unit for unit in _UNITS)


def _is_folder(top: int, name: str) -> bool:
    try:
        found = os.stat(name, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode)


@contextmanager
def _at(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder(top: int, parts: Sequence[str], *, make: bool) -> Generator[int]:
    """A folder below another one, of which no part is a link."""
    at = os.dup(top)
    try:
        for part in filter(None, parts):
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, _FOLDER, dir_fd=at)
            below = os.open(part, _LOOK, dir_fd=at)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _in_words(error: OSError, top: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no room is left in {top}; make some, and start it again: it goes on where it was"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"may not write to {top} ({error.strerror}); give this user access"
    if error.errno == errno.ENOENT:
        return f"{top} does not exist; mount it, or make it first"
    if error.errno == errno.ENOTDIR:
        return f"{top} is no folder; set --to to one"
    if error.errno == errno.EXDEV:
        return (
            f"below {top} lies another file system, and nothing is renamed into it; collect there"
        )
    return f"{top} cannot be written to ({error.strerror})"
