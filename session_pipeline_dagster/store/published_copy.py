"""A DuckDB file for others, made of this one: some tables, and nothing of what else is in here.

The database is copied as bytes while nobody writes, which takes milliseconds; what is published is
made of that copy when everybody may write again. Its rows are written anew, for what was deleted
once can still lie between the rows of a file that was only copied.
"""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.store.copying import make_views, quoted
from session_pipeline_dagster.store.declare import REFUSED, in_words

if TYPE_CHECKING:
    from session_pipeline_dagster.store.database import Store

_VIEWS = """SELECT view_name, sql FROM duckdb_views() WHERE NOT (internal OR temporary)
    AND schema_name = 'main' AND database_name = current_database() ORDER BY view_name"""
_ABOUT = "published"
"""The table that says when it was made and how people are shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A table to be made: its name, the SELECT of its rows, what it is."""

    name: str
    select: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be in the file.

    Attributes:
        tables: made in this order.
        views: names of views of the database that are made as they are there, over these tables.
        people: how people are shown, in a word.
    """

    tables: Sequence[Shown]
    views: Sequence[str] = ()
    people: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: table -> rows; `held`: for how many seconds nobody could write."""

    rows: Mapping[str, int]
    bytes: int
    held: float
    seconds: float


def make(store: "Store", target: Path, copy: Copy, memory_mb: int) -> Made:
    """Make the file, so that there is the one of before or all of the new one.

    Raises:
        StoreError: the database cannot be read, or is no file.
        SettingsError: the target cannot be written.
        ContractError: a SELECT is not valid.
    """
    started = time.monotonic()
    name = f".{target.name}.{uuid.uuid4().hex}"
    source, fresh = target.with_name(f"{name}.source"), target.with_name(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in begun(target):
            left.unlink(missing_ok=True)
        with store.place.writing():
            locked = time.monotonic()
            store.place.copy_to(source)
            held = time.monotonic() - locked
        rows = _build(source, fresh, copy, memory_mb)
        size = fresh.stat().st_size
        fresh.replace(target)
    except OSError as error:
        raise SettingsError(
            f"{target} cannot be written ({error.strerror}); set SESSION_PIPELINE_PUBLISH"
        ) from error
    finally:
        for path in (source, fresh):
            for left in (path, path.with_name(f"{path.name}.wal")):
                left.unlink(missing_ok=True)
    return Made(rows, size, held, time.monotonic() - started)


def begun(target: Path) -> list[Path]:
    """What processes that were killed had begun of it."""
    ours = re.compile(
        rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}(?:\.source)?(?:\.part)?(?:\.wal)?"
    )
    there = target.parent.iterdir() if target.parent.is_dir() else ()
    return sorted(path for path in there if ours.fullmatch(path.name) and path.is_file())


def _build(source: Path, fresh: Path, copy: Copy, memory_mb: int) -> dict[str, int]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": "v1.5.0",
        "threads": 1,
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(fresh.parent),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(str(source), config=config)
    try:
        connection.execute(f"ATTACH {_text(str(fresh))} AS made")
        rows: dict[str, int] = {}
        for table in copy.tables:
            connection.execute(f"CREATE TABLE made.{quoted(table.name)} AS {table.select}")
            if table.description:
                said = _text(table.description)
                connection.execute(f"COMMENT ON TABLE made.{quoted(table.name)} IS {said}")
            counted = f"SELECT count(*) FROM made.{quoted(table.name)}"
            rows[table.name] = connection.execute(counted).fetchall()[0][0]
        connection.execute(
            f"CREATE TABLE made.{_ABOUT} AS SELECT now() AS made_at, {_text(copy.people)} AS people"
        )
        views = dict(connection.execute(_VIEWS).fetchall())
        connection.execute("USE made")
        make_views(connection, {name: views[name] for name in copy.views if name in views})
        connection.execute("CHECKPOINT made")
    except REFUSED as error:
        raise ContractError(f"what is published cannot be read: {in_words(error)}") from None
    finally:
        connection.close()
    return rows


def _text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"
