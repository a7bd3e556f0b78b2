"""Two instances of the pipeline in one location, beside a host's own things of the same names."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import EXAMPLES, EchoProcessor, echo_report, write_session
from session_pipeline_dagster.contract.registry import Registry, load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.orchestration.janitor import janitor_sensor
from session_pipeline_dagster.orchestration.location import pipeline_definitions
from session_pipeline_dagster.orchestration.names import PLAIN, Names
from session_pipeline_dagster.orchestration.runs import belongs, concerns, in_flight, reports_of
from session_pipeline_dagster.orchestration.sensors import processor_sensor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.store.database import open_store

pytestmark = pytest.mark.slow

A, B = Names(("team", "a"), "a"), Names(("team", "b"), "b")
AT_ONCE = timedelta(microseconds=1)


def echo() -> EchoProcessor:
    processor = EchoProcessor()
    processor.reports = [echo_report()]
    return processor


@dataclass
class Two:
    """A host's location with two instances, each over a root and a database of its own."""

    folder: Path
    instance: dg.DagsterInstance

    def settings(self, names: Names) -> Settings:
        folder = self.folder / names.suffix
        return Settings(
            roots=(Root(folder / "sessions"),),
            database=folder / "x.duckdb",
            alert_delay=AT_ONCE,
        )

    @property
    def defs(self) -> dg.Definitions:
        parts = [pipeline_definitions(Registry((echo(),)), self.settings(n), n) for n in (A, B)]
        return dg.Definitions.merge(host(), *parts)

    def rows(self, names: Names) -> list[object]:
        found = open_store(self.settings(names)).query("SELECT session_file FROM echo_rows")
        return [row[0] for row in found[0][1]]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    for names in (A, B):
        write_session(tmp_path / names.suffix / "sessions", f"{names.suffix}/s.jsonl", "hello")
    with dg.DagsterInstance.local_temp() as instance:
        yield Two(tmp_path, instance)


def host() -> dg.Definitions:
    """What somebody may have already: our names, and an executor of his own."""

    @dg.asset(group_name="echo")
    def echo_rows() -> int:
        return 1

    @dg.asset
    def echo() -> int:
        return 1

    @dg.asset_check(asset=echo_rows)
    def freshness() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.sensor(target=[echo_rows])
    def health_sensor() -> dg.SkipReason:
        return dg.SkipReason("nothing")

    return dg.Definitions(
        assets=[echo_rows, echo],
        asset_checks=[freshness],
        jobs=[dg.define_asset_job("echo_job", [echo_rows])],
        sensors=[health_sensor],
        resources={"store": dg.ResourceDefinition.hardcoded_resource(1), "sessions": 1},
        executor=dg.multiprocess_executor,
    )


def test_whatever_an_instance_brings_carries_its_names(tmp_path: Path) -> None:
    roots = (Root(EXAMPLES),)
    settings = Settings(roots=roots, database=tmp_path / "x.duckdb")
    plain = build_definitions(load_processors(), settings).get_repository_def()
    named = pipeline_definitions(load_processors(), settings, A)
    repository = named.get_repository_def()

    def assets(found: dg.RepositoryDefinition) -> set[str]:
        return {key.to_user_string() for key in found.asset_graph.get_all_asset_keys()}

    def others(found: dg.RepositoryDefinition) -> set[str]:
        graph = found.asset_graph
        nodes = found.get_job("__ASSET_JOB").graph.nodes
        jobs = [job for job in found.get_all_jobs() if job.name != "__ASSET_JOB"]
        tags = [job.tags for job in jobs] + [node.definition.tags for node in nodes]
        return {
            *(job.name for job in jobs),
            *(sensor.name for sensor in found.sensor_defs),
            *(graph.get(key).group_name for key in graph.get_all_asset_keys()),
            *(node.definition.pool for node in nodes if node.definition.pool),
            *(value for tag in tags for value in tag.values()),
        }

    def steps(found: dg.RepositoryDefinition) -> set[str]:
        return {node.name for node in found.get_job("__ASSET_JOB").graph.nodes}

    assert assets(repository) == {f"team/a/{name}" for name in assets(plain)}
    assert steps(repository) == {f"team__a__{name}" for name in steps(plain)}
    assert len(others(plain)) == 16
    assert others(repository) == {f"{name}_a" for name in others(plain)}
    assert {*named.resources} == {"session_pipeline__store_a", "session_pipeline__sessions_a"}
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        assert all(parent.has_prefix(["team", "a"]) for parent in graph.get(key).parent_keys)
    text = graph.get(A.key("usage_messages")).description
    assert "ops: {team__a__usage: {config" in text
    assert "ops: {team__a__usage: {config" in repository.get_job("usage_job_a").description


def test_every_step_of_an_instance_works_under_its_names(tmp_path: Path, two: Two) -> None:
    settings = Settings(roots=(Root(EXAMPLES),), database=tmp_path / "x.duckdb")
    named = pipeline_definitions(load_processors(), settings, A)
    whole = named.resolve_implicit_global_asset_job_def()

    def make(*tables: str) -> None:
        selection = [A.key(table) for table in tables]
        assert whole.execute_in_process(asset_selection=selection, instance=two.instance).success

    make("usage_messages")
    sensor = processor_sensor(load_processors().get("usage"), settings, A)
    (request,) = sensor(dg.build_sensor_context(two.instance)).run_requests
    daily = {A.key("usage_daily"), A.key("usage_activity_daily")}
    assert {*request.asset_selection} > daily, "its tables were made alone"
    assert {*request.asset_check_keys} > {dg.AssetCheckKey(A.key("usage_daily"), "spend_spike")}
    assert request.tags["session_pipeline/processor"] == "usage_a"
    make("usage_daily", "usage_activity_daily", "usage_report")
    for name in ("usage", "verification"):
        job = named.resolve_job_def(A.job(name))
        made = job.execute_in_process(instance=two.instance)
        assert made.success
        assert {e.asset_key for e in made.get_asset_check_evaluations()} <= {
            A.key(key.path[-1]) for key in named.resolve_asset_graph().get_all_asset_keys()
        }
    (count,) = open_store(settings).query("SELECT count(*) FROM knowledge_items")[0][1]
    assert count[0] > 1
    assert (settings.reports / "usage.html").exists()


