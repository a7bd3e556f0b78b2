"""A whole store into another place: every table as it is, in one transaction, then compared.

Rows go table by table as Arrow, a few thousand at a time. Until the commit the target holds none of
them; a copy that was killed has left an empty store, and in a lake files that its upkeep deletes.
What a lake writes in another way (`harmless.py`) is written so on the way into it, and as it was
given on the way back: else a pass would take such a file for another one.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import duckdb

from session_pipeline_dagster.errors import ContractError, StoreUnusable
from session_pipeline_dagster.store import schema
from session_pipeline_dagster.store.harmless import is_lake

if TYPE_CHECKING:
    import pyarrow

    from session_pipeline_dagster.store.database import Store

_BATCH, _AT_ONCE = 10_000, 100_000
"""Rows of a piece of Arrow, and of a statement: DuckDB holds what one has read until it ends."""
_OF_THE_PLACE = ("session_pipeline_schema", "session_pipeline_fence")
"""What every store has of its own."""
_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
    WHERE NOT internal AND schema_name = 'main' AND database_name = current_database()
    AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE NOT temporary)
    ORDER BY table_name, column_index"""
_VIEWS = """SELECT view_name, sql FROM duckdb_views() WHERE NOT (internal OR temporary)
    AND schema_name = 'main' AND database_name = current_database() ORDER BY view_name"""
