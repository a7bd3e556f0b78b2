"""The eight cases in other time zones."""

from pathlib import Path

import pytest

from helpers import run_tests_in_zone

CASES = Path(__file__).with_name("test_health_seed.py")


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/St_Johns"])
def test_the_eight_cases_hold_in_every_time_zone(zone: str) -> None:
    assert "8 passed" in run_tests_in_zone(zone, CASES)
