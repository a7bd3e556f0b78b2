"""A Postgres that stands still and whose kernel goes on: no wait for it is without end, and what it
does once it wakes up loses and doubles nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lakes import Lakes, missing_files, over
from postgres import Postgres, postgres
from session_pipeline_dagster.errors import StoreInterrupted
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake import place as lake_place
from session_pipeline_dagster.store.lake import watch
from tallies import Tallies, batch, held, settled, wanted
from wire import Wire, wire_to

TALLIES = Tallies()
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
CATALOG = "__ducklake_metadata_store"
LONGEST = 20.0
"""Seconds within which it has to be over; as it is set here five or so would do."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Of these tests alone: it is frozen."""
    with postgres() as made:
        yield made


@pytest.fixture
def wire(server: Postgres) -> Iterator[Wire]:
    with wire_to(server.port) as made:
        yield made
        server.thaw()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.5)


@pytest.fixture(scope="module")
def made(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with a file in it."""
    settings = Lakes(server).settings(tmp_path_factory.mktemp("lake"))
    store = open_store(settings)
    store.prepare(TALLIES)
    store.commit(TALLIES, batch(1, "a/1"))
    return settings


@pytest.fixture
def settings(server: Postgres, wire: Wire, made: Settings, tmp_path: Path) -> Settings:
    """The same behind the wire; a connection takes two seconds at most."""
    copy = over(Lakes(server).copy(made, tmp_path), wire.port)
    assert isinstance(copy.database, Lake)
    catalog = Lake(f"{copy.database.catalog} connect_timeout=2")
    return replace(copy, database=catalog, lock_timeout=timedelta(seconds=1))


def in_time(act: Callable[[], object]) -> None:
    """It is told in words that Postgres does not answer, before long."""
    begun, found = time.monotonic(), []

    def acting() -> None:
        with pytest.raises(
            StoreInterrupted, match=r"does not answer|did not take a commit"
        ) as told:
            act()
        found.append(str(told.value))

    thread = threading.Thread(target=acting, daemon=True)
    thread.start()
    thread.join(LONGEST)
    assert len(found) == 1, f"after {time.monotonic() - begun:.0f} s it waited still"


def commit(store: Store) -> None:
    store.commit(TALLIES, batch(2, "a/1", "b/2"))


def look(store: Store) -> None:
    store.query("FROM tally_rows")


def ask_who_writes(store: Store) -> None:
    store.holder(timedelta(seconds=0.1))


# What a client sends when the server stands still, and what the client is at.
MOMENTS = {
    "before a session is let in": (None, commit),
    "while the lock is asked for": (b"pg_try_advisory_lock", commit),
    "while rows are written": (b"ducklake_data_file", commit),
    "before the commit is done": (COMMIT, commit),
    "while it is looked at": (b"ducklake_snapshot", look),
    "while it is asked who writes": (b"pg_stat_activity", ask_who_writes),
}


class Nth:
    """Acts at the nth time."""

    def __init__(self, n: int, act: Callable[[], object]) -> None:
        self.left, self.act = n, act

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def last_commit(wire: Wire, store: Store, act: Callable[[], object]) -> Nth:
    """Acts when Postgres is about to hear the last COMMIT of a commit: that of its rows."""
    store.release("tally")
    wire.on = COMMIT
    wire.then = counted = Nth(0, str)
    commit(store)
    return Nth(-counted.left, act)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_stands_still_is_given_up_and_nothing_is_lost_or_doubled(
    server: Postgres, wire: Wire, settings: Settings, moment: str
) -> None:
    at, act = MOMENTS[moment]
    store = open_store(settings)
    look(store)
    then = Nth(1, server.freeze) if at != COMMIT else last_commit(wire, store, server.freeze)
    wire.on, wire.then = at, then
    if at is None:
        then()
    in_time(lambda: act(store))
    assert then.left <= 0, "it came to that"
    server.thaw()
    patient = open_store(replace(settings, lock_timeout=timedelta(seconds=30)))
    patient.commit(TALLIES, batch(3, "a/1", "c/3"))
    settled(patient)
    found = held(patient)
    # It may have done on waking up what it had been asked; then all of that.
    done = ("b/2", "2") in found["states"]
    calls = [(str(key), int(str(number))) for key, number in found["calls"]]
    assert {number for _, number in calls} == ({1, 2, 3} if done else {1, 3})
    assert found == wanted({"a/1": 3, "c/3": 3, **({"b/2": 2} if done else {})}, calls)
    assert done or at != COMMIT
    assert not missing_files(settings)


def test_a_commit_is_done_once_where_the_server_wakes_up_in_time(
    server: Postgres, wire: Wire, settings: Settings
) -> None:
    store = open_store(replace(settings, lock_timeout=timedelta(seconds=60)))
    look(store)

    def sleep() -> None:
        server.freeze()
        # Long enough to be given up, at least once.
        threading.Timer(6, server.thaw).start()

    wire.then = then = last_commit(wire, store, sleep)
    store.commit(TALLIES, batch(3, "a/1", "c/3"))
    assert then.left <= 0, "it came to that"
    settled(store)
    calls = [("a/1", 1), ("a/1", 2), ("a/1", 3), ("b/2", 2), ("c/3", 3)]
    assert held(store) == wanted({"a/1": 3, "b/2": 2, "c/3": 3}, calls)
    assert not missing_files(settings)


def test_a_server_that_is_only_slow_is_waited_for(settings: Settings) -> None:
    store = open_store(settings)
    with store.transaction() as connection:
        connection.execute(f"CALL postgres_execute('{CATALOG}', 'SELECT pg_sleep(3)')")
    place = store.place
    assert isinstance(place, lake_place.LakePlace)
    with place.catalog.session() as session:
        assert session.execute("SELECT 1 FROM pg_sleep(3)").fetchall() == [(1,)]
