"""The eight health cases: real files, a real DuckDB file, the real checks, one `verification`.

`test_health_zones.py` runs them again in other time zones.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from health_location import HOUR, HealthLocation, passes, statuses, value


@pytest.fixture
def location(tmp_path: Path) -> HealthLocation:
    return HealthLocation(tmp_path)


def test_1_no_session_files_is_ok(location: HealthLocation) -> None:
    found = location.checks()
    assert statuses(found) == {}
    assert all(passes(evaluation) for evaluation in found.values())
    assert location.document()["status"] == "ok"


def test_2_a_fresh_file_and_a_row_of_now_is_ok(location: HealthLocation) -> None:
    location.processed("x/s.jsonl", age=60)
    found = location.checks()
    assert statuses(found) == {}
    assert value(found["freshness"], "session_files") == 1
    assert value(found["freshness"], "lag_seconds") == 0
    assert location.document()["status"] == "ok"


def test_3_a_file_that_landed_after_the_last_processing_is_a_warning(location) -> None:
    location.file("x/new.jsonl", age=2 * HOUR)
    location.row("x/earlier.jsonl", age=3 * HOUR)
    found = location.checks()
    assert statuses(found) == {"freshness": "warning"}
    assert not passes(found["freshness"])
    assert "verification_job" in found["freshness"].description
    assert value(found["freshness"], "lag_seconds") == pytest.approx(HOUR, abs=5)
    document = location.document()
    assert document["status"] == "degraded"
    service = document["services"]["session_pipeline"]
    assert service["status"] == "warning"
    assert "verification" in service["detail"]
    assert service["lag_seconds"] == pytest.approx(HOUR, abs=5)


def test_4_a_file_and_no_row_at_all_is_a_warning(location: HealthLocation) -> None:
    location.file("x/s.jsonl", age=2 * HOUR)
    found = location.checks()
    assert statuses(found) == {"freshness": "warning"}
    assert "nothing was ever processed" in found["freshness"].description
    assert location.document()["status"] == "degraded"


def test_5_an_old_file_that_newer_ones_overtook_is_info_and_never_the_headline(location) -> None:
    location.file("x/stuck_old.jsonl", age=5 * HOUR)
    location.processed("x/fresh.jsonl", age=60)
    found = location.checks()
    assert statuses(found) == {"fifo_stuck_file": "info"}
    stuck = found["fifo_stuck_file"]
    assert passes(stuck)
    assert stuck.description.startswith("info: ")
    assert "skipped" in stuck.description
    assert str(value(stuck, "stuck_file")).endswith("stuck_old.jsonl")
    assert value(stuck, "stuck_file_age_seconds") > 4 * HOUR
    document = location.document()
    service = document["services"]["session_pipeline"]
    assert document["status"] == "ok"
    assert service["status"] == "info"
    assert "skipped" in service["detail"]
    assert service["stuck_file"].endswith("stuck_old.jsonl")
    assert service["stuck_file_age_seconds"] > 4 * HOUR


def test_6_an_unprocessed_file_within_the_stuck_grace_is_ok(location: HealthLocation) -> None:
    location.file("x/waiting.jsonl", age=HOUR)
    location.processed("x/fresh.jsonl", age=60)
    assert statuses(location.checks()) == {}
    assert "stuck_file" not in location.document()["services"]["session_pipeline"]


def test_7_everything_processed_is_ok(location: HealthLocation) -> None:
    location.processed("x/old.jsonl", age=5 * HOUR)
    location.processed("x/fresh.jsonl", age=60)
    assert statuses(location.checks()) == {}
    assert location.document()["status"] == "ok"


def test_8_the_stuck_grace_can_be_set(tmp_path: Path) -> None:
    location = HealthLocation(tmp_path, stuck_grace=timedelta(seconds=60))
    location.file("x/stuck.jsonl", age=300)
    location.processed("x/fresh.jsonl", age=10)
    found = location.checks()
    assert statuses(found) == {"fifo_stuck_file": "info"}
    assert value(found["fifo_stuck_file"], "stuck_file") == "x/stuck.jsonl"
