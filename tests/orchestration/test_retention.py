"""Old runs on a real instance: which go, and that nothing else changes when they do."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetCheckEvaluation
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from helpers import EchoProcessor, Pipeline, echo_report, make_pipeline, write_session
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.orchestration.retention import Retention, compact, superseded
from session_pipeline_dagster.orchestration.runs import is_new

pytestmark = pytest.mark.slow

ROWS, REPORT, FILES = map(dg.AssetKey, ("echo_rows", "echo_report", "session_files"))
CHECK = dg.AssetCheckKey(ROWS, "freshness")
SUCCESS, STARTED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED


class History:
    """Runs of the real job, and the janitor as it is so many days later."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        # Set, for the location is loaded before there is a session.
        made = make_pipeline(folder).having(start_date=date(2025, 2, 1))
        self.pipeline: Pipeline = made
        self.processor, self.instance = EchoProcessor(), instance
        self.processor.reports = [echo_report()]
        self.registry = Registry((self.processor,))
        self.defs = build_definitions(self.registry, self.pipeline.settings)

    def run(self, day: str, *, fails: bool = False, by_hand: bool = False) -> str:
        """A run over a day, as the sensor asks for it."""
        write_session(self.pipeline.root, f"x/{day}.jsonl", "hello", day=day)
        tags = {f"dagster/asset_partition_range_{end}": day for end in ("start", "end")}
        tags |= {} if by_hand else {"dagster/sensor_name": "echo_sensor"}
        job = self.defs.resolve_job_def("echo_job")
        config = {"ops": {"echo": {"config": {"users": ["nobody"]}}}} if fails else None
        done = job.execute_in_process(
            instance=self.instance, tags=tags, run_config=config, raise_on_error=False
        )
        assert done.success is not fails
        return done.run_id

    def other(self, status: dg.DagsterRunStatus, job: str = "job", **tags: str) -> str:
        run = dg.DagsterRun(job, str(uuid.uuid4()), status=status, tags=tags)
        self.instance.add_run(run)
        return run.run_id

    def say(self, detail: str) -> None:
        """As the sensors of health and of files would."""
        said = AssetCheckEvaluation(
            asset_key=ROWS, check_name="freshness", passed=True, description=detail
        )
        self.instance.report_runless_asset_event(said)
        self.instance.report_runless_asset_event(dg.AssetObservation(FILES))

    def later(self, days: float = 8.0, keep: int = 7) -> int:
        """How many runs the janitor deletes then."""
        janitor = Retention(self.registry, PLAIN, timedelta(days=keep))
        return janitor.tick(self.instance, datetime.now(UTC) + timedelta(days=days))

    @property
    def runs(self) -> set[str]:
        return {run.run_id for run in self.instance.get_runs()}

    def state(self) -> object:
        """What pages, checks and sensors are made of."""
        storage, instance = self.instance.event_log_storage, self.instance
        partitions = self.defs.resolve_assets_def(ROWS).partitions_def
        assert partitions
        status = {
            key: (
                instance.get_materialized_partitions(key),
                entry and entry.timestamp,
            )
            for key in (ROWS, REPORT, FILES)
            for entry in [instance.get_latest_materialization_event(key)]
        }
        name = "get_latest_asset_partition_materialization_attempts_without_materializations"
        failed = getattr(storage, name)(ROWS)
        (check,) = storage.get_asset_check_summary_records([CHECK]).values()
        last = check.last_completed_check_execution_record
        observed = instance.fetch_observations(FILES, limit=1).records
        return (
            status,
            {day: run_id for day, (run_id, _) in failed.items()},
            last and last.evaluation,
            is_new(instance, self.processor, PLAIN),
            [record.timestamp for record in observed],
        )

    def files(self) -> set[str]:
        root = Path(self.instance.event_log_storage.path_for_shard("index")).parent
        return {path.stem for path in root.iterdir()} - {"index", ".db"}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield History(tmp_path, instance)


def test_runs_whose_days_were_made_again_go_and_nothing_that_is_shown_changes(
    history: History,
) -> None:
    old = [history.run(day) for day in ("2025-03-01", "2025-03-02", "2025-03-02")]
    last = history.run("2025-03-02")
    history.say("first")
    history.say("second")
    before = history.state()
    assert history.later() == 2
    assert history.runs == history.files() == {old[0], last}
    assert history.state() == before
    assert history.later() == 0


def test_a_run_that_failed_stays_while_its_day_is_shown_as_failed(history: History) -> None:
    history.run("2025-03-01")
    failed = history.run("2025-03-01", fails=True)
    before = history.state()
    assert history.later() == 0
    assert history.state() == before
    history.run("2025-03-01")
    before = history.state()
    assert history.later() == 2
    assert failed not in history.runs
    assert history.state() == before


def test_young_runs_stay_and_so_does_what_is_at_work(history: History) -> None:
    for _ in range(3):
        history.run("2025-03-01")
    assert history.later(days=0.9) == 0
    at_work = history.other(STARTED, "echo_job")
    canceling = history.other(dg.DagsterRunStatus.CANCELING, "echo_job")
    assert history.later(days=30, keep=29) == 2
    assert {at_work, canceling} <= history.runs


def test_runs_of_others_stay(history: History) -> None:
    theirs = history.other(SUCCESS, "their_job")
    history.run("2025-03-01")
    history.run("2025-03-01")
    assert history.later() == 1
    assert theirs in history.runs


