"""The lake as a place: everyone reads, and of all machines one transaction at a time writes.

Two engines at most are kept open, one to read and one to write; whichever fails is thrown away. An
advisory lock of the catalog lets one writer in; a row of the lake that every transaction changes
refuses one that has lost the lock and does not know (docs/decisions/0038-lake.md).
"""

import uuid
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import NoReturn

import duckdb
import psycopg

from session_pipeline_dagster.errors import (
    ContractError,
    OthersWrite,
    SettingsError,
    StoreError,
    StoreInterrupted,
    StoreUnusable,
    first_line,
)
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.lake.catalog import REPORT, WRITING, Catalog
from session_pipeline_dagster.store.lake.engine import NAME, Engine, Opening, open_engine
from session_pipeline_dagster.store.lake.errors import broken_by, of_the_engine
from session_pipeline_dagster.store.lake.leases import Leases
from session_pipeline_dagster.store.lake.upkeep import tidy, untidied
from session_pipeline_dagster.store.states import Mark, Tidied

_FENCE = "session_pipeline_fence"


@dataclass(slots=True)
class _Engines:
    """What one process keeps open of a lake."""

    reader: Engine | None = None
    writer: Engine | None = None
    commit: str | None = None
    opening: Lock = field(default_factory=Lock)
    writing: Lock = field(default_factory=Lock)
    """One thread at a time has the writer, also if the catalog's lock is lost."""


@dataclass(frozen=True, slots=True)
class LakePlace:
    """A lake and how to open it; see `Place`.

    Attributes:
        lock_timeout: how long to wait for another writer, and for a catalog that does not answer.
        looking: nothing is written or made; what is not there is empty.
    """

    opening: Opening
    catalog: Catalog
    lock_timeout: timedelta = timedelta(seconds=120)
    looking: bool = False
    _engines: _Engines = field(default_factory=_Engines, compare=False, repr=False)

    @property
    def label(self) -> str:
        """As it was given; there is no password in it."""
        return str(self.opening.lake)

    @property
    def missing(self) -> bool:
        """Whether there is no lake yet."""
        return not self.catalog.is_made

    def mark(self) -> Mark:
        """Its newest snapshot; see `Place.mark`."""
        try:
            return Mark(self.catalog.snapshot(), lasts=True)
        except StoreError as error:
            # Whoever looks next says what is wrong.
            return Mark(str(error), lasts=False)

    def beside(self, name: str) -> Path:
        """In this machine's work folder."""
        return self.opening.folder / f"lake.{name}"

    @contextmanager
    def connect(self, timeout: timedelta | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection that reads; see `Place.connect`. Runs go on beside it."""
        with self.catalog.watched():
            try:
                engine = self._reader()
            except duckdb.Error as error:
                self._fail(error)
            if engine is None:
                with duckdb.connect(config={"enable_external_access": False}) as nothing:
                    yield nothing
                return
            with self._connection(engine) as connection:
                yield connection

    @contextmanager
    def writing(self) -> Generator[duckdb.DuckDBPyConnection]:
        """The catalog's lock and a connection that writes; see `Place.writing`."""
        if self.looking:
            raise StoreUnusable(
                f"{self.label} does not have the tables of this version, and is only looked at; "
                "`session-pipeline run` makes them"
            )
        with (
            self._of_this_process(),
            self.catalog.lock(WRITING, "written to", self.lock_timeout),
        ):
            try:
                engine = self._writer()
            except duckdb.Error as error:
                self._fail(error)
            with self._connection(engine) as connection:
                yield connection

    def begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Begin, named, and through the fence: of two that are at it, one commits."""
        self._engines.commit = uuid.uuid4().hex
        connection.begin()
        connection.execute(
            f"CALL {NAME}.set_commit_message('session-pipeline', '', extra_info => ?)",
            [self._engines.commit],
        )
        connection.execute(f"UPDATE {_FENCE} SET passed = passed + 1")

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Commit without reach of the files; see `engine.py`."""
        engine, commit = self._engines.writer, self._engines.commit
        assert engine is not None  # noqa: S101  it is the one of this connection
        try:
            with engine.cut_off():
                connection.commit()
        except duckdb.Error as error:
            raise StoreInterrupted(
                f"{self.label} did not take a commit; somebody else was faster, the line to its "
                "catalog broke, or Postgres could not write (its log says why)",
                commit,
            ) from error

    def has(self, commit: str) -> bool:
        """Whether it is in a snapshot's name."""
        return self.catalog.has(commit)

    def exclusive(self, what: str) -> AbstractContextManager[None]:
        """A lock of the catalog; see `Place.exclusive`."""
        return self.catalog.lock(REPORT, f"being made a {what} of", self.lock_timeout)

    def leases(self) -> Leases:
        """Rows of its catalog's database; see `Place.leases`."""
        return Leases(self.catalog, self.lock_timeout)

    def holder(self, patience: timedelta) -> int | None:
        """Somebody without an id here, if the lock lasts; see `Place.holder`."""
        return 0 if self.catalog.is_locked_for(WRITING, patience) else None

    def keep_copy(self, version: int) -> None:
        """A lake keeps what it was for as long as its snapshots last."""

    def copy_to(self, target: Path) -> bool:
        """A lake is no file, and needs no copy: nobody who reads it keeps anybody waiting."""
        return False

    def tidy(self, keep: timedelta) -> Tidied:
        """See `upkeep.py`."""
        return tidy(self, self.catalog, keep)

    def untidied(self) -> timedelta | None:
        """See `upkeep.py`."""
        return untidied(self.catalog)

    @contextmanager
    def _of_this_process(self) -> Generator[None]:
        """One thread of this process at a time."""
        if not self._engines.writing.acquire(timeout=self.lock_timeout.total_seconds()):
            raise OthersWrite(f"{self.label} is written to by another thread of this process; wait")
        try:
            yield
        finally:
            self._engines.writing.release()

    # --- engines -------------------------------------------------------------------------------

    @contextmanager
    def _connection(self, engine: Engine) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection of the engine; if it breaks, the engine is of no use any more."""
        try:
            with engine.connection() as connection:
                yield connection
        except StoreInterrupted:
            self._throw_away(engine)
            raise
        except (duckdb.Error, ContractError) as error:
            broken = broken_by(error)
            if broken is None:
                raise
            self._throw_away(engine)
            self._fail(broken)

    def _fail(self, error: duckdb.Error) -> NoReturn:
        raise of_the_engine(self.label, self.opening.data, str(error)) from error

    def _throw_away(self, engine: Engine) -> None:
        with self._engines.opening:
            if self._engines.reader is engine:
                self._engines.reader = None
            if self._engines.writer is engine:
                self._engines.writer = None
        engine.close()

    def _reader(self) -> Engine | None:
        """The engine that reads; None where there is no lake, and none is to be made."""
        with self._engines.opening:
            if self._engines.reader is not None:
                return self._engines.reader
        self._check_data(self.catalog.data_path())
        if self.missing:
            if self.looking:
                return None
            with self.writing():
                pass
        with self._engines.opening:
            if self._engines.reader is None:
                self._engines.reader = open_engine(self.opening, writes=False)
            return self._engines.reader

    def _writer(self) -> Engine:
        """The engine that writes, for who has the lock; makes the lake where there is none."""
        if self._engines.writer is None:
            made = self.catalog.data_path()
            self._check_data(made)
            if self.catalog.is_read_only():
                raise StoreUnusable(
                    f"the Postgres of {self.label} takes no writes: it is a standby, or set to "
                    "read only; target_session_attrs=read-write beside several hosts finds the "
                    "one that does"
                )
            if made is None:
                self._make()
            elif not self.catalog.may_write():
                raise StoreUnusable(
                    f"this user of {self.label} may only read; `run` and all that writes need the "
                    "one who made it (docs/scale.md)"
                )
            engine = open_engine(self.opening, writes=True)
            try:
                _fence_in(engine)
            except duckdb.Error:
                engine.close()
                raise
            self._engines.writer = engine
        return self._engines.writer

    def _make(self) -> None:
        if not self.opening.in_bucket:
            folder = Path(self.opening.data)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnusable(
                    f"{folder} cannot be made a folder ({error.strerror}); "
                    "set SESSION_PIPELINE_LAKE_DATA"
                ) from error
        open_engine(self.opening, writes=True, new=True).close()

    def _check_data(self, made: str | None) -> None:
        """Whether the lake is where it was made."""
        if made is not None and made.rstrip("/") != self.opening.data.rstrip("/"):
            raise StoreUnusable(
                f"the rows of {self.label} are in {made}, and SESSION_PIPELINE_LAKE_DATA says "
                f"{self.opening.data}; set it to the first"
            )


def _fence_in(engine: Engine) -> None:
    """Make the fence's row where there is none: a new lake, or one whose maker died over it."""
    with engine.connection() as connection:
        connection.begin()
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_FENCE} (passed BIGINT)")
        if not connection.execute(f"FROM {_FENCE}").fetchall():
            connection.execute(f"INSERT INTO {_FENCE} VALUES (0)")
            with engine.cut_off():
                connection.commit()


