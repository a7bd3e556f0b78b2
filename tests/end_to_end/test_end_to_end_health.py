"""Health, alerts and crashes under a real `dagster dev` with its daemon."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from helpers import write_session
from places import ROOT, SUPPORT
from webhook import Webhook

pytestmark = pytest.mark.slow


def usage_location(folder: Path, webhook: Webhook) -> DagsterDev:
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "sessions").mkdir(exist_ok=True)
    environment = {
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(folder / "usage.duckdb"),
        # The other processor has time for days: it is not what this is about.
        "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL": "86400",
        "SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS": "5",
        "SESSION_PIPELINE_ALERT_DELAY_SECONDS": "1",
        "SESSION_PIPELINE_ALERT_URLS": webhook.url,
        "DAGSTER_UI_URL": "http://dagster.example.org",
    }
    return DagsterDev(folder, environment, "session_pipeline")


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

            dev.wait(warning, "the check to turn", 60)
            latest = dev.check("usage_messages", "freshness")[0]
            assert latest["evaluation"]["severity"] == "WARN"
            assert latest["metadata"]["status"] == "warning"
            assert latest["metadata"]["lag_seconds"] > 7000
            dev.wait(lambda: webhook.taken, "an alert", 60)
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
            (run,) = dev.wait(lambda: dev.ended([run_id]), "the run", 90)
            assert run["status"] == "SUCCESS"
            dev.wait(lambda: len(webhook.taken) > 1, "the all-clear", 60)
            let_sensors_tick(dev, "alert_sensor", 3)
            assert webhook.titles[1:] == ["resolved: usage freshness"]


@pytest.fixture(params=["our dagster.yaml", "an instance with none of our yaml"])
def slow(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DagsterDev]:
    """Two processors with a minute of work; each run is found in `slow.log` while it works."""
    sessions = tmp_path / "sessions" / "alice"
    sessions.mkdir(parents=True)
    for number in range(40):
        line = {"type": "user", "timestamp": "2026-05-01T10:00:00Z"}
        (sessions / f"{number}.jsonl").write_text(json.dumps(line) + "\n")
    workspace = "load_from: [{python_module: {module_name: slow_location, location_name: slow}}]\n"
    (tmp_path / "workspace.yaml").write_text(workspace)
    environment = {
        "SESSION_DATA_DIR": str(tmp_path / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(tmp_path / "slow.duckdb"),
        "SLOW_LOG": str(tmp_path / "slow.log"),
        "PYTHONPATH": str(SUPPORT),
    }
    home = tmp_path
    if request.param != "our dagster.yaml":
        home = tmp_path / "home"
        home.mkdir()
        environment["DAGSTER_HOME"] = str(home)
    shutil.copy(ROOT / "dagster.yaml", home / "dagster.yaml")
    if home != tmp_path:
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return DagsterDev(tmp_path, environment, "slow")


def at_work(dev: DagsterDev) -> tuple[str, int]:
    """The run of slow_a that is at work, and its process."""

    def working() -> tuple[str, int] | None:
        path = dev.folder / "slow.log"
        notes = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )
        pids = [note["pid"] for note in notes if note["name"] == "slow_a"]
        runs = [run for run in dev.runs() if run["jobName"] == "slow_a_job"]
        started = [run["runId"] for run in runs if run["status"] == "STARTED"]
        return (started[0], pids[-1]) if pids and started else None

    return dev.wait(working, "a run at work", 90)


def status(dev: DagsterDev, run_id: str) -> str:
    return next(run["status"] for run in dev.runs() if run["runId"] == run_id)


def next_run_goes_through(dev: DagsterDev) -> None:
    config = {"ops": {"slow_a": {"config": {"max_files": 2}}}}
    run_id = dev.launch("slow_a_job", config)
    dev.wait(lambda: status(dev, run_id) == "SUCCESS", "the next run", 90)


def test_a_killed_worker_holds_up_its_processor_for_less_than_a_minute(slow: DagsterDev) -> None:
    with slow as dev:
        try:
            dev.stop_sensor("slow_b_sensor")
            run_id, pid = at_work(dev)
            dev.stop_sensor("slow_a_sensor")
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            dev.wait(lambda: status(dev, run_id) == "FAILURE", "the end of its run")
            next_run_goes_through(dev)
            assert time.monotonic() - began < 90
        finally:
            dev.crash()


def test_a_reboot_holds_up_a_processor_for_less_than_a_minute(slow: DagsterDev) -> None:
    with slow as dev:
        run_id, _ = at_work(dev)
        dev.crash()
    with slow as dev:
        try:
            dev.stop_sensor("slow_a_sensor")
            began = time.monotonic()
            assert status(dev, run_id) in ("STARTED", "FAILURE")
            dev.wait(lambda: status(dev, run_id) == "FAILURE", "the end of its run")
            next_run_goes_through(dev)
            assert time.monotonic() - began < 90
        finally:
            dev.crash()
