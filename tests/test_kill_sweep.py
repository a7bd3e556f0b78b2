"""Killed at every step, killed at random, killed in Dagster: the next pass ends at the same rows.

`make soak` takes every step and more kills (STEPS, KILLS, RUN_WORKERS).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import EXAMPLES

from session_pipeline_dagster.processor import load_processors

STEPS = int(os.environ.get("STEPS", "24"))
PROCESSORS = [processor.name for processor in load_processors().processors]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_a_kill_at_any_step_of_a_batch_leaves_whole_files_and_the_next_pass_does_the_rest(
    tmp_path: Path, name: str
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "sessions")
    program = Path(__file__).with_name("kill_sweep.py")
    found = subprocess.run(
        [sys.executable, program, tmp_path, name, str(STEPS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    sys.stdout.write(f"\n{name}: {result}\n")  # shown with -s
    assert result["sites"] > 200
    assert result["killed"] == result["steps"] > min(STEPS, 100) / 2
    assert result["wrong"] == []
    assert result["left"] == []
