"""What a person sees as the cursor on a sensor's page."""

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from places import ROOT
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.alerts import Memory as Alerts
from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor
from session_pipeline_dagster.passes.pacing import Memory, Moment
from session_pipeline_dagster.settings import Root, Settings

A_LINE_OR_THREE = 300
WRITTEN = Moment(1_796_020_990.25)


def test_a_moment_is_written_as_people_write_it_and_defaults_are_not_written() -> None:
    cursor = write_cursor(Memory(WRITTEN, fruitless=2))
    assert cursor == '{"requested_at":"2026-11-30T06:43:10.250000Z","fruitless":2}'
    assert read_cursor(Memory, cursor) == Memory(WRITTEN, fruitless=2)
    assert write_cursor(Memory()) == write_cursor(Alerts()) == "{}"


def test_a_cursor_that_was_written_in_seconds_is_read() -> None:
    assert read_cursor(Memory, '{"requested_at":1796020990.25,"deferred":4}') == Memory(WRITTEN, 4)


@pytest.mark.parametrize("at", ['"noon"', "1e300", "-1", "[]"])
def test_a_moment_that_is_none_is_a_cursor_of_someone_else(at: str) -> None:
    assert read_cursor(Memory, f'{{"requested_at":{at},"deferred":4}}') == Memory()


@pytest.mark.slow
def test_cursors_of_the_examples_are_short_and_have_no_seconds_since_the_epoch(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "examples" / "sessions", tmp_path / "sessions")
    settings = Settings(roots=(Root(tmp_path / "sessions"),), database=tmp_path / "u.duckdb")
    defs = build_definitions(load_processors(), settings)
    repository, seen = defs.get_repository_def(), {}
    with dg.DagsterInstance.local_temp() as instance:
        for last in (False, True):
            for sensor in repository.sensor_defs:
                context = dg.build_sensor_context(
                    instance,
                    cursor=seen.get(sensor.name),
                    repository_def=repository,
                    sensor_name=sensor.name,
                )
                found = sensor.evaluate_tick(context)
                seen[sensor.name] = found.cursor
            for name in () if last else ("usage_job", "verification_job"):
                job = defs.resolve_job_def(name)
                assert job.execute_in_process(instance=instance).success
    kept = {name: cursor for name, cursor in seen.items() if cursor}
    assert {"usage_sensor", "health_sensor", "alert_sensor", "session_files_sensor"} <= {*kept}
    for name, cursor in kept.items():
        assert len(cursor) <= A_LINE_OR_THREE, (name, cursor)
        assert not re.search(r"\d{10}", cursor), (name, cursor)