def open_lake(settings: Settings, lake: Lake, timeout: timedelta, *, looking: bool) -> LakePlace:
    """The lake of the settings; nothing is opened yet.

    Raises:
        SettingsError: what a lake needs is not set.
    """
    if settings.lake_data is None:
        raise SettingsError(
            f"SESSION_PIPELINE_DATABASE is {lake}, so SESSION_PIPELINE_LAKE_DATA is needed: "
            "s3://bucket/folder/, or a folder that all machines share"
        )
    if "://" in settings.lake_data and not settings.lake_data.startswith("s3://"):
        raise SettingsError(
            f"SESSION_PIPELINE_LAKE_DATA is {settings.lake_data!r}; it takes s3://bucket/folder/, "
            "or a folder"
        )
    if "://" in settings.lake_data:
        settings.s3.check_endpoint()
    catalog = Catalog(lake)
    try:
        conninfo = catalog.conninfo
    except psycopg.Error as error:
        raise SettingsError(
            f"SESSION_PIPELINE_DATABASE is {lake}, and libpq does not take that "
            f"({first_line(error)}); write ducklake:postgres:host=… dbname=… user=…"
        ) from None
    opening = Opening(
        lake,
        conninfo,
        settings.lake_data,
        settings.s3,
        settings.work_dir,
        settings.database_memory_mb,
        settings.database_threads,
    )
    return LakePlace(opening, catalog, timeout, looking)
