"""Postgres or the bucket goes away under a pass and comes back, or does not: no file is blamed,
nothing is doubled, and no process is ended by DuckDB."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import EchoProcessor, expected_rows, write_many
from lakes import Lakes, missing_files
from postgres import Postgres, postgres
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import StoreInterrupted
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store

FILES = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Of these tests alone: it is stopped."""
    with postgres() as made:
        yield made


@pytest.fixture
def settings(server: Postgres, tmp_path: Path) -> Settings:
    write_many(tmp_path / "sessions", FILES)
    settings = Settings(roots=(Root(tmp_path / "sessions"),), workers=1, batch_bytes=1)
    return Lakes(server).settings(tmp_path, settings)


def passed(settings: Settings, at: int, disturb: Callable[[], object]) -> tuple[int, int]:
    """A pass that commits after each file and is disturbed at one of them: processed, failed."""
    seen = 0

    def hook(_session: Session) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            disturb()

    store = open_store(settings)
    report = run_batch(EchoProcessor(hook), LocalSource(settings.roots), store, settings, Options())
    return report.processed, report.errors


def rows(store: Store) -> list[tuple[object, ...]]:
    return store.query("FROM echo_rows ORDER BY ALL")[0][1]


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_pass_goes_on_where_postgres_is_restarted_under_it(
    server: Postgres, settings: Settings, tmp_path: Path, how: signal.Signals
) -> None:
    restarting: list[threading.Thread] = []

    def come_back() -> None:
        time.sleep(2)
        server.start()

    def restart() -> None:
        server.stop(how)
        restarting.append(threading.Thread(target=come_back))
        restarting[0].start()

    assert passed(settings, 3, restart) == (FILES, 0)
    restarting[0].join()
    store = open_store(settings)
    assert rows(store) == expected_rows(tmp_path / "sessions")
    assert not store.known(EchoProcessor()).failures
    assert not missing_files(settings)


def test_a_pass_ends_with_one_line_where_postgres_stays_away(
    server: Postgres, settings: Settings, tmp_path: Path
) -> None:
    hasty = replace(settings, lock_timeout=timedelta(seconds=1))
    with pytest.raises(StoreInterrupted, match="does not answer"):
        passed(hasty, 3, server.stop)
    server.start()
    store = open_store(settings)
    known = store.known(EchoProcessor())
    assert not known.failures
    # What was committed before stays, the rest is done by the next.
    assert passed(settings, 0, server.stop) == (FILES - len(known.states), 0)
    assert len(known.states) < FILES
    assert rows(store) == expected_rows(tmp_path / "sessions")


# A line breaks, and then: what DuckDB would answer by ending the process, if nobody rolled back.
ENDINGS = {
    "a transaction is left by an exception": "with suppress(ZeroDivisionError), store.transaction()"
    " as c:\n    write(c); cut(); 1 / 0",
    "a transaction is interrupted by Ctrl-C": "with suppress(KeyboardInterrupt), "
    "store.transaction() as c:\n    write(c); cut(); raise KeyboardInterrupt",
    "a transaction is ended by SIGTERM as Dagster takes it": "import signal\n"
    "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
    "with suppress(KeyboardInterrupt), store.transaction() as c:\n"
    "    write(c); cut(); signal.raise_signal(signal.SIGTERM)",
    "a transaction is collected as garbage": "g = store.transaction(); c = g.__enter__(); "
    "write(c); cut(); del c, g; import gc; gc.collect()",
    "the interpreter ends in a transaction": "g = store.transaction(); c = g.__enter__(); "
    "write(c); cut(); print('well'); sys.exit(0)",
    "a look is left in a transaction of its own": "with suppress(ZeroDivisionError), "
    "store.connect() as c:\n    c.begin(); c.sql('FROM t').fetchall(); cut(); 1 / 0",
    "an engine is thrown away while another thread looks": "import threading\n"
    "looking, gone = threading.Event(), threading.Event()\n"
    "def look():\n"
    "    with suppress(StoreError), store.connect() as c:\n"
    "        c.begin(); c.sql('FROM t').fetchall(); looking.set(); gone.wait()\n"
    "        c.sql('FROM t').fetchall()\n"
    "thread = threading.Thread(target=look); thread.start(); looking.wait(); cut()\n"
    "with suppress(StoreError), store.connect() as c:\n"
    "    store.place._throw_away(store.place._engines.reader)\n"
    "gone.set(); thread.join()",
    "the interpreter ends with idle engines": "cut(); print('well'); sys.exit(0)",
}
PROGRAM = """
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
import psycopg
from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
catalog, data, work = sys.argv[1:]
store = open_store(Settings(database=Lake(catalog), lake_data=data, work_dir=Path(work)))
def write(c):
    c.execute("INSERT INTO t VALUES (2)")
def cut():
    with psycopg.connect(catalog, autocommit=True) as session:
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            " current_database() AND pid <> pg_backend_pid()")
store.query("FROM t")
"""


@pytest.fixture(scope="module")
def lake(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Lakes(server).settings(tmp_path_factory.mktemp("lake"))
    with open_store(settings).transaction() as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
    return settings


@pytest.mark.slow(seconds=30)
def test_no_way_to_end_over_a_broken_line_aborts_the_process(
    server: Postgres, lake: Settings
) -> None:
    place = [lake.database.catalog, str(lake.lake_data), str(lake.work_dir)]
    for name, ending in ENDINGS.items():
        code = f"{PROGRAM}{ending}\nstore.query('FROM t')\nprint('well')"
        ended = subprocess.run(
            [sys.executable, "-c", code, *place], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stdout) == (0, "well\n"), (name, ended.stderr)
    assert open_store(lake).query("FROM t")[0][1] == [(1,)]
    # Whoever ended took its folder along.
    assert len(list(lake.work_dir.iterdir())) <= 1
