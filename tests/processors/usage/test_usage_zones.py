"""Days and hours in other time zones."""

from pathlib import Path

import pytest

from helpers import run_tests_in_zone

HERE = Path(__file__).parent
FILES = [HERE / "test_usage_golden.py", HERE / "test_usage_report.py"]
CASES = "midnight or test_the_hours or test_every_day or dated_later"


@pytest.mark.slow(seconds=7)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
def test_days_and_hours_are_those_of_utc_in_every_time_zone(zone: str) -> None:
    assert "7 passed" in run_tests_in_zone(zone, *FILES, "-k", CASES)
