"""Leases in a real Postgres: beats, notes, who is lost, first starts at once, no server."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from lakes import Lakes
from postgres import Postgres, postgres
from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.store.lake.catalog import Catalog
from session_pipeline_dagster.store.lake.leases import Lease, Leases, make

AT_ONCE = timedelta(0)
HOLDER = """
import sys, time
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.store.lake.catalog import Catalog
from session_pipeline_dagster.store.lake.leases import Leases
with Leases(Catalog(Lake(sys.argv[1]))).hold("run", sys.argv[2]) as lease:
    lease.note(1, "a file", sure=True)
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def catalog(lakes: Lakes) -> str:
    return lakes.server.catalog()


@pytest.fixture
def leases(catalog: str) -> Leases:
    return Leases(Catalog(Lake(catalog)))


def rows(leases: Leases, columns: str = "shard, run_id, working_on") -> list[tuple[object, ...]]:
    with leases.catalog.session() as session:
        return session.execute(f"SELECT {columns} FROM public.session_pipeline_leases").fetchall()


def age(leases: Leases, seconds: float) -> None:
    """As if the last sign of life were so much older."""
    with leases.catalog.session() as session:
        session.execute(
            "UPDATE public.session_pipeline_leases "
            "SET beat_at = beat_at - make_interval(secs => %s), "
            "lost_at = lost_at - make_interval(secs => %s)",
            [seconds, seconds],
        )


