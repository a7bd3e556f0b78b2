"""The statements of the store's transactions. Every function runs inside one that `Store` opened.

Rows go in as an Arrow stream (`offered`), because the hardened connection has no replacement
scans, and because DuckDB imports pyarrow's dataset module (0.1 s, 25 MB) to look at a table. Keys
and signatures go in as JSON: a pass that only signs imports no pyarrow (0.1 s), and a list as a
parameter takes DuckDB 0.3 ms a value.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Processor, derived_tables, extras
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.sources.snapshot import content_hash
from session_pipeline_dagster.store.batch import Done, Signed
from session_pipeline_dagster.store.harmless import as_given, harmless, is_lake
from session_pipeline_dagster.store.states import Failure

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from session_pipeline_dagster.store.columns import Packed

RECORDS = ("session_processor_state", "session_processor_failures")
"""What the store itself says of a file, per processor."""

_SIGNED = """[{"session_file": "VARCHAR", "signature": {"size": "VARCHAR", "mtime_ns": "VARCHAR",
    "ctime_ns": "VARCHAR"}, "signature_at": "TIMESTAMPTZ"}]"""
"""What `Signed` is as JSON. Numbers as they are written: one that is too large would be NULL."""

OUTDATED = 0
"""A processor_version that no processor has."""


@contextmanager
def offered(
    connection: "DuckDBPyConnection", rows: "pyarrow.Table | pyarrow.RecordBatchReader"
) -> Generator[None]:
    """`offered` is a relation of these rows; DuckDB refuses to read it a second time."""
    connection.register("offered", rows.__arrow_c_stream__())
    yield
    connection.unregister("offered")


def register(connection: "DuckDBPyConnection", name: str, keys: Sequence[str]) -> None:
    """Make `name(session_file)` a temporary table of these keys."""
    if is_lake(connection):
        keys = [harmless(key) for key in keys]
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT unnest(from_json($1, '["VARCHAR"]')) AS session_file""",
        [msgspec.json.encode(keys).decode()],
    )


def arrow_schema(connection: "DuckDBPyConnection", table: str) -> "pyarrow.Schema":
    """A table's columns as Arrow types; times are instants, so their zone is written as UTC."""
    import pyarrow as pa  # noqa: PLC0415  0.1 s that a pass without work does not pay

    found = connection.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema
    return pa.schema(
        [
            pa.field(
                f.name,
                pa.timestamp("us", "UTC")
                if pa.types.is_timestamp(f.type) and f.type.tz
                else f.type,
            )
            for f in found
        ]
    )


def add_columns(connection: "DuckDBPyConnection", table: str, columns: str) -> None:
    """Add the columns that a newer version declares at the end of a table.

    Raises:
        ContractError: the table differs in another way.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE declared ({columns})")
    describe = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
    here = "AND database_name = current_database() ORDER BY column_index"
    there = "AND database_name = 'temp' ORDER BY column_index"
    present = connection.execute(describe + here, [table]).fetchall()
    wanted = connection.execute(describe + there, ["declared"]).fetchall()
    connection.execute("DROP TABLE temp.declared")
    if wanted[: len(present)] != present:
        raise ContractError(
            f"table {table!r} has other columns than its processor declares; add columns only at "
            "the end, or choose another name"
        )
    for name, kind in wanted[len(present) :]:
        connection.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {kind}')


def declaration_digest(processor: Processor) -> str:
    """Names what the tables, views and roll-ups of a processor are made from."""
    import duckdb  # noqa: PLC0415  open by now; who only writes rows needs no more than a connection

    more = extras(processor)
    rollups = [
        (
            *(r.name, r.columns, r.part, r.changed, r.refresh, *([[*r.feeds]] if r.feeds else [])),
            *((r.reach, [kept.of for kept in r.keeps]) if r.reach or r.keeps else ()),
            # They hold what `hash` says, which is another number in another DuckDB.
            *([duckdb.__version__] if r.keeps else ()),
            *([r.spreads] if r.spreads else ()),
        )
        for r in more.rollups
    ]
    # What a derivation with a basis reads may hang on a file: that is in its basis.
    derived = [
        (d.name, [] if d.basis else sorted(d.reads.items()), d.changed) for d in more.derivations
    ]
    parts = (sorted(processor.tables.items()), sorted(more.views.items()), rollups)
    if more.journals:
        parts = (*parts, sorted(more.journals.items()))
    if derived:
        parts = (*parts, derived, sorted(derived_tables(processor).items()))
    return content_hash(repr(parts).encode())


def known(connection: "DuckDBPyConnection", processor: str) -> list[str]:
    """The files in `batch` that have been processed before."""
    found = connection.execute(
        """SELECT session_file FROM session_processor_state SEMI JOIN batch USING (session_file)
        WHERE processor_name = ?""",
        [processor],
    ).fetchall()
    return [row[0] for row in found]


def delete_rows(
    connection: "DuckDBPyConnection", tables: Iterable[str], keys: Sequence[str]
) -> None:
    """Delete the files' rows from these tables."""
    register(connection, "deleted", keys)
    for table in tables:
        connection.execute(f"DELETE FROM {table} WHERE session_file IN (FROM deleted)")


