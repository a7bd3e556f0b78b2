"""What a processor declares: tables, views and roll-ups, made in a database or only tried out."""

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb

from session_pipeline_dagster.contract.processor import (
    Processor,
    derived_tables,
    extras,
    relations,
)
from session_pipeline_dagster.contract.quality import Data
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError, first_line
from session_pipeline_dagster.store import retaining, schema, write

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
        # No row is read, so what is said holds no value.
        said = first_line(error)
        if name.upper() in _reserved():
            said = f"a reserved word of SQL cannot name a table or view; rename it ({said})"
        raise ContractError(f"processor {processor.name!r}: {name}: {said}") from error


def _reserved() -> set[str]:
    # Not of the connection that refused: in a lake its transaction takes no more statements.
    with duckdb.connect(":memory:", config={"enable_external_access": False}) as connection:
        found = connection.execute(
            "SELECT upper(keyword_name) FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        )
        return {row[0] for row in found.fetchall()}


def check_declarations(processor: Processor) -> None:
    """Check its DDL and every statement that it declares, over empty tables.

    Raises:
        ContractError: one is not valid; says which, and what DuckDB says of it.
    """
    with _nowhere() as connection:
        create_relations(connection, processor)
        # What a commit and a refresh offer to their statements.
        connection.execute("CREATE TEMP TABLE batch (session_file VARCHAR)")
        connection.execute("CREATE TEMP TABLE parts (part VARCHAR)")
        for rollup in extras(processor).rollups:
            if rollup.reach:
                made = f"SELECT part FROM ({rollup.reach}) AS r(part)"
                what = f"roll-up {rollup.name!r}, reach"
                made = f"CREATE OR REPLACE TEMP TABLE reach AS {made}"
                _try(connection, processor, what, made)
            for what, sql in _of_rollup(rollup):
                _try(connection, processor, what, f"EXPLAIN {sql}")
        for what, sql in retaining.statements(processor):
            _try(connection, processor, what, f"EXPLAIN {sql}")
        for what, sql in _statements(processor):
            _try(connection, processor, what, f"EXPLAIN {sql}")

        def select(sql: str) -> list[tuple[object, ...]]:
            return _try(connection, processor, f"quality rule {rule.name!r}", sql)

        for rule in extras(processor).quality:
            rule.measure(Data(select, lambda _: None))
        _check_described(connection, processor)


def _statements(processor: Processor) -> Iterator[tuple[str, str]]:
    """What it is beside roll-ups that has a statement, and the statement as it will be run."""
    more = extras(processor)
    for derivation in more.derivations:
        what = f"derivation {derivation.name!r}"
        if derivation.changed:
            yield f"{what}, changed", f"SELECT part FROM ({derivation.changed}) AS c(part)"
        for name, sql in derivation.reads.items():
            yield f"{what}, reads {name!r}", f"SELECT r FROM ({sql}) AS r"
        for name, table in derivation.tables.items():
            yield f"{what}, key of {name!r}", f"SELECT ({table.key})::VARCHAR FROM {name}"
    for summary in more.summaries:
        yield f"summary {summary.title!r}", summary.sql
    for report in more.reports:
        for number, sql in enumerate(report.selects(Asked(datetime.now(UTC).date())), start=1):
            yield f"report {report.name!r}, SELECT {number}", sql


def _of_rollup(rollup: Rollup) -> Iterator[tuple[str, str]]:
    what = f"roll-up {rollup.name!r}"
    for kept in rollup.keeps:
        yield f"{what}, whereabouts {kept.name!r}", f"INSERT INTO {kept.name} {kept.of}"
    yield f"{what}, part", f"SELECT ({rollup.part})::VARCHAR FROM {rollup.name}"
    if rollup.changed:
        yield f"{what}, changed", f"SELECT part FROM ({rollup.changed}) AS c(part)"
    if rollup.numbers:
        yield f"{what}, numbers", rollup.numbers
    if rollup.spreads:
        yield f"{what}, spreads", f"SELECT part FROM ({rollup.spreads}) AS s(part)"
    yield f"{what}, refresh", f"INSERT INTO {rollup.name} {rollup.refresh}"


def _try(
    connection: duckdb.DuckDBPyConnection, processor: Processor, what: str, sql: str
) -> list[tuple[object, ...]]:
    try:
        return connection.execute(sql).fetchall()
    except REFUSED as error:
        said = in_words(error)
        raise ContractError(f"processor {processor.name!r}: {what}: {said}") from error


def _check_described(connection: duckdb.DuckDBPyConnection, processor: Processor) -> None:
    """A description of what is not there would be silently nothing."""
    found = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
    ).fetchall()
    columns = {(table, column) for table, column in found if table in relations(processor)}
    named = {table for table, _ in columns} | {f"*.{column}" for _, column in columns}
    named |= {f"{table}.{column}" for table, column in columns}
    for name in extras(processor).descriptions:
        if name not in named:
            raise ContractError(
                f"processor {processor.name!r}: descriptions: there is no table, view or column "
                f"{name!r}"
            )


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
    for statement in schema.statements():
        connection.execute(statement)
    return connection