def test_both_work_beside_a_host_that_has_the_same_names(two: Two) -> None:
    defs = two.defs
    dg.Definitions.validate_loadable(defs)
    for names in (A, B):
        job = defs.resolve_job_def(names.job("echo"))
        assert job.executor_def.name == "in_process", "not the host's"
        result = job.execute_in_process(
            {"ops": {names.step("echo"): {"config": {"users": [names.suffix]}}}},
            instance=two.instance,
        )
        made = {event.asset_key for event in result.get_asset_materialization_events()}
        assert made == {names.key("echo_rows")}
        assert two.rows(names) == [f"{names.suffix}/s.jsonl"]
    whole = defs.resolve_implicit_global_asset_job_def()
    assert whole.executor_def.name == "multiprocess", "the host's, as it is his location"
    health = defs.resolve_job_def("echo_health_job_a").execute_in_process(instance=two.instance)
    assert {e.asset_key for e in health.get_asset_check_evaluations()} == {A.key("echo_rows")}


def test_the_launchpad_shows_the_files_and_the_database_of_a_run(two: Two) -> None:
    defs = two.defs
    config = {
        "resources": {
            "session_pipeline__store_a": {"config": {"database": str(two.folder / "other.duckdb")}}
        }
    }
    assert defs.resolve_job_def("echo_job_a").execute_in_process(config, instance=two.instance)
    assert (two.folder / "other.duckdb").exists()
    assert not two.settings(A).database.exists()


@pytest.mark.parametrize(
    "launch",
    [
        {"job_name": "echo_job_a"},
        {"tags": {"session_pipeline/processor": "echo_a"}},
        {"asset_selection": frozenset({A.key("echo_rows")})},
    ],
    ids=["its job", "by tag", "its table from the asset page"],
)
def test_a_run_of_one_instance_is_none_of_the_others(two: Two, launch: dict) -> None:
    processor = echo()
    job = two.defs.resolve_job_def("echo_job_b")
    made = two.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    two.instance.delete_run(made.run_id)
    run = made._replace(**{"job_name": "other", "tags": {}, **launch})
    two.instance.add_run(run)
    assert in_flight(two.instance, processor, A) == run.run_id
    assert belongs(run, processor, A)
    assert in_flight(two.instance, processor, B) is None
    assert in_flight(two.instance, processor, PLAIN) is None
    assert not concerns(run, processor, B)


def test_a_report_and_a_health_job_are_known_by_their_names(two: Two) -> None:
    job = two.defs.resolve_job_def("echo_health_job_a")
    run = two.instance.create_run_for_job(job)
    assert concerns(run, echo(), A)
    assert not concerns(run, echo(), B)
    report = run._replace(asset_selection=frozenset({A.key("echo_report")}))
    assert reports_of(report, echo(), A) == ["echo_report"]
    assert reports_of(report, echo(), PLAIN) == []


def test_each_sensor_limits_its_own_pool_and_the_janitor_frees_it(two: Two) -> None:
    storage = two.instance.event_log_storage
    processor_sensor(echo(), two.settings(A), A)(dg.build_sensor_context(two.instance))
    assert storage.get_concurrency_keys() == {"session_processor_echo_a"}
    storage.claim_concurrency_slot("session_processor_echo_a", "r" * 36, "step")
    registry = Registry((echo(),))
    said = {}
    for names in (B, A):
        result = janitor_sensor(registry, two.settings(names), names)(
            dg.build_sensor_context(two.instance)
        )
        said[names] = str(result.skip_reason.skip_message)
    assert said == {B: "nothing was left behind", A: f"freed the slot of {'r' * 36}"}


def test_an_alert_sensor_tells_of_what_is_below_its_prefix_only(two: Two) -> None:
    """Without a prefix, it tells of every check of the location."""
    for asset in (A.key("echo_rows"), dg.AssetKey("echo_rows")):
        failed = dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name="freshness",
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
        )
        two.instance.report_runless_asset_event(failed)
    repository = two.defs.get_repository_def()
    told = {}
    for names in (A, B, PLAIN):
        context = dg.build_sensor_context(two.instance, repository_def=repository)
        settings = replace(two.settings(A), alert_urls=("jsons://127.0.0.1:1/never",))
        result = alert_sensor(Registry((echo(),)), settings, names)(context)
        told[names.suffix] = result.cursor.count('"checks"')
    assert told == {"a": 1, "b": 0, "": 2}


def test_what_health_says_names_the_instances_own_job_and_sensor(two: Two) -> None:
    job = two.defs.resolve_job_def("echo_health_job_a")
    by_run = job.execute_in_process(instance=two.instance).get_asset_check_evaluations()
    sensor = health_sensor(Registry((echo(),)), two.settings(A), A)
    by_sensor = sensor(dg.build_sensor_context(two.instance)).asset_events
    for found in (by_run, by_sensor):
        (said,) = [event for event in found if event.check_name == "freshness"]
        assert said.asset_key == A.key("echo_rows")
        assert "`echo_sensor_a`" in said.description
        assert "`echo_job_a`" in said.description
