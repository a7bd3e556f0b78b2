"""Looks that sensors share, and ticks that need not read what nobody has written to."""

import os
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from health_location import HealthLocation
from helpers import EchoProcessor, Pipeline, make_pipeline, write_session
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.orchestration import health_sensor as health
from session_pipeline_dagster.orchestration.looking import Looks
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.orchestration.sensors import processor_sensor, session_files_sensor
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import MoneySettings, OnDelete, PeopleSettings, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store

pytestmark = pytest.mark.slow

AGES_AGO = datetime.now(UTC).timestamp() - 100_000


class Room:
    """Files, a database whose times lie back, and an instance on which the processor has run."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.pipeline: Pipeline = make_pipeline(folder)
        self.failing: set[str] = set()
        self.processor, self.instance, self.writes = EchoProcessor(self._fail), instance, 0
        tags = PLAIN.tags(self.processor.name)
        ended = dg.DagsterRun(
            "job", str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=tags
        )
        instance.add_run(ended)

    def _fail(self, session: Session) -> None:
        if session.key in self.failing:
            raise ValueError("as it is told")

    @property
    def settings(self) -> Settings:
        return self.pipeline.settings

    def process(self) -> None:
        self.pipeline.run(self.processor)
        self.age()

    def age(self) -> None:
        """The last write was long ago, yet after the one before."""
        self.writes += 1
        at = AGES_AGO + self.writes
        os.utime(self.settings.database, (at, at))

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> dg.SensorResult:
        return sensor(dg.build_sensor_context(instance=self.instance, cursor=cursor))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with dg.DagsterInstance.local_temp() as instance:
        yield Room(tmp_path, instance)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each read of the states, by its processor."""
    found: list[str] = []
    known = Store.known

    def counted(self: Store, processor: EchoProcessor, *more: object) -> object:
        found.append(processor.name)
        return known(self, processor, *more)

    monkeypatch.setattr(Store, "known", counted)
    return found


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    scan = LocalSource.scan

    def counted(self: LocalSource) -> object:
        found.append("scan")
        return scan(self)

    monkeypatch.setattr(LocalSource, "scan", counted)
    return found


def said(result: dg.SensorResult) -> tuple[object, ...]:
    reason = result.skip_reason and result.skip_reason.skip_message
    return (
        re.sub(r"in \d+ s", "soon", str(reason)),
        [request.tags for request in result.run_requests or []],
        result.cursor,
    )


def test_states_are_read_again_only_when_files_or_database_changed(
    room: Room, reads: list[str]
) -> None:
    write_session(room.pipeline.root, "x/1.jsonl", "hello")
    sensor = processor_sensor(room.processor, room.settings)
    assert room.tick(sensor).run_requests
    room.process()
    reads.clear()
    first, second, third = (said(room.tick(sensor))[:2] for _ in range(3))
    assert first == second == third
    assert len(reads) == 1
    write_session(room.pipeline.root, "x/1.jsonl", "hello", "again")
    assert room.tick(sensor).run_requests
    room.process()
    assert not room.tick(sensor).run_requests
    assert len(reads) > 2


def test_what_waits_for_its_time_is_looked_at_each_time(room: Room, reads: list[str]) -> None:
    write_session(room.pipeline.root, "x/1.jsonl", "fail")
    room.failing = {"x/1.jsonl"}
    room.process()
    sensor = processor_sensor(room.processor, room.settings)
    reads.clear()
    room.tick(sensor)
    room.tick(sensor)
    assert len(reads) == 2


def test_a_deleted_file_that_is_to_be_purged_is_looked_at_each_time(
    room: Room, reads: list[str]
) -> None:
    for name in ("1", "2"):
        write_session(room.pipeline.root, f"x/{name}.jsonl", "hello")
    room.process()
    (room.pipeline.root / "x" / "2.jsonl").unlink()
    room.process()
    for policy, expected in ((OnDelete.KEEP, 1), (OnDelete.PURGE, 2)):
        sensor = processor_sensor(room.processor, replace(room.settings, on_delete=policy))
        reads.clear()
        room.tick(sensor)
        room.tick(sensor)
        assert len(reads) == expected


