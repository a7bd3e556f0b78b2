"""The DuckDB file as a place: opened with one configuration, by one process at a time."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from session_pipeline_dagster.errors import StoreBusy, StoreUnusable
from session_pipeline_dagster.store.file.create import create, is_missing
from session_pipeline_dagster.store.file.errors import busy, passes, unusable
from session_pipeline_dagster.store.file.marks import is_settled, lies
from session_pipeline_dagster.store.locks import holder, locked
from session_pipeline_dagster.store.states import Mark
from session_pipeline_dagster.store.waiting import patiently

_GLANCE = 0.05
_BROKEN = (
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.SerializationException,
    duckdb.OutOfMemoryException,
    # There is one writer, so no conflict: what cannot be committed cannot be written.
    duckdb.TransactionException,
)
_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"

# DuckDB raises no conflict when two threads of one process insert the same new file; between
# processes its file lock does the same job.
_ONE_WRITER = threading.Lock()


@dataclass(frozen=True, slots=True)
class DuckDBFile:
    """A DuckDB file and how to open it; see `Place`.

    Attributes:
        lock_timeout: how long to wait for another process.
        create_folder: whether a folder that is missing is made; the file always is.
        looking: nothing is written, locked for others or made; what is not there is empty.
    """

    path: Path
    lock_timeout: timedelta = timedelta(seconds=120)
    memory_mb: int = 128
    threads: int = 1
    create_folder: bool = False
    looking: bool = False

    @property
    def label(self) -> str:
        """Its path, as it was given."""
        return str(self.path)

    def beside(self, name: str) -> Path:
        """`<file>.<name>`, in its folder."""
        return self.path.with_name(f"{self.path.name}.{name}")

    @contextmanager
    def connect(self, timeout: timedelta | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A short connection, closed whatever happens; see `Place.connect`."""
        if not self.looking:
            self._check_folder()
        connection = patiently(self._open, self.lock_timeout if timeout is None else timeout)
        try:
            yield connection
        except _BROKEN as error:
            # A damaged file opens well and fails at the first block that is missing.
            raise unusable(self.path, str(error), duckdb.__version__) from error
        finally:
            connection.close()

    @contextmanager
    def writing(self) -> Generator[duckdb.DuckDBPyConnection]:
        """One thread at a time; of other processes, each connection keeps them out."""
        if self.looking and not self.missing:
            raise StoreUnusable(
                f"{self.path} does not have the tables of this version, and is only looked at; "
                "`session-pipeline run` makes them"
            )
        with _ONE_WRITER, self.connect() as connection:
            yield connection

    def begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See `Place.begin`; nobody else can be at it."""
        connection.begin()

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See `Place.commit`."""
        connection.commit()

    def has(self, commit: str) -> bool:
        """No commit of a file goes unheard."""
        return False

    def mark(self) -> Mark:
        """Where its bytes lie and since when; see `Place.mark`."""
        found = lies(self.path)
        return Mark(found, is_settled(found))

    @property
    def missing(self) -> bool:
        """Whether there is no database yet."""
        try:
            return is_missing(self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise unusable(self.path, reason, duckdb.__version__) from error

    @contextmanager
    def exclusive(self, what: str) -> Generator[None]:
        """The lock of the file's folder; see `Place.exclusive`."""
        folder = self.path.parent
        descriptor = os.open(folder, os.O_RDONLY)

        def attempt() -> None:
            if not locked(descriptor, folder):
                raise StoreBusy(f"a {what} is still being made of {self.path}; try again")

        try:
            patiently(attempt, self.lock_timeout)
            yield
        finally:
            os.close(descriptor)

    def leases(self) -> None:
        """Its workers are processes of this machine; see `Place.leases`."""

    def keep_copy(self, version: int) -> None:
        """Copy the file beside itself, with what is still in its write-ahead log."""
        for suffix in (".wal", ""):
            target = self.beside(f"schema-{version}{suffix}")
            if not self._copied(suffix, target):
                raise StoreUnusable(
                    f"{self.path} has schema {version} and is to be copied before it is brought "
                    f"up, but {target.name} cannot be written beside it; make room there"
                )

    def copy_to(self, target: Path) -> bool:
        """Copy the file, with what is still in its write-ahead log."""
        log = target.with_name(f"{target.name}.wal")
        if not (self._copied(".wal", log) and self._copied("", target)):
            raise StoreUnusable(f"{self.path} cannot be copied to {target.parent}; make room there")
        return True

    def _copied(self, suffix: str, target: Path) -> bool:
        """Whether a file of the database could be copied; nothing is there until all is."""
        source = self.path.with_name(self.path.name + suffix)
        if not source.exists():
            return True
        partly = target.with_name(f"{target.name}.part")
        # In a process of its own: closing the file here would give up the lock that this process
        # holds on it, as POSIX has it.
        copied = subprocess.run(  # noqa: S603  our own interpreter, no shell
            [sys.executable, "-c", _COPY, source, partly], capture_output=True, check=False
        )
        if copied.returncode:
            partly.unlink(missing_ok=True)
            return False
        partly.replace(target)
        return True

    def tidy(self, keep: timedelta) -> None:
        """DuckDB uses room that is free again by itself."""

    def untidied(self) -> None:
        """So nobody has to."""

    def holder(self, patience: timedelta) -> int | None:
        """Whose lock on the file lasts; see `Place.holder`."""
        give_up = time.monotonic() + patience.total_seconds()
        while True:
            try:
                found = holder(self.path)
            except OSError:
                return None
            if found is None or time.monotonic() >= give_up:
                return found
            time.sleep(_GLANCE)

    def _check_folder(self) -> None:
        folder = self.path.parent
        if folder.is_dir():
            return
        if not self.create_folder:
            raise StoreUnusable(
                f"the folder of {self.path} does not exist; create it, "
                "or set SESSION_PIPELINE_DATABASE"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(
                f"{folder} cannot be made a folder ({error.strerror}); "
                "set SESSION_PIPELINE_DATABASE"
            ) from error

    def _open(self) -> duckdb.DuckDBPyConnection:
        """A connection, without waiting for anyone; raises as `connect`."""
        # The only configuration: a process that opens a file with two different ones fails.
        config: dict[str, str | bool | int | float | list[str]] = {
            # Files that 1.5 tools read; older formats take twice as long to checkpoint.
            "storage_compatibility_version": "v1.5.0",
            "threads": self.threads,
            "memory_limit": f"{self.memory_mb}MB",
            "custom_user_agent": "session-pipeline-dagster",
            "enable_external_access": False,
            "lock_configuration": True,
        }
        try:
            if self.looking:
                there = not is_missing(self.path)
                return duckdb.connect(
                    str(self.path) if there else ":memory:", read_only=there, config=config
                )
            if is_missing(self.path) and not create(self.path, config):
                raise busy(self.path, "another process is making it")
            return duckdb.connect(str(self.path), config=config)
        except OSError as error:
            reason = error.strerror or str(error)
            raise unusable(self.path, reason, duckdb.__version__) from error
        except duckdb.Error as error:
            if passes(str(error)):
                raise busy(self.path, str(error)) from error
            raise unusable(self.path, str(error), duckdb.__version__) from error