def test_a_run_of_a_teams_own_job_stays_though_it_takes_our_assets_along(history: History) -> None:
    history.run("2025-03-01")
    tags = {"dagster/sensor_name": "their_sensor"}
    theirs = dg.DagsterRun(
        "their_job",
        str(uuid.uuid4()),
        status=SUCCESS,
        tags=tags,
        asset_selection=frozenset({ROWS, dg.AssetKey("their_table")}),
    )
    ours = dg.DagsterRun(
        "__ASSET_JOB",
        str(uuid.uuid4()),
        status=SUCCESS,
        tags=tags,
        asset_selection=frozenset({ROWS}),
    )
    for run in (theirs, ours):
        history.instance.add_run(run)
    assert history.later() == 1
    assert theirs.run_id in history.runs
    assert ours.run_id not in history.runs


def test_what_became_the_last_since_the_sweep_stays(history: History) -> None:
    """A person may delete the newest run while old ones wait to be deleted."""
    for _ in range(3):
        history.run("2025-03-01")
    last = history.run("2025-03-01")
    janitor = Retention(history.registry, PLAIN, timedelta(days=7))
    later = datetime.now(UTC) + timedelta(days=8)
    storage = history.instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    due = superseded(history.instance, storage, history.registry, PLAIN, later, timedelta(days=7))
    janitor._due = due
    history.instance.delete_run(last)
    assert janitor.tick(history.instance, later) == len(due) - 1
    assert history.runs == {due[-1]}


def test_the_last_run_of_a_processor_stays_though_its_days_were_made_by_hand(
    history: History,
) -> None:
    tagged = history.run("2025-03-01")
    assets = [a for a in history.defs.assets or [] if isinstance(a, dg.AssetsDefinition)]
    done = dg.materialize(
        assets,
        selection="echo_rows",
        partition_key="2025-03-01",
        instance=history.instance,
        resources=history.defs.resources,
    )
    assert done.success
    assert history.later() == 0
    assert tagged in history.runs
    assert not is_new(history.instance, history.processor, PLAIN)


def test_logs_and_tags_of_a_run_go_with_it(history: History) -> None:
    old = history.run("2025-03-01")
    logs = Path(history.instance.compute_log_manager._base_dir) / old
    assert logs.exists()
    history.run("2025-03-01")
    assert history.later() == 1
    assert not logs.exists()
    with history.instance.run_storage.connect() as connection:
        left = connection.exec_driver_sql("SELECT DISTINCT run_id FROM run_tags").fetchall()
    assert old not in {row[0] for row in left}


def test_a_run_of_note_stays_for_longer(history: History) -> None:
    failed = history.run("2025-03-01", fails=True)
    by_hand = history.run("2025-03-01", by_hand=True)
    named = history.run("2025-03-01")
    history.instance.add_run_tags(named, {"files_failed": "1"})
    dull = history.run("2025-03-01")
    last = history.run("2025-03-01")
    assert history.later(days=6.9) == 1
    assert history.runs == {failed, by_hand, named, last}
    assert dull not in history.files()
    assert history.later(days=7.1) == 3


def test_what_sensors_said_goes_but_for_the_last_word_of_a_day_and_of_all(
    history: History,
) -> None:
    history.run("2025-03-01")
    for number in range(5):
        history.say(f"word {number}")
    storage = history.instance.event_log_storage
    first = (
        "SELECT id FROM asset_check_executions WHERE check_name = 'freshness' ORDER BY id LIMIT 2"
    )
    yesterday = "UPDATE {} SET {} = datetime({}, '-1 day') WHERE {}"
    with storage.index_connection() as connection:
        for table, name, where in (
            # The first two words; the run itself has said something of another check.
            ("asset_check_executions", "create_timestamp", f"id IN ({first})"),
            ("event_logs", "timestamp", "run_id = '' AND id % 3 = 0"),
        ):
            connection.exec_driver_sql(yesterday.format(table, name, name, where))
    theirs = dg.AssetKey("their_table")
    for _ in range(3):
        history.instance.report_runless_asset_event(dg.AssetMaterialization(theirs))

    def words(days: float) -> list[str]:
        before = history.state()
        history.later(days)
        assert history.state() == before
        records = storage.get_asset_check_execution_history(CHECK, limit=10)
        return [record.evaluation.description for record in records]

    assert words(-0.5) == [f"word {number}" for number in (4, 3, 2, 1, 0)]
    assert words(5) == ["word 4", "word 1"]
    assert 1 <= len(history.instance.fetch_observations(FILES, limit=10).records) <= 2
    assert words(9) == ["word 4"]
    assert len(history.instance.fetch_observations(FILES, limit=10).records) == 1
    assert len(history.instance.fetch_materializations(theirs, limit=10).records) == 3


def test_many_runs_go_in_bites(history: History) -> None:
    for _ in range(60):
        history.other(SUCCESS, "echo_job")
    janitor = Retention(history.registry, PLAIN, timedelta(days=7))
    later = datetime.now(UTC) + timedelta(days=8)
    counts = [janitor.tick(history.instance, later) for _ in range(4)]
    assert counts == [25, 25, 10, 0]


def test_a_file_that_is_mostly_free_gives_its_room_back(history: History) -> None:
    path = Path(history.instance.event_log_storage.path_for_shard("index"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE filler (x)")
        connection.execute("INSERT INTO filler VALUES (zeroblob(40000000))")
        connection.commit()
        connection.execute("DROP TABLE filler")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size > 40_000_000
    assert compact(path.parents[1]) == [path]
    assert path.stat().st_size < 5_000_000
    assert compact(path.parents[1]) == []
    assert history.run("2025-03-01")


def test_at_0_days_all_runs_are_kept(history: History) -> None:
    for _ in range(3):
        history.run("2025-03-01")
    before = history.runs
    assert history.later(days=400, keep=0) == 0
    assert history.runs == before
    assert history.later(days=400, keep=7) > 0
