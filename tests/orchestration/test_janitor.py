"""The janitor on a real instance: runs whose worker is gone, and slots that they left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from health_location import NamedProcessor
from helpers import echo_report
from launching import launching_instance
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.orphans import Worker, is_gone
from session_pipeline_dagster.orchestration.janitor import end, janitor_sensor
from session_pipeline_dagster.settings import Settings

POOL = "session_processor_verification"
STARTED, CANCELING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING


class Janitor:
    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        processor = NamedProcessor()
        processor.reports = [echo_report(table="verification_rows")]
        self.registry = Registry((processor,))
        self.settings = Settings(database=folder / "x.duckdb")
        self.defs = build_definitions(self.registry, self.settings)

    def tick(self) -> str:
        context = dg.build_sensor_context(instance=self.instance)
        return str(janitor_sensor(self.registry, self.settings)(context).skip_reason.skip_message)

    def run(
        self,
        pid: int | None,
        status: dg.DagsterRunStatus = STARTED,
        job: str = "verification_job",
        began: float | None = None,
        asset: str | None = None,
    ) -> str:
        """A run that a process of this id began; of a job, or as a sensor asks for one asset."""
        definition = self.defs.resolve_job_def(job)
        if asset is not None:
            whole = self.defs.resolve_implicit_global_asset_job_def()
            definition = whole.get_subset(asset_selection={dg.AssetKey(asset)})
        made = self.instance.create_run_for_job(
            definition, status=status, asset_selection=definition.asset_selection
        )
        if pid is not None:
            event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, job, pid=pid)
            self.instance.report_dagster_event(event, made.run_id, timestamp=began)
        if status is CANCELING:
            self.instance.report_run_canceling(made)
        return made.run_id

    def status(self, run_id: str) -> str:
        return self.instance.get_run_by_id(run_id).status.value


@pytest.fixture
def janitor(tmp_path: Path) -> Iterator[Janitor]:
    with launching_instance() as instance:
        yield Janitor(instance, tmp_path)


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    started = []

    def run(code: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_run_whose_worker_is_gone_fails_and_says_why(janitor: Janitor, gone: int) -> None:
    run_id = janitor.run(gone)
    assert run_id in janitor.tick()
    assert janitor.status(run_id) == "FAILURE"
    (failure,) = janitor.instance.all_logs(run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    assert "is gone" in failure.message
    assert janitor.tick() == "nothing was left behind"


def test_a_run_that_was_being_canceled_is_canceled(janitor: Janitor, gone: int) -> None:
    run_id = janitor.run(gone, CANCELING)
    janitor.tick()
    assert janitor.status(run_id) == "CANCELED"


def test_a_run_whose_worker_lives_is_left_alone(janitor: Janitor) -> None:
    run_id = janitor.run(os.getpid())
    assert janitor.tick() == "nothing was left behind"
    assert janitor.status(run_id) == "STARTED"


def test_a_process_that_got_the_id_of_a_dead_worker_is_not_the_worker(janitor, start) -> None:
    other = start("import time; time.sleep(60)")
    run_id = janitor.run(other.pid, began=time.time() - 3600)
    janitor.tick()
    assert janitor.status(run_id) == "FAILURE"


def test_the_remains_of_a_process_are_no_worker(janitor, start) -> None:
    dead = start("")
    while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    run_id = janitor.run(dead.pid)
    janitor.tick()
    assert janitor.status(run_id) == "FAILURE"


def test_a_run_of_the_checks_is_ended_too(janitor: Janitor, gone: int) -> None:
    run_id = janitor.run(gone, job="verification_health_job")
    janitor.tick()
    assert janitor.status(run_id) == "FAILURE"


def test_a_run_of_a_report_is_ended_and_its_slot_freed(janitor: Janitor, gone: int) -> None:
    run_id = janitor.run(gone, asset="echo_report")
    storage = janitor.instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, run_id, "echo_report").is_claimed
    janitor.tick()
    assert janitor.status(run_id) == "FAILURE"
    assert storage.claim_concurrency_slot(POOL, janitor.run(os.getpid()), "step").is_claimed


def test_runs_of_others_are_left_alone(janitor: Janitor, gone: int, tmp_path: Path) -> None:
    other = Registry((NamedProcessor("other"),))
    janitor.defs = build_definitions(other, Settings(database=tmp_path / "y.duckdb"))
    run_id = janitor.run(gone, job="other_job")
    janitor.tick()
    assert janitor.status(run_id) == "STARTED"


def test_a_run_that_has_ended_since_it_was_read_is_left_alone(janitor, gone) -> None:
    """The worker writes the end of its run, and then it goes."""
    run_id = janitor.run(gone)
    read = janitor.instance.get_run_by_id(run_id)
    event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, "verification_job")
    janitor.instance.report_dagster_event(event, run_id)
    assert not end(janitor.instance, read)
    assert janitor.status(run_id) == "SUCCESS"


def test_a_run_that_does_not_say_who_began_it_is_left_alone(janitor: Janitor) -> None:
    run_id = janitor.run(None)
    janitor.tick()
    assert janitor.status(run_id) == "STARTED"


def test_with_another_launcher_no_process_is_looked_for(tmp_path: Path, gone: int) -> None:
    """Its workers are on other machines."""
    with dg.DagsterInstance.ephemeral() as instance:
        janitor = Janitor(instance, tmp_path)
        assert "SyncInMemory" in type(instance.run_launcher).__name__
        run_id = janitor.run(gone)
        janitor.tick()
        assert janitor.status(run_id) == "STARTED"


def test_the_slot_of_an_orphan_is_freed_with_it(janitor: Janitor, gone: int) -> None:
    storage = janitor.instance.event_log_storage
    storage.set_concurrency_slots(POOL, 1)
    orphan, waiting = janitor.run(gone), janitor.run(os.getpid())
    assert storage.claim_concurrency_slot(POOL, orphan, "verification").is_claimed
    assert not storage.claim_concurrency_slot(POOL, waiting, "verification").is_claimed
    said = janitor.tick()
    assert f"freed the slot of {orphan}" in said
    assert waiting not in said
    assert storage.claim_concurrency_slot(POOL, waiting, "verification").is_claimed
    assert janitor.tick() == "nothing was left behind"


@pytest.mark.parametrize(
    ("alive_since", "expected"), [(None, True), (99.0, False), (110.0, False), (110.1, True)]
)
def test_only_a_process_from_before_the_run_can_be_its_worker(alive_since, expected) -> None:
    assert is_gone(Worker(1, 100.0), alive_since) is expected