def insert_parts(connection: "DuckDBPyConnection", table: str, parts: "Sequence[Packed]") -> None:
    """Insert all parts at once: many small inserts cost several times more."""
    from session_pipeline_dagster.store.columns import unpack  # noqa: PLC0415  see arrow_schema

    _insert(connection, table, unpack(parts))


def insert_rows(connection: "DuckDBPyConnection", table: str, rows: Sequence[Row]) -> None:
    """Insert rows as wide as the table.

    Raises:
        ContractError: one is not, or a value is of the wrong type.
    """
    if not rows:
        return
    from session_pipeline_dagster.store.columns import encode_table  # noqa: PLC0415  see arrow_schema

    schema = arrow_schema(connection, table)
    if set(map(len, rows)) != {len(schema)}:
        raise ContractError(f"{table}: a row takes {len(schema)} values: {', '.join(schema.names)}")
    _insert(connection, table, encode_table(table, rows, schema))


def _insert(
    connection: "DuckDBPyConnection",
    table: str,
    rows: "pyarrow.Table | pyarrow.RecordBatchReader",
) -> None:
    """Insert Arrow rows; their columns are the table's, in its order."""
    if is_lake(connection):
        from session_pipeline_dagster.store.harmless_rows import harmless_rows  # noqa: PLC0415  see arrow_schema

        rows = harmless_rows(rows)
    with offered(connection, rows):
        connection.execute(f"INSERT INTO {table} FROM offered")


def overtaken(
    connection: "DuckDBPyConnection", processor: str, appended: Mapping[str, str | None]
) -> frozenset[str]:
    """Files whose state row is no longer the one that rows were to be appended to."""
    register(connection, "appended", list(appended))
    rows = connection.execute(
        """SELECT session_file, file_hash FROM session_processor_state
        WHERE processor_name = ? AND session_file IN (FROM appended)""",
        [processor],
    ).fetchall()
    now = {as_given(key): file_hash for key, file_hash in rows}
    return frozenset(key for key, file_hash in appended.items() if now.get(key) != file_hash)


def delete_records(
    connection: "DuckDBPyConnection", table: str, processor: str, keys: Sequence[str]
) -> None:
    """Delete the files' records of one processor from a table of the store."""
    if not keys:
        return
    register(connection, "gone", keys)
    connection.execute(
        f"DELETE FROM {table} WHERE processor_name = ? AND session_file IN (FROM gone)",
        [processor],
    )


def insert_states(
    connection: "DuckDBPyConnection",
    processor: Processor,
    done: Sequence[Done],
    now: datetime,
    run_id: str | None,
) -> None:
    """The state rows of processed files."""
    rows = [
        (
            processor.name,
            d.session_file,
            d.username,
            d.session_day,
            now,
            d.items,
            d.file_hash,
            d.signature.size,
            d.signature.mtime_ns,
            d.signature.ctime_ns,
            processor.version,
            d.lines,
            d.unreadable_lines,
            d.memo,
            run_id,
            d.signature_at,
            d.unknown_lines,
            None,
            d.root,
            d.left_out,
            d.readers,
        )
        for d in done
    ]
    insert_rows(connection, "session_processor_state", rows)


