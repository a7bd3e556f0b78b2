"""A real `dagster dev` with its daemon, as users run it."""

import time
from pathlib import Path

import pytest

from example_numbers import FILES, MESSAGES
from locations import copy_examples, query, real_location

pytestmark = pytest.mark.slow(seconds=60)
DAILY = "FROM usage_daily ORDER BY ALL"


def test_examples_are_processed_without_a_click_and_history_outlives_a_restart(
    tmp_path: Path,
) -> None:
    copy_examples(tmp_path)
    often = {"SCHEDULER_USAGE_PROCESSOR_INTERVAL": "5"}
    with real_location(tmp_path, **often) as dev:
        (run,) = dev.wait(lambda: dev.ended(at_least=1, processor="usage"), "first run")
        assert run["status"] == "SUCCESS"
        assert run["tags"]["dagster/sensor_name"] == "usage_sensor"
        daily = query(dev, DAILY)
        assert sum(row[4] for row in daily) == MESSAGES

        grown = next((tmp_path / "sessions" / "alice").rglob("9631*.jsonl"))
        with grown.open("ab") as file:
            file.write(b'{"type":"user","uuid":"new","message":{"content":"one more"}}\n')
        grown_run = dev.wait(
            lambda: dev.ended(at_least=2, processor="usage"), "run for the grown file"
        )
        states = query(
            dev,
            "SELECT run_id, count(*) FROM session_processor_state "
            "WHERE processor_name = 'usage' GROUP BY ALL ORDER BY 2",
        )
        assert [files for _, files in states] == [1, FILES - 1], (
            "only the grown file is processed again"
        )
        dev.wait((tmp_path / "reports" / "usage.html").exists, "the first report")

    restarted = time.time()
    with real_location(tmp_path, **often) as dev:
        dev.wait(lambda: dev.skip_reasons("usage_sensor", restarted), "tick after the restart")
        assert dev.ended(processor="usage") == grown_run, "nothing is processed again"
        assert query(dev, DAILY) == daily
