"""Two that write at once, in every order that matters and never by chance: the lock lets one in,
the fence refuses who has lost the lock, and what is refused is done again as a whole."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from lakes import Lakes, database_of, missing_files
from places import SUPPORT
from session_pipeline_dagster.errors import StoreBusy, StoreInterrupted
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import replacing, rolling
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake import engine
from session_pipeline_dagster.store.lake import place as lake_place
from tallies import NOW, Tallies, batch, held, settled, wanted

TALLIES = Tallies()


@pytest.fixture(scope="module")
def made(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = lakes.settings(tmp_path_factory.mktemp("made"))
    store = open_store(settings)
    store.prepare(TALLIES)
    store.commit(TALLIES, batch(1, "a/known"))
    settled(store)
    return settings


@pytest.fixture
def settings(lakes: Lakes, made: Settings, tmp_path: Path) -> Settings:
    return lakes.copy(made, tmp_path)


@pytest.fixture
def two(settings: Settings) -> tuple[Store, Store]:
    """Two machines, as far as the lake sees."""
    return open_store(settings), open_store(settings)


def lose_the_lock(settings: Settings, lakes: Lakes) -> None:
    """Its session is ended; who has it does not hear of that."""
    with lakes.server.connect(database_of(settings)) as session:
        ended = session.execute(
            """SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        ).fetchall()
    assert ended == [(1,)]


def write(connection: duckdb.DuckDBPyConnection, number: int, key: str) -> None:
    """All statements of a commit."""
    replacing.replace_rows(connection, TALLIES, batch(number, key), NOW, None)


@pytest.mark.parametrize("key", ["a/known", "a/new"])
def test_of_two_transactions_over_the_same_files_one_commits(
    two: tuple[Store, Store], settings: Settings, lakes: Lakes, key: str
) -> None:
    first, second = two
    with ExitStack() as later:
        late = later.enter_context(first.transaction())
        write(late, 2, key)
        lose_the_lock(settings, lakes)
        # Both see the lake as it was before either of them.
        with second.transaction() as connection:
            write(connection, 3, key)
        with pytest.raises(StoreInterrupted, match="did not take a commit"):
            later.close()
    first.commit(TALLIES, batch(4, key))
    settled(first)
    latest, calls = {"a/known": 1, key: 4}, [("a/known", 1), (key, 3), (key, 4)]
    assert held(second) == held(first) == wanted(latest, calls)
    assert not missing_files(settings)


def no_fence(_place: object, connection: duckdb.DuckDBPyConnection) -> None:
    connection.begin()


