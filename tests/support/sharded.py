"""Workers that each take their shard of one place of sessions into one lake, and nobody is killed:
what that takes, beside one undisturbed run over a folder into a DuckDB file."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg

from postgres import Postgres

PROGRAM = Path(sys.executable).with_name("session-pipeline")
_LOOK = 0.05
_WAITING = """SELECT count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held) FROM (
    SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory'
        AND l.granted AND l.objid = 1) AS held
    FROM pg_stat_activity a WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND query LIKE '%%pg_try_advisory_lock%%') AS w"""


@dataclass
class Timed:
    """What it took.

    Attributes:
        workers: 0 = a run over a folder into a file.
        seconds: of wall, until the last has ended. cpu: of all workers. server: of Postgres.
        waited: for the lock, in seconds of all workers. locked: for how long anybody had it.
        peak_mb: of the largest worker. derived: what all of them took for roll-ups and the like, in
            seconds of wall. failed: how many did.
    """

    workers: int
    megabytes: float
    files: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    server: float = 0.0
    waited: float = 0.0
    locked: float = 0.0
    peak_mb: float = 0.0
    derived: float = 0.0
    failed: int = 0

    def add(self, worker: subprocess.Popen[bytes], answer: Path) -> None:
        """Wait for its end, and add what it took."""
        _, status, usage = os.wait4(worker.pid, 0)
        worker.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += usage.ru_utime + usage.ru_stime
        self.peak_mb = max(self.peak_mb, usage.ru_maxrss / 1024)
        self.failed += worker.returncode != 0
        if not worker.returncode:
            report = json.loads(answer.read_bytes())["processors"]["usage"]
            self.files += report["processed"]
            self.derived += sum(report["derived_seconds"].values())

    @property
    def said(self) -> str:
        """As a line of JSON, with the CPU of a megabyte."""
        found = {name: round(v, 2) if isinstance(v, float) else v for name, v in vars(self).items()}
        return json.dumps({**found, "cpu_ms_per_mb": round(1000 * self.cpu / self.megabytes, 1)})


def passed(
    environment: Mapping[str, str], root: str, workers: int, megabytes: float, server: Postgres
) -> Timed:
    """One pass of so many workers side by side, each over its shard; 0 = one over everything.

    Args:
        environment: says which database, and how the sessions are reached.
    """
    timed = Timed(workers, megabytes)
    command = [str(PROGRAM), "run", "--processor", "usage", "--json", "--sessions", root]
    env = {**os.environ, **environment, "SESSION_PIPELINE_WORKERS": "1"}
    env |= {"SESSION_PIPELINE_TIME_BUDGET_SECONDS": "3600"}
    env["SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS"] = "600"
    assert server.process
    at_server, begun = server_cpu(server.process.pid), time.monotonic()
    with (
        TemporaryDirectory() as answers,
        lock_watched(environment["SESSION_PIPELINE_DATABASE"], timed),
    ):
        shards = [["--shard", f"{n}/{workers}"] for n in range(1, workers + 1)] or [[]]
        said = [Path(answers) / str(n) for n, _ in enumerate(shards)]
        running = []
        for shard, path in zip(shards, said, strict=True):
            with path.open("wb") as answer:
                running.append(subprocess.Popen([*command, *shard], env=env, stdout=answer))
        for worker, path in zip(running, said, strict=True):
            timed.add(worker, path)
        timed.seconds = time.monotonic() - begun
    timed.server = server_cpu(server.process.pid) - at_server
    return timed


def server_cpu(pid: int) -> float:
    """CPU seconds of a Postgres, its ended sessions included."""
    server = psutil.Process(pid)
    total = sum(server.cpu_times()[:4])
    for child in server.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


@contextmanager
def lock_watched(database: str, timed: Timed) -> Iterator[None]:
    """For as long as the block it is counted who waits for the lock of a lake, and who has it."""
    kind, _, catalog = database.partition(":postgres:")
    if kind != "ducklake":
        yield
        return
    over = threading.Event()

    def look() -> None:
        with psycopg.connect(catalog, autocommit=True) as session:
            last = time.monotonic()
            while not over.wait(_LOOK):
                waiting, held = session.execute(_WAITING).fetchall()[0]
                now = time.monotonic()
                timed.waited += waiting * (now - last)
                timed.locked += held * (now - last)
                last = now

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
