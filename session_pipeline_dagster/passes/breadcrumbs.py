"""Which file is being worked on, written down beside the database: who killed a process that died.

A breadcrumb costs a write into the page cache, where a transaction for every file would cost 47 ms.
Its lock says whether its process still lives (docs/decisions/0012-breadcrumbs.md). Where a machine
can go with all that is on it, the lease of the run has them too, and its silence says so
(docs/decisions/0037-shards-and-leases.md).
"""

import fcntl
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
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
    from session_pipeline_dagster.store.leases import Lease, Leases, Lost

DIED = Problem("ProcessDied", "the process died while it worked on this file")
_LARGE = 8 << 20
"""Bytes of a file that takes so long that it costs little to write to a lease before it begins."""
_ALONE = -1
"""Whose note in a lease it is that no descriptor stands for."""
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
    processor: str = ""


class Breadcrumb:
    """The breadcrumb of one living process."""

    def __init__(self, descriptor: int, trail: "Trail", worker: bool) -> None:
        self._descriptor, self._trail, self._worker = descriptor, trail, worker

    def name(self, file: SessionFile) -> None:
        """From now on the process works on this file."""
        line = self._trail.crumb(file, self._worker)
        # One line at the start; what a longer one before it leaves behind it is not read.
        os.pwrite(self._descriptor, line + b"\n", 0)
        self._trail.note(self._descriptor, line, sure=file.signature.size >= _LARGE)

    def clear(self) -> None:
        """From now on it works on no file."""
        os.pwrite(self._descriptor, b"\n", 0)
        self._trail.note(self._descriptor, None)


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the breadcrumbs of one processor lie. Holds nothing open: it can be sent anywhere.

    Attributes:
        lease: of the run, which has the breadcrumbs too; None in a process that works for it.
        leases: where those of runs are found that were lost.
    """

    folder: Path
    prefix: str
    version: int
    processor: str = ""
    lease: "Lease | None" = None
    leases: "Leases | None" = None

    def __reduce__(self) -> tuple[object, ...]:
        # What its workers lay is read by the run, and is in its lease then.
        return type(self), (self.folder, self.prefix, self.version, self.processor)

    @property
    def careful(self) -> bool:
        """Whether each file is to be begun by this process itself, because one has died lately."""
        return self.lease is not None and self.lease.careful

    def crumb(self, file: SessionFile, worker: bool = False) -> bytes:
        """What is written down of a file that is begun now."""
        key, now = file.key, time.time()
        crumb = Crumb(key, file.signature, self.version, now, worker, file.root, self.processor)
        return msgspec.json.encode(crumb)

    def note(self, whose: int, crumb: bytes | None, *, sure: bool = False) -> None:
        """Have it in the lease, where there is one; see `Lease.note`."""
        if self.lease is not None:
            sure = crumb is not None and (sure or self.lease.careful)
            self.lease.note(whose, crumb.decode() if crumb else None, sure=sure)

    @contextmanager
    def alone(self, file: SessionFile) -> Generator[None]:
        """Nothing but this file is in work inside, here or in a worker: the lease knows before."""
        self.note(_ALONE, self.crumb(file), sure=True)
        try:
            yield
        finally:
            self.note(_ALONE, None)

    def of_workers(self) -> list[str]:
        """What the workers of this process have in work."""
        found: list[str] = []
        for path in self.folder.glob(f"{escape(self.prefix)}{_of(os.getpid())}*.working"):
            # One that ends meanwhile has nothing in work.
            with suppress(OSError), path.open("rb") as handle:
                found += [msgspec.json.encode(crumb).decode() for crumb in _read(handle.readline())]
        return found

    @contextmanager
    def walk(self, *, worker: bool = False) -> Generator[Breadcrumb]:
        """A breadcrumb of this process, removed at the end.

        Raises:
            StoreUnusable: the database's folder takes no file.
        """
        descriptor, path = self._lay(_of(_run()) if worker else "")
        try:
            yield Breadcrumb(descriptor, self, worker)
        finally:
            self.note(descriptor, None)
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
            lost = [] if by_own_workers or self.leases is None else self.leases.lost()
            crumbs += [crumb for one in lost for crumb in self._ours(one.working_on)]
            yield crumbs
            for path in paths:
                path.unlink(missing_ok=True)
            self._release(lost)

    def _release(self, lost: Sequence["Lost"]) -> None:
        for one in lost:
            still = [note for note in one.working_on if not self._ours([note])]
            if self.leases is not None:
                self.leases.release(one, still)

    def _ours(self, notes: Sequence[str]) -> list[Crumb]:
        """What notes of a lost lease say of this processor. All that was in work may have killed
        the machine, whichever process of it had it."""
        crumbs = [crumb for note in notes for crumb in _read(note.encode())]
        ours = [crumb for crumb in crumbs if crumb.processor == self.processor]
        return [msgspec.structs.replace(crumb, worker=False) for crumb in ours]


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
    """The trail of a processor beside the store's database, and in the lease if one is held."""
    path, lease = store.beside(processor), store.lease
    found = Trail(path.parent, f"{path.name}.", version, processor, lease, store.place.leases())
    if lease is not None:
        lease.watch(found.of_workers)
    return found


@contextmanager
def leased(store: "Store", run_id: str | None = None, shard: str = "") -> Generator["Store"]:
    """The store with a lease for as long as the block; the same where there are no leases.

    Args:
        shard: which part of the files is worked on, such as `1/4`; empty = everything.
    """
    leases = None if store.place.looking else store.place.leases()
    if leases is None:
        yield store
        return
    with leases.hold(run_id, shard) as lease:
        yield replace(store, lease=lease)


def forget_notes(store: "Store", keys: Collection[str]) -> None:
    """Take the files out of what leases say is in work: their keys name who is forgotten.

    Raises:
        StoreError: the leases cannot be reached.
    """
    leases, gone = store.place.leases(), frozenset(keys)
    if leases is not None:
        leases.forget(lambda note: any(c.session_file in gone for c in _read(note.encode())))


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
