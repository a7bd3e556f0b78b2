"""What a processor declares: tables, views and roll-ups, made in a database or only tried out."""

import duckdb

from session_pipeline_dagster.contract.processor import Processor, derived_tables, extras
from session_pipeline_dagster.errors import ContractError, first_line
from session_pipeline_dagster.store import schema, write

RELATIONS = """SELECT table_name FROM duckdb_tables() WHERE NOT temporary
    UNION ALL SELECT view_name FROM duckdb_views()"""

_WORDED = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
REFUSED = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.PermissionException,
)
"""What DuckDB raises where a statement is to blame; what is left says that the database is."""


def in_words(error: duckdb.Error) -> str:
    """What is wrong with a statement, in one line and without a value.

    Errors of parsing and binding come before a row is read; any other may quote one.
    """
    if isinstance(error, _WORDED):
        return first_line(error)
    return type(error).__name__


def create_relations(connection: duckdb.DuckDBPyConnection, processor: Processor) -> None:
    """Tables, views and roll-ups of a processor, where they are missing.

    Raises:
        ContractError: its DDL or SQL is not valid.
    """
    more = extras(processor)
    own = {**processor.tables, **more.journals}
    tables = [*own.items(), *derived_tables(processor).items()]
    existing = {row[0] for row in connection.execute(RELATIONS).fetchall()}
    name = ""
    try:
        for name, columns in tables:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
            if name in existing:
                write.add_columns(connection, name, columns)
        for name, sql in more.views.items():
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}")
    except REFUSED as error:
        raise ContractError(f"processor {processor.name!r}: {name}: {in_words(error)}") from error


def check_declarations(processor: Processor) -> None:
    """Check its DDL, views and summaries, without a row.

    Raises:
        ContractError: one is not valid; says which, and what DuckDB says of it.
    """
    with _nowhere() as connection:
        create_relations(connection, processor)
        for summary in extras(processor).summaries:
            try:
                connection.execute(f"EXPLAIN {summary.sql}")
            except REFUSED as error:
                raise ContractError(
                    f"processor {processor.name!r}: summary {summary.title!r}: {in_words(error)}"
                ) from error


def declared_columns(processor: Processor) -> dict[str, list[tuple[str, str]]]:
    """Table, view or roll-up -> (column, DuckDB type), from the declarations alone.

    Raises:
        ContractError: they are not valid.
    """
    with _nowhere() as connection:
        of_the_store = {row[0] for row in connection.execute(RELATIONS).fetchall()}
        create_relations(connection, processor)
        rows = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        if table in of_the_store:
            continue
        found.setdefault(table, []).append((column, kind))
    return found


def _nowhere() -> duckdb.DuckDBPyConnection:
    """A database in memory that may do as little as the real one."""
    connection = duckdb.connect(":memory:", config={"enable_external_access": False})
    # SQL of a processor may ask which files are gone.
    connection.execute(schema.tables())
    return connection
