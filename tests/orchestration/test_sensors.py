"""Sensors on a real instance: what they ask for, and when they ask for nothing."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import msgspec
import pytest

from example_numbers import FILES
from helpers import set_mtime, write_session
from places import ROOT
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import Registry, load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.orchestration.resources import resources
from session_pipeline_dagster.orchestration.sensors import processor_sensor, session_files_sensor
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all, run_batch
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store

Tick = Callable[..., dg.SensorResult]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(ROOT / "examples" / "sessions", tmp_path / "sessions")
    roots = (Root(tmp_path / "sessions"),)
    return Settings(roots=roots, database=tmp_path / "usage.duckdb")


@pytest.fixture
def usage() -> Processor:
    return load_processors().get("usage")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    # A local one: pools live in its storage.
    with dg.DagsterInstance.local_temp() as found:
        ran(found)
        yield found


def ran(instance: dg.DagsterInstance) -> None:
    """A run of usage that has ended: without one, the first tick shows what is there already."""
    run_id, tags = str(uuid.uuid4()), PLAIN.tags("usage")
    instance.add_run(
        dg.DagsterRun("usage_job", run_id, status=dg.DagsterRunStatus.SUCCESS, tags=tags)
    )


@pytest.fixture
def tick(settings: Settings, usage: Processor, instance: dg.DagsterInstance) -> Tick:
    """One tick of usage_sensor."""

    def evaluate(cursor: str | None = None, given: Settings = settings) -> object:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        return processor_sensor(usage, given)(context)

    return evaluate


def process(settings: Settings, usage: Processor, **options: object) -> None:
    source = LocalSource(settings.roots)
    run_all(usage, source, open_store(settings), settings, Options(**options))


def requested(result: dg.SensorResult) -> list[tuple[str, str]]:
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in result.run_requests or []
    ]


def reason(result: dg.SensorResult) -> str:
    assert not result.run_requests
    assert result.skip_reason
    return str(result.skip_reason.skip_message)


def test_new_files_are_asked_for_in_one_range_over_a_gap_of_days(tick: Tick) -> None:
    result = tick()
    assert requested(result) == [("2026-05-04", "2026-05-14")]
    assert (result.run_requests or [])[0].tags["session_pipeline/processor"] == "usage"
    assert (result.run_requests or [])[0].run_key is None


def test_nothing_is_asked_for_when_every_file_is_current(tick, settings, usage) -> None:
    process(settings, usage)
    assert f"{FILES} files are current" in reason(tick())


def test_what_another_door_processed_is_shown_by_one_first_run(settings, usage) -> None:
    """After `make run` nothing is pending, and no asset would ever say what it holds."""
    process(settings, usage)
    with dg.DagsterInstance.local_temp() as fresh:
        context = dg.build_sensor_context(instance=fresh)
        assert requested(processor_sensor(usage, settings)(context)) == [
            ("2026-05-04", "2026-05-14")
        ]
        ran(fresh)
        context = dg.build_sensor_context(instance=fresh)
        assert f"{FILES} files are current" in reason(processor_sensor(usage, settings)(context))


def test_only_the_day_of_a_changed_file_is_asked_for(tick, settings, usage) -> None:
    process(settings, usage)
    path = next((settings.roots[0].path / "bob").rglob("ae7b1088*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"type":"user"}\n')
    assert requested(tick()) == [("2026-05-14", "2026-05-14")]


def test_the_first_session_of_a_day_takes_the_quiet_days_before_it_along(
    tick, settings, usage
) -> None:
    process(settings, usage)
    sessions = settings.roots[0].path
    monday = write_session(sessions, "bob/monday.jsonl", "hello", day="2026-05-18")
    assert requested(tick()) == [("2026-05-15", "2026-05-18")]
    process(settings, usage)
    monday.write_text(monday.read_text() * 2)
    set_mtime(monday, datetime(2026, 5, 18, 13, tzinfo=UTC))
    assert requested(tick()) == [("2026-05-18", "2026-05-18")], "once is enough"
    process(settings, usage)
    # A day whose only file was given up is not quiet.
    (sessions / "bob" / "broken.jsonl.gz").write_bytes(b"no gzip")
    set_mtime(sessions / "bob" / "broken.jsonl.gz", datetime(2026, 5, 20, 12, tzinfo=UTC))
    process(settings, usage)
    write_session(sessions, "bob/friday.jsonl", "hello", day="2026-05-22")
    assert requested(tick()) == [("2026-05-21", "2026-05-22")]


def test_the_next_request_waits_for_the_cadence(tick: Tick) -> None:
    first = tick()
    assert f"{FILES} files are due" in reason(tick(first.cursor))


def test_a_backlog_over_the_cap_is_asked_for_again_at_once(tick, settings, usage) -> None:
    capped = replace(settings, max_files_per_run=5)
    first = tick(None, capped)
    run_batch(usage, LocalSource(settings.roots), open_store(settings), capped, Options())
    assert tick(first.cursor, capped).run_requests


@pytest.mark.parametrize(
    ("job", "tags", "selection"),
    [
        ("usage_job", {}, None),
        ("__ASSET_JOB", {"session_pipeline/processor": "usage"}, None),
        ("__ASSET_JOB", {}, {dg.AssetKey("usage_events")}),
        ("__ASSET_JOB", {}, {dg.AssetKey("usage_daily")}),
    ],
    ids=["its job", "by tag", "its table from the asset page", "its roll-up"],
)
@pytest.mark.parametrize("status", ["STARTING", "STARTED"])
def test_nothing_is_asked_for_while_a_run_is_in_flight(
    tick, settings, instance, job, tags, selection, status
) -> None:
    defs = build_definitions(load_processors(), settings)
    made = defs.resolve_job_def("usage_job")
    run = instance.create_run_for_job(
        made, tags=tags, status=dg.DagsterRunStatus[status], asset_selection=selection
    )
    run = (
        instance.add_run(run._replace(job_name=job, run_id="r" * 36))
        if job != run.job_name
        else run
    )
    assert run.run_id in reason(tick("kept"))
    assert tick("kept").cursor == "kept"


def test_a_report_that_is_being_made_holds_up_nothing(tick, settings, instance) -> None:
    defs = build_definitions(load_processors(), settings)
    making = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey("usage_report")}
    )
    instance.create_run_for_job(
        making, status=dg.DagsterRunStatus.STARTED, asset_selection=making.asset_selection
    )
    assert tick().run_requests


def test_a_run_that_never_started_blocks_nothing(tick, settings, instance) -> None:
    made = build_definitions(load_processors(), settings).resolve_job_def("usage_job")
    instance.create_run_for_job(made, status=dg.DagsterRunStatus.NOT_STARTED)
    assert tick().run_requests


def test_every_tick_limits_the_pool_to_one(tick, instance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("session_processor_usage", 7)
    tick()
    assert storage.get_concurrency_info("session_processor_usage").limit == 1


def test_a_stale_rollup_is_asked_for_alone(tick, settings, usage) -> None:
    run_batch(usage, LocalSource(settings.roots), open_store(settings), settings, Options())
    (request,) = tick().run_requests
    assert {key.path[-1] for key in request.asset_selection} == {
        *("model_prices", "usage_slots", "usage_daily", "usage_calls", "usage_activity_daily"),
        *("usage_own_billed", "seats", "budget_status", "usage_tool_daily", "usage_skill_window"),
        *("people", "org_units", "usage_projects", "people_shown"),
    }
    process(settings, usage)
    assert not tick().run_requests


def test_a_missing_root_is_an_error_and_not_nothing_to_do(tick, settings) -> None:
    shutil.rmtree(settings.roots[0].path)
    with pytest.raises(Exception, match="SESSION_DATA_DIR"):
        tick()


def test_a_busy_database_is_a_skip_with_the_holder_and_keeps_the_cursor(
    tick, settings, usage
) -> None:
    process(settings, usage)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(settings.database)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        result = tick("kept")
        assert f"process {holder.pid}" in reason(result)
        assert result.cursor == "kept"
        holder.communicate("\n")
    assert "current" in reason(tick())


def test_a_session_before_the_start_date_is_asked_for_in_the_first_partition(
    tick, settings
) -> None:
    later = replace(settings, start_date=date(2026, 5, 12))
    assert requested(tick(None, later)) == [("2026-05-12", "2026-05-14")]


def test_a_session_from_the_future_is_asked_for_in_todays_partition(tick, settings) -> None:
    shutil.rmtree(settings.roots[0].path / "alice")
    for path in (settings.roots[0].path / "bob").rglob("*.jsonl"):
        path.unlink()
    folder = settings.roots[0].path / "alice"
    folder.mkdir()
    (folder / "f.jsonl").write_text('{"type":"user","timestamp":"2999-01-01T00:00:00Z"}\n')
    ((first, last),) = requested(tick())
    assert first == last
    assert first < "2999-01-01"


def test_the_session_files_are_observed_when_something_changed_and_not_again(
    settings: Settings, usage: Processor, instance: dg.DagsterInstance
) -> None:
    sensor = session_files_sensor(Registry((usage,)), settings)

    def observe(cursor: str | None) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        return sensor(context)

    first = observe(None)
    observation, check = first.asset_events
    assert observation.metadata["session_files"].value == FILES
    assert observation.metadata["usage_pending"].value == FILES
    assert observation.metadata["usage_oldest_pending_seconds"].value >= 0
    assert check.passed
    assert not observe(first.cursor).asset_events
    next(settings.roots[0].path.rglob("agent-3fa91c2.jsonl")).unlink()
    assert observe(first.cursor).asset_events[0].metadata["session_files"].value == FILES - 1


def test_a_clock_that_was_ahead_silences_no_observation(
    settings: Settings, usage: Processor, instance: dg.DagsterInstance
) -> None:
    sensor = session_files_sensor(Registry((usage,)), settings)
    memory = msgspec.json.decode(sensor(dg.build_sensor_context(instance=instance)).cursor)
    for name in ("observed_at", "said_at"):
        memory[name] = "2199-01-01T00:00:00Z"
    cursor = msgspec.json.encode(memory).decode()
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    assert len(sensor(context).asset_events) == 2


def test_the_sensor_looks_at_least_as_often_as_its_cadence(usage: Processor) -> None:
    often = Settings(cadences={"usage": timedelta(seconds=5)})
    assert processor_sensor(usage, often).minimum_interval_seconds == 5
    assert processor_sensor(usage, Settings()).minimum_interval_seconds == 30


def test_the_store_resource_is_a_duckdb_resource_that_closes_on_error(tmp_path: Path) -> None:
    settings = Settings(database=tmp_path / "x.duckdb")
    resource = resources(settings)["session_pipeline__store"]
    with pytest.raises(duckdb.CatalogException), resource.get_connection() as connection:
        connection.execute("FROM no_such_table")
    # Another configuration is refused while a connection of the first is open.
    with open_store(replace(settings, database_memory_mb=300)).connect() as other:
        assert other.execute("SELECT 1").fetchall() == [(1,)]
