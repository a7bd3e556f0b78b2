"""Roll-ups of days whose detail is gone: a refresh leaves them alone, and only `forget` takes of
them. Which days these are is moved in `retaining.py`."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.store.write import register

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS = """SELECT table_name, list(column_name) FROM duckdb_columns()
    WHERE database_name = current_database() GROUP BY table_name"""


def horizons(connection: "DuckDBPyConnection", processor: str) -> dict[str, date]:
    """Kind of detail -> the day before which it is gone, where any is."""
    found = connection.execute(
        "SELECT kind, frozen_before FROM session_retention WHERE processor_name = ?", [processor]
    ).fetchall()
    return {kind: before for kind, before in found if before is not None}


def before(connection: "DuckDBPyConnection", rollup: str) -> date | None:
    """The first day of a roll-up that is not frozen; None where no day is."""
    ((found,),) = connection.execute(
        "SELECT max(frozen_before) FROM session_retention WHERE list_contains(freezes, ?)",
        [rollup],
    ).fetchall()
    return found


def drop_notes(connection: "DuckDBPyConnection", rollup: str) -> None:
    """Forget the notes of frozen days: their parts are not to be made again."""
    if (upto := before(connection, rollup)) is not None:
        connection.execute(
            """DELETE FROM session_rollup_changes
            WHERE rollup = ? AND TRY_CAST(part AS DATE) < ?""",
            [rollup, upto],
        )


def note_whose(connection: "DuckDBPyConnection", user: str | None) -> bool:
    """Note who and which sessions are to be forgotten with the files in `batch`: users and sessions
    of which no other file is known. To be asked while the rows are still there.

    Args:
        user: who is to be forgotten, files or not.

    Returns:
        Whether there is any frozen day.
    """
    some = "SELECT count(*) FROM session_retention WHERE len(freezes) > 0"
    if connection.execute(some).fetchall() == [(0,)]:
        return False
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE whose AS
        SELECT username, NULL::VARCHAR AS session_id FROM session_processor_state
            SEMI JOIN batch USING (session_file)
        EXCEPT SELECT username, NULL FROM session_processor_state
            ANTI JOIN batch USING (session_file)
        UNION SELECT $1, NULL WHERE $1 IS NOT NULL""",
        [user],
    )
    needs = {"session_file", "username", "session_id"}
    for table, columns in _columns(connection).items():
        if needs <= columns:
            connection.execute(
                f"""INSERT INTO whose SELECT username, session_id FROM {table}
                SEMI JOIN batch USING (session_file) WHERE session_id IS NOT NULL
                EXCEPT SELECT username, session_id FROM {table}
                ANTI JOIN batch USING (session_file)"""
            )
    return True


def count(connection: "DuckDBPyConnection", processors: Sequence[Processor]) -> Mapping[str, int]:
    """How many rows of frozen days are of whom `note_whose` has noted; roll-up -> rows."""
    found = {}
    for rollup, which in _theirs(connection, processors):
        sql = f"SELECT count(*) FROM {rollup.name} WHERE {which}"
        found[rollup.name] = connection.execute(sql).fetchall()[0][0]
    return {name: rows for name, rows in found.items() if rows}


def forget(connection: "DuckDBPyConnection", processors: Sequence[Processor]) -> None:
    """Delete the rows of frozen days that are of whom `note_whose` has noted.

    A roll-up that does not know sessions keeps what a forgotten session added to a person's day,
    as long as the person is known.
    """
    for rollup, which in _theirs(connection, processors):
        days = connection.execute(
            f"SELECT DISTINCT {rollup.part}::VARCHAR FROM {rollup.name} WHERE {which}"
        ).fetchall()
        connection.execute(f"DELETE FROM {rollup.name} WHERE {which}")
        register(connection, "fed", [day for (day,) in days])
        for name in rollup.feeds:
            connection.execute(
                """INSERT INTO session_rollup_changes SELECT $1, session_file FROM fed
                WHERE session_file NOT IN (
                    SELECT part FROM session_rollup_changes WHERE rollup = $1)""",
                [name],
            )


def _theirs(
    connection: "DuckDBPyConnection", processors: Sequence[Processor]
) -> list[tuple[Rollup, str]]:
    """Roll-ups with frozen days, and SQL of the rows that go."""
    found, columns = [], _columns(connection)
    for rollup in (rollup for p in processors for rollup in extras(p).rollups):
        upto = before(connection, rollup.name)
        there = columns.get(rollup.name, frozenset())
        if upto is None or "username" not in there:
            continue
        whose = "username IN (SELECT username FROM whose WHERE session_id IS NULL)"
        if "session_id" in there:
            whose += " OR (username, session_id) IN (SELECT username, session_id FROM whose)"
        found.append((rollup, f"{rollup.part} < DATE '{upto}' AND ({whose})"))
    return found


def _columns(connection: "DuckDBPyConnection") -> Mapping[str, frozenset[str]]:
    return {name: frozenset(found) for name, found in connection.execute(_COLUMNS).fetchall()}
