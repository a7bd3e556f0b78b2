"""A writer on a machine of its own whose network goes in mid-commit, and comes back or does not.

Real links of the kernel, so for root alone. One in `make test`; all in `make soak` (NETWORKS),
which takes minutes of waiting.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from lakes import Lakes, database_of, missing_files
from network import Network, missing, network
from places import SUPPORT
from postgres import Postgres, placed
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
from tallies import Tallies, batch, held, settled, wanted

TALLIES = Tallies()
ALL = os.environ.get("NETWORKS") == "all"
MOMENTS = ("before", "inside", "after") if ALL else ("inside",)
PATIENCE = 20.0
NOTICED = 45.0
"""Seconds until who is cut off has noticed, as docs/scale.md says; its patience comes on top."""
# COMMIT itself takes three seconds: the last thing that it does.
SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ducklake_snapshot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
"""

pytestmark = [
    pytest.mark.slow(seconds=60),
    pytest.mark.skipif(bool(missing()), reason=str(missing())),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One that is reached from other machines too."""
    with placed() as made:
        rules = made.folder / "data" / "pg_hba.conf"
        rules.write_text(rules.read_text() + "host all all 10.213.0.0/16 trust\n")
        made.settings += ["-c", "listen_addresses=*"]
        made.start()
        yield made
        made.stop()


@pytest.fixture
def far() -> Iterator[Network]:
    with network() as made:
        yield made


@dataclass
class Worker:
    """A writer in there; `ended` waits for what it was told, and after how many seconds."""

    process: subprocess.Popen[str]

    def ended(self) -> tuple[str | None, float]:
        said, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors
        found = json.loads(said.splitlines()[-1])
        return found["told"], found["seconds"]


@contextmanager
def worker(far: Network, settings: Settings, moment: str, patience: float) -> Iterator[Worker]:
    """One that has come to the moment, and commits 2 of a/1 and b/2."""
    assert isinstance(settings.database, Lake)
    catalog = settings.database.catalog.replace("127.0.0.1", far.address)
    place = [catalog, str(settings.lake_data), f"{settings.work_dir}-far", str(patience)]
    stops = "never" if moment == "inside" else moment
    program = [sys.executable, str(SUPPORT / "far_worker.py"), *place, stops, "2", "a/1", "b/2"]
    with subprocess.Popen(
        far.command(*program), stdin=-1, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "here\n", process.stderr and process.stderr.read()
        yield Worker(process)


def cut(far: Network, server: Postgres, settings: Settings, at: Worker, moment: str) -> None:
    """The link goes at the moment."""
    if moment == "inside":
        give_up = time.monotonic() + 30
        with server.connect(database_of(settings)) as session:
            while not session.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query = 'COMMIT'"
            ).fetchall():
                assert time.monotonic() < give_up
                time.sleep(0.02)
    far.down()
    assert at.process.stdin
    if moment != "inside":
        at.process.stdin.write("go on\n")
        at.process.stdin.flush()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("back_after", [3.0, 60.0, None] if ALL else [3.0])
def test_a_network_that_goes_in_mid_commit_loses_and_doubles_nothing(
    server: Postgres, far: Network, tmp_path: Path, moment: str, back_after: float | None
) -> None:
    settings = replace(Lakes(server).settings(tmp_path), lock_timeout=timedelta(seconds=120))
    here = open_store(settings)
    here.prepare(TALLIES)
    here.commit(TALLIES, batch(1, "a/1"))
    with server.connect(database_of(settings)) as session:
        session.execute(SLOW_COMMIT)
    patience = PATIENCE if back_after is None else 180.0
    with worker(far, settings, moment, patience) as at:
        cut(far, server, settings, at, moment)
        begun = time.monotonic()
        back = threading.Timer(back_after or 0, far.up)
        if back_after is not None:
            back.start()
        # Somebody else wants the lock of the one who is gone.
        here.commit(TALLIES, batch(3, "a/1", "c/3"))
        waited = time.monotonic() - begun
        told, seconds = at.ended()
        back.cancel()
    assert waited < NOTICED + 3 * (4 if back_after else 2), "the lock is nobody's for ever"
    if back_after is None and moment != "after":
        assert told
        assert "does not answer" in told
        assert seconds < NOTICED + PATIENCE
    elif back_after is not None:
        assert told is None
    settled(here)
    found = held(here)
    calls = {(str(key), int(str(n))) for key, n in found["calls"]}
    done = ("b/2", 2) in calls
    # Who has no answer may have committed all the same, before the other one.
    assert done or back_after is None
    assert done or moment == "before"
    # Of a/1 the later commit counts: a writer that was heard of after the other one has read it.
    latest = dict(found["states"])
    assert latest["c/3"] == "3"
    assert latest["a/1"] in ({"2", "3"} if done else {"3"})
    expected = {key: int(str(number)) for key, number in latest.items()}
    assert ("b/2" in expected) == done
    once = [("a/1", 1), ("a/1", 3), ("c/3", 3)] + ([("a/1", 2), ("b/2", 2)] if done else [])
    assert found == wanted(expected, once)
    assert not missing_files(settings)
