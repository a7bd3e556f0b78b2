"""Several workers over one lake, killed as it comes: exact in the end."""

from pathlib import Path

import pytest

from lakes import lakes
from several import several


@pytest.mark.slow(seconds=90)
def test_killed_workers_and_a_crashed_postgres_leave_what_an_undisturbed_run_leaves(
    tmp_path: Path,
) -> None:
    with lakes() as at:  # Of its own: its Postgres crashes.
        outcome = several(tmp_path, at, workers=3, users=1, kills=3, crashes=1)
    assert outcome.different == []
    assert (outcome.kills, outcome.crashes, outcome.endings) == (3, 1, [])
