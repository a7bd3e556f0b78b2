"""Health and alerts under a real `dagster dev` with its daemon."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from helpers import write_session
from locations import real_location
from webhook import Webhook

pytestmark = pytest.mark.slow(seconds=100)


def usage_location(folder: Path, webhook: Webhook) -> DagsterDev:
    return real_location(
        folder,
        # The other processor has time for days: it is not what this is about.
        SCHEDULER_VERIFICATION_DETECTOR_INTERVAL="86400",
        SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS="5",
        SESSION_PIPELINE_ALERT_DELAY_SECONDS="1",
        SESSION_PIPELINE_ALERT_URLS=webhook.url,
        DAGSTER_UI_URL="http://dagster.example.org",
    )


def let_sensors_tick(dev: DagsterDev, sensor: str, times: int = 2) -> None:
    """Wait until the sensor has ticked so often again."""
    now = time.time()
    dev.wait(lambda: len(dev.skip_reasons(sensor, now)) >= times, f"ticks of {sensor}")


def test_what_lands_while_the_sensor_is_off_is_told_once_and_resolved_once(tmp_path: Path) -> None:
    with Webhook() as webhook:
        with usage_location(tmp_path, webhook) as dev:
            dev.stop_sensor("usage_sensor")
            dev.stop_sensor("verification_sensor")
            dev.wait(lambda: dev.check("usage_messages", "freshness"), "a first evaluation")
            assert dev.check("usage_messages", "freshness")[0]["status"] == "SUCCEEDED"

            old = datetime.now(UTC) - timedelta(hours=2)
            write_session(tmp_path / "sessions", "alice/s.jsonl", "hello", mtime=old)

            def warning() -> bool:
                latest = dev.check("usage_messages", "freshness")[0]
                return latest["status"] == "FAILED"

            dev.wait(warning, "the check to turn")
            latest = dev.check("usage_messages", "freshness")[0]
            assert latest["evaluation"]["severity"] == "WARN"
            assert latest["metadata"]["status"] == "warning"
            assert latest["metadata"]["lag_seconds"] > 7000
            dev.wait(lambda: webhook.taken, "an alert")
            let_sensors_tick(dev, "alert_sensor")
            assert dev.runs() == [], "it spoke without any run"
            assert webhook.titles == ["warning: usage freshness"]
            assert webhook.taken[0]["message"].endswith(
                "http://dagster.example.org/assets/usage_messages?view=checks&checkDetail=freshness"
            )

        with usage_location(tmp_path, webhook) as dev:
            let_sensors_tick(dev, "alert_sensor", 3)
            assert webhook.titles == ["warning: usage freshness"], "a restart tells nothing again"

            run_id = dev.launch("usage_job")
            runs = dev.wait(lambda: dev.ended([run_id]), "the run")
            assert {run["status"] for run in runs} == {"SUCCESS"}, runs
            dev.wait(lambda: len(webhook.taken) > 1, "the all-clear")
            let_sensors_tick(dev, "alert_sensor", 3)
            assert webhook.titles[1:] == ["resolved: usage freshness"]
