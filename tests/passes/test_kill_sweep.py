"""Killed at every step, killed at random: the next pass ends at the same rows, in a file and in a
lake.

`make soak` takes every state, and more steps and kills (STEPS, STATES, KILLS, LAKE_KILLS).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import EXAMPLES
from places import SUPPORT
from session_pipeline_dagster.contract.registry import load_processors

STEPS = int(os.environ.get("STEPS", "12"))
STATES = int(os.environ.get("STATES", "10"))
KILLS = int(os.environ.get("KILLS", "10"))
LAKE_KILLS = int(os.environ.get("LAKE_KILLS", "0"))
"""Over a lake, of each kind; without it two at commits of one processor."""
PROCESSORS = [processor.name for processor in load_processors().processors]


def kill(folder: Path, name: str, how: str, count: int, *place: str) -> dict[str, Any]:
    """What `kill_sweep.py` found over the examples."""
    shutil.copytree(EXAMPLES, folder / "sessions")
    program = SUPPORT / "kill_sweep.py"
    found = subprocess.run(
        [sys.executable, program, folder, name, how, str(count), *place],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    sys.stdout.write(f"\n{name}: {found.stdout}\n")  # shown with -s
    return json.loads(found.stdout)


@pytest.mark.slow(seconds=40)
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


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("name", PROCESSORS if LAKE_KILLS else ["usage"])
def test_killed_at_a_commit_of_a_lake_no_row_is_lost_and_upkeep_deletes_what_was_left(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "commits", LAKE_KILLS or 2, "lake")
    assert result["killed"] == result["steps"] > 1
    # Who is killed before a commit leaves its files.
    assert result["orphans"] > 0
    assert result["wrong"] == []
    assert result["left"] == []


@pytest.mark.skipif(not LAKE_KILLS, reason="minutes: make soak")
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_kill_at_any_step_over_a_lake_leaves_whole_files_and_the_next_pass_does_the_rest(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "steps", LAKE_KILLS, "lake")
    assert result["sites"] > 200
    assert result["killed"] == result["steps"] > min(LAKE_KILLS, 100) / 2
    assert result["wrong"] == []
    assert result["left"] == []


@pytest.mark.skipif(not LAKE_KILLS, reason="minutes: make soak")
@pytest.mark.parametrize("name", PROCESSORS)
def test_after_kills_at_random_moments_a_lake_holds_what_an_undisturbed_file_holds(
    tmp_path: Path, name: str
) -> None:
    result = kill(tmp_path, name, "kills", LAKE_KILLS, "lake")
    assert result["killed"] > LAKE_KILLS / 3
    assert result["rows"] > 100
    assert result["same"]
    assert result["left"] == []
