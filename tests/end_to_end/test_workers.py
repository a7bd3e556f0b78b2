"""Two shards on machines of their own under a real Dagster, whose launcher never hears of a death.

Dagster's storage and the lake's catalog are in Postgres, and each run is a process group with files
of its own (`elsewhere.py`), as a pod or a worker of Celery's is.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_dev import DagsterDev
from helpers import expected_rows, write_session
from lakes import Lakes
from lost_worker import Killer, settings
from places import SUPPORT
from session_pipeline_dagster.passes.plan import MAX_ATTEMPTS
from session_pipeline_dagster.passes.shards import Shard
from session_pipeline_dagster.store.database import Store, open_store

YAML = """
telemetry: {{enabled: false}}
nux: {{enabled: false}}
storage: {{postgres: {{postgres_url: "postgresql+psycopg2://pipeline@127.0.0.1:{port}/{database}"}}}}
run_launcher: {{module: elsewhere, class: Elsewhere, config: {{folder: {folder}}}}}
run_queue: {{dequeue_interval_seconds: 1}}
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - {{key: session_pipeline/processor, value: {{applyLimitPerUniqueValue: true}}, limit: 2}}
      - {{key: session_pipeline/shard, value: {{applyLimitPerUniqueValue: true}}, limit: 1}}
  pools: {{default_limit: 1, granularity: op}}
run_monitoring: {{enabled: true, poll_interval_seconds: 5, start_timeout_seconds: 300}}
sensors: {{use_threads: true, num_workers: 4}}
"""
HALVES = (Shard(1, 2), Shard(2, 2))
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
FIRST, SECOND = (next(n for n in PEOPLE if half.has(f"{n}/x", "")) for half in HALVES)

pytestmark = pytest.mark.slow(seconds=300)


class Team(DagsterDev):
    """A Dagster over two shards, and the lake that they share."""

    def __init__(self, lakes: Lakes, folder: Path) -> None:
        self.catalog = lakes.server.catalog()
        history = lakes.server.catalog().split("dbname=")[1].split()[0]
        given = {"port": lakes.server.port, "database": history, "folder": folder / "machines"}
        for name in ("machines", "sessions", "work"):
            (folder / name).mkdir()
        (folder / "dagster.yaml").write_text(YAML.format(**given))
        module = "{module_name: lost_location, location_name: lost}"
        (folder / "workspace.yaml").write_text(f"load_from: [{{python_module: {module}}}]\n")
        environment = {
            "SESSION_DATA_DIR": str(folder / "sessions"),
            "SESSION_PIPELINE_DATABASE": f"ducklake:postgres:{self.catalog}",
            "SESSION_PIPELINE_LAKE_DATA": f"{folder}/data/",
            "SESSION_PIPELINE_WORK_DIR": str(folder / "work"),
            "SESSION_PIPELINE_SHARDS": "2",
            "DAGSTER_HOME": str(folder),
            "PYTHONPATH": str(SUPPORT),
        }
        super().__init__(folder, environment, "lost")
        self.root = folder / "sessions"
        # Several services at once would race for an empty database.
        dagster = Path(sys.executable).with_name("dagster")
        subprocess.run([dagster, "instance", "migrate"], env=self.environment, check=True)

    @property
    def store(self) -> Store:
        return open_store(settings(self.catalog, self.folder, self.folder / "work"))

    def rows(self) -> list[tuple[object, ...]]:
        found = self.store.query("SELECT table_name FROM duckdb_tables()")[0][1]
        if ("echo_rows",) not in found:
            return []
        return self.store.query("SELECT * FROM echo_rows ORDER BY ALL")[0][1]

    def done(self) -> bool:
        """Whether every file that kills nobody is reflected, once."""
        return self.rows() == [r for r in expected_rows(self.root) if "poison" not in str(r[0])]

    def of(self, half: Shard) -> list[dict[str, Any]]:
        """The runs of a shard, newest first."""
        return [r for r in self.runs() if r["tags"].get("session_pipeline/shard") == f"echo:{half}"]

    def machine(self, run: dict[str, Any]) -> int:
        return int((self.folder / "machines" / run["runId"]).read_text())

    def let_time_pass(self) -> None:
        """As if nobody had been heard of for a minute who is dead, and every retry were due."""
        with psycopg.connect(self.catalog, autocommit=True) as session:
            found = session.execute("SELECT pid FROM public.session_pipeline_leases").fetchall()
            dead = [pid for (pid,) in found if not is_alive(pid)]
            session.execute(
                "UPDATE public.session_pipeline_leases "
                "SET beat_at = beat_at - interval '61 seconds' "
                "WHERE pid = ANY(%s)",
                [dead],
            )
        with self.store.transaction() as connection:
            connection.execute(
                "UPDATE session_processor_failures SET next_attempt_at = last_failed_at"
            )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def team(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    made = Team(lakes, tmp_path_factory.mktemp("team"))
    for name in (FIRST, SECOND):
        for number in range(5):
            write_session(made.root, f"{name}/{number}.jsonl", "hello")
    with made:
        yield made
        made.crash()
        for run in made.folder.glob("machines/*-*-*-*-*"):
            if is_alive(int(run.read_text())):
                os.killpg(int(run.read_text()), signal.SIGKILL)


def test_a_killed_machines_run_fails_within_90_seconds_and_the_other_shard_goes_on(
    team: Team,
) -> None:
    team.wait(team.done, "first runs of both shards")
    slow = write_session(team.root, f"{FIRST}/a-slow.jsonl", "hello")
    log = team.folder / "machines" / "machines.log"
    team.wait(lambda: "slow\n" in log.read_text(), "a run over the slow file")
    (run,) = [run for run in team.of(HALVES[0]) if run["status"] == "STARTED"]
    os.killpg(team.machine(run), signal.SIGKILL)
    killed = time.monotonic()
    write_session(team.root, f"{SECOND}/meanwhile.jsonl", "hello")
    team.wait(lambda: any("meanwhile" in str(r[0]) for r in team.rows()), "the other shard's work")
    assert next(r for r in team.of(HALVES[0]) if r["runId"] == run["runId"])["status"] == "STARTED"
    slow.rename(slow.with_name("a.jsonl"))

    def failed() -> bool:
        return any(r["runId"] == run["runId"] and r["status"] == "FAILURE" for r in team.runs())

    left = max(90 - (time.monotonic() - killed), 1)
    team.wait(failed, "end of the killed run", left)
    team.wait(team.done, "the killed shard's work")
    assert not team.store.known(Killer()).failures


def test_a_file_that_kills_its_machine_is_given_up_and_holds_up_nobody(team: Team) -> None:
    for number in range(30):
        write_session(team.root, f"{FIRST}/p{number:02}.jsonl", "hello")
    write_session(team.root, f"{FIRST}/p15-poison-0.jsonl", "boom")
    write_session(team.root, f"{SECOND}/more.jsonl", "hello")

    def given_up() -> bool:
        team.let_time_pass()
        failures = team.store.known(Killer()).failures.values()
        return any(failure.quarantined_at for failure in failures)

    team.wait(given_up, "a file that is given up", 600)
    team.wait(team.done, "all the others' rows")
    (failure,) = team.store.known(Killer()).failures.values()
    assert failure.session_file == f"{FIRST}/p15-poison-0.jsonl"
    assert failure.attempts == MAX_ATTEMPTS
