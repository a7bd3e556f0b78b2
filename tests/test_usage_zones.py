"""Days and hours in other time zones, in processes of their own: DuckDB reads TZ only once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = [HERE / "test_usage_golden.py", HERE / "test_usage_report.py"]
CASES = "midnight or test_the_hours or test_every_day or dated_later"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
def test_days_and_hours_are_those_of_utc_in_every_time_zone(zone: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES, "-k", CASES],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    assert "7 passed" in found.stdout