@pytest.mark.parametrize("guard", ["the fence", "no retry", "none"])
def test_each_guard_refuses_the_second_alone_and_without_them_rows_are_doubled(
    settings: Settings, lakes: Lakes, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    # Whoever takes one out must see that DuckLake has changed.
    if guard != "the fence":
        monkeypatch.setattr(lake_place.LakePlace, "begin", no_fence)
    if guard != "no retry":
        monkeypatch.setattr(engine, "RETRIES", 10)  # as DuckLake has it
    first, second = open_store(settings), open_store(settings)
    with ExitStack() as later:
        late = later.enter_context(first.transaction())
        write(late, 2, "a/new")
        lose_the_lock(settings, lakes)
        with second.transaction() as connection:
            write(connection, 2, "a/new")
        if guard == "none":
            later.close()
        else:
            with pytest.raises(StoreInterrupted):
                later.close()
    rows = second.query("SELECT count(*) FROM tally_rows WHERE session_file = 'a/new'")
    assert rows[0][1] == [(4 if guard == "none" else 2,)]


@pytest.mark.parametrize("which", ["roll-up", "derivation"])
def test_what_is_derived_between_the_statements_of_a_commit_is_not_left_behind(
    two: tuple[Store, Store], settings: Settings, lakes: Lakes, which: str
) -> None:
    committing, deriving = two
    committing.commit(TALLIES, batch(2, "a/known"))
    with ExitStack() as later:
        late = later.enter_context(committing.transaction())
        # It finds its parts noted already, so it notes nothing.
        write(late, 3, "a/known")
        lose_the_lock(settings, lakes)
        if which == "roll-up":
            assert deriving.refresh(*Tallies.rollups) == ["a", "b"]
        else:
            deriving.derive(Tallies.derivations[0])
        with pytest.raises(StoreInterrupted):
            later.close()
    committing.commit(TALLIES, batch(3, "a/known"))
    settled(deriving)
    calls = [("a/known", number) for number in (1, 2, 3)]
    assert held(committing) == wanted({"a/known": 3}, calls)


def test_a_refresh_that_a_commit_overtook_is_refused(
    two: tuple[Store, Store], settings: Settings, lakes: Lakes
) -> None:
    refreshing, committing = two
    refreshing.commit(TALLIES, batch(2, "a/known"))
    with ExitStack() as later:
        late = later.enter_context(refreshing.transaction())
        assert rolling.refresh(late, Tallies.rollups[0]) == ["a", "b"]
        lose_the_lock(settings, lakes)
        committing.commit(TALLIES, batch(3, "a/known"))
        with pytest.raises(StoreInterrupted):
            later.close()
    settled(refreshing)
    calls = [("a/known", number) for number in (1, 2, 3)]
    assert held(refreshing) == wanted({"a/known": 3}, calls)


def test_threads_of_one_process_write_one_after_the_other_even_without_the_lock(
    settings: Settings, lakes: Lakes
) -> None:
    store = open_store(settings)
    other = threading.Thread(target=store.commit, args=(TALLIES, batch(3, "a/new")))
    with store.transaction() as connection:
        write(connection, 2, "a/known")
        lose_the_lock(settings, lakes)
        other.start()
        # Time enough for it to come in between, and to take this one's name and engine.
        other.join(2)
    other.join()
    settled(store)
    calls = [("a/known", 1), ("a/known", 2), ("a/new", 3)]
    assert held(store) == wanted({"a/known": 2, "a/new": 3}, calls)


def test_who_waits_too_long_is_told_who_writes(
    two: tuple[Store, Store], settings: Settings
) -> None:
    first, _ = two
    hasty = open_store(replace(settings, lock_timeout=timedelta(milliseconds=100)))
    with first.transaction(), pytest.raises(StoreBusy, match=r"by backend \d+ \(from 127\.0"):
        hasty.release("tally")
    assert hasty.release("tally") == []


def test_the_server_gives_up_the_lock_of_a_machine_that_is_gone(two: tuple[Store, Store]) -> None:
    # Else it would wait for two hours.
    place = two[0].place
    assert isinstance(place, lake_place.LakePlace)
    with place.catalog.session() as session:
        said = [session.execute(f"SHOW tcp_keepalives_{n}").fetchall() for n in ("idle", "count")]
    assert said == [[("10",)], [("3",)]]


@pytest.fixture
def four(lakes: Lakes, tmp_path: Path) -> Iterator[tuple[Settings, list[subprocess.Popen[str]]]]:
    """Four processes that are about to meet an empty catalog."""
    settings = lakes.settings(tmp_path)
    assert isinstance(settings.database, Lake)
    place = [settings.database.catalog, str(settings.lake_data), str(settings.work_dir)]
    command = [sys.executable, SUPPORT / "tally_worker.py", *place]
    with ExitStack() as stack:
        yield (
            settings,
            [
                stack.enter_context(
                    subprocess.Popen(
                        [*command, str(number), f"u{number}/x"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
                for number in range(1, 5)
            ],
        )


@pytest.mark.slow(seconds=10)
def test_four_that_meet_an_empty_catalog_at_once_make_one_lake(
    four: tuple[Settings, list[subprocess.Popen[str]]],
) -> None:
    settings, processes = four
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    keys = {f"u{number}/x": number for number in range(1, 5)}
    assert held(open_store(settings)) == wanted(keys, list(keys.items()))