_IN_WORDS = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied.

    Attributes:
        rows: table -> how many, the same in both places and with the same content.
        views: names of views.
    """

    rows: dict[str, int]
    views: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as it is to be made."""

    name: str
    kind: str
    nullable: bool

    @property
    def ddl(self) -> str:
        return f"{quoted(self.name)} {self.kind}" + ("" if self.nullable else " NOT NULL")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it is to be made; its columns in their order."""

    name: str
    columns: Sequence[_Column]

    @property
    def ddl(self) -> str:
        columns = ", ".join(column.ddl for column in self.columns)
        return f"CREATE TABLE {quoted(self.name)} ({columns})"


def copy(source: "Store", target: "Store") -> Copied:
    """Copy every table and view of a store into one that holds no row.

    Raises:
        StoreUnusable: there is no source, it is of another version, or the target holds rows; or
            what was copied is not what was there. Nothing is changed then.
        StoreBusy: as `Store.connect`.
        ContractError: a column is of a type that the target does not have.
    """
    begun = time.monotonic()
    source.require()

    def into(writer: duckdb.DuckDBPyConnection) -> Copied:
        with source.connect() as reader:
            if not schema.is_current(reader):
                raise StoreUnusable(
                    f"{source.place.label} does not have the tables of this version; "
                    "`session-pipeline run` brings it up"
                )
            # All of it as of one moment.
            reader.begin()
            _check_empty(writer, target)
            return _copy(reader, writer, begun)

    return target.done(into)


def _copy(
    reader: duckdb.DuckDBPyConnection, writer: duckdb.DuckDBPyConnection, begun: float
) -> Copied:
    rows: dict[str, int] = {}
    spelt = _spelling(reader, writer)
    there = {table.name for table in _tables(writer)}
    for view, _ in writer.execute(_VIEWS).fetchall():
        writer.execute(f"DROP VIEW {quoted(view)}")
    for table in _tables(reader):
        try:
            if table.name in there:
                writer.execute(f"DROP TABLE {quoted(table.name)}")
            writer.execute(table.ddl)
            for _ in _parts(reader, writer, table, spelt):
                writer.execute(f"INSERT INTO {quoted(table.name)} FROM part")
        except _IN_WORDS as error:
            raise ContractError(
                f"the table {table.name} cannot be copied ({type(error).__name__}): the other "
                "place does not take one of its column types"
            ) from error
        count, content = _content(reader, table)
        written = _content(writer, table)
        if written != (count, content) and written != _content_on_the_way(
            reader, writer, table, spelt
        ):
            raise StoreUnusable(f"what was copied of {table.name} is not what was there; report it")
        rows[table.name] = count
    views = dict(reader.execute(_VIEWS).fetchall())
    make_views(writer, views)
    return Copied(rows, sorted(views), time.monotonic() - begun)


_Spelling = Callable[["pyarrow.RecordBatchReader"], "pyarrow.RecordBatchReader"]


def _spelling(reader: duckdb.DuckDBPyConnection, writer: duckdb.DuckDBPyConnection) -> _Spelling:
    """How text of the source is written in the target."""
    from session_pipeline_dagster.store import harmless_rows as spelling  # noqa: PLC0415  see _in_parts

    from_lake, into_lake = is_lake(reader), is_lake(writer)
    if from_lake == into_lake:
        return lambda rows: rows
    return spelling.harmless_rows if into_lake else spelling.rows_as_given


def _parts(
    reader: duckdb.DuckDBPyConnection,
    writer: duckdb.DuckDBPyConnection,
    table: _Table,
    spelt: _Spelling,
) -> Iterator[None]:
    """The source's rows as `part` of the target's connection, so many at a time."""
    everything = reader.execute(f"FROM {quoted(table.name)}").to_arrow_reader(_BATCH)
    for some in _in_parts(everything):
        # Not a table: a name is kept with what it stands for until the transaction ends.
        writer.register("part", spelt(some))
        yield
        writer.unregister("part")


def _in_parts(everything: "pyarrow.RecordBatchReader") -> "Iterator[pyarrow.RecordBatchReader]":
    """The same rows, so many at a time; each part is to be read before the next."""
    # Arrow takes 30 ms to load, which no other command pays for.
    import pyarrow  # noqa: PLC0415

    while (head := next(everything, None)) is not None:
        some = chain([head], islice(everything, _AT_ONCE // _BATCH - 1))
        del head
        yield pyarrow.RecordBatchReader.from_batches(everything.schema, some)


def _tables(connection: duckdb.DuckDBPyConnection) -> list[_Table]:
    found: dict[str, list[_Column]] = {}
    for table, column, kind, nullable in connection.execute(_COLUMNS).fetchall():
        found.setdefault(table, []).append(_Column(column, kind, nullable))
    return [_Table(n, columns) for n, columns in found.items() if n not in _OF_THE_PLACE]


def _content(connection: duckdb.DuckDBPyConnection, table: _Table) -> tuple[int, int]:
    """How many rows, and a sum that is the same for the same rows in whatever order."""
    (found,) = connection.execute(
        f"""SELECT count(*), coalesce(sum(hash(*COLUMNS(*))::HUGEINT), 0)
        FROM {quoted(table.name)}"""
    ).fetchall()
    return found[0], found[1]


def _content_on_the_way(
    reader: duckdb.DuckDBPyConnection,
    writer: duckdb.DuckDBPyConnection,
    table: _Table,
    spelt: _Spelling,
) -> tuple[int, int]:
    """The same of the source's rows as they are spelt in the target."""
    values = ", ".join(f"{quoted(column.name)}::{column.kind}" for column in table.columns)
    count = content = 0
    for _ in _parts(reader, writer, table, spelt):
        (found,) = writer.execute(
            f"SELECT count(*), coalesce(sum(hash({values})::HUGEINT), 0) FROM part"
        ).fetchall()
        count, content = count + found[0], content + found[1]
    return count, content


def _check_empty(writer: duckdb.DuckDBPyConnection, target: "Store") -> None:
    for table in _tables(writer):
        if writer.execute(f"SELECT 1 FROM {quoted(table.name)} LIMIT 1").fetchall():
            raise StoreUnusable(
                f"{target.place.label} holds rows already (of {table.name}) and is left as it is; "
                "copy into a new one"
            )


def make_views(writer: duckdb.DuckDBPyConnection, views: Mapping[str, str]) -> None:
    """Make views of these definitions, those first that others read.

    Raises:
        ContractError: one reads what is not there.
    """
    waiting = dict(views)
    while waiting:
        made = [name for name, sql in waiting.items() if _made(writer, sql)]
        if not made:
            raise ContractError(f"the view {min(waiting)} cannot be made in the other place")
        waiting = {name: sql for name, sql in waiting.items() if name not in made}


def _made(writer: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        writer.execute(sql)
    except duckdb.CatalogException:
        return False
    return True


def quoted(name: str) -> str:
    """A name as SQL has it, whatever it holds."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
