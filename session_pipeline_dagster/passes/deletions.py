"""Files that are gone: their rows are kept and marked, or purged; and what is to be forgotten.

Gone is only what a scan would have found. A root that is missing is an error before anything is
looked at, and a root without a single session file is taken for one that is not mounted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor, derived_tables, extras
from session_pipeline_dagster.settings import OnDelete
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.store import write
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.read import Known
from session_pipeline_dagster.store.states import FileState

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RECORDS = ("session_processor_state", "session_processor_failures")


@dataclass(frozen=True, slots=True)
class Deletions:
    """What became of files that a processor knows and the disk does not have, or has again."""

    marked: int = 0
    purged: int = 0
    returned: int = 0


# --- what is gone (pure) ---


def missing(scan: Scan, known: Mapping[str, str | None]) -> list[str]:
    """The known keys whose files are deleted, as far as the scan can tell.

    Args:
        known: session file -> its root; of one whose root nobody knows, nothing can be told.
    """
    present = {file.key for file in scan.files}
    absent = [key for key in known if key not in present]
    if not absent:
        return []
    roots = {file.root for file in scan.files}
    # Below a folder that could not be read, nothing is known to be gone.
    unseen = tuple(left.key.rstrip("/") for left in scan.left_out)
    return [key for key in absent if known[key] in roots and not _below(key, unseen)]


def _in_root(key: str, root: str | None) -> str:
    return key.removeprefix(f"{root}:") if root else key


def _below(key: str, folders: Sequence[str]) -> bool:
    return any(key == folder or key.startswith(f"{folder}/") for folder in folders)


def returned(scan: Scan, states: Mapping[str, FileState]) -> list[str]:
    """Files that were gone and are there again."""
    gone = {key for key, state in states.items() if state.gone}
    return [file.key for file in scan.files if file.key in gone] if gone else []


def unsettled(scan: Scan, known: Known, on_delete: OnDelete) -> tuple[list[str], list[str]]:
    """Files that are gone and files that are back, of which the store does not know that yet."""
    purging = on_delete is OnDelete.PURGE
    roots = {key: failure.root for key, failure in known.failures.items()}
    roots |= {key: s.root for key, s in known.states.items() if purging or not s.gone}
    gone = missing(scan, roots)
    return gone, returned(scan, known.states)


# --- what is done about it ---


def settle(
    processor: Processor, scan: Scan, known: Known, store: Store, on_delete: OnDelete
) -> Deletions:
    """Mark or purge what is gone, and unmark what is there again. Writes only if there is any.

    Failures of gone files are forgotten; a file that comes back is tried again.
    """
    gone, back = unsettled(scan, known, on_delete)
    if not (gone or back):
        return Deletions()
    processed = [key for key in gone if key in known.states]
    if on_delete is OnDelete.PURGE and processed:
        if not known.prepared:
            store.prepare(processor)
        forget(store, [processor], processed)
    marked = [key for key in processed if not known.states[key].gone]
    with store.transaction() as connection:
        # Of purged files there is no row to mark.
        _mark(connection, processor.name, marked, datetime.now(UTC))
        _mark(connection, processor.name, back, None)
        write.delete_records(connection, _RECORDS[1], processor.name, gone)
    if on_delete is OnDelete.PURGE:
        return Deletions(purged=len(processed), returned=len(back))
    return Deletions(marked=len(marked), returned=len(back))


def _mark(
    connection: "DuckDBPyConnection", processor: str, keys: Sequence[str], when: datetime | None
) -> None:
    if not keys:
        return
    write.register(connection, "marked", keys)
    connection.execute(
        """UPDATE session_processor_state SET gone_at = ?
        WHERE processor_name = ? AND session_file IN (FROM marked)""",
        [when, processor],
    )


def forget(
    store: Store, processors: Sequence[Processor], keys: Sequence[str], *, everywhere: bool = False
) -> dict[str, int]:
    """Delete every row of these files, in one transaction; how many per table.

    What is derived hears of it as of any other change and is computed anew, so its tables are left
    alone: a derivation that finds its own rows changed would see nothing to do.

    Args:
        everywhere: also from tables of processors that are not given, or no longer installed.
    """
    with store.transaction() as connection:
        tables = _tables(connection, "session_file")
        write.register(connection, "batch", keys)
        for processor in processors:
            if set(processor.tables) <= set(tables):
                write.note_changes(connection, processor)
        if everywhere:
            derived = {table for p in processors for table in derived_tables(p)}
            names = [table for table in tables if table not in derived]
            deleted = {table: _delete(connection, table, "TRUE") for table in names}
        else:
            own = (table for p in processors for table in (*p.tables, *extras(p).journals))
            names = [table for table in own if table in tables]
            deleted = {table: _delete(connection, table, "TRUE") for table in names}
            for processor in processors:
                for table in _RECORDS:
                    count = _delete(connection, table, f"processor_name = '{processor.name}'")
                    deleted[table] = deleted.get(table, 0) + count
    return deleted


def _delete(connection: "DuckDBPyConnection", table: str, which: str) -> int:
    sql = f"DELETE FROM {table} WHERE {which} AND session_file IN (FROM batch)"
    return connection.execute(sql).fetchall()[0][0]


def count_rows(store: Store, keys: Sequence[str]) -> dict[str, int]:
    """How many rows of each table are of these files."""
    with store.connect() as connection:
        write.register(connection, "batch", keys)
        sql = "SELECT count(*) FROM {} WHERE session_file IN (FROM batch)"
        tables = _tables(connection, "session_file")
        return {t: connection.execute(sql.format(t)).fetchall()[0][0] for t in tables}


def keys_of_user(store: Store, user: str) -> list[str]:
    """Every file of a user that any table speaks of."""
    keys: set[str] = set()
    with store.connect() as connection:
        for table in _tables(connection, "session_file", "username"):
            sql = f"SELECT DISTINCT session_file FROM {table} WHERE username = ?"
            keys.update(row[0] for row in connection.execute(sql, [user]).fetchall())
        # Of a file that only ever failed, its key alone says whose it is.
        failures = "SELECT DISTINCT session_file, root FROM session_processor_failures"
        rows = connection.execute(failures).fetchall()
        keys.update(key for key, root in rows if _below(_in_root(key, root), [user]))
    return sorted(keys)


def _tables(connection: "DuckDBPyConnection", *columns: str) -> list[str]:
    """The tables that have all of these columns."""
    sql = """SELECT table_name FROM duckdb_columns() WHERE column_name IN (SELECT unnest(?))
    AND table_name IN (
        SELECT table_name FROM duckdb_tables() WHERE NOT (internal OR temporary))
    GROUP BY table_name HAVING count(*) = ? ORDER BY table_name"""
    rows = connection.execute(sql, [list(columns), len(columns)]).fetchall()
    return [row[0] for row in rows]
