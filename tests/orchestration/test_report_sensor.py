"""The sensor of reports on a real instance: when it asks for one, and when it does not."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData

from helpers import EchoProcessor, echo_report
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration import reports
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.settings import Settings

REPORT, TABLE = dg.AssetKey("echo_report"), dg.AssetKey("echo_rows")
HOUR = 3600


class Desk:
    """An instance, a clock, and ticks that keep their cursor as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance, self.cursor, self.now = instance, None, 10 * HOUR + 60.0
        self.processor = EchoProcessor()
        self.processor.reports = [echo_report()]
        self.defs = build_definitions([self.processor], Settings(database=folder / "x.duckdb"))

    def asks(self) -> bool:
        (sensor,) = reports.report_sensors(self.processor, PLAIN)
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = sensor(context)
        self.cursor = result.cursor
        asked = [request.asset_selection for request in result.run_requests or []]
        assert asked in ([], [[REPORT]])
        return bool(asked)

    def materialize(self, key: dg.AssetKey) -> None:
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            "echo_job",
            event_specific_data=StepMaterializationData(dg.AssetMaterialization(key)),
        )
        self.instance.report_dagster_event(event, "", timestamp=self.now)

    def run(self, status: dg.DagsterRunStatus) -> None:
        """A run over the report that stands so."""
        whole = self.defs.resolve_implicit_global_asset_job_def()
        job = whole.get_subset(asset_selection={REPORT})
        self.instance.create_run_for_job(job, status=status, asset_selection=job.asset_selection)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with dg.DagsterInstance.local_temp() as instance:
        found = Desk(instance, tmp_path)
        monkeypatch.setattr(reports, "_now", lambda: found.now)
        yield found


def test_the_first_report_is_asked_for_once_its_tables_are_there(desk: Desk) -> None:
    assert not desk.asks()
    desk.materialize(TABLE)
    assert desk.asks()
    assert not desk.asks()


def test_a_refresh_is_waited_for_and_asked_for_once_the_hour_is_over(desk: Desk) -> None:
    desk.materialize(TABLE)
    assert desk.asks()
    desk.now += 2 * HOUR
    assert not desk.asks()
    desk.materialize(TABLE)
    assert desk.asks()
    desk.now += 60
    desk.materialize(TABLE)
    assert not desk.asks()
    desk.now += HOUR
    assert desk.asks()
    desk.now += HOUR
    assert not desk.asks()


def test_a_report_that_failed_is_asked_for_again_in_the_next_hour(desk: Desk) -> None:
    desk.materialize(TABLE)
    assert desk.asks()
    desk.run(dg.DagsterRunStatus.FAILURE)
    assert not desk.asks()
    desk.now += HOUR
    assert desk.asks()


def test_a_report_that_is_being_made_is_not_asked_for(desk: Desk) -> None:
    desk.materialize(TABLE)
    assert desk.asks()
    desk.now += HOUR
    desk.materialize(TABLE)
    desk.run(dg.DagsterRunStatus.STARTED)
    assert not desk.asks()


def test_a_report_that_was_made_by_hand_before_the_first_tick_is_no_new_one(desk: Desk) -> None:
    desk.materialize(TABLE)
    desk.now += 60
    desk.materialize(REPORT)
    desk.now += 2 * HOUR
    assert not desk.asks()
    desk.materialize(TABLE)
    assert desk.asks()


def test_a_cursor_of_another_kind_of_sensor_does_no_harm(desk: Desk) -> None:
    desk.cursor = "eJwrSS0uAQAEXQHB"
    desk.materialize(TABLE)
    assert desk.asks()


def test_a_clock_that_was_ahead_does_not_hold_the_report_up(desk: Desk) -> None:
    desk.now = 1000 * HOUR + 60.0
    desk.materialize(TABLE)
    assert desk.asks()
    desk.materialize(REPORT)
    asked = []
    for hour in range(100, 104):
        desk.now = hour * HOUR + 60.0
        desk.materialize(TABLE)
        asked.append(desk.asks())
    assert asked == [True, True, True, True]


def test_a_clock_that_was_ahead_when_the_report_was_made_does_not_hold_it_up(desk: Desk) -> None:
    desk.now = 1000 * HOUR + 60.0
    desk.materialize(TABLE)
    desk.materialize(REPORT)
    desk.asks()
    desk.now = 100 * HOUR + 60.0
    desk.materialize(TABLE)
    assert desk.asks()