def sign(connection: "DuckDBPyConnection", processor: Processor, signed: Sequence[Signed]) -> None:
    """Refresh signatures in place; there can be one for every file of a restored tree."""
    if not signed:
        return
    if is_lake(connection):
        signed = [replace(one, session_file=harmless(one.session_file)) for one in signed]
    connection.execute(
        """UPDATE session_processor_state SET size_bytes = now.size::UBIGINT,
            mtime_ns = now.mtime_ns::BIGINT, ctime_ns = now.ctime_ns::BIGINT,
            signature_at = now.signature_at,
            processor_version = coalesce(processor_version, $1)
        FROM (SELECT unnest(from_json($2, $3), recursive := true)) AS now
        WHERE processor_name = $4 AND session_processor_state.session_file = now.session_file""",
        [processor.version, msgspec.json.encode(signed).decode(), _SIGNED, processor.name],
    )


def insert_failures(
    connection: "DuckDBPyConnection", processor: str, failures: Sequence[Failure]
) -> None:
    """The failure rows of files that could not be processed."""
    rows = []
    for f in failures:
        s = f.signature
        signature = (s.size, s.mtime_ns, s.ctime_ns) if s else (None, None, None)
        times = (f.first_failed_at, f.last_failed_at, f.next_attempt_at, f.quarantined_at)
        head = (processor, f.session_file, f.attempts, f.error_class, f.error)
        rows.append((*head, *times, f.file_hash, *signature, f.tries, f.processor_version, f.root))
    insert_rows(connection, "session_processor_failures", rows)


def mark_outdated(connection: "DuckDBPyConnection", processor: str, keys: Sequence[str]) -> int:
    """Give the files' state rows a version that no processor has, and forget their failures."""
    register(connection, "outdated", keys)
    delete_records(connection, "session_processor_failures", processor, keys)
    return connection.execute(
        f"""UPDATE session_processor_state SET processor_version = {OUTDATED}
        WHERE processor_name = ? AND session_file IN (FROM outdated)""",
        [processor],
    ).fetchall()[0][0]


def mark_gone(
    connection: "DuckDBPyConnection", processor: str, keys: Sequence[str], now: datetime
) -> None:
    """Write down since when files are gone; what is marked stays, unless by a clock ahead of it."""
    if keys:
        register(connection, "marked", keys)
        connection.execute(
            """UPDATE session_processor_state SET gone_at = ?
            WHERE processor_name = ? AND session_file IN (FROM marked)
            AND (gone_at IS NULL OR gone_at > ?)""",
            [now, processor, now],
        )


def unmark_gone(connection: "DuckDBPyConnection", processor: str, keys: Sequence[str]) -> None:
    """The files are there again."""
    if keys:
        register(connection, "marked", keys)
        connection.execute(
            """UPDATE session_processor_state SET gone_at = NULL
            WHERE processor_name = ? AND session_file IN (FROM marked)""",
            [processor],
        )


def release(
    connection: "DuckDBPyConnection", processor: str, keys: Sequence[str] | None
) -> list[str]:
    """Delete failure rows: those named, or all quarantined; which files they were."""
    which = "quarantined_at IS NOT NULL"
    if keys is not None:
        register(connection, "released", keys)
        which = "session_file IN (FROM released)"
    failed = f"FROM session_processor_failures WHERE processor_name = ? AND {which}"
    # Not all places that speak DuckDB's SQL know RETURNING.
    rows = connection.execute(f"SELECT session_file {failed}", [processor]).fetchall()
    if rows:
        connection.execute(f"DELETE {failed}", [processor])
    lake = is_lake(connection)
    return sorted(as_given(row[0]) if lake else row[0] for row in rows)
