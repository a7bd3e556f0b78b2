"""`python -m benchmarks.dagster_cost`: what Dagster adds: a sensor's tick, and a run.

The tick is the real sensor over many files, 1 % of them due, in a process of its own. The run is
one of a real `dagster dev` with a warm daemon: ten files grow, the job is launched, and the clock
stops when their rows can be read.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.measuring import peak_mb
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store

_PATIENCE = 60
_FOLDER = Path("var/bench-dagster")
_LINE = '{"type":"user","timestamp":"2026-07-%02dT12:00:00Z","message":{"content":"hello"}}\n'
_LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
    ... on LaunchRunSuccess { run { runId } } } }"""
_RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
    status creationTime startTime endTime } } }"""


def settings(sessions: Path) -> Settings:
    """The corpus of the benchmark and its database."""
    return Settings(roots=(Root(sessions),), database=_FOLDER / "bench.duckdb", workers=1)


def make(count: int) -> Settings:
    """So many processed files, an hour old."""
    hour_ago = time.time() - 3600
    for number in range(count):
        path = _FOLDER / "sessions" / f"user{number % 50:02}" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_LINE % (1 + number % 28))
        os.utime(path, (hour_ago, hour_ago))
    found = settings(_FOLDER / "sessions")
    run_all(UsageProcessor(), LocalSource(found.roots), open_store(found), found, Options())
    return found


def grow(share: int) -> None:
    """One more line in one file of so many."""
    for path in sorted((_FOLDER / "sessions").rglob("*.jsonl"))[::share]:
        with path.open("a") as file:
            file.write(_LINE % 3)


def tick() -> None:
    """In the process of its own: one evaluation of the sensor, twice."""
    import dagster as dg  # noqa: PLC0415  the run's side of this program does without

    from session_pipeline_dagster.orchestration.sensors import processor_sensor  # noqa: PLC0415

    found = settings(_FOLDER / "sessions")
    sensor = processor_sensor(UsageProcessor(), found)
    with dg.DagsterInstance.ephemeral() as instance:
        for which in ("first", "second"):
            context = dg.build_sensor_context(instance=instance)
            began = time.monotonic()
            result = sensor(context)
            took = time.monotonic() - began
            requests = len(getattr(result, "run_requests", None) or ())
            print(f"{which} tick: {took:.2f} s, {requests} runs asked for")
    print(f"peak memory: {peak_mb()} MB")


def ask(port: int, query: str, **variables: object) -> dict[str, Any]:
    """The data of a GraphQL query."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    url = f"http://127.0.0.1:{port}/graphql"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  our own server
        return json.load(answer)["data"]


def answers(port: int) -> bool:
    """Whether the server is up."""
    try:
        return bool(ask(port, "{ version }"))
    except (urllib.error.URLError, ConnectionError):
        return False


def runs(found: Settings, rounds: int) -> None:
    """Launch the job over ten changed files; how long until their rows are there, and why."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("dagster"))
    environment = {
        **os.environ,
        "SESSION_DATA_DIR": str(found.roots[0].path.resolve()),
        "SESSION_PIPELINE_DATABASE": str(found.database.resolve()),
        # The sensor keeps out of it.
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "86400",
        "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL": "86400",
    }
    place = _FOLDER / "instance"
    place.mkdir()
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(name, place)
    command = [program, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with (place / "log").open("wb") as log:
        dev = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
        try:
            while not answers(port):
                time.sleep(0.5)
            time.sleep(30)  # the daemon's first ticks, and the sensors' first runs
            for _ in range(rounds):
                print(one_run(port, found))
        finally:
            dev.send_signal(signal.SIGINT)
            dev.wait()


def one_run(port: int, found: Settings) -> str:
    """One launch; its parts in seconds."""
    paths = sorted((_FOLDER / "sessions").rglob("*.jsonl"))[:10]
    for path in paths:
        with path.open("a") as file:
            file.write(_LINE % 4)
    where = {"repositoryLocationName": "session_pipeline", "repositoryName": "__repository__"}
    launch = {"selector": {**where, "jobName": "usage_job"}, "mode": "default"}
    store, began = open_store(found), time.time()
    run_id = ask(port, _LAUNCH, p=launch)["launchRun"]["run"]["runId"]
    sql = f"SELECT count(*) FROM session_processor_state WHERE run_id = '{run_id}'"
    while not store.query(sql)[0][1][0][0]:
        if time.time() - began > _PATIENCE:
            raise SystemExit("no rows: a sensor's run may have taken the files")
        time.sleep(0.1)
    visible = time.time() - began
    while not (run := ask(port, _RUN, id=run_id)["runOrError"])["endTime"]:
        time.sleep(0.1)
    started = run["startTime"] - began
    return (
        f"launch to start {started:.1f} s, start to rows {visible - started:.1f} s, "
        f"rows visible after {visible:.1f} s, run over after {run['endTime'] - began:.1f} s"
    )


def main() -> None:
    """The tick, then the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only-tick", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_tick:
        tick()
        return
    shutil.rmtree(_FOLDER, ignore_errors=True)
    make(given.files)
    grow(100)
    print(f"{given.files:,} files, 1 % of them due", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.dagster_cost", "--only-tick"], check=True)
    shutil.rmtree(_FOLDER)
    runs(make(1000), given.runs)


if __name__ == "__main__":
    main()
