"""Runs that were launched and never begin; a real code server has their process, or has not."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import EngineEventData
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

from health_location import NamedProcessor
from launching import launching_instance
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.orchestration import starting
from session_pipeline_dagster.orchestration.janitor import end, janitor_sensor
from session_pipeline_dagster.orchestration.starting import never_began
from session_pipeline_dagster.settings import Settings

pytestmark = pytest.mark.slow(seconds=20)
STARTING = dg.DagsterRunStatus.STARTING
LOCATION = """
import multiprocessing
import time

import dagster as dg

if multiprocessing.parent_process():
    time.sleep(600)


@dg.job
def verification_job():
    pass


defs = dg.Definitions(jobs=[verification_job])
"""
"""A location whose processes of runs do not come to begin."""


@dataclass(frozen=True, slots=True)
class CodeServer:
    socket: str
    process: psutil.Process

    @property
    def client(self) -> DagsterGrpcClient:
        return DagsterGrpcClient(socket=self.socket, host="localhost")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping("x"))
        except DagsterUserCodeUnreachableError:
            return False

    def workers(self) -> list[psutil.Process]:
        """The processes of runs that it has started."""
        below = self.process.children(recursive=True)
        return [child for child in below if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def code_server(folder: Path) -> Iterator[CodeServer]:
    """A real one."""
    (folder / "location.py").write_text(LOCATION)
    socket = str(folder / "socket")
    command = ["dagster", "api", "grpc", "--socket", socket, "-f", "location.py"]
    started = subprocess.Popen([sys.executable, "-m", *command], cwd=folder)
    server = CodeServer(socket, psutil.Process(started.pid))
    try:
        wait(server.answers)
        yield server
    finally:
        for process in (*server.process.children(recursive=True), started):
            process.kill()
        started.wait()


def wait(until: Callable[[], object]) -> None:
    stop = time.monotonic() + 120
    while not until():
        assert time.monotonic() < stop
        time.sleep(0.1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with launching_instance() as made:
        yield made


def launched(
    instance: dg.DagsterInstance, name: str = "verification_job", **where: object
) -> dg.DagsterRun:
    """A run that a code server was asked to start."""
    found = {"host": "localhost", **where}
    job = dg.JobDefinition(name=name, graph_def=dg.GraphDefinition("g"))
    return instance.create_run_for_job(
        job, status=STARTING, tags={GRPC_INFO_TAG: json.dumps(found)} if where else {}
    )


def later() -> datetime:
    return datetime.now(UTC) + starting.PATIENCE + timedelta(seconds=1)


def found(instance: dg.DagsterInstance, now: datetime | None = None) -> list[str]:
    return [run.run_id for run in never_began(instance.get_run_records(), now or later())]


def test_a_run_whose_code_server_is_gone_never_begins(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with code_server(tmp_path) as server:
        run = launched(instance, socket=server.socket)
    assert found(instance) == [run.run_id]
    assert found(instance, datetime.now(UTC)) == [], "it may still come"


def test_a_run_that_another_code_server_of_the_place_does_not_know_never_begins(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with code_server(tmp_path) as server:
        run = launched(instance, socket=server.socket)
        assert found(instance) == [run.run_id]


def test_a_run_whose_process_is_only_slow_is_left_alone(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with code_server(tmp_path) as server:
        place = GrpcServerCodeLocationOrigin(host="localhost", socket=server.socket)
        repository = RemoteRepositoryOrigin(place, "__repository__")
        job = dg.JobDefinition(name="verification_job", graph_def=dg.GraphDefinition("v"))
        run = instance.create_run_for_job(
            job,
            status=STARTING,
            remote_job_origin=RemoteJobOrigin(repository, "verification_job"),
        )
        launch = dg.DefaultRunLauncher.launch_run_from_grpc_client
        pool = ThreadPoolExecutor(1)
        launching = pool.submit(launch, instance, run, server.client)
        wait(lambda: instance.get_run_by_id(run.run_id).tags.get(GRPC_INFO_TAG))
        wait(lambda: found(instance) == [])
        assert instance.get_run_by_id(run.run_id).status is STARTING
        (worker,) = server.workers()
        worker.kill()
        wait(lambda: found(instance) == [run.run_id])
        assert "terminated unexpectedly" in str(launching.exception())


@pytest.mark.parametrize(
    "where",
    [{}, {"port": 1}, {"port": None}, {"port": "1"}, {"socket": 5}, {"socket": "here"}, {"x": 1}],
    ids=str,
)
def test_of_what_nothing_can_be_said_is_left_to_dagster(
    instance: dg.DagsterInstance, where: dict[str, object]
) -> None:
    launched(instance, **where)
    assert found(instance) == []


@pytest.mark.parametrize("said", ["", "x", "[]", "{}", "null", "\\ud800"])
def test_a_tag_that_is_none_of_the_launchers_stops_nothing(
    instance: dg.DagsterInstance, said: str
) -> None:
    instance.add_run_tags(launched(instance).run_id, {GRPC_INFO_TAG: said})
    assert found(instance) == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_process_that_has_said_its_id_counts_whatever_a_code_server_says(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, alive: bool
) -> None:
    """A code server that was loaded anew knows nothing of the processes of the one before."""
    process = subprocess.Popen([sys.executable, "-c", "" if not alive else "input()"], stdin=-1)
    monkeypatch.setattr(starting, "PATIENCE", timedelta(0) if alive else timedelta(days=1))
    run = launched(instance, socket=str(tmp_path / "gone"))
    instance.report_engine_event("Started.", run, EngineEventData.in_process(process.pid))
    if not alive:
        process.communicate()
    tick(instance, tmp_path)
    process.communicate()
    ended = instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert ended is not alive


def tick(instance: dg.DagsterInstance, folder: Path) -> str:
    janitor = janitor_sensor(Registry((NamedProcessor(),)), Settings(database=folder / "x.duckdb"))
    return str(janitor(dg.build_sensor_context(instance=instance)).skip_reason)


def test_the_janitor_ends_it_and_says_so(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "gone")
    run, anothers = launched(instance, socket=gone), launched(instance, "other_job", socket=gone)
    assert "nothing" in tick(instance, tmp_path)
    monkeypatch.setattr(starting, "PATIENCE", timedelta(0))
    assert f"ended {run.run_id}" in tick(instance, tmp_path)
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(anothers.run_id).status is STARTING


def test_a_run_that_has_begun_after_all_is_left_alone(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = launched(instance, socket=str(tmp_path / "gone"))
    (judged,) = never_began(instance.get_run_records(), later())
    begun = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "verification_job")
    instance.report_dagster_event(begun, run.run_id)
    assert not end(instance, judged)
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED
