"""Roll-ups inside a transaction: what commits touch of them, and what a refresh makes of it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.rollup import Rollup, Whereabouts
from session_pipeline_dagster.store import frozen
from session_pipeline_dagster.store.write import register

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ROWS_AT_ONCE = 64_000
"""Of a roll-up, or of what it is made from: 80,000 fit into 128 MB, 155,000 did not."""
_TOGETHER = 30
"""Parts of a roll-up whose parts spread."""


def declare(connection: "DuckDBPyConnection", processor: Processor, digest: str) -> None:
    """Note what the relations were made from; what roll-ups hold is then to be made again."""
    rows = connection.execute(
        "SELECT session_file FROM session_processor_state WHERE processor_name = ?",
        [processor.name],
    ).fetchall()
    if rows:
        register(connection, "batch", [row[0] for row in rows])
        for kept in _kept(processor):
            connection.execute(f"DELETE FROM {kept.name}")
        # Of all files, the rows themselves say every part: to join them with as many whereabouts
        # would take minutes.
        note_changes(connection, processor)
        for kept in _kept(processor):
            connection.execute(f"INSERT INTO {kept.name} {kept.of}")
    # A version that did not know a roll-up may have taken rows from under it since.
    for rollup in extras(processor).rollups:
        connection.execute(
            f"""INSERT INTO session_rollup_changes
            SELECT DISTINCT ?, {rollup.part}::VARCHAR FROM {rollup.name}
            WHERE {rollup.part} IS NOT NULL AND {rollup.part}::VARCHAR NOT IN (
                SELECT part FROM session_rollup_changes WHERE rollup = ?)""",
            [rollup.name, rollup.name],
        )
    connection.execute(
        "DELETE FROM session_processor_declarations WHERE processor_name = ?", [processor.name]
    )
    connection.execute(
        "INSERT INTO session_processor_declarations VALUES (?, ?)", [processor.name, digest]
    )


def _kept(processor: Processor) -> list[Whereabouts]:
    return [kept for rollup in extras(processor).rollups for kept in rollup.keeps]


def keep(connection: "DuckDBPyConnection", processor: Processor) -> None:
    """Add to the tables of whereabouts what is new in the rows of the files in `batch`."""
    for kept in _kept(processor):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {kept.of}")
        connection.execute(
            f"""INSERT INTO {kept.name} FROM found
            EXCEPT (FROM {kept.name} SEMI JOIN found USING (hashed))"""
        )


@contextmanager
def without_trace(connection: "DuckDBPyConnection", processor: Processor) -> Generator[None]:
    """Rows of the files in `batch` go meanwhile, and then what only they said of whereabouts."""
    kept = _kept(processor)
    for one in kept:
        names = f"SELECT DISTINCT hashed FROM ({one.of})"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE gone_of_{one.name} AS {names}")
    yield
    if not kept:
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE batch AS "
        "SELECT session_file FROM session_processor_state WHERE processor_name = ?",
        [processor.name],
    )
    for one in kept:
        connection.execute(f"DELETE FROM {one.name} WHERE hashed IN (FROM gone_of_{one.name})")
        connection.execute(
            f"INSERT INTO {one.name} FROM ({one.of}) SEMI JOIN gone_of_{one.name} USING (hashed)"
        )


def note_changes(connection: "DuckDBPyConnection", processor: Processor) -> None:
    """Note what the files in `batch` touch of what is derived, as the tables stand now."""
    more = extras(processor)
    for derived in (*more.rollups, *more.derivations):
        if not derived.changed:
            continue
        connection.execute(
            f"INSERT INTO session_rollup_changes SELECT ?, part FROM ({derived.changed}) "
            "AS c(part) WHERE part IS NOT NULL "
            "AND part NOT IN (SELECT part FROM session_rollup_changes WHERE rollup = ?)",
            [derived.name, derived.name],
        )


def refresh(connection: "DuckDBPyConnection", rollup: Rollup) -> list[str]:
    """Recompute the parts of a roll-up that commits have touched; frozen days are left alone."""
    frozen.drop_notes(connection, rollup.name)
    notes = "SELECT DISTINCT part FROM session_rollup_changes WHERE rollup = ?"
    parts = sorted(row[0] for row in connection.execute(notes, [rollup.name]).fetchall())
    if parts and rollup.spreads:
        _take(connection, parts)
        parts = sorted({*parts, *(r[0] for r in connection.execute(rollup.spreads).fetchall())})
    many = _parts_at_once(connection, rollup, len(parts))
    for first in range(0, len(parts), many):
        _take(connection, parts[first : first + many])
        reach(connection, rollup)
        connection.execute(
            f"DELETE FROM {rollup.name} WHERE {rollup.part}::VARCHAR IN (FROM parts)"
        )
        connection.execute(f"INSERT INTO {rollup.name} {rollup.refresh}")
    for fed in rollup.feeds if parts else ():
        connection.execute(
            """INSERT INTO session_rollup_changes SELECT ?, part
            FROM (SELECT DISTINCT part FROM session_rollup_changes WHERE rollup = ?)
            WHERE part NOT IN (SELECT part FROM session_rollup_changes WHERE rollup = ?)""",
            [fed, rollup.name, fed],
        )
    connection.execute("DELETE FROM session_rollup_changes WHERE rollup = ?", [rollup.name])
    return parts


def _take(connection: "DuckDBPyConnection", parts: Sequence[str]) -> None:
    register(connection, "refreshed", parts)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE parts AS SELECT session_file AS part FROM refreshed"
    )


def reach(connection: "DuckDBPyConnection", rollup: Rollup) -> None:
    """Make the table `reach` of what a SELECT has to read for the parts in `parts`."""
    if rollup.reach:
        made = f"SELECT part FROM ({rollup.reach}) AS r(part)"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE reach AS {made}")
        for name, which in (("first_part", "min"), ("last_part", "max")):
            connection.execute(f"SET VARIABLE {name} = (SELECT {which}(part) FROM reach)")


def _parts_at_once(connection: "DuckDBPyConnection", rollup: Rollup, parts: int) -> int:
    """How many parts are recomputed by one statement: an INSERT holds all rows that it makes."""
    names = [rollup.name, *rollup.deps]
    sizes = connection.execute(
        "SELECT max(estimated_size) FROM duckdb_tables() WHERE table_name IN (SELECT unnest(?))",
        [names],
    ).fetchall()
    rows = sizes[0][0] or 0
    # Those that hang on each other read the same rows.
    least = _TOGETHER if rollup.spreads else 1
    if rows <= _ROWS_AT_ONCE:
        return max(parts, 1)
    return max(least, _ROWS_AT_ONCE * parts // rows)
