"""Several runs of one processor side by side: a sensor, a decision and a tag for every shard."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from helpers import EchoProcessor, Pipeline, expected_rows, make_pipeline, write_session
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.names import PLAIN, Names
from session_pipeline_dagster.orchestration.runs import in_flight
from session_pipeline_dagster.orchestration.sensors import processor_sensor
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.passes.shards import Shard

PEOPLE = ("alice", "bob", "carol", "dave")
HALVES = (Shard(1, 2), Shard(2, 2))
STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as found:
        yield found


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    for name in PEOPLE:
        write_session(pipeline.root, f"{name}/a.jsonl", "one")
    return pipeline.having(shards=2)


def sensor(pipeline: Pipeline, shard: Shard) -> dg.SensorDefinition:
    return processor_sensor(EchoProcessor(), pipeline.settings, shard=shard)


def asked(
    pipeline: Pipeline, instance: dg.DagsterInstance, shard: Shard, cursor: str | None = None
) -> dg.SensorResult:
    return sensor(pipeline, shard)(dg.build_sensor_context(instance=instance, cursor=cursor))


def execute(
    pipeline: Pipeline, instance: dg.DagsterInstance, tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    job = build_definitions([EchoProcessor()], pipeline.settings).resolve_job_def("echo_job")
    return job.execute_in_process(instance=instance, tags=tags)


def sensors(pipeline: Pipeline) -> set[str]:
    found = build_definitions([EchoProcessor()], pipeline.settings).sensors or ()
    return {sensor.name for sensor in found}


def test_there_is_a_sensor_for_every_shard_and_with_one_shard_all_is_as_ever(pipeline) -> None:
    shared = {"session_files_sensor", "health_sensor", "alert_sensor", "janitor_sensor"}
    assert sensors(pipeline) == shared | {"echo_sensor_1", "echo_sensor_2"}
    assert sensors(pipeline.having(shards=1)) == shared | {"echo_sensor"}
    assert Names(suffix="agents").sensor("echo", HALVES[1]) == "echo_sensor_2_agents"


def test_each_sensor_asks_for_its_own_shard_and_its_run_takes_that_alone(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    for half in HALVES:
        result = asked(pipeline, instance, half)
        (request,) = result.run_requests or []
        assert request.tags["session_pipeline/shard"] == f"echo:{half}"
        assert request.tags["session_pipeline/processor"] == "echo"
        execute(pipeline, instance, request.tags)
        mine = {f"{name}/a.jsonl" for name in PEOPLE if half.has(f"{name}/", "")}
        assert mine <= {*pipeline.states(EchoProcessor())}
        assert "are current" in str(asked(pipeline, instance, half).skip_reason)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_the_first_shards_run_leaves_the_others_files_pending(pipeline, instance) -> None:
    execute(pipeline, instance, PLAIN.tags("echo", HALVES[0]))
    mine = {f"{name}/a.jsonl" for name in PEOPLE if HALVES[0].has(f"{name}/", "")}
    assert {*pipeline.states(EchoProcessor())} == mine
    assert asked(pipeline, instance, HALVES[1]).run_requests


def test_a_run_that_was_launched_by_hand_takes_all(pipeline, instance) -> None:
    execute(pipeline, instance)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_the_pool_takes_as_many_runs_as_there_are_shards(pipeline, instance) -> None:
    storage = instance.event_log_storage
    asked(pipeline, instance, HALVES[0])
    assert storage.get_concurrency_info("session_processor_echo").limit == 2
    processor_sensor(EchoProcessor(), replace(pipeline.settings, shards=1))(
        dg.build_sensor_context(instance=instance)
    )
    assert storage.get_concurrency_info("session_processor_echo").limit == 1


@pytest.mark.parametrize(
    ("tags", "holds_up"),
    [
        (PLAIN.tags("echo", HALVES[0]), (True, False)),
        (PLAIN.tags("echo", HALVES[1]), (False, True)),
        (PLAIN.tags("echo"), (True, True)),
        (PLAIN.tags("echo", Shard(1, 3)), (True, True)),
        ({"session_pipeline/shard": "echo:nonsense"}, (True, True)),
    ],
    ids=["of the first", "of the second", "of all", "of another number", "of a tag of one's own"],
)
def test_a_shard_waits_for_runs_that_may_take_its_files(pipeline, instance, tags, holds_up) -> None:
    job = build_definitions([EchoProcessor()], pipeline.settings).resolve_job_def("echo_job")
    run = instance.create_run_for_job(job, tags=tags, status=STARTED)
    found = [in_flight(instance, EchoProcessor(), PLAIN, half) for half in HALVES]
    assert [one == run.run_id for one in found] == [*holds_up]
    assert in_flight(instance, EchoProcessor(), PLAIN) == run.run_id


def test_a_tag_that_is_no_shard_fails_the_run_in_words(pipeline, instance) -> None:
    job = build_definitions([EchoProcessor()], pipeline.settings).resolve_job_def("echo_job")
    found = job.execute_in_process(
        instance=instance, tags={"session_pipeline/shard": "echo:9"}, raise_on_error=False
    )
    (failed,) = found.get_step_failure_events()
    assert "write I/N" in str(failed.event_specific_data)
    assert pipeline.states(EchoProcessor()) == {}


def test_what_waits_to_be_derived_is_asked_for_by_one_sensor(pipeline, instance) -> None:
    usage = load_processors().get("usage")
    run_batch(usage, pipeline.source, pipeline.store, pipeline.settings)
    instance.add_run(dg.DagsterRun("usage_job", tags=PLAIN.tags("usage")))
    context = dg.build_sensor_context(instance=instance)
    found = [processor_sensor(usage, pipeline.settings, shard=half)(context) for half in HALVES]
    (request,) = found[0].run_requests or []
    assert dg.AssetKey("usage_daily") in request.asset_selection
    assert not found[1].run_requests
