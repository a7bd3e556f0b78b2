"""What a newcomer sees of sensors and checks after the first run over the examples."""

import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from places import ROOT
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.settings import Root, Settings

A_LINE_OR_THREE = 300


@pytest.mark.slow
def test_no_check_warns_and_cursors_can_be_read(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "sessions", tmp_path / "sessions")
    settings = Settings(roots=(Root(tmp_path / "sessions"),), database=tmp_path / "u.duckdb")
    defs = build_definitions(load_processors(), settings)
    repository, cursors = defs.get_repository_def(), dict[str, str | None]()
    said: dict[str, tuple[object, str | None]] = {}
    with dg.DagsterInstance.local_temp() as instance:
        for first in (True, False):
            for sensor in repository.sensor_defs:
                context = dg.build_sensor_context(
                    instance,
                    cursor=cursors.get(sensor.name),
                    repository_def=repository,
                    sensor_name=sensor.name,
                )
                found = sensor.evaluate_tick(context)
                cursors[sensor.name] = found.cursor
                for event in found.asset_events:
                    if isinstance(event, dg.AssetCheckEvaluation):
                        said[event.check_name] = (event.metadata["status"].value, event.description)
            for name in ("usage_job", "verification_job") if first else ():
                done = defs.resolve_job_def(name).execute_in_process(instance=instance)
                for check in done.get_asset_check_evaluations():
                    said[check.check_name] = (check.metadata["status"].value, check.description)
    assert {"freshness", "contradiction_backlog", "not_arrived", "files_given_up"} <= {*said}
    assert {name: why for name, why in said.items() if why[0] not in ("ok", "info")} == {}
    kept = {name: cursor for name, cursor in cursors.items() if cursor}
    assert {"usage_sensor", "health_sensor", "alert_sensor", "session_files_sensor"} <= {*kept}
    for name, cursor in kept.items():
        assert len(cursor) <= A_LINE_OR_THREE, (name, cursor)
        assert not re.search(r"\d{10}", cursor), (name, cursor)
