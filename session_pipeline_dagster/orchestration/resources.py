"""Resources: typed shells around the core's plain objects.

Steps and checks have theirs from here, so that the launchpad shows which files and which database a
run uses. Each instance of the pipeline has keys of its own, so they are asked for by key.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from session_pipeline_dagster.orchestration.names import PLAIN, SHARD_TAG, Names
from session_pipeline_dagster.passes.breadcrumbs import leased
from session_pipeline_dagster.setting_places import parse_database, parse_root
from session_pipeline_dagster.setting_records import PeopleSettings
from session_pipeline_dagster.settings import (
    Layout,
    Limits,
    Settings,
    read_people_mode,
    read_s3,
)
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.sources.opening import open_checked
from session_pipeline_dagster.store.database import Store, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from session_pipeline_dagster.store.leases import Lease


class SessionsResource(dg.ConfigurableResource):
    """Where session files are."""

    roots: dict[str, str] = Field(
        description="Name -> folder or URL; the unnamed root's name is empty."
    )
    layout: str = Field(
        "users", description="What the folders say: users, projects, codex, copilot or gemini."
    )
    user: str = Field("me", description="Whose sessions they are where no folder says it.")
    force_layout: bool = Field(False, description="Take a root whose layout looks wrong.")
    line_bytes: int = Field(Limits().line, description="The longest line that is read.")
    unpacked_bytes: int = Field(Limits().unpacked, description="The most a packed file may hold.")

    def source(self) -> SessionSource:
        """The session files."""
        roots = tuple(
            replace(parse_root(where), name=name or None) for name, where in self.roots.items()
        )
        limits = Limits(self.line_bytes, self.unpacked_bytes)
        settings = Settings(
            roots=roots,
            layout=Layout(self.layout),
            force_layout=self.force_layout,
            user=self.user,
            limits=limits,
            s3=read_s3(),
            people=PeopleSettings(mode=read_people_mode()),
        )
        return open_checked(settings)


class StoreResource(DuckDBResource):
    """The DuckDB file or the lake, with short connections.

    Unlike its base it closes on error, retries nothing but lock errors, gives up after a time of
    its own and names the process that holds the file.
    """

    lock_timeout_seconds: float = Field(120.0, description="How long to wait for the file's lock.")
    memory_mb: int = Field(128, description="DuckDB's memory limit.")
    threads: int = Field(1, description="DuckDB's threads.")
    create_folder: bool = Field(False, description="Create the database's folder if missing.")
    lake_data: str | None = Field(None, description="Where the Parquet of a lake is.")
    work_dir: str = Field("var", description="Where this machine's files of a lake go.")
    _leased: ExitStack = PrivateAttr(default_factory=ExitStack)
    _lease: "Lease | None" = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """A run has its lease for as long as its process works on it, whatever it makes."""
        run = context.run
        if run is not None:
            shard = run.tags.get(SHARD_TAG, "").rpartition(":")[2]
            self._lease = self._leased.enter_context(leased(self.store(), run.run_id, shard)).lease

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Give it back; of a process that is killed it is not, and so the janitor knows."""
        self._leased.close()

    def store(self) -> Store:
        """The store, for everything this project does with the file."""
        settings = Settings(
            database=parse_database(self.database),
            lock_timeout=timedelta(seconds=self.lock_timeout_seconds),
            database_memory_mb=self.memory_mb,
            database_threads=self.threads,
            create_database_folder=self.create_folder,
            lake_data=self.lake_data,
            work_dir=Path(self.work_dir),
            # Its keys are secrets, and what a resource has is shown.
            s3=read_s3(),
        )
        return replace(open_store(settings), lease=self._lease)

    @contextmanager
    def get_connection(self) -> Generator["DuckDBPyConnection"]:
        """A short connection, for assets of your own."""
        with self.store().connect() as connection:
            yield connection


class _Context(Protocol):
    """Of a step or a check."""

    @property
    def resources(self) -> Any: ...


def keys(names: Names) -> set[str]:
    """What a step needs that reads session files and the database."""
    return {names.sessions, names.store}


def source_in(context: _Context, names: Names) -> SessionSource:
    """The session files of this instance."""
    found: SessionsResource = getattr(context.resources, names.sessions)
    return found.source()


def store_in(context: _Context, names: Names) -> Store:
    """The store of this instance."""
    found: StoreResource = getattr(context.resources, names.store)
    return found.store()


def resources(settings: Settings, names: Names = PLAIN) -> dict[str, dg.ConfigurableResource]:
    """The resources of an instance, from its settings."""
    return {
        names.sessions: SessionsResource(
            roots={root.name or "": root.label for root in settings.roots},
            layout=settings.layout.value,
            force_layout=settings.force_layout,
            user=settings.user,
            line_bytes=settings.limits.line,
            unpacked_bytes=settings.limits.unpacked,
        ),
        names.store: StoreResource(
            database=str(settings.database),
            lock_timeout_seconds=settings.lock_timeout.total_seconds(),
            memory_mb=settings.database_memory_mb,
            threads=settings.database_threads,
            create_folder=settings.create_database_folder,
            lake_data=settings.lake_data,
            work_dir=str(settings.work_dir),
        ),
    }