def until(seen: Callable[[], object], seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture
def killed(catalog: str) -> Callable[..., None]:
    """A worker that had one file in work, and was killed."""

    def kill(shard: str = "") -> None:
        command = [sys.executable, "-c", HOLDER, catalog, shard]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout
            assert worker.stdout.readline() == b"ready\n"
            worker.kill()

    return kill


def test_a_lease_is_there_while_it_is_held_and_gone_after(leases: Leases) -> None:
    with leases.hold("run", "1/4") as lease:
        assert rows(leases) == [("1/4", "run", None)]
        assert rows(leases, "pid") == [(os.getpid(),)]
        assert not lease.careful
        assert leases.lost() == []
    assert rows(leases) == []


def test_a_sure_note_is_written_when_it_comes_back(leases: Leases) -> None:
    with leases.hold() as lease:
        lease.note(1, "one", sure=True)
        assert rows(leases, "working_on") == [(json.dumps(["one"]),)]
        lease.note(2, "two \ud800 \0", sure=True)
        assert rows(leases, "working_on") == [(json.dumps(["one", "two \ud800 \0"]),)]
        lease.note(1, None)
        lease.note(2, None, sure=True)
        assert rows(leases, "working_on") == [(None,)]


def test_any_other_note_and_what_is_watched_are_written_soon(leases: Leases) -> None:
    with leases.hold() as lease:
        lease.watch(lambda: ["of a worker"])
        lease.note(1, "own")
        until(lambda: rows(leases, "working_on") == [(json.dumps(["own", "of a worker"]),)])


def test_many_notes_are_few_writes(leases: Leases) -> None:
    with leases.hold() as lease:
        before = _writes(leases)
        for number in range(10_000):
            lease.note(1, str(number))
        lease.note(1, "last", sure=True)
        # One is the last, one may have come in between; a slow machine takes some seconds.
        assert _writes(leases) - before < 10


def _writes(leases: Leases) -> int:
    [(version,)] = rows(leases, "xmin::TEXT::BIGINT")
    return int(str(version))


def test_a_worker_that_was_killed_is_lost_by_the_servers_clock(leases: Leases, killed) -> None:
    killed("2/4")
    assert leases.lost() == [], "it may be slow"
    age(leases, 61)
    (lost,) = leases.lost()
    assert (lost.run_id, lost.shard, lost.working_on) == ("run", "2/4", ["a file"])


def test_what_is_released_is_not_lost_any_more_but_remembered_for_an_hour(leases, killed) -> None:
    killed("2/4")
    age(leases, 61)
    leases.release(*leases.lost())
    assert leases.lost() == []
    for shard, careful in (("2/4", True), ("", True), ("1/4", False)):
        with leases.hold(shard=shard) as lease:
            assert lease.careful is careful, shard
    age(leases, 3601)
    with leases.hold() as lease:
        assert not lease.careful
    assert rows(leases) == []


def test_what_is_still_to_be_done_about_it_stays(leases: Leases, killed) -> None:
    killed()
    age(leases, 61)
    leases.release(*leases.lost(), still=["a file"])
    age(leases, 3601)
    with leases.hold():
        assert [lost.working_on for lost in leases.lost()] == [["a file"]]


def test_a_worker_that_was_taken_for_dead_and_lives_has_its_lease_again(leases: Leases) -> None:
    with leases.hold() as lease:
        age(leases, 61)
        leases.release(*leases.lost())
        lease.note(1, "x", sure=True)
        assert rows(leases, "lost_at") == [(None,)]
        assert leases.lost() == []


def test_one_that_was_heard_of_meanwhile_is_not_released(leases: Leases) -> None:
    with leases.hold() as lease:
        age(leases, 61)
        (lost,) = leases.lost()
        lease.note(1, "x", sure=True)
        leases.release(lost)
        assert rows(leases, "lost_at, working_on") == [(None, json.dumps(["x"]))]


def test_many_first_starts_at_once_make_one_table(leases: Leases) -> None:
    rounds, starts = 5, 8
    together = threading.Barrier(starts, timeout=20)

    def start(number: int) -> None:
        with leases.catalog.session() as session:
            for _ in range(rounds):
                together.wait()
                make(session)
                together.wait()
                if number == 0:
                    session.execute("DROP TABLE public.session_pipeline_leases")

    with ThreadPoolExecutor(starts) as several:
        list(several.map(start, range(starts)))


def test_a_catalog_without_leases_has_nobody_lost_and_is_left_as_it_is(leases: Leases) -> None:
    assert leases.lost() == []
    leases.forget(lambda _: True)
    with leases.catalog.session() as session:
        found = session.execute("SELECT to_regclass('public.session_pipeline_leases')").fetchone()
    assert found == (None,)


def test_what_is_forgotten_goes_from_every_lease(leases: Leases, killed) -> None:
    killed()
    with leases.hold() as lease:
        lease.note(1, "another file", sure=True)
        leases.forget(lambda note: note == "a file")
        assert sorted(rows(leases, "coalesce(working_on, '')")) == [
            ("",),
            (json.dumps(["another file"]),),
        ]


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as found:
        yield found


def test_a_restart_of_postgres_costs_a_beat_at_most(server: Postgres) -> None:
    leases = Leases(Catalog(Lake(server.catalog())))
    with leases.hold() as lease:
        lease.note(1, "before", sure=True)
        server.stop(signal.SIGQUIT)
        lease.note(1, "meanwhile")
        with pytest.raises(StoreError, match="does not answer"):
            leases.lost()
        server.start()
        lease.note(1, "after", sure=True)
        assert rows(leases, "working_on") == [(json.dumps(["after"]),)]


def test_without_postgres_the_work_goes_on_and_the_log_says_so_once(
    server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    leases = Leases(Catalog(Lake(server.catalog())))
    server.stop()
    with leases.hold() as lease:
        assert not lease.careful
        lease.note(1, "x")
        time.sleep(2.5)
    said = [record.getMessage() for record in caplog.records if record.name.endswith(".leases")]
    assert len(said) == 2, said
    assert all("does not answer" in text and "password" not in text for text in said)


def test_who_may_only_read_is_told_nothing_new_and_writes_nothing(lakes: Lakes) -> None:
    catalog = lakes.server.catalog()
    owner = Leases(Catalog(Lake(catalog)))
    name = catalog.split("dbname=")[1].split()[0]
    with owner.catalog.session() as session:
        session.execute(f"CREATE ROLE reader_{name} LOGIN")
    reader = Leases(Catalog(Lake(catalog.replace("user=pipeline", f"user=reader_{name}"))))
    assert reader.lost() == []
    with reader.hold() as lease:
        assert isinstance(lease, Lease)
    assert owner.lost() == []
