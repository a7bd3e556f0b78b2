"""Which file is being worked on, written down beside the database: who killed a process that died.

A breadcrumb costs a write into the page cache, where a transaction for every file would cost 47 ms.
Its lock says whether its process still lives (docs/decisions/0012-breadcrumbs.md).
"""

import fcntl
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.passes.plan import Problem, next_failure
from session_pipeline_dagster.sources.files import SessionFile, Signature
from session_pipeline_dagster.store.states import Failure, FileState

if TYPE_CHECKING:
    from session_pipeline_dagster.store.database import Store

DIED = Problem("ProcessDied", "the process died while it worked on this file")
_ROOM = b"\n" * (32 << 10)
"""Written at the start, so that no later write needs space that a full disk does not have."""


class Crumb(msgspec.Struct, frozen=True):
    """What a process that died was working on, and since when (seconds since the epoch).

    A worker's is read by the run it works for. Where that run is gone as well, it was not the file.
    """

    session_file: str
    signature: Signature
    processor_version: int
    begun: float
    worker: bool = False
    root: str = ""


class Breadcrumb:
    """The breadcrumb of one living process."""

    def __init__(self, descriptor: int, version: int, worker: bool) -> None:
        self._descriptor, self._version, self._worker = descriptor, version, worker

    def name(self, file: SessionFile) -> None:
        """From now on the process works on this file."""
        now, worker = time.time(), self._worker
        crumb = Crumb(file.key, file.signature, self._version, now, worker, file.root)
        # One line at the start; what a longer one before it leaves behind it is not read.
        os.pwrite(self._descriptor, msgspec.json.encode(crumb) + b"\n", 0)

    def clear(self) -> None:
        """From now on it works on no file."""
        os.pwrite(self._descriptor, b"\n", 0)


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the breadcrumbs of one processor lie. Holds nothing open: it can be sent anywhere."""

    folder: Path
    prefix: str
    version: int

    @contextmanager
    def walk(self, *, worker: bool = False) -> Generator[Breadcrumb]:
        """A breadcrumb of this process, removed at the end.

        Raises:
            StoreUnusable: the database's folder takes no file.
        """
        descriptor, path = self._lay(_of(_run()) if worker else "")
        try:
            yield Breadcrumb(descriptor, self.version, worker)
        finally:
            Path(path).unlink(missing_ok=True)
            os.close(descriptor)

    def _lay(self, whose: str) -> tuple[int, str]:
        while True:
            try:
                descriptor, path = tempfile.mkstemp(
                    ".working", f"{self.prefix}{whose}", self.folder
                )
                os.pwrite(descriptor, _ROOM, 0)
            except OSError as error:
                message = f"{self.folder} takes no further file ({error.strerror}); make room there"
                raise StoreUnusable(message) from error
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, path
            # Someone took it for a dead one's before it was locked.
            os.close(descriptor)

    @contextmanager
    def left_behind(self, *, by_own_workers: bool = False) -> Generator[list[Crumb]]:
        """What processes were working on when they died; forgotten if the body succeeds.

        Nobody else sees the same ones meanwhile. What the workers of a living run left is for that
        run alone.
        """
        pattern = f"{escape(self.prefix)}{_of(os.getpid()) if by_own_workers else ''}*.working"
        crumbs: list[Crumb] = []
        with ExitStack() as stack:
            paths = []
            for path in sorted(self.folder.glob(pattern)):
                if not by_own_workers and _has_living_run(path.name.removeprefix(self.prefix)):
                    continue
                try:
                    handle = stack.enter_context(path.open("rb"))
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except (FileNotFoundError, BlockingIOError):
                    continue
                if os.fstat(handle.fileno()).st_nlink:
                    paths.append(path)
                    crumbs += _read(handle.readline())
            yield crumbs
            for path in paths:
                path.unlink(missing_ok=True)


def _run() -> int:
    """The process that a worker works for."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getppid()


def _of(run: int) -> str:
    """What the name of a worker's breadcrumb begins with; no name of `mkstemp` holds a dash."""
    return f"of{run}-"


def _has_living_run(name: str) -> bool:
    run = re.match(r"of(\d+)-", name)
    try:
        return run is not None and os.kill(int(run[1]), 0) is None
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def _read(line: bytes) -> list[Crumb]:
    """The breadcrumb in a line; none where it is empty or a machine that lost power tore it."""
    try:
        return [msgspec.json.decode(line, type=Crumb)] if line.strip() else []
    except msgspec.DecodeError:
        return []


def trail(store: "Store", processor: str, version: int) -> Trail:
    """The trail of a processor beside the store's database."""
    path = store.beside(processor)
    return Trail(path.parent, f"{path.name}.", version)


def blame(
    crumb: Crumb, state: FileState | None, earlier: Failure | None, now: datetime
) -> Failure | None:
    """The failure row for a file that killed a process; None if something is known since then.

    The first time it may be tried again at once: it comes last and alone, and most processes are
    killed by something else.
    """
    last = max(state.processed_us or 0, state.signed_us or 0) if state else 0
    # A failure that is still to come is of a clock that was ahead, and clears nobody.
    is_past = earlier is not None and earlier.last_failed_at <= now
    failed = earlier.last_failed_at.timestamp() if earlier and is_past else 0.0
    if max(last / 1e6, failed) >= crumb.begun:
        return None
    key, root, seen = crumb.session_file, crumb.root, crumb.signature
    failure = next_failure(key, root, DIED, earlier, now, seen, None, crumb.processor_version)
    if failure.attempts == 1:
        return msgspec.structs.replace(failure, next_attempt_at=now)
    return failure


def blamed(
    crumbs: list[Crumb], states: Mapping[str, FileState], failures: Mapping[str, Failure]
) -> list[Failure]:
    """The failure rows of everything that was left behind, one a file."""
    now = datetime.now(UTC)
    found = {}
    for crumb in crumbs:
        if crumb.worker:
            continue
        key = crumb.session_file
        failure = blame(crumb, states.get(key), failures.get(key), now)
        if failure:
            found[key] = failure
    return list(found.values())
