"""A folder of exports as others read it: DuckDB, JSON and CSV, nothing of ours."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

SUMS = (
    "messages, input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens, "
    "partial_messages, unpriced_messages, cost"
)


def rows(folder: Path, table: str, select: str = "*", kind: str = "parquet") -> list[tuple]:
    """Rows of a table as DuckDB reads its files; none where there is no file."""
    files = f"{folder / table}/*/part.{kind}"
    if not [*folder.glob(f"{table}/*/part.{kind}")]:
        return []
    read = f"read_{kind}('{files}', hive_partitioning = true)"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT {select} FROM {read} ORDER BY ALL").fetchall()


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def document(path: Path) -> Any:
    """What a JSON file says; numbers as they stand there."""
    return json.loads(path.read_text("utf-8"), parse_float=Decimal)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder: path -> inode and mtime."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def bytes_of(folder: Path) -> bytes:
    """All bytes below a folder, and all names."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return b"\0".join(
        [
            *(str(p.relative_to(folder)).encode() for p in found),
            *(path.read_bytes() for path in found),
        ]
    )
