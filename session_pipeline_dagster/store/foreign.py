"""A DuckDB file that is somebody else's: it is read, as of one moment, and never written.

Only tables of its main schema are offered; what its views say is theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.errors import StoreBusy, StoreUnusable

Columns = Mapping[str, frozenset[str]]
"""Table -> names of its columns."""

_TABLES = """SELECT table_name, list(column_name) FROM duckdb_columns()
    WHERE NOT internal AND schema_name = 'main' AND database_name = current_database()
    AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main')
    GROUP BY table_name"""
_HELD = "Could not set lock on file"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "threads": 1,
    "memory_limit": "512MB",
}


def read_foreign(
    path: Path, ask: Callable[[Columns], Mapping[str, str]]
) -> Mapping[str, Sequence[Row]]:
    """The rows of each SELECT.

    Args:
        ask: from the tables that are there, which SELECTs; what it raises is raised.

    Raises:
        StoreBusy: another process has it open to write.
        StoreUnusable: it is missing, no DuckDB file, damaged, or of a newer DuckDB; or its columns
            are of types that the SELECTs do not take.
    """
    if not path.is_file():
        raise StoreUnusable(f"there is no file {path}")
    try:
        with duckdb.connect(str(path), read_only=True, config=_CONFIG) as connection:
            connection.begin()
            found = connection.sql(_TABLES).fetchall()
            selects = ask({name: frozenset(columns) for name, columns in found})
            return {name: connection.execute(sql).fetchall() for name, sql in selects.items()}
    except (duckdb.BinderException, duckdb.ConversionException) as error:
        raise StoreUnusable(
            f"{path} has columns of these names, but of other types ({type(error).__name__})"
        ) from None
    except duckdb.Error as error:
        if _HELD in str(error):
            raise StoreBusy(
                f"{path} is open in another process; stop that, or take over a copy of the file"
            ) from None
        raise StoreUnusable(
            f"{path} cannot be read with DuckDB {duckdb.__version__} ({type(error).__name__}): it "
            "is no DuckDB file, damaged, or of a newer version"
        ) from None
