"""Another backend needs to be what `Place` asks for, and no more: here is one, in memory."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from helpers import EXAMPLES
from kill_sweep import LEFT_OUT_COLUMNS
from lakes import Lakes
from session_pipeline_dagster.cli.forget import delete
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.publish import publish
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Mark
from session_pipeline_dagster.testing.pipeline import table_names

pytestmark = pytest.mark.slow

Tables = dict[str, list[tuple[object, ...]]]


def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={"enable_external_access": False})


@dataclass(frozen=True)
class InMemory:
    """A database that lives as long as this object."""

    folder: Path
    label: str = "what is in memory"
    looking: bool = False
    missing: bool = False
    lock_timeout: timedelta = timedelta(seconds=5)
    database: duckdb.DuckDBPyConnection = field(default_factory=_database)
    locks: tuple[threading.Lock, ...] = field(
        default_factory=lambda: (threading.Lock(), threading.Lock())
    )

    def beside(self, name: str) -> Path:
        return self.folder / f"memory.{name}"

    @contextmanager
    def connect(self, timeout: timedelta | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        with self.database.cursor() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Generator[duckdb.DuckDBPyConnection]:
        with self.locks[0], self.connect() as connection:
            yield connection

    def mark(self) -> Mark:
        return Mark(None, lasts=False)

    def begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.begin()

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.commit()

    def has(self, commit: str) -> bool:
        return False

    @contextmanager
    def exclusive(self, what: str) -> Generator[None]:
        with self.locks[1]:
            yield

    def holder(self, patience: timedelta) -> int | None:
        return None

    def tidy(self, keep: timedelta) -> None:
        pass

    def untidied(self) -> None:
        return None

    def leases(self) -> None:
        return None

    def keep_copy(self, version: int) -> None:
        raise AssertionError("what is in memory is never of an older version")


def settings_of(folder: Path) -> Settings:
    return Settings(roots=(Root(EXAMPLES),), database=folder / "file" / "x.duckdb", workers=1)


def processed(processor: Processor, store: Store, settings: Settings) -> Tables:
    """What a pass over the examples leaves of what does not depend on when it was."""
    run_all(processor, LocalSource(settings.roots), store, settings, Options())
    found = {}
    for name in (*table_names(processor), "session_processor_state"):
        columns, _ = store.query(f"FROM {name} LIMIT 0")[0]
        kept = ", ".join(column for column in columns if column not in LEFT_OUT_COLUMNS)
        found[name] = store.query(f"SELECT {kept} FROM {name} ORDER BY ALL")[0][1]
    return found


@pytest.mark.parametrize("processor", [UsageProcessor(), VerificationProcessor()])
def test_a_pass_leaves_the_same_rows_in_a_lake(
    tmp_path: Path, processor: Processor, lakes: Lakes
) -> None:
    settings = settings_of(tmp_path)
    lake = processed(processor, lakes.store(tmp_path / "lake"), settings)
    assert lake == processed(processor, open_store(settings), settings)
    assert len(lake["session_processor_state"]) > 3


@pytest.mark.parametrize("processor", [UsageProcessor(), VerificationProcessor()])
def test_a_pass_leaves_the_same_rows_in_another_place(tmp_path: Path, processor: Processor) -> None:
    settings = settings_of(tmp_path)
    memory = processed(processor, Store(InMemory(tmp_path)), settings)
    assert not settings.database.parent.exists()
    assert memory == processed(processor, open_store(settings), settings)
    assert len(memory["session_processor_state"]) > 3


def test_a_report_is_made_and_a_user_is_forgotten_in_another_place(tmp_path: Path) -> None:
    settings = replace(settings_of(tmp_path), report_dir=tmp_path / "reports")
    store, usage = Store(InMemory(tmp_path)), UsageProcessor()
    processed(usage, store, settings)
    made = publish(usage, usage.reports[0], store, settings.reports, Asked(date(2030, 1, 1)))
    user = store.query("SELECT min(username) FROM usage_sessions")[0][1][0][0]
    assert user.encode() in made.paths[0].read_bytes()
    lost = delete(store, [usage], settings, keys_of_user(store, user)).rows
    assert sum(lost.values()) > 3
    assert list((tmp_path / "reports").iterdir()) == []
    assert keys_of_user(store, user) == []
    assert not settings.database.parent.exists()
