"""Killed at every step, killed at random, killed in Dagster: the next pass ends at the same rows.

`make soak` takes every state, and more steps and kills (STEPS, STATES, KILLS, RUN_WORKERS).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dagster_dev import DagsterDev
from helpers import EXAMPLES, append, write_session
from places import ROOT, SUPPORT
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

STEPS = int(os.environ.get("STEPS", "24"))
STATES = int(os.environ.get("STATES", "10"))
KILLS = int(os.environ.get("KILLS", "10"))
RUN_WORKERS = int(os.environ.get("RUN_WORKERS", "1"))
PROCESSORS = [processor.name for processor in load_processors().processors]


def kill(folder: Path, name: str, how: str, count: int) -> dict[str, Any]:
    """What `kill_sweep.py` found over the examples."""
    shutil.copytree(EXAMPLES, folder / "sessions")
    program = SUPPORT / "kill_sweep.py"
    found = subprocess.run(
        [sys.executable, program, folder, name, how, str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    sys.stdout.write(f"\n{name}: {found.stdout}\n")  # shown with -s
    return json.loads(found.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_kill_at_any_step_of_a_batch_leaves_whole_files_and_the_next_pass_does_the_rest(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "steps", STEPS)
    assert result["sites"] > 200
    assert result["killed"] == result["steps"] > min(STEPS, 100) / 2
    assert result["wrong"] == []
    assert result["left"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_from_what_a_kill_at_any_step_would_leave_the_next_pass_ends_at_the_same_rows(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "states", STATES)
    assert result["steps"] > 2000
    assert result["states"] > 20
    assert result["tried"] > min(STATES, result["states"]) / 2
    assert result["wrong"] == []
    assert result["left"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_after_kills_at_random_moments_the_rows_are_those_of_an_undisturbed_run(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "kills", KILLS)
    assert result["killed"] > KILLS / 3
    assert result["rows"] > 100
    assert result["same"]
    assert result["left"] == []


def run_worker(log: Path, known: set[int]) -> int | None:
    """The process of a Dagster run that has begun its first file."""
    notes = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
    for pid in {note["pid"] for note in notes if note["name"] == "slow_a"} - known:
        status = Path(f"/proc/{pid}/status")
        if status.exists():
            parent = re.search(r"PPid:\s+(\d+)", status.read_text())[1]
            # Its parent is the code server; that of a worker of ours is a run.
            if b"grpc" in Path(f"/proc/{parent}/cmdline").read_bytes():
                return pid
    return None


@pytest.mark.slow
def test_killed_run_workers_of_dagster_lose_and_double_nothing(tmp_path: Path) -> None:
    """Dagster notices and frees the slot; the next run does all that was left."""
    sessions = tmp_path / "sessions"
    for number in range(4):
        write_session(sessions, f"alice/{number}.jsonl", "one", "two", day=f"2026-05-0{number + 1}")
    (tmp_path / "workspace.yaml").write_text(
        "load_from: [{python_module: {module_name: slow_location, location_name: slow}}]\n"
    )
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    environment = {
        "SESSION_DATA_DIR": str(sessions),
        "SESSION_PIPELINE_DATABASE": str(tmp_path / "slow.duckdb"),
        "SLOW_LOG": str(tmp_path / "slow.log"),
        "PYTHONPATH": str(SUPPORT),
    }
    store, known, log = Store(DuckDBFile(tmp_path / "slow.duckdb")), set(), tmp_path / "slow.log"
    with DagsterDev(tmp_path, environment, "slow") as dev:
        dev.wait(lambda: dev.ended(at_least=2), "the sensors' own runs", 120)
        for kills in range(RUN_WORKERS):
            for path in sessions.glob("*/*.jsonl"):
                append(path, f"after {kills} kills")
            # The sensor would come to it as well, but only after its cadence.
            known.update(json.loads(line)["pid"] for line in log.read_text().splitlines())
            launched = dev.launch("slow_a_job")
            pid = dev.wait(lambda: run_worker(log, known), "run at work", 60)
            os.kill(pid, signal.SIGKILL)
            runs = dev.wait(lambda ids=(launched,): dev.ended(ids), "end of the killed run", 120)
            assert {run["runId"]: run["status"] for run in runs}[launched] == "FAILURE"
            again = dev.launch("slow_a_job")
            runs = dev.wait(lambda ids=(again,): dev.ended(ids), "end of the next run", 120)
            assert {run["runId"]: run["status"] for run in runs}[again] == "SUCCESS"
            rows = store.query("SELECT session_file, lines FROM slow_a_rows ORDER BY ALL")[0][1]
            assert rows == [(f"alice/{number}.jsonl", 3 + kills) for number in range(4)]
