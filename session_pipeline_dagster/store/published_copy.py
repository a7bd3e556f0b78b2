"""A DuckDB file for others, made of this one: some tables, and nothing of what else is in here.

The database is copied as bytes while nobody writes, which takes milliseconds; what is published is
made of that copy when everybody may write again. Its rows are written anew, for what was deleted
once can still lie between the rows of a file that was only copied.
"""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from session_pipeline_dagster.errors import ContractError, SettingsError, StoreUnusable
from session_pipeline_dagster.store.copying import make_views, quoted
from session_pipeline_dagster.store.declare import REFUSED, in_words
from session_pipeline_dagster.store.handing_out import Reading, reading

if TYPE_CHECKING:
    from session_pipeline_dagster.store.database import Store

_VIEWS = """SELECT view_name, sql FROM duckdb_views() WHERE NOT (internal OR temporary)
    AND schema_name = 'main' AND database_name = current_database() ORDER BY view_name"""
_ATTACH = "ATTACH {} AS made (STORAGE_VERSION 'v1.0.0')"
"""The file is for others' tools, and their DuckDB is often one of before: Evidence's is 1.4."""
_OF_A_DATABASE = """SELECT 1 FROM duckdb_tables() WHERE table_name = 'session_pipeline_schema'"""
"""What a database of ours has, and no copy."""
_SOURCE = "published"
"""Of the copy of the database: the end of its name."""
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
        people: how people are shown, in a word; empty = the file does not say.
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
        SettingsError: the target cannot be written, or is something else than a copy.
        ContractError: a SELECT is not valid.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_what_is_no_copy(target)
        for left in begun(target):
            left.unlink(missing_ok=True)
        return _make(store, target, copy, memory_mb)
    except OSError as error:
        raise _unwritable(target, error.strerror) from error
    except duckdb.IOException as error:
        full = "No space left" in str(error)
        why = "No space left on device" if full else "its folder takes no file"
        raise _unwritable(target, why) from None


def is_database_file(file: Path) -> bool:
    """Whether a file is a database of DuckDB, by what such have from their ninth byte on.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        return opened.read(12)[8:] == b"DUCK"


def _unwritable(target: Path, why: str | None) -> SettingsError:
    return SettingsError(f"{target} cannot be written ({why}); set SESSION_PIPELINE_PUBLISH")


def _refuse_what_is_no_copy(target: Path) -> None:
    """What is there is written over only where it is a copy of before: not this database, which a
    link may lead to, and no other.

    Raises:
        SettingsError: it is something else.
    """
    if not target.exists() or not target.stat().st_size:
        return
    what = "no DuckDB file"
    if is_database_file(target):
        try:
            with closing(duckdb.connect(str(target), read_only=True)) as connection:
                if not connection.execute(_OF_A_DATABASE).fetchall():
                    return
        except duckdb.IOException:
            # Somebody has it open to write, as no database of ours is while a copy of it is made.
            return
        except duckdb.Error:
            pass
        what = "a database, and no copy of one"
    raise SettingsError(
        f"{target} is {what}, and is not written over; set SESSION_PIPELINE_PUBLISH to another "
        "file, or delete this one"
    )


def _make(store: "Store", target: Path, copy: Copy, memory_mb: int) -> Made:
    started = time.monotonic()
    # Beside the database: it has everything, and others may look into the target's folder.
    source = store.beside(_SOURCE)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        _discard(source)
        with store.place.writing():
            locked = time.monotonic()
            is_copied = store.place.copy_to(source)
            held = time.monotonic() - locked
        if not is_copied and copy.views:
            raise StoreUnusable(
                f"a lake is read by as many as like, so none is copied to {target.name}; unset "
                "SESSION_PIPELINE_PUBLISH and give readers a role of their own (docs/scale.md), "
                "or export Parquet"
            )
        if is_copied:
            rows = _build(source, fresh, copy, memory_mb)
        else:
            rows = reading(store, lambda read: _build_of_rows(read, fresh, copy, memory_mb))
        size = fresh.stat().st_size
        fresh.replace(target)
    finally:
        _discard(source)
        _discard(fresh)
    return Made(rows, size, held, time.monotonic() - started)


def _discard(path: Path) -> None:
    for left in _with_its_own(path):
        left.unlink(missing_ok=True)


def _with_its_own(path: Path) -> list[Path]:
    names = (path.name, f"{path.name}.wal", f"{path.name}.part", f"{path.name}.wal.part")
    return [path.with_name(name) for name in names]


def sources(store: "Store") -> list[Path]:
    """Copies of the database that processes that were killed have left."""
    return [path for path in _with_its_own(store.beside(_SOURCE)) if path.is_file()]


def begun(target: Path) -> list[Path]:
    """What processes that were killed had begun of it."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}(?:\.wal)?")
    there = target.parent.iterdir() if target.parent.is_dir() else ()
    return sorted(path for path in there if ours.fullmatch(path.name) and path.is_file())


def _opened(path: Path | None, beside: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """A connection to the file, or to none, that spills beside another one."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": "v1.5.0",
        "threads": 1,
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(beside.parent),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    return duckdb.connect(str(path or ":memory:"), config=config)


def _build(source: Path, fresh: Path, copy: Copy, memory_mb: int) -> dict[str, int]:
    """Make the file of a copy of the database; rows of each table."""
    with closing(_opened(source, source, memory_mb)) as connection:
        try:
            connection.execute(_ATTACH.format(_text(str(fresh))))
            rows = {t.name: _table(connection, t, f"({t.select})") for t in copy.tables}
            views = dict(connection.execute(_VIEWS).fetchall())
            connection.execute("USE made")
            make_views(connection, {name: views[name] for name in copy.views if name in views})
            _finish(connection, copy)
        except REFUSED as error:
            raise _unreadable(error) from None
    return rows


def _build_of_rows(read: Reading, fresh: Path, copy: Copy, memory_mb: int) -> dict[str, int]:
    """The same of what is read, where there is nothing that could be copied."""
    rows: dict[str, int] = {}
    with closing(_opened(None, fresh, memory_mb)) as connection:
        try:
            connection.execute(_ATTACH.format(_text(str(fresh))))
            for table in copy.tables:
                connection.register("given", read.batches(table.select))
                rows[table.name] = _table(connection, table, "given")
                connection.unregister("given")
            _finish(connection, copy)
        except REFUSED as error:
            raise _unreadable(error) from None
    return rows


def _table(connection: duckdb.DuckDBPyConnection, table: Shown, rows: str) -> int:
    name = f"made.{quoted(table.name)}"
    connection.execute(f"CREATE TABLE {name} AS FROM {rows}")
    if table.description:
        connection.execute(f"COMMENT ON TABLE {name} IS {_text(table.description)}")
    return connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]


def _finish(connection: duckdb.DuckDBPyConnection, copy: Copy) -> None:
    if copy.people:
        said = f"SELECT now() AS made_at, {_text(copy.people)} AS people"
        connection.execute(f"CREATE TABLE made.{_ABOUT} AS {said}")
    connection.execute("CHECKPOINT made")


def _unreadable(error: duckdb.Error) -> ContractError:
    return ContractError(f"what is published cannot be read: {in_words(error)}")


def _text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"
