"""Leases: who is at work on a database that several machines share, and what a place offers of it.

The DuckDB file has none: its locks and the processes of its one machine say who lives.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lost:
    """A lease whose worker is not heard of any more.

    Attributes:
        run_id: of Dagster's run; None for a pass of the command line.
        shard: which part it took, such as `1/4`; empty = everything.
        working_on: what was in work when it was last heard of, as it was noted.
        beat_at: when that was, by the server's clock, as the server writes it.
    """

    id: str
    run_id: str | None
    shard: str
    host: str
    pid: int
    working_on: Sequence[str]
    beat_at: str


class Lease(Protocol):
    """The lease of one living worker.

    Attributes:
        careful: a worker died lately, and it is not sure over which file: the next time it shall
            be, so each file is written down before it is begun.
    """

    @property
    def careful(self) -> bool: ...

    def note(self, whose: int, what: str | None, *, sure: bool = False) -> None:
        """What somebody in this process has in work from now on; None = nothing.

        Args:
            sure: come back once it is written, or the place has not answered for ten seconds.
        """

    def watch(self, looks: Callable[[], Sequence[str]]) -> None:
        """From now on what this gives is in work too; asked before each time something is written.

        It is for what other processes of this worker do, and must not raise.
        """


class Leases(Protocol):
    """The leases of one database. Holds nothing open."""

    def hold(self, run_id: str | None = None, shard: str = "") -> AbstractContextManager[Lease]:
        """A lease for as long as the block; it never fails, nor does it hold up anybody."""

    def lost(self, older_than: timedelta = ..., patience: timedelta | None = None) -> list[Lost]:
        """Leases of which nobody has been heard for so long.

        Raises:
            StoreError: the place does not answer.
        """

    def release(
        self, lost: Lost, still: Sequence[str] = (), patience: timedelta | None = None
    ) -> None:
        """What is to be done about a lost lease is done, but for `still` of what it worked on.

        Raises:
            StoreError: as `lost`.
        """

    def forget(self, is_theirs: Callable[[str], bool]) -> None:
        """Remove the notes of which that is true from every lease.

        Raises:
            StoreError: as `lost`.
        """
