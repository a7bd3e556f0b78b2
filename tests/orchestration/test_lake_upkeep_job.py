"""The upkeep of a lake as Dagster runs it; a file has none."""

from dataclasses import replace
from pathlib import Path

import dagster as dg

from helpers import EchoProcessor, Pipeline, write_session
from lakes import Lakes
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
