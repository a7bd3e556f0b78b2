"""The assets of exports: there only if they are set, last in the run, and what they say."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from example_numbers import MESSAGES
from exported import SUMS, rows
from helpers import EXAMPLES
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.exports import export_keys
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_records import ExportFormat, ExportSettings
from session_pipeline_dagster.settings import Root, Settings

SETTINGS = Settings(roots=(Root(EXAMPLES),), workers=1, create_database_folder=False)
OURS = {dg.AssetKey("usage_export"), dg.AssetKey("usage_published")}


def location(place: Path, **exports: object) -> dg.Definitions:
    given = ExportSettings(**exports)
    settings = replace(SETTINGS, database=place / "test.duckdb", exports=given)
    return build_definitions([UsageProcessor()], settings)


def test_where_nothing_is_set_there_is_no_asset(tmp_path: Path) -> None:
    repository = location(tmp_path).get_repository_def()
    assert not OURS & {*repository.assets_defs_by_key}


def test_only_what_is_set_is_there(tmp_path: Path) -> None:
    repository = location(tmp_path, folder=tmp_path / "out").get_repository_def()
    assert OURS & {*repository.assets_defs_by_key} == {dg.AssetKey("usage_export")}


@pytest.mark.slow(seconds=4)
def test_a_run_ends_with_exports_of_what_it_made(tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy.duckdb"
    made = location(
        tmp_path,
        folder=out,
        formats=frozenset({ExportFormat.PARQUET, ExportFormat.FOCUS}),
        copy=copy,
    )
    job = made.get_repository_def().get_job("usage_job")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        assert result.success
        said = {
            key.to_user_string(): dict(event.asset_materialization.metadata)
            for key in OURS
            if (event := instance.get_latest_materialization_event(key))
        }
        steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert {*steps[-2:]} == {"usage_export", "usage_published"}
    assert said["usage_export"]["written"].value == 22
    assert said["usage_export"]["folder"].value == str(out)
    assert said["usage_published"]["file"].value == str(copy)
    assert said["usage_published"]["seconds_held"].value < 5
    assert sum(row[0] for row in rows(out, "usage_person_daily", SUMS)) == MESSAGES
    assert copy.is_file()


@pytest.mark.slow(seconds=4)
def test_a_folder_that_cannot_be_written_fails_its_own_step_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = location(tmp_path, folder=tmp_path / "file" / "x", copy=tmp_path / "copy.duckdb")
    job = made.get_repository_def().get_job("usage_job")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["usage_export"]
    assert (tmp_path / "copy.duckdb").is_file()


def test_what_is_derived_anew_is_exported_anew(tmp_path: Path) -> None:
    exports = ExportSettings(folder=tmp_path, copy=tmp_path / "c.duckdb")
    names = Names(prefix=("a",), suffix="a")
    settings = replace(SETTINGS, exports=exports)
    keys = export_keys("usage", settings, names)
    assert [key.path for key in keys] == [["a", "usage_export"], ["a", "usage_published"]]
    assert export_keys("verification", settings, names) == []