def test_another_file_of_prices_or_people_is_noticed_where_a_tick_found_nothing(
    room: Room, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[[discount]]\nprovider = "anthropic"\npercent = 10\n')
    people = PeopleSettings(tmp_path / "people.csv", tmp_path / "projects.toml")
    settings = replace(room.settings, money=MoneySettings(prices=prices), people=people)
    processor = UsageProcessor().under(settings)
    write_session(room.pipeline.root, "x/1.jsonl", "hello")
    room.pipeline.run(processor)
    room.age()
    room.instance.add_run(
        dg.DagsterRun(
            "job", str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags=PLAIN.tags("usage")
        )
    )
    sensor = processor_sensor(processor, settings)
    while (found := room.tick(sensor)).run_requests:
        room.pipeline.run(processor)
        recompute(processor, room.pipeline.store, settings)
        room.age()
    assert not room.tick(sensor, found.cursor).run_requests
    prices.write_text('[[discount]]\nprovider = "anthropic"\npercent = 20\n')
    (request,) = room.tick(sensor, found.cursor).run_requests or []
    assert dg.AssetKey("model_prices") in (request.asset_selection or [])
    recompute(processor, room.pipeline.store, settings)
    (tmp_path / "people.csv").write_text("folder,team\nx,web\n")
    (request,) = room.tick(sensor, found.cursor).run_requests or []
    assert dg.AssetKey("people") in (request.asset_selection or [])
    recompute(processor, room.pipeline.store, settings)
    (tmp_path / "projects.toml").write_text('[[project]]\nname = "a"\nfolders = ["*"]\n')
    (request,) = room.tick(sensor, found.cursor).run_requests or []
    assert dg.AssetKey("usage_projects") in (request.asset_selection or [])


def test_a_database_that_was_just_written_to_is_read_again(room: Room, reads: list[str]) -> None:
    write_session(room.pipeline.root, "x/1.jsonl", "hello")
    room.pipeline.run(room.processor)
    sensor = processor_sensor(room.processor, room.settings)
    reads.clear()
    room.tick(sensor)
    room.tick(sensor)
    assert len(reads) == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_sensor_that_remembers_says_what_one_without_memory_says(room: Room, seed: int) -> None:
    source = random.Random(seed)  # noqa: S311
    policy = source.choice([*OnDelete])
    # The first day is set: one that is found is another for sensors that are made later.
    settings = replace(
        room.settings, on_delete=policy, purge_after=timedelta(0), start_date=date(2025, 2, 1)
    )
    registry = Registry((room.processor,))
    kept, files = (
        processor_sensor(room.processor, settings),
        session_files_sensor(registry, settings),
    )
    cursor = at = None
    for _ in range(25):
        key = f"x/{source.randrange(4)}.jsonl"
        match source.randrange(7):
            case 0 | 1:
                write_session(room.pipeline.root, key, *["hello"] * source.randrange(1, 4))
            case 2:
                (room.pipeline.root / key).unlink(missing_ok=True)
            case 3:
                room.failing ^= {key}
            case 4:
                room.process()
        fresh = processor_sensor(room.processor, settings)
        expected = room.tick(fresh, cursor)
        found = room.tick(kept, cursor)
        assert said(found)[:2] == said(expected)[:2]
        cursor = found.cursor
        fresh = session_files_sensor(registry, settings)
        expected, found = room.tick(fresh, at), room.tick(files, at)
        assert said(found)[0] == said(expected)[0]
        assert len(found.asset_events) == len(expected.asset_events)
        at = found.cursor


def test_sensors_share_a_scan_and_none_gets_the_same_one_twice(
    room: Room, scans: list[str]
) -> None:
    looks = Looks(room.settings)
    first = looks.look("usage")
    assert looks.look("verification") is first
    assert looks.look("health") is first
    assert looks.look("usage") is not first
    assert len(scans) == 2


def test_a_scan_is_not_shared_once_the_database_was_written_to(
    room: Room, scans: list[str]
) -> None:
    write_session(room.pipeline.root, "x/1.jsonl", "hello")
    looks = Looks(room.settings)
    first = looks.look("usage")
    room.process()
    assert looks.look("verification") is not first
    assert looks.look("health") is looks._found


def test_a_scan_is_shared_for_seconds_only(
    room: Room, scans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(room.settings)
    looks.look("usage")
    now = looks._at + 6
    monkeypatch.setattr("time.monotonic", lambda: now)
    looks.look("verification")
    assert len(scans) == 2


def test_a_root_that_is_gone_is_said_to_every_sensor(room: Room) -> None:
    looks = Looks(room.settings)
    looks.look("usage")
    room.pipeline.root.rename(room.pipeline.root.with_name("away"))
    for who in ("usage", "verification"):
        with pytest.raises(SourceUnavailable):
            looks.look(who)


def test_health_is_examined_again_once_something_waits_or_minutes_have_passed(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    location = HealthLocation(tmp_path)
    location.processed("x/1.jsonl", age=60)
    database, clock = location.pipeline.settings.database, datetime.now(UTC)
    os.utime(database, (AGES_AGO, AGES_AGO))

    class Clock(datetime):
        @classmethod
        def now(cls, _tz: object = None) -> datetime:
            return clock

    monkeypatch.setattr(health, "datetime", Clock)
    sensor = health.health_sensor(Registry(tuple(location.processors)), location.pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None

        def looked() -> int:
            nonlocal cursor
            reads.clear()
            cursor = sensor(dg.build_sensor_context(instance=instance, cursor=cursor)).cursor
            return len(reads)

        assert [looked(), looked(), looked()] == [1, 0, 0]
        clock += timedelta(minutes=6)
        assert [looked(), looked()] == [1, 0]
        location.file("x/2.jsonl", age=60)
        assert [looked(), looked()] == [1, 1]
