"""What is kept of files: states, failures and rows, and ONE transaction a batch.

`Store` is the one door to the database, wherever its place is (`place.py`). Connections are short:
read, close, work, open, commit, close; none is held while a file is parsed or a model answers. What
a number means is decided in `passes/plan.py` and in the processors.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from session_pipeline_dagster.contract.derivation import Changes, Compute, Derivation, Row
from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import (
    ContractError,
    RowsRefused,
    StatementFailed,
    StoreUnusable,
)
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import derive, forget, read, rolling, schema, write
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.compare import Listing
from session_pipeline_dagster.store.declare import (
    REFUSED,
    RELATIONS,
    create_relations,
    in_words,
)
from session_pipeline_dagster.store.file.place import DuckDBFile
from session_pipeline_dagster.store.place import Place
from session_pipeline_dagster.store.states import Known

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Store:
    """The database at its place. Holds no connection, so it can be passed anywhere."""

    place: Place

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
        with self.connect(timeout):
            yield

    def exclusive(self, what: str) -> AbstractContextManager[None]:
        """One `what` is made of this database at a time; see `Place.exclusive`."""
        return self.place.exclusive(what)

    def beside(self, name: str) -> Path:
        """Where a file lies that belongs to this database; see `Place.beside`."""
        return self.place.beside(name)

    def holder(self, patience: timedelta) -> int | None:
        """Who keeps everyone from writing; see `Place.holder`."""
        return self.place.holder(patience)

    @contextmanager
    def transaction(self) -> Generator[duckdb.DuckDBPyConnection]:
        """All of it, or nothing: a connection that closes without a commit has written nothing."""
        with self.place.writing(), self.connect() as connection:
            schema.bring_up(connection, self.place)
            connection.begin()
            yield connection
            connection.commit()

    # --- reading -------------------------------------------------------------------------------

    @contextmanager
    def _looking(self, timeout: timedelta | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection in which the store's own tables are there."""
        with self.connect(timeout) as connection:
            if not schema.is_current(connection):
                with self.place.writing():
                    schema.bring_up(connection, self.place)
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
        with self._looking(timeout) as connection:
            now = datetime.now(UTC)
            rows = read.read_rows(connection, processor, lines_since, now, listing)
        return read.known(processor, rows)

    def row_counts(self, relations: Iterable[str]) -> dict[str, int]:
        """Rows per table or view; 0 where it does not exist yet."""
        with self.connect() as connection:
            existing = {row[0] for row in connection.execute(RELATIONS).fetchall()}
            return {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
                if name in existing
                else 0
                for name in relations
            }

    def rows_of(self, keys: Sequence[str]) -> dict[str, int]:
        """How many rows of each table are of these files."""
        with self.connect() as connection:
            return forget.count(connection, keys)

    def files_of(self, user: str) -> tuple[set[str], dict[str, str | None]]:
        """Files that any table says are the user's; and all that failed, with their roots."""
        with self._looking() as connection:
            return forget.files_of(connection, user)

    def query(
        self, *selects: str, beside: Mapping[str, tuple[str, Sequence[Row]]] | None = None
    ) -> list[tuple[list[str], list[tuple[object, ...]]]]:
        """Column names and rows of each SELECT, all as of one moment.

        Args:
            beside: tables that are there for these SELECTs alone: name -> column DDL and rows.

        Raises:
            ContractError: a SELECT is not valid.
        """
        answers = []
        with self.connect() as connection:
            connection.begin()
            for name, (columns, rows) in (beside or {}).items():
                connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
                write.insert_rows(connection, name, rows)
            for sql in selects:
                try:
                    result = connection.execute(sql)
                except REFUSED as error:
                    raise ContractError(f"a query failed: {in_words(error)}") from None
                names = [column[0] for column in result.description or ()]
                answers.append((names, result.fetchall()))
            connection.rollback()
        return answers

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
        with self.transaction() as connection:
            tables = [*processor.tables, *extras(processor).journals]
            declared = read.digests(connection, processor.name) == [(digest,)]
            if not declared and not self._is_a_newer_ones(connection, processor, tables):
                create_relations(connection, processor)
                rolling.declare(connection, processor, digest)
            return {table: write.arrow_schema(connection, table) for table in tables}

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
        with self._looking() as connection:
            made = read.digests(connection, processor.name)
            newer = read.is_newer(connection, processor)
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
        now, name = datetime.now(UTC), processor.name
        appended = {d.session_file: d.appended_to for d in batch.done if d.appended_to}
        with self.transaction() as connection:
            overtaken = write.overtaken(connection, name, appended) if appended else frozenset()
            rest = batch.without(overtaken)
            if batch.begun and (is_forgotten := forget.forgotten(connection, batch.begun, now)):
                rest = rest.forgetting(is_forgotten)
            self._write(connection, processor, rest, now, run_id)
        kept = {done.session_file for done in rest.done}
        return frozenset(d.session_file for d in batch.done if d.session_file not in kept)

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        processor: Processor,
        batch: Batch,
        now: datetime,
        run_id: str | None,
    ) -> None:
        name = processor.name
        written = [done.session_file for done in batch.done]
        replaced = [done.session_file for done in batch.done if not done.appended_to]
        settled = written + [signed.session_file for signed in batch.signed]
        failed = [failure.session_file for failure in batch.failures]
        write.register(connection, "batch", written)
        # Looking for old rows means reading whole tables; a file without a state row has none.
        if known := write.known(connection, name):
            write.register(connection, "batch", known)
            _note_changes(connection, processor)
            write.delete_rows(connection, processor.tables, replaced)
            write.delete_records(connection, "session_processor_state", name, written)
            write.register(connection, "batch", written)
        for table, parts in [*batch.rows.items(), *batch.journal.items()]:
            write.insert_parts(connection, table, parts)
        _note_changes(connection, processor, keep=True)
        write.insert_states(connection, processor, batch.done, now, run_id)
        write.sign(connection, processor, batch.signed)
        write.delete_records(connection, "session_processor_failures", name, settled + failed)
        write.insert_failures(connection, name, batch.failures)

    def mark_outdated(self, processor: str, keys: Sequence[str]) -> int:
        """Make the files pending again, whatever their content; how many had a state row."""
        with self.transaction() as connection:
            return write.mark_outdated(connection, processor, keys)

    def release(self, processor: str, keys: Sequence[str] | None = None) -> list[str]:
        """Forget failures, so that the files are tried again: those named, or all quarantined."""
        with self.transaction() as connection:
            return write.release(connection, processor, keys)

    def mark_gone(
        self, processor: Processor, gone: Sequence[str], back: Sequence[str], now: datetime
    ) -> None:
        """Note which files are gone and which are back, and what that touches of what is derived;
        the failures of what is gone go. The processor's tables are as it declares them."""
        name = processor.name
        with self.transaction() as connection:
            write.mark_gone(connection, name, gone, now)
            write.unmark_gone(connection, name, back)
            write.delete_records(connection, "session_processor_failures", name, gone)
            write.register(connection, "batch", [*gone, *back])
            rolling.note_changes(connection, processor)

    def purge(self, processor: Processor, keys: Sequence[str]) -> None:
        """Delete what the processor has of the files; its tables are as it declares them."""
        with self.transaction() as connection:
            forget.purge(connection, processor, keys)

    def forget(self, processors: Sequence[Processor], keys: Sequence[str]) -> None:
        """Delete the files' rows from every table, also of processors that are not installed.

        Args:
            processors: all that are installed; their tables are as they declare them.
        """
        with self.transaction() as connection:
            forget.forget(connection, processors, keys)

    def refresh(self, *rollups: Rollup) -> list[str]:
        """Recompute the changed parts of roll-ups; which parts they were.

        Raises:
            ContractError: the SQL of one fails.
        """
        if not rollups:
            return []
        names = ", ".join(repr(rollup.name) for rollup in rollups)
        with _derived(f"roll-up {names}"), self.transaction() as connection:
            return [part for rollup in rollups for part in rolling.refresh(connection, rollup)]

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
            return derive.derive(self.connect, self.transaction, derivation, compute)


def _note_changes(
    connection: duckdb.DuckDBPyConnection, processor: Processor, *, keep: bool = False
) -> None:
    try:
        if keep:
            rolling.keep(connection, processor)
        rolling.note_changes(connection, processor)
    except duckdb.ProgrammingError as error:
        said = f"{processor.name}: a statement of `changed` failed: {in_words(error)}"
        raise StatementFailed(said) from None


@contextmanager
def _derived(what: str) -> Generator[None]:
    """DuckDB's message about a row may hold values, and values may be secrets."""
    try:
        yield
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as error:
        raise ContractError(f"{what} cannot be refreshed: {in_words(error)}") from None


_PATIENCE = timedelta(seconds=5)
"""Whoever only looks is told at once who has the database."""


def open_store(settings: Settings, *, looking: bool = False) -> Store:
    """The store of the settings; nothing is opened yet.

    Args:
        looking: only look: needs no right to write, and makes nothing.
    """
    file = DuckDBFile(
        settings.database,
        min(settings.lock_timeout, _PATIENCE) if looking else settings.lock_timeout,
        settings.database_memory_mb,
        settings.database_threads,
        settings.create_database_folder,
        looking,
    )
    return Store(file)
