"""The health sensor on a real instance: what it says without a run, and when it keeps quiet."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import pytest

from health_location import HOUR, HealthLocation, NamedProcessor
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.orchestration import health_sensor as module
from session_pipeline_dagster.orchestration.checks import health_asset
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.people.pseudonyms import key_file, rotate
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings


class Sensor:
    """Ticks that keep their cursor, as the daemon does."""

    def __init__(self, location: HealthLocation, instance: dg.DagsterInstance) -> None:
        self.location, self.instance, self.cursor = location, instance, None

    def tick(self) -> dict[str, str]:
        """Status by check of what this tick said."""
        settings = self.location.pipeline.settings
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = health_sensor(Registry(tuple(self.location.processors)), settings)(context)
        assert not result.run_requests
        self.cursor, self.reason = result.cursor, str(result.skip_reason.skip_message)
        return {e.check_name: e.metadata["status"].value for e in result.asset_events}


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(HealthLocation(tmp_path), instance)


@contextmanager
def held(database: Path) -> Iterator[int]:
    """Another process has the database open; its id."""
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(database)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder.pid
        holder.communicate("\n")


def test_every_check_is_said_once_and_then_only_what_changes(sensor: Sensor) -> None:
    first = sensor.tick()
    assert len(first) == 9
    assert set(first.values()) == {"ok"}
    assert sensor.tick() == {}
    sensor.location.file("x/s.jsonl", age=2 * HOUR)
    assert sensor.tick() == {"freshness": "warning"}
    assert sensor.tick() == {}
    sensor.location.pipeline.run(sensor.location.processors[0])
    assert sensor.tick() == {"freshness": "ok"}


def test_once_people_are_hidden_everything_is_said_anew_and_names_nobody(sensor: Sensor) -> None:
    location = sensor.location
    location.processed("zorblax/fresh.jsonl", age=60)
    location.file("zorblax/stuck.jsonl", age=5 * HOUR)
    assert len(sensor.tick()) == 9
    assert "zorblax" in sensor.cursor
    people = PeopleSettings(mode=PeopleMode.TEAM)
    location.pipeline = location.pipeline.having(people=people)
    assert len(sensor.tick()) == 9
    assert "zorblax" not in sensor.cursor
    assert sensor.tick() == {}
    rotate(key_file(location.pipeline.settings))
    assert len(sensor.tick()) == 9


def test_another_stuck_file_is_news(sensor: Sensor) -> None:
    location = sensor.location
    location.processed("x/fresh.jsonl", age=60)
    location.file("x/stuck.jsonl", age=5 * HOUR)
    assert sensor.tick()["fifo_stuck_file"] == "info"
    location.file("x/older.jsonl", age=6 * HOUR)
    assert sensor.tick() == {"fifo_stuck_file": "info"}


def test_everything_is_said_again_after_an_hour_and_after_a_clock_was_set_back(sensor) -> None:
    sensor.tick()
    for seconds in (3601, -3601):
        memory = msgspec.json.decode(sensor.cursor)
        for said in memory["said"].values():
            said["at"] = datetime.now(UTC).timestamp() - seconds  # as cursors had it before
        sensor.cursor = msgspec.json.encode(memory).decode()
        assert len(sensor.tick()) == 9
        assert sensor.tick() == {}


def test_everything_is_said_again_after_a_materialization(sensor: Sensor) -> None:
    """Until then Dagster shows every check as not evaluated."""
    sensor.tick()
    first = health_asset(sensor.location.processors[0])
    sensor.instance.report_runless_asset_event(dg.AssetMaterialization(first))
    assert len(sensor.tick()) == 7
    assert sensor.tick() == {}


def test_a_materialization_in_the_future_makes_no_check_speak_at_every_tick(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = datetime.now(UTC).timestamp() + 400 * 86_400
    monkeypatch.setattr(module, "last_materialized", lambda *_given: ahead)
    assert len(sensor.tick()) == 9
    assert sensor.tick() == {}


def test_a_database_that_is_busy_since_the_future_keeps_no_result(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", timedelta(milliseconds=10))
    sensor.tick()
    with held(sensor.location.pipeline.settings.database):
        assert sensor.tick() == {}
        memory = msgspec.json.decode(sensor.cursor)
        assert memory["busy_since"]
        memory["busy_since"] = dict.fromkeys(memory["busy_since"], "2199-01-01T00:00:00Z")
        sensor.cursor = msgspec.json.encode(memory).decode()
        assert set(sensor.tick().values()) == {"unknown"}


def test_a_vanished_root_is_said_at_once(sensor: Sensor) -> None:
    sensor.tick()
    shutil.rmtree(sensor.location.pipeline.root)
    assert set(sensor.tick().values()) == {"unknown"}


def test_a_busy_database_keeps_the_last_result_until_it_lasts_longer_than_the_grace(
    sensor: Sensor, monkeypatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", timedelta(milliseconds=10))
    sensor.tick()
    sensor.location.file("x/s.jsonl", age=2 * HOUR)
    with held(sensor.location.pipeline.settings.database):
        assert sensor.tick() == {}
        assert "verification" in sensor.reason
        memory = msgspec.json.decode(sensor.cursor)
        memory["busy_since"]["verification"] = datetime.now(UTC).timestamp() - 1801
        sensor.cursor = msgspec.json.encode(memory).decode()
        assert set(sensor.tick().values()) == {"unknown"}
        assert sensor.tick() == {}
    again = sensor.tick()
    assert again["freshness"] == "warning"
    assert len(again) == 8


def test_the_cadence_is_a_setting() -> None:
    registry = Registry((NamedProcessor(),))
    assert health_sensor(registry, Settings()).minimum_interval_seconds == 60
    often = Settings(health_interval=timedelta(seconds=5))
    assert health_sensor(registry, often).minimum_interval_seconds == 5


def test_an_evaluation_is_stored_without_a_run_and_shown_as_the_checks(sensor: Sensor) -> None:
    """The sensor's events are what a run of the checks would have written."""
    sensor.location.file("x/s.jsonl", age=2 * HOUR)
    by_run = sensor.location.checks()
    settings = sensor.location.pipeline.settings
    context = dg.build_sensor_context(instance=sensor.instance)
    result = health_sensor(Registry(tuple(sensor.location.processors)), settings)(context)
    events = [one for one in result.asset_events if one.check_name in by_run]
    assert len(events) == 7
    for event in events:
        other = by_run[event.check_name]
        assert (event.asset_key, event.passed, event.severity) == (
            other.asset_key,
            other.passed,
            other.severity,
        )
        assert event.metadata.keys() == other.metadata.keys()
        assert event.description.split(" for ")[0] == other.description.split(" for ")[0]
