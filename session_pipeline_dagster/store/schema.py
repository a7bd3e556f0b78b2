"""The store's own schema: made in a new database, brought up in an older one, refused in any other.

A migration is one transaction; before it the place keeps a copy. Put a step here when
`schema.sql` changes, raise VERSION, and keep a small database of the old version in tests/data/.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.store.place import Place

VERSION = 5
_ROOT_OF_KEY = "regexp_extract(session_file, '^([A-Za-z0-9_.-]+):', 1)"
STEPS: Mapping[int, Sequence[str]] = {
    1: ("ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS gone_at TIMESTAMPTZ",),
    2: (
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS root VARCHAR",
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS left_out VARCHAR",
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS readers VARCHAR",
        "ALTER TABLE session_processor_failures ADD COLUMN IF NOT EXISTS root VARCHAR",
        """CREATE TABLE IF NOT EXISTS session_forgotten
        (key_digest VARCHAR, forgotten_at TIMESTAMPTZ)""",
        # Until now a key was all that said it.
        f"UPDATE session_processor_state SET root = {_ROOT_OF_KEY} WHERE root IS NULL",
        f"UPDATE session_processor_failures SET root = {_ROOT_OF_KEY} WHERE root IS NULL",
        # Files of other agents were "processed, 0 messages"; they are looked at once more.
        """UPDATE session_processor_state SET processor_version = 0
        WHERE lines > 0 AND unknown_lines = lines""",
    ),
    3: (
        """CREATE TABLE IF NOT EXISTS session_derivation_bases
        (derivation VARCHAR, basis VARCHAR)""",
    ),
    # A version that does not know these would write to days that are frozen, so it is refused.
    4: (
        """CREATE TABLE IF NOT EXISTS session_retention
        (processor_name VARCHAR, kind VARCHAR, frozen_before DATE, freezes VARCHAR[],
        removed BIGINT, emptied BIGINT, turned_away BIGINT, moved_at TIMESTAMPTZ)""",
        """CREATE TABLE IF NOT EXISTS session_retention_names
        (table_name VARCHAR, name UBIGINT, late BOOLEAN)""",
    ),
}
"""Version -> what makes the next one of it."""

_NAME = "session_pipeline_schema"


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether nothing has to be done."""
    return _found(connection) == [(VERSION,)]


def bring_up(connection: duckdb.DuckDBPyConnection, place: Place) -> None:
    """Make or migrate the store's own tables in one transaction; nothing where they are current.

    Whoever calls has the right to write: of two that find an older one, only one has work to do.

    Raises:
        StoreUnusable: it is of a newer schema, or what it says of itself makes no sense.
    """
    found = _found(connection)
    if found == [(VERSION,)]:
        return
    if not found:
        # Also where an older version died while it made them.
        _run(connection, place, (*statements(), f"INSERT INTO {_NAME} VALUES ({VERSION})"))
        return
    version = found[0][0]
    if len(found) > 1 or not isinstance(version, int) or version < 1:
        raise StoreUnusable(
            f"{place.label} is damaged: it does not say which schema it has. Restore a copy, or "
            "set SESSION_PIPELINE_DATABASE to a new file: all sessions are then read again"
        )
    if version > VERSION:
        raise StoreUnusable(
            f"{place.label} has schema {version}, this version knows {VERSION}; "
            "upgrade session-pipeline-dagster, or set SESSION_PIPELINE_DATABASE"
        )
    place.keep_copy(version)
    _run(connection, place, (*_steps(version), f"UPDATE {_NAME} SET version = {VERSION}"))


def make(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the store's own tables in a database that is nobody's."""
    for sql in (*statements(), f"INSERT INTO {_NAME} VALUES ({VERSION})"):
        connection.execute(sql)


def _found(connection: duckdb.DuckDBPyConnection) -> Sequence[tuple[object, ...]] | None:
    """The rows of its table; None = there is no such table."""
    try:
        return connection.execute(f"SELECT version FROM {_NAME}").fetchall()
    except duckdb.CatalogException:
        return None


def statements() -> tuple[str, ...]:
    """What makes the store's own tables in an empty database."""
    return (_tables(), *_steps(1))


def _tables() -> str:
    return Path(__file__).with_name("schema.sql").read_text("utf-8")


def _steps(version: int) -> list[str]:
    return [sql for step in range(version, VERSION) for sql in STEPS[step]]


def _run(connection: duckdb.DuckDBPyConnection, place: Place, statements: Sequence[str]) -> None:
    # All of it, or nothing: the caller closes the connection, and without a commit that undoes it.
    place.begin(connection)
    for sql in statements:
        connection.execute(sql)
    place.commit(connection)
