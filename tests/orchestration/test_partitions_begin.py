"""Partitions begin with the oldest session; what is older and comes later is lost by nobody."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from helpers import EchoProcessor, Pipeline, make_pipeline, write_session
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.passes.beginning import EARLIEST, first_day

KEY = dg.AssetKey("echo_rows")
TODAY = datetime.now(UTC).date()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    for day in ("2026-05-06", "2026-05-04", "2026-05-08"):
        write_session(made.root, f"alice/{day}.jsonl", "hello", day=day)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def location(pipeline: Pipeline) -> dg.Definitions:
    return build_definitions([EchoProcessor()], pipeline.settings)


def begins(defs: dg.Definitions) -> str:
    node = defs.get_repository_def().asset_graph.get(KEY)
    return node.partitions_def.get_first_partition_key()


def asked_for(defs: dg.Definitions, instance: dg.DagsterInstance) -> dg.RunRequest:
    sensor = defs.resolve_sensor_def("echo_sensor")
    context = dg.build_sensor_context(instance, repository_def=defs.get_repository_def())
    (request,) = sensor.evaluate_tick(context).run_requests or ()
    return request


def test_before_the_first_pass_it_is_as_the_files_look(pipeline: Pipeline) -> None:
    assert begins(location(pipeline)) == "2026-05-04"
    assert not pipeline.settings.database.exists()


def test_without_sessions_or_without_their_folder_it_is_today(pipeline: Pipeline) -> None:
    for path in pipeline.root.rglob("*.jsonl"):
        path.unlink()
    assert begins(location(pipeline)) == TODAY.isoformat()
    shutil.rmtree(pipeline.root)
    assert begins(location(pipeline)) == TODAY.isoformat()


def test_what_a_pass_has_found_stays_when_its_file_goes_and_only_older_days_move_it(
    pipeline: Pipeline,
) -> None:
    pipeline.run(EchoProcessor())
    (pipeline.root / "alice" / "2026-05-04.jsonl").unlink()
    pipeline.run(EchoProcessor())
    assert first_day(pipeline.settings) == date(2026, 5, 4)
    write_session(pipeline.root, "alice/old.jsonl", "hello", day="2026-03-01")
    assert first_day(pipeline.settings) == date(2026, 5, 4)
    pipeline.run(EchoProcessor())
    assert first_day(pipeline.settings) == date(2026, 3, 1)


def test_the_day_of_a_database_that_was_deleted_is_not_that_of_the_next(
    pipeline: Pipeline,
) -> None:
    write_session(pipeline.root, "alice/old.jsonl", "hello", day="2026-03-01")
    pipeline.run(EchoProcessor())
    (pipeline.root / "alice" / "old.jsonl").unlink()
    pipeline.settings.database.unlink()
    assert begins(location(pipeline)) == "2026-05-04"
    pipeline.run(EchoProcessor())
    assert begins(location(pipeline)) == "2026-05-04"


def test_a_location_loads_while_the_database_is_written_to(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    with pipeline.store.transaction():
        assert begins(location(pipeline)) == "2026-05-04"


def test_a_file_of_the_store_that_a_hand_has_spoilt_is_written_anew(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    (note,) = pipeline.settings.database.parent.glob("*.first-day")
    note.write_text("0001-01-01 or so")
    assert first_day(pipeline.settings) == date(2026, 5, 4)
    pipeline.run(EchoProcessor())
    assert note.read_text() == "2026-05-04\n"


def test_a_wrong_clock_makes_no_thousands_of_partitions(pipeline: Pipeline) -> None:
    write_session(pipeline.root, "mallory/x.jsonl", "hello", day="1970-01-01")
    assert first_day(pipeline.settings) == EARLIEST
    pipeline.run(EchoProcessor())
    assert first_day(pipeline.settings) == EARLIEST


def test_a_day_that_is_set_is_taken_as_it_is(pipeline: Pipeline) -> None:
    moved = pipeline.having(start_date=date(2024, 1, 2))
    assert begins(location(moved)) == "2024-01-02"


@pytest.mark.slow
def test_an_older_session_is_processed_at_once_and_nothing_is_missing_after_the_next_load(
    pipeline: Pipeline, instance: dg.DagsterInstance
) -> None:
    """The location that asks was loaded before; the one that runs knows of older days already."""
    asking = location(pipeline)
    asking.resolve_job_def("echo_job").execute_in_process(
        instance=instance, tags=asked_for(asking, instance).tags
    )
    assert len(pipeline.rows()) == 3

    write_session(pipeline.root, "bob/old.jsonl", "hello", day="2026-05-01")
    write_session(pipeline.root, "bob/older.jsonl", "hello", day="2026-04-30")
    tags = asked_for(asking, instance).tags
    assert tags["dagster/asset_partition_range_start"] == "2026-05-04"
    # Somebody's pass has told in between that there are older ones.
    noted = pipeline.settings.database.with_name(f"{pipeline.settings.database.name}.first-day")
    noted.write_text("2026-04-30\n")
    running = location(pipeline)
    assert begins(running) == "2026-04-30"
    done = running.resolve_job_def("echo_job").execute_in_process(instance=instance, tags=tags)
    assert done.success
    assert len(pipeline.rows()) == 5

    there = instance.get_materialized_partitions(KEY)
    assert {"2026-04-30", "2026-05-01", "2026-05-04", "2026-05-08"} <= there


def test_settings_of_a_location_begin_where_all_of_it_begins(pipeline: Pipeline) -> None:
    """Sensors and assets must not look at two moments and find two days."""
    defs = location(pipeline)
    write_session(pipeline.root, "bob/old.jsonl", "hello", day="2026-05-01")
    with dg.DagsterInstance.ephemeral() as instance:
        request = asked_for(defs, instance)
    assert request.tags["dagster/asset_partition_range_start"] == begins(defs) == "2026-05-04"
