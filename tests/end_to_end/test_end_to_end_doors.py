"""A processor runs once at a time whoever launches it, and a killed run costs nothing."""

import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from helpers import append, write_session
from locations import NOT_OURS, OURS, slow_location
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

RUN_WORKERS = int(os.environ.get("RUN_WORKERS", "1"))
"""So many are killed; `make soak` takes more."""
FILES = 4

pytestmark = pytest.mark.slow(seconds=170)


@pytest.fixture(scope="module")
def slow(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DagsterDev]:
    """A `dagster dev` for the tests of an instance, in their order, after the sensors' own runs."""
    folder = tmp_path_factory.mktemp("slow")
    for number in range(FILES):
        day = f"2026-05-0{number + 1}"
        write_session(folder / "sessions", f"alice/{number}.jsonl", "one", "two", day=day)
    with slow_location(folder, request.param) as dev:
        dev.wait(lambda: dev.ended(at_least=2), "the sensors' own runs")
        yield dev


def notes(dev: DagsterDev) -> list[dict[str, float]]:
    """What the slow processors noted of each file."""
    return [json.loads(line) for line in (dev.folder / "slow.log").read_text().splitlines()]


@pytest.mark.parametrize("slow", [OURS, NOT_OURS], indirect=True)
def test_no_door_runs_a_processor_twice_at_once(slow: DagsterDev) -> None:
    """Job launch, "Materialize" and backfill of one; another processor runs beside it."""
    dev = slow
    refresh = {"config": {"full_refresh": True}}
    only_a = {"ops": {"slow_a": refresh}}
    days = [(datetime(2026, 5, 1, tzinfo=UTC) + timedelta(n)).date().isoformat() for n in range(4)]
    a_range = {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": days[-1],
    }
    dev.backfill(["slow_a_rows"], days, only_a)
    launched = [
        dev.launch("slow_a_job", only_a),
        dev.launch("__ASSET_JOB", only_a, ["slow_a_rows"], a_range),
        dev.launch("slow_a_job", only_a),
        dev.launch("__ASSET_JOB", only_a, ["slow_a_rows"], a_range),
        dev.launch("slow_b_job", {"ops": {"slow_b": refresh}}),
    ]
    runs = dev.wait(lambda: dev.ended(launched, at_least=8), "end of all runs")
    assert {run["status"] for run in runs} == {"SUCCESS"}

    spans: dict[str, dict[int, tuple[float, float]]] = {"slow_a": {}, "slow_b": {}}
    for note in notes(dev):
        began, ended = spans[note["name"]].get(note["pid"], (note["began"], note["ended"]))
        span = (min(began, note["began"]), max(ended, note["ended"]))
        spans[note["name"]][note["pid"]] = span
    ours, others = sorted(spans["slow_a"].values()), sorted(spans["slow_b"].values())
    assert len(ours) == 6, "sensor, backfill, two job launches and two materializations"
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(ours)), ours
    side_by_side = [(a, b) for a in ours for b in others if a[0] < b[1] and b[0] < a[1]]
    assert side_by_side, "another processor runs beside it"


def run_worker(dev: DagsterDev, known: set[float]) -> int | None:
    """The process of a Dagster run that has begun its first file."""
    for pid in {note["pid"] for note in notes(dev) if note["name"] == "slow_a"} - known:
        status = Path(f"/proc/{pid}/status")
        if status.exists():
            parent = re.search(r"PPid:\s+(\d+)", status.read_text())[1]
            # Its parent is the code server; that of a worker of ours is a run.
            if b"grpc" in Path(f"/proc/{parent}/cmdline").read_bytes():
                return int(pid)
    return None


@pytest.mark.parametrize("slow", [OURS], indirect=True)
def test_killed_run_workers_of_dagster_lose_and_double_nothing(slow: DagsterDev) -> None:
    """Dagster notices and frees the slot; the next run does all that was left."""
    dev = slow
    store = Store(DuckDBFile(dev.folder / "slow.duckdb"))
    for kills in range(RUN_WORKERS):
        for path in (dev.folder / "sessions").glob("*/*.jsonl"):
            append(path, f"after {kills} kills")
        # The sensor would come to it as well, but only after its cadence.
        known = {note["pid"] for note in notes(dev)}
        launched = dev.launch("slow_a_job")
        pid = dev.wait(lambda known=known: run_worker(dev, known), "run at work")
        os.kill(pid, signal.SIGKILL)
        runs = dev.wait(lambda ids=(launched,): dev.ended(ids), "end of the killed run")
        assert {run["runId"]: run["status"] for run in runs}[launched] == "FAILURE"
        again = dev.launch("slow_a_job")
        runs = dev.wait(lambda ids=(again,): dev.ended(ids), "end of the next run")
        assert {run["runId"]: run["status"] for run in runs}[again] == "SUCCESS"
        rows = store.query("SELECT session_file, lines FROM slow_a_rows ORDER BY ALL")[0][1]
        assert rows == [(f"alice/{number}.jsonl", 3 + kills) for number in range(FILES)]
