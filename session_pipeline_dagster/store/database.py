"""What is kept of files: states, failures and rows, and ONE transaction a batch.

`Store` is the one door to the database, wherever its place is (`place.py`). Connections are short:
read, close, work, open, commit, close; none is held while a file is parsed or a model answers. What
a number means is decided in `passes/plan.py` and in the processors.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb

from session_pipeline_dagster.contract.derivation import Changes, Compute, Derivation, Row
from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import (
    ContractError,
    RowsRefused,
    StatementFailed,
    StoreInterrupted,
    StoreUnusable,
)
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import derive, forget, read, replacing, rolling, schema, write
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.compare import Listing
from session_pipeline_dagster.store.declare import RELATIONS, create_relations, in_words
from session_pipeline_dagster.store.opening import open_place
from session_pipeline_dagster.store.place import Place
from session_pipeline_dagster.store.states import Known, Mark, Tidied
from session_pipeline_dagster.store.waiting import until_done

if TYPE_CHECKING:
    import pyarrow

    from session_pipeline_dagster.store.leases import Lease

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Store:
    """The database at its place. Holds no connection, so it can be passed anywhere.

    Attributes:
        lease: of the worker that has it, while it has one.
    """

    place: Place
    lease: "Lease | None" = None

    # --- connections ---------------------------------------------------------------------------

    def connect(
        self, timeout: timedelta | None = None
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A short connection; see `Place.connect`."""
        return self.place.connect(timeout)

    @contextmanager
    def held(self, timeout: timedelta | None = None) -> Generator[None]:
        """Keep the database open: connections inside are ready at once, other processes wait.

        Raises:
            StoreBusy, StoreUnusable: as `connect`.
        """
        with ExitStack() as opened:
            patience = self.place.lock_timeout if timeout is None else timeout
            until_done(lambda: opened.enter_context(self.connect(timeout)), patience)
            yield

    def exclusive(self, what: str) -> AbstractContextManager[None]:
        """One `what` is made of this database at a time; see `Place.exclusive`."""
        return self.place.exclusive(what)

    def mark(self) -> Mark:
        """What changes with every write; see `Place.mark`."""
        return self.place.mark()

    def beside(self, name: str) -> Path:
        """Where a file lies that belongs to this database; see `Place.beside`."""
        return self.place.beside(name)

    def holder(self, patience: timedelta) -> int | None:
        """Who keeps everyone from writing; see `Place.holder`."""
        return self.place.holder(patience)

    @contextmanager
    def transaction(self) -> Generator[duckdb.DuckDBPyConnection]:
        """All of it, or nothing: a connection that closes without a commit has written nothing."""
        with self.place.writing() as connection:
            schema.bring_up(connection, self.place)
            self.place.begin(connection)
            yield connection
            self.place.commit(connection)

    def done(self, work: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """What the work gives in a transaction; the whole of it again where its line broke.

        A commit may have been done, or may still be on its way, although nobody heard so. It is
        asked for in the next transaction: if it comes later than the answer, that one is refused.
        """
        unheard: dict[str, _T] = {}

        def once() -> _T:
            results: list[_T] = []
            try:
                with self.transaction() as connection:
                    done = [result for name, result in unheard.items() if self.place.has(name)]
                    results += done or [work(connection)]
            except StoreInterrupted as error:
                # Without a result it is the name of what made the store's own tables.
                if error.commit and results:
                    unheard[error.commit] = results[0]
                raise
            return results[0]

        return until_done(once, self.place.lock_timeout)

    def _seen(self, look: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """What a look gives, whatever tables are there; again where its line broke."""

        def once() -> _T:
            with self.connect() as connection:
                return look(connection)

        return until_done(once, self.place.lock_timeout)

    def seen_there(
        self, look: Callable[[duckdb.DuckDBPyConnection], _T], timeout: timedelta | None = None
    ) -> _T:
        """What a look gives, with the store's own tables there; again where its line broke."""

        def once() -> _T:
            with self._looking(timeout) as connection:
                return look(connection)

        return until_done(once, self.place.lock_timeout if timeout is None else timeout)

    # --- reading -------------------------------------------------------------------------------

    @contextmanager
    def _looking(self, timeout: timedelta | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection in which the store's own tables are there."""
        with self.connect(timeout) as connection:
            if not schema.is_current(connection):
                if self.place.looking and self.place.missing:
                    schema.make(connection)
                else:
                    with self.place.writing() as writer:
                        schema.bring_up(writer, self.place)
            yield connection

    def known(
        self,
        processor: Processor,
        timeout: timedelta | None = None,
        lines_since: datetime | None = None,
        listing: Listing | None = None,
    ) -> Known:
        """Everything the store knows of a processor's files, in one short look.

        Args:
            lines_since: also count the lines of files written since then.
            listing: of many files, read only what differs from it.
        """
        now = datetime.now(UTC)
        rows = self.seen_there(
            lambda c: read.read_rows(c, processor, lines_since, now, listing), timeout
        )
        return read.known(processor, rows)

    def row_counts(self, relations: Iterable[str]) -> dict[str, int]:
        """Rows per table or view; 0 where it does not exist yet."""
        return self._seen(lambda connection: read.row_counts(connection, relations))

    def rows_of(
        self, keys: Sequence[str], processors: Sequence[Processor] = (), user: str | None = None
    ) -> dict[str, int]:
        """How many rows `forget` takes of each table."""
        return self.seen_there(lambda c: forget.count(c, keys, processors, user))

    def files_of(self, user: str) -> tuple[set[str], dict[str, str | None]]:
        """Files that any table says are the user's; and all that failed, with their roots."""
        return self.seen_there(lambda connection: forget.files_of(connection, user))

    def query(
        self, *selects: str, beside: Mapping[str, tuple[str, Sequence[Row]]] | None = None
    ) -> list[read.Answer]:
        """Column names and rows of each SELECT, all as of one moment.

        Args:
            beside: tables that are there for these SELECTs alone: name -> column DDL and rows.

        Raises:
            ContractError: a SELECT is not valid.
        """
        return self._seen(lambda connection: read.answers(connection, selects, beside or {}))

    # --- writing -------------------------------------------------------------------------------

    def prepare(self, processor: Processor) -> dict[str, "pyarrow.Schema"]:
        """Bring the processor's tables and views up to its declarations.

        New columns at a table's end are added; roll-ups of another declaration are made stale.
        What a newer version of the processor has declared stays.

        Returns:
            The Arrow schema of each of its tables.

        Raises:
            ContractError: its DDL or SQL is not valid, or a table cannot be brought up to it.
        """
        digest = write.declaration_digest(processor)
        tables = [*processor.tables, *extras(processor).journals]

        def declare(connection: duckdb.DuckDBPyConnection) -> dict[str, "pyarrow.Schema"]:
            declared = read.digests(connection, processor.name) == [(digest,)]
            if not declared and not self._is_a_newer_ones(connection, processor, tables):
                create_relations(connection, processor)
                rolling.declare(connection, processor, digest)
            return {table: write.arrow_schema(connection, table) for table in tables}

        return self.done(declare)

    def _is_a_newer_ones(
        self, connection: duckdb.DuckDBPyConnection, processor: Processor, tables: Sequence[str]
    ) -> bool:
        """Whether the tables are there as a newer version of the processor has declared them."""
        there = {row[0] for row in connection.execute(RELATIONS).fetchall()}
        return read.is_newer(connection, processor) and there >= {*tables}

    def require(self) -> None:
        """Make sure that there is a database to change: a wrong path shall not make one.

        Raises:
            StoreUnusable: there is none.
        """
        if self.place.missing:
            raise StoreUnusable(
                f"there is no database {self.place.label}; `session-pipeline run` makes it, or set "
                "SESSION_PIPELINE_DATABASE"
            )

    def ready(self, processor: Processor) -> None:
        """Make sure that the processor's tables and views can be read as it declares them.

        Raises:
            StoreUnusable: they cannot, and this store only looks.
            ContractError: as `prepare`.
        """
        if not self.place.looking:
            self.prepare(processor)
            return
        self.require()
        made, newer = self.seen_there(
            lambda c: (read.digests(c, processor.name), read.is_newer(c, processor))
        )
        if made != [(write.declaration_digest(processor),)] and not newer:
            raise StoreUnusable(
                f"{self.place.label} does not have the tables of {processor.name!r} as this "
                "version declares them; `session-pipeline run` makes them"
            )

    def commit(
        self, processor: Processor, batch: Batch, run_id: str | None = None
    ) -> frozenset[str]:
        """Replace the rows and records of the batch's files: all of it, or nothing.

        Returns:
            Files left out because someone else processed them since they were read, so that rows
            can no longer be appended to what was there; or because they were forgotten since.

        Raises:
            StatementFailed: what a roll-up or derivation has as `changed` does not work.
            RowsRefused: a table does not take a row, the store's own included; nothing was written.
        """
        try:
            return self._commit(processor, batch, run_id)
        except StatementFailed:
            raise
        except ContractError as error:
            raise RowsRefused(str(error)) from error
        except (duckdb.DataError, duckdb.IntegrityError) as error:
            kind = type(error).__name__
            # Its message may hold the value, and the value may be a secret.
            raise RowsRefused(f"{processor.name}: the database refused a row ({kind})") from None

    def _commit(self, processor: Processor, batch: Batch, run_id: str | None) -> frozenset[str]:
        now = datetime.now(UTC)
        kept = self.done(lambda c: replacing.replace_rows(c, processor, batch, now, run_id))
        return frozenset(d.session_file for d in batch.done if d.session_file not in kept)

    def mark_outdated(self, processor: str, keys: Sequence[str]) -> int:
        """Make the files pending again, whatever their content; how many had a state row."""
        return self.done(lambda connection: write.mark_outdated(connection, processor, keys))

    def release(self, processor: str, keys: Sequence[str] | None = None) -> list[str]:
        """Forget failures, so that the files are tried again: those named, or all quarantined."""
        return self.done(lambda connection: write.release(connection, processor, keys))

    def mark_gone(
        self, processor: Processor, gone: Sequence[str], back: Sequence[str], now: datetime
    ) -> None:
        """Note which files are gone and which are back, and what that touches of what is derived;
        the failures of what is gone go. The processor's tables are as it declares them."""
        name = processor.name

        def mark(connection: duckdb.DuckDBPyConnection) -> None:
            write.mark_gone(connection, name, gone, now)
            write.unmark_gone(connection, name, back)
            write.delete_records(connection, "session_processor_failures", name, gone)
            write.register(connection, "batch", [*gone, *back])
            rolling.note_changes(connection, processor)

        self.done(mark)

    def purge(self, processor: Processor, keys: Sequence[str]) -> None:
        """Delete what the processor has of the files; its tables are as it declares them."""
        self.done(lambda connection: forget.purge(connection, processor, keys))

    def forget(
        self, processors: Sequence[Processor], keys: Sequence[str], user: str | None = None
    ) -> None:
        """Delete the files' rows from every table, also of processors that are not installed.

        Args:
            processors: all that are installed; their tables are as they declare them.
            user: whom to take out of days whose detail is gone, too, whatever files there are.
        """
        self.done(lambda connection: forget.forget(connection, processors, keys, user))

    def tidy(self, keep: timedelta) -> Tidied | None:
        """What a place needs once a day; see `Place.tidy`.

        Raises:
            StoreUnusable: there is no database.
        """
        self.require()
        return self.place.tidy(keep)

    def refresh(self, *rollups: Rollup) -> list[str]:
        """Recompute the changed parts of roll-ups; which parts they were.

        Raises:
            ContractError: the SQL of one fails.
        """
        if not rollups:
            return []
        names = ", ".join(repr(rollup.name) for rollup in rollups)
        with _derived(f"roll-up {names}"):
            return self.done(
                lambda c: [part for one in rollups for part in rolling.refresh(c, one)]
            )

    def derive(self, derivation: Derivation, compute: Compute | None = None) -> Changes:
        """Compute without a connection, then write, if what was read still holds; else again.

        Args:
            compute: what to do instead of the derivation's own work, whether or not parts wait.

        Returns:
            What was written; nothing where no part waited.

        Raises:
            StoreBusy: others kept writing; what waits is still noted.
            ContractError: its SQL fails, or its changes do not fit its tables.
        """
        with _derived(f"derivation {derivation.name!r}"):
            return derive.derive(self._seen, self.done, derivation, compute)


@contextmanager
def _derived(what: str) -> Generator[None]:
    """DuckDB's message about a row may hold values, and values may be secrets."""
    try:
        yield
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as error:
        raise ContractError(f"{what} cannot be refreshed: {in_words(error)}") from None


def open_store(settings: Settings, *, looking: bool = False) -> Store:
    """The store of the settings; nothing is opened yet.

    Args:
        looking: only look: needs no right to write, and makes nothing.

    Raises:
        SettingsError: see `open_place`.
    """
    return Store(open_place(settings, looking=looking))
