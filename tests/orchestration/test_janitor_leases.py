"""The janitor where runs have leases: it fails those that nobody keeps up, whatever runs them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from health_location import NamedProcessor
from helpers import EchoProcessor, make_pipeline, write_session
from lakes import Lakes
from postgres import Postgres, postgres
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.janitor import janitor_sensor
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.lake.leases import Leases

STARTED, CANCELING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING
STARTING = dg.DagsterRunStatus.STARTING
HOLDER = """
import sys, time
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.store.lake.catalog import Catalog
from session_pipeline_dagster.store.lake.leases import Leases
with Leases(Catalog(Lake(sys.argv[1]))).hold(sys.argv[2]) as lease:
    if sys.argv[3:]:
        lease.note(1, sys.argv[3], sure=True)
    print("ready", flush=True)
    time.sleep(600)
"""


class Janitor:
    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance, self.settings = instance, settings
        self.registry = Registry((NamedProcessor(),))
        self.defs = build_definitions(self.registry, settings)
        leases = open_store(settings).place.leases()
        assert leases
        self.leases: Leases = leases

    def tick(self) -> str:
        context = dg.build_sensor_context(instance=self.instance)
        return str(janitor_sensor(self.registry, self.settings)(context).skip_reason.skip_message)

    def run(self, status: dg.DagsterRunStatus = STARTED, job: str = "verification_job") -> str:
        made = self.instance.create_run_for_job(self.defs.resolve_job_def(job), status=status)
        if status is CANCELING:
            self.instance.report_run_canceling(made)
        return made.run_id

    def killed(self, run_id: str, *working_on: str) -> None:
        """Its worker, with this in work, was killed a minute ago, on whichever machine."""
        catalog = str(self.settings.database).removeprefix("ducklake:postgres:")
        command = [sys.executable, "-c", HOLDER, catalog, run_id, *working_on]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout
            assert worker.stdout.readline() == b"ready\n"
            worker.kill()
        self.let_a_minute_pass()

    def let_a_minute_pass(self) -> None:
        with self.leases.catalog.session() as session:
            session.execute(
                "UPDATE public.session_pipeline_leases "
                "SET beat_at = beat_at - interval '61 seconds'"
            )

    def status(self, run_id: str) -> str:
        found = self.instance.get_run_by_id(run_id)
        assert found
        return found.status.value


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    # Not Dagster's default launcher: nothing here can see a process.
    launcher = {"module": "elsewhere", "class": "Elsewhere", "config": {"folder": "/nowhere"}}
    with dg.DagsterInstance.local_temp(overrides={"run_launcher": launcher}) as found:
        yield found


@pytest.fixture
def janitor(lakes: Lakes, tmp_path: Path, instance: dg.DagsterInstance) -> Janitor:
    return Janitor(instance, lakes.settings(tmp_path))


def test_a_run_whose_lease_nobody_keeps_up_fails_and_says_why(janitor: Janitor) -> None:
    run_id = janitor.run()
    janitor.killed(run_id)
    assert run_id in janitor.tick()
    assert janitor.status(run_id) == "FAILURE"
    (failure,) = janitor.instance.all_logs(run_id, of_type=dg.DagsterEventType.PIPELINE_FAILURE)
    assert "is gone" in failure.message
    assert janitor.tick() == "nothing was left behind"


def test_one_that_was_being_canceled_is_canceled(janitor: Janitor) -> None:
    run_id = janitor.run(CANCELING)
    janitor.killed(run_id)
    janitor.tick()
    assert janitor.status(run_id) == "CANCELED"


def test_runs_that_are_heard_of_have_no_lease_yet_or_are_others_are_left_alone(
    janitor: Janitor,
) -> None:
    heard, starting, none = janitor.run(), janitor.run(STARTING), janitor.run()
    others = janitor.instance.add_run(dg.DagsterRun("other_job", status=STARTED)).run_id
    janitor.killed(others)
    with janitor.leases.hold(heard):
        assert janitor.tick() == "nothing was left behind"
    found = [janitor.status(run_id) for run_id in (heard, starting, none, others)]
    assert found == ["STARTED", "STARTING", "STARTED", "STARTED"]


def test_what_the_lost_worker_had_in_work_is_left_for_the_next_pass(janitor: Janitor) -> None:
    run_id = janitor.run()
    janitor.killed(run_id, "a note")
    janitor.tick()
    assert janitor.status(run_id) == "FAILURE"
    assert [lost.working_on for lost in janitor.leases.lost()] == [["a note"]]


def test_a_run_that_ended_by_itself_keeps_its_end(janitor: Janitor) -> None:
    run_id = janitor.run(dg.DagsterRunStatus.SUCCESS)
    janitor.killed(run_id)
    assert janitor.tick() == "nothing was left behind"
    assert janitor.status(run_id) == "SUCCESS"
    assert janitor.leases.lost() == [], "and what nobody needs any more goes"


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as found:
        yield found


def test_without_the_catalog_the_rest_goes_on(
    server: Postgres, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    janitor = Janitor(instance, Lakes(server).settings(tmp_path))
    server.stop()
    storage = instance.event_log_storage
    storage.set_concurrency_slots("session_processor_verification", 1)
    ended = janitor.run(dg.DagsterRunStatus.SUCCESS)
    storage.claim_concurrency_slot("session_processor_verification", ended, "x")
    said = janitor.tick()
    assert "leases cannot be looked at" in said
    assert f"freed the slot of {ended}" in said


def test_a_run_has_its_lease_for_as_long_as_it_lasts_and_says_its_shard(
    lakes: Lakes, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = make_pipeline(tmp_path)
    write_session(pipeline.root, "alice/a.jsonl", "hello")
    settings = lakes.settings(tmp_path, pipeline.settings)
    leases = open_store(settings).place.leases()
    assert leases
    seen: list[tuple[object, ...]] = []

    def look(_: object) -> None:
        with leases.catalog.session() as session:
            select = "SELECT run_id, shard, working_on FROM public.session_pipeline_leases"
            seen.extend(session.execute(select).fetchall())

    job = build_definitions([EchoProcessor(look)], settings).resolve_job_def("echo_job")
    made = job.execute_in_process(instance=instance, tags={"session_pipeline/shard": "echo:1/1"})
    ((run_id, shard, _),) = seen
    assert (run_id, shard) == (made.run_id, "1/1")
    look(None)
    assert len(seen) == 1, "given back"
