"""Where a store is kept: all that another backend than a DuckDB file would have to offer.

The tables, the statements and the transactions are `Store`'s and the same everywhere. Each backend
has a folder of its own; nothing but `open_store` chooses between them.
"""

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from session_pipeline_dagster.store.states import Mark

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from session_pipeline_dagster.store.leases import Leases
    from session_pipeline_dagster.store.states import Tidied


class Place(Protocol):
    """A database that speaks DuckDB's SQL. Holds nothing open, so it can be passed anywhere."""

    @property
    def label(self) -> str:
        """What messages call it; holds no secret."""

    @property
    def looking(self) -> bool:
        """Whether it is only looked at: nothing is written, and what is missing is empty."""

    @property
    def missing(self) -> bool:
        """Whether there is nothing yet.

        Raises:
            StoreUnusable: it is not possible to say.
        """

    def mark(self) -> Mark:
        """How the database is now, for a process that only looks; nothing is opened for it."""

    def beside(self, name: str) -> Path:
        """Where a file of this machine lies that belongs to this database and to no other."""

    def connect(
        self, timeout: timedelta | None = None
    ) -> "AbstractContextManager[DuckDBPyConnection]":
        """A short connection; closed whatever happens, and what was not committed is undone.

        Args:
            timeout: how long to wait for who else has it (default: as it is set).

        Raises:
            StoreBusy: someone else still had it after the timeout; names the holder.
            StoreUnusable: it cannot be opened, or it fails in the body; says what to do.
        """

    @property
    def lock_timeout(self) -> timedelta:
        """How long to wait for who else has it, and for a line to it that broke."""

    def writing(self) -> "AbstractContextManager[DuckDBPyConnection]":
        """The right to write, and a connection: one writer at a time, wherever it runs.

        Notes of roll-ups and fingerprints of derivations hold only if no one else writes meanwhile.
        Not to be taken twice.

        Raises:
            StoreBusy, StoreUnusable: as `connect`.
            StoreInterrupted: the line to it broke; do all that was done with it again.
        """

    def begin(self, connection: "DuckDBPyConnection") -> None:
        """Begin a transaction of a connection that may write; of a stale writer, no commit holds.

        Raises:
            duckdb.Error: as any statement.
        """

    def commit(self, connection: "DuckDBPyConnection") -> None:
        """Commit it.

        Raises:
            StoreInterrupted: with the commit's name where it may have been done all the same.
        """

    def has(self, commit: str) -> bool:
        """Whether a commit of that name was done.

        Raises:
            StoreError: it is not possible to say.
        """

    def exclusive(self, what: str) -> AbstractContextManager[None]:
        """One `what` at a time is made of this database; transactions go on. Ends with its holder.

        Raises:
            StoreBusy: one is still being made after the timeout that is set.
        """

    def leases(self) -> "Leases | None":
        """Where its workers say that they live, whatever machine they are on; None where all of
        them are on this one, and their processes say it."""

    def holder(self, patience: timedelta) -> int | None:
        """The process that keeps everyone from writing for longer than that; 0 = one without an
        id here; None = nobody. For a process that only looks."""

    def keep_copy(self, version: int) -> None:
        """Keep what there is before its schema is brought up from this version.

        Raises:
            StoreUnusable: there is no room for it.
        """

    def copy_to(self, target: Path) -> bool:
        """Put a DuckDB file there that has all that this place has, while nobody writes to it;
        False where the place is no file.

        Raises:
            StoreUnusable: there is no room for it.
        """

    def tidy(self, keep: timedelta) -> "Tidied | None":
        """Make few files of many and delete what nobody reads; None where nothing is to be done.

        Args:
            keep: how long the past stays readable. None at all: what was deleted leaves every file.

        Raises:
            StoreBusy, StoreUnusable: as `writing`; what was done stays done.
        """

    def untidied(self) -> timedelta | None:
        """How long ago `tidy` has last come to its end; since there is anything if it never has.
        None where nothing is to be done.

        Raises:
            StoreError: it is not possible to say.
        """
