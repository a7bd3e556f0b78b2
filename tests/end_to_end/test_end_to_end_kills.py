"""Workers killed and machines rebooted under a real `dagster dev`: the next run is soon at work."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from helpers import write_session
from locations import NOT_OURS, OURS, slow_location

FILES = 40
"""A minute of work for slow_a, five for slow_b."""
SOON = 300
"""Seconds; it is less than a minute where nothing else runs, as other tests do here. Without the
janitor a run whose process is gone stays STARTED for good, as Dagster is set by itself."""

pytestmark = pytest.mark.slow(seconds=120)


@pytest.fixture(scope="module", params=[OURS, NOT_OURS])
def slow(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DagsterDev]:
    """A `dagster dev` for both tests of an instance, in their order."""
    folder = tmp_path_factory.mktemp("slow")
    arrive(folder, "alice")
    with slow_location(folder, request.param) as dev:
        yield dev
        # Else it would wait until the run that is at work has ended.
        dev.crash()


def arrive(folder: Path, user: str) -> None:
    for number in range(FILES):
        write_session(folder / "sessions", f"{user}/{number}.jsonl", "hello")


def at_work(dev: DagsterDev, run_id: str | None = None) -> tuple[str, int]:
    """The run of slow_a (the sensor's, or the one named) that is at work, and its process."""
    log = dev.folder / "slow.log"
    known = log.read_text() if log.exists() and run_id else ""

    def working() -> tuple[str, int] | None:
        said = log.read_text()[len(known) :] if log.exists() else ""
        notes = [json.loads(line) for line in said.splitlines()]
        pids = [note["pid"] for note in notes if note["name"] == "slow_a"]
        runs = [run for run in dev.runs() if run["jobName"] == "slow_a_job"]
        started = [run["runId"] for run in runs if run["status"] == "STARTED"]
        return (started[0], pids[-1]) if pids and run_id in (None, *started) and started else None

    return dev.wait(working, "a run at work")


def status(dev: DagsterDev, run_id: str) -> str:
    return next(run["status"] for run in dev.runs() if run["runId"] == run_id)


def next_run_goes_through(dev: DagsterDev) -> None:
    config = {"ops": {"slow_a": {"config": {"max_files": 2}}}}
    run_id = dev.launch("slow_a_job", config)
    dev.wait(lambda: status(dev, run_id) == "SUCCESS", "the next run")


def test_a_reboot_holds_up_a_processor_for_a_short_while(slow: DagsterDev) -> None:
    dev = slow
    run_id, _ = at_work(dev)
    # The other processor's may not have come to begin.
    others = [run["runId"] for run in dev.runs() if run["status"] in ("STARTING", "STARTED")]
    dev.crash()
    dev.restart()
    dev.stop_sensor("slow_a_sensor")
    began = time.monotonic()
    assert status(dev, run_id) in ("STARTED", "FAILURE")
    dev.wait(lambda: status(dev, run_id) == "FAILURE", "the end of its run")
    next_run_goes_through(dev)
    assert time.monotonic() - began < SOON
    dev.wait(lambda: {status(dev, other) for other in others} == {"FAILURE"}, "the others' end")


def test_a_killed_worker_holds_up_its_processor_for_a_short_while(slow: DagsterDev) -> None:
    dev = slow
    dev.stop_sensor("slow_b_sensor")
    # Those of the test before may all be done: the sensor asks for a run as soon as it is back.
    arrive(dev.folder, "bob")
    run_id, pid = at_work(dev, dev.launch("slow_a_job"))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    dev.wait(lambda: status(dev, run_id) == "FAILURE", "the end of its run")
    next_run_goes_through(dev)
    assert time.monotonic() - began < SOON
