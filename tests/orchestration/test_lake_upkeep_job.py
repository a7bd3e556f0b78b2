"""The upkeep of a lake as Dagster runs it; a file has none."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import EchoProcessor, Pipeline, write_session
from lakes import Lakes, database_of
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.orchestration.location import build_definitions
from session_pipeline_dagster.settings import Root, Settings


def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions([EchoProcessor()], settings)


def test_a_file_has_no_upkeep_in_dagster(tmp_path: Path) -> None:
    repository = definitions(Settings(database=tmp_path / "x.duckdb")).get_repository_def()
    assert repository.schedule_defs == []
    assert not repository.has_job("lake_upkeep_job")
    assert dg.AssetKey("lake_upkeep") not in repository.asset_graph.get_all_asset_keys()


def test_a_lake_is_tidied_by_a_job_once_a_day(tmp_path: Path, lakes: Lakes) -> None:
    root = tmp_path / "sessions"
    settings = lakes.settings(tmp_path, Settings(roots=(Root(root),), workers=1))
    for name in "abc":
        write_session(root, f"alice/{name}.jsonl", "hello")
        Pipeline(root, settings).run(EchoProcessor())
    repository = definitions(replace(settings, shards=1)).get_repository_def()
    (daily,) = repository.schedule_defs
    assert daily.default_status is dg.DefaultScheduleStatus.RUNNING
    assert daily.job_name == "lake_upkeep_job"
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        context = dg.build_schedule_context(instance)
        (asked,) = daily.evaluate_tick(context).run_requests or []
        assert asked.run_config == {}
        job = repository.get_job("lake_upkeep_job")
        # While one is at it no other is asked for.
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        tick = daily.evaluate_tick(context)
        assert tick.skip_message == "one is still at it"
        instance.delete_run(run.run_id)
        assert job.execute_in_process(instance=instance).success
        made = instance.get_latest_materialization_event(dg.AssetKey("lake_upkeep"))
        assert made
        assert made.asset_materialization
        numbers = made.asset_materialization.metadata
    assert numbers["files_before"].value > numbers["files_after"].value > 1
    assert numbers["compacted"].value > 3
    assert numbers["orphans"].value == 0


class Ticks:
    """Ticks of two sensors that keep their cursors as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance, self.settings = instance, settings
        self.definitions = definitions(settings).get_repository_def()
        self.cursors: dict[str, str | None] = {}

    def __call__(self, name: str) -> dg.SensorResult:
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.definitions,
            sensor_name=name,
        )
        registry = Registry((EchoProcessor(),))
        make = health_sensor if name == "health_sensor" else alert_sensor
        result = make(registry, self.settings)(context)
        self.cursors[name] = result.cursor
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        return result

    def tidied(self) -> list[dg.AssetCheckEvaluation]:
        """What the health sensor says of the lake's upkeep."""
        events = self("health_sensor").asset_events
        return [event for event in events if event.check_name == "lake_tidied"]


@pytest.mark.slow(seconds=10)
def test_a_lake_whose_upkeep_fails_for_days_alerts(tmp_path: Path, lakes: Lakes) -> None:
    root = tmp_path / "sessions"
    given = Settings(roots=(Root(root),), workers=1, alert_delay=timedelta(microseconds=1))
    settings = lakes.settings(tmp_path, given)
    write_session(root, "alice/a.jsonl", "hello")
    Pipeline(root, settings).run(EchoProcessor())
    with dg.DagsterInstance.local_temp() as instance:
        tick = Ticks(instance, settings)
        # Nothing was tidied yet, and the lake is new.
        (evaluation,) = tick.tidied()
        assert evaluation.passed
        job = tick.definitions.get_job("lake_upkeep_job")
        result = job.execute_in_process(instance=instance)
        (evaluation,) = result.get_asset_check_evaluations()
        assert evaluation.passed
        tick("alert_sensor")
        with lakes.server.connect(database_of(settings)) as session:
            session.execute(
                "UPDATE session_pipeline_upkeep SET ended_at = ended_at - INTERVAL '3 days'"
            )
        (evaluation,) = tick.tidied()
        assert not evaluation.passed
        assert tick.tidied() == [], "it is said once"
        time.sleep(0.1)
        told = str(tick("alert_sensor").skip_reason.skip_message)
        assert told == "told 1"
        assert job.execute_in_process(instance=instance).success
        assert all(found.passed for found in tick.tidied())
