"""What leaves the database for good: every row of some files, in whatever tables there are.

What is derived from them hears of it as of any other change and is computed anew, so its tables are
left alone: a derivation that finds its own rows changed would see nothing to do.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor, derived_tables, extras
from session_pipeline_dagster.sources.snapshot import content_hash
from session_pipeline_dagster.store import frozen, rolling, write
from session_pipeline_dagster.store.harmless import as_given, harmless, is_lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST_PASS = timedelta(days=30)
"""No pass that began before it is still at work."""


def purge(connection: "DuckDBPyConnection", processor: Processor, keys: Sequence[str]) -> None:
    """Delete what one processor has of the files: rows, journals and records."""
    write.register(connection, "batch", keys)
    rolling.note_changes(connection, processor)
    with rolling.without_trace(connection, processor):
        write.delete_rows(connection, [*processor.tables, *extras(processor).journals], keys)
        rolling.note_changes(connection, processor)
        for table in write.RECORDS:
            write.delete_records(connection, table, processor.name, keys)


def forget(
    connection: "DuckDBPyConnection",
    processors: Sequence[Processor],
    keys: Sequence[str],
    user: str | None,
) -> None:
    """Delete the files' rows from every table, also of processors that are no longer installed; and
    what is kept of them, and of the user, for days whose detail is gone."""
    write.register(connection, "batch", keys)
    if frozen.note_whose(connection, user):
        frozen.forget(connection, processors)
        write.register(connection, "batch", keys)
    derived = {table for processor in processors for table in derived_tables(processor)}
    tables = [table for table in _tables(connection, "session_file") if table not in derived]
    for processor in processors:
        rolling.note_changes(connection, processor)
    with ExitStack() as traces:
        for processor in processors:
            traces.enter_context(rolling.without_trace(connection, processor))
        write.delete_rows(connection, tables, keys)
        for processor in processors:
            rolling.note_changes(connection, processor)
    now = datetime.now(UTC)
    connection.execute(
        "DELETE FROM session_forgotten WHERE forgotten_at < ?", [now - _LONGEST_PASS]
    )
    write.register(connection, "digests", [_digest(key) for key in keys])
    connection.execute("INSERT INTO session_forgotten SELECT session_file, ? FROM digests", [now])


def forgotten(
    connection: "DuckDBPyConnection", since: datetime, now: datetime
) -> Callable[[str], bool] | None:
    """Whether a file was forgotten since: a pass that began before may hold its content.

    What was forgotten at a time that is still to come was not forgotten since: a clock was ahead.
    If the pass itself began then, nobody can say, and all counts; the next pass reads the rest.

    Returns None where none was.
    """
    sql = """SELECT key_digest FROM session_forgotten
    WHERE $1::TIMESTAMPTZ > $2 OR forgotten_at BETWEEN $1 AND $2"""
    digests = {row[0] for row in connection.execute(sql, [since, now]).fetchall()}
    return (lambda key: _digest(key) in digests) if digests else None


def _digest(key: str) -> str:
    return content_hash(key.encode())


def count(
    connection: "DuckDBPyConnection",
    keys: Sequence[str],
    processors: Sequence[Processor],
    user: str | None,
) -> dict[str, int]:
    """How many rows of each table are of the files; of the processors' roll-ups, what `forget`
    takes of days whose detail is gone."""
    write.register(connection, "batch", keys)
    sql = "SELECT count(*) FROM {} WHERE session_file IN (FROM batch)"
    tables = _tables(connection, "session_file")
    found = {t: connection.execute(sql.format(t)).fetchall()[0][0] for t in tables}
    if frozen.note_whose(connection, user):
        found |= frozen.count(connection, processors)
    return found


def files_of(connection: "DuckDBPyConnection", user: str) -> tuple[set[str], dict[str, str | None]]:
    """Files that any table says are the user's; and all that failed, which say no user.

    Returns:
        Keys, as the files are called; and key -> the name of its root.
    """
    lake, keys = is_lake(connection), set[str]()
    if lake:
        user = harmless(user)
    for table in _tables(connection, "session_file", "username"):
        sql = f"SELECT DISTINCT session_file FROM {table} WHERE username = ?"
        keys.update(row[0] for row in connection.execute(sql, [user]).fetchall())
    failures = "SELECT session_file, root FROM session_processor_failures"
    failed = dict(connection.execute(failures).fetchall())
    if lake:
        return {as_given(key) for key in keys}, {as_given(k): root for k, root in failed.items()}
    return keys, failed


def _tables(connection: "DuckDBPyConnection", *columns: str) -> list[str]:
    """The tables that have all of these columns."""
    sql = """SELECT table_name FROM duckdb_columns() WHERE column_name IN (SELECT unnest(?))
    AND table_name IN (
        SELECT table_name FROM duckdb_tables() WHERE NOT (internal OR temporary))
    GROUP BY table_name HAVING count(*) = ? ORDER BY table_name"""
    rows = connection.execute(sql, [list(columns), len(columns)]).fetchall()
    return [row[0] for row in rows]
