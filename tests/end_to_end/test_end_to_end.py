"""A real `dagster dev` with its daemon, as users run it."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from places import ROOT, SUPPORT
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

TABLES = ["usage_messages", "usage_events", "usage_sessions"]

pytestmark = pytest.mark.slow


def example_location(folder: Path, interval: int) -> DagsterDev:
    """The real location over a copy of the examples, with the clone's own yaml files."""
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, folder / name)
    if not (folder / "sessions").exists():
        shutil.copytree(ROOT / "examples" / "sessions", folder / "sessions")
    environment = {
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(folder / "usage.duckdb"),
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": str(interval),
    }
    return DagsterDev(folder, environment, "session_pipeline")


def table(folder: Path, name: str) -> list[tuple[object, ...]]:
    columns, rows = Store(DuckDBFile(folder / "usage.duckdb")).query(f"FROM {name} ORDER BY ALL")[0]
    assert columns
    return rows


def test_examples_are_processed_without_a_click_and_history_outlives_a_restart(tmp_path) -> None:
    with example_location(tmp_path, interval=5) as dev:
        (run,) = dev.wait(lambda: dev.ended(at_least=1, processor="usage"), "first run")
        assert run["status"] == "SUCCESS"
        assert run["tags"]["dagster/sensor_name"] == "usage_sensor"
        daily = table(tmp_path, "usage_daily")
        assert sum(row[4] for row in daily) == 77

        grown = next((tmp_path / "sessions" / "alice").rglob("9631*.jsonl"))
        with grown.open("ab") as file:
            file.write(b'{"type":"user","uuid":"new","message":{"content":"one more"}}\n')
        grown_run = dev.wait(
            lambda: dev.ended(at_least=2, processor="usage"), "run for the grown file"
        )
        states = Store(DuckDBFile(tmp_path / "usage.duckdb")).query(
            "SELECT run_id, count(*) FROM session_processor_state "
            "WHERE processor_name = 'usage' GROUP BY ALL ORDER BY 2"
        )[0][1]
        assert [files for _, files in states] == [1, 16], "only the grown file is processed again"
        dev.wait((tmp_path / "reports" / "usage.html").exists, "the first report", 90)

    with example_location(tmp_path, interval=5) as dev:
        dev.wait(lambda: dev.skip_reasons("usage_sensor"), "tick after the restart")
        assert dev.ended(processor="usage") == grown_run, "nothing is processed again"
        assert table(tmp_path, "usage_daily") == daily


def test_a_backfill_over_a_week_refreshes_its_files_and_changes_no_row(tmp_path) -> None:
    """With a cap it does a part, and the sensor finishes the rest by itself."""
    days = [f"2026-05-{day:02}" for day in range(4, 11)]
    with example_location(tmp_path, interval=3600) as dev:
        for processor in ("usage", "verification"):
            dev.wait(
                lambda name=processor: dev.ended(at_least=1, processor=name),
                f"first run of {processor}",
            )
        before = {name: table(tmp_path, name) for name in [*TABLES, "usage_daily"]}

        def backfill(config: dict[str, object]) -> list[dict[str, object]]:
            full = {"ops": {"usage": {"config": config}}}
            name = dev.backfill([*TABLES, "usage_daily"], days, full)

            def both() -> list[dict[str, object]] | None:
                runs = dev.ended() or []
                ours = [run for run in runs if run["tags"].get("dagster/backfill") == name]
                return ours if len(ours) == 2 else None

            return dev.wait(both, "backfill", 120)

        refreshed = backfill({"full_refresh": True})
        assert [run["status"] for run in refreshed] == ["SUCCESS", "SUCCESS"]
        assert processed_by(tmp_path, refreshed) == 10, "every file of these days"
        idle = backfill({})
        assert [run["status"] for run in idle] == ["SUCCESS", "SUCCESS"]
        assert processed_by(tmp_path, idle) == 0
        assert {name: table(tmp_path, name) for name in before} == before

        capped = backfill({"full_refresh": True, "max_files": 4})
        assert processed_by(tmp_path, capped) == 4
        outdated = "SELECT 1 FROM session_processor_state WHERE processor_version = 0"
        store = Store(DuckDBFile(tmp_path / "usage.duckdb"))
        dev.wait(lambda: not store.query(outdated)[0][1], "the sensor finishing the rest", 90)
        dev.wait(dev.ended, "end of its run")
        by_sensor = [run for run in dev.runs() if "dagster/sensor_name" in run["tags"]]
        assert processed_by(tmp_path, by_sensor) == 7 + 6, "the other days, and the rest of these"
        assert {name: table(tmp_path, name) for name in before} == before


def processed_by(folder: Path, runs: list[dict[str, object]]) -> int:
    """How many files these runs processed for usage."""
    ids = ", ".join(f"'{run['runId']}'" for run in runs)
    sql = f"""SELECT count(*) FROM session_processor_state
        WHERE processor_name = 'usage' AND run_id IN ({ids})"""
    return Store(DuckDBFile(folder / "usage.duckdb")).query(sql)[0][1][0][0]


@pytest.fixture(params=["our dagster.yaml", "an instance with none of our yaml"])
def slow(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DagsterDev]:
    sessions = tmp_path / "sessions" / "alice"
    sessions.mkdir(parents=True)
    for number in range(4):
        line = {"type": "user", "timestamp": f"2026-05-0{number + 1}T10:00:00Z"}
        (sessions / f"{number}.jsonl").write_text(json.dumps(line) + "\n")
    workspace = "load_from: [{python_module: {module_name: slow_location, location_name: slow}}]\n"
    (tmp_path / "workspace.yaml").write_text(workspace)
    environment = {
        "SESSION_DATA_DIR": str(tmp_path / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(tmp_path / "slow.duckdb"),
        "SLOW_LOG": str(tmp_path / "slow.log"),
        "PYTHONPATH": str(SUPPORT),
    }
    if request.param == "our dagster.yaml":
        shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    else:
        home = tmp_path / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        environment["DAGSTER_HOME"] = str(home)
    with DagsterDev(tmp_path, environment, "slow") as dev:
        yield dev


def test_no_door_runs_a_processor_twice_at_once(slow: DagsterDev) -> None:
    """Job launch, "Materialize" and backfill of one; another processor runs beside it."""
    dev = slow
    dev.wait(lambda: dev.ended(at_least=2), "the sensors' own runs", 90)
    refresh = {"config": {"full_refresh": True}}
    only_a = {"ops": {"slow_a": refresh}}
    days = [(datetime(2026, 5, 1, tzinfo=UTC) + timedelta(n)).date().isoformat() for n in range(4)]
    a_range = {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": days[-1],
    }
    dev.backfill(["slow_a_rows"], days, only_a)
    launched = [
        dev.launch("slow_a_job", only_a),
        dev.launch("__ASSET_JOB", only_a, ["slow_a_rows"], a_range),
        dev.launch("slow_a_job", only_a),
        dev.launch("__ASSET_JOB", only_a, ["slow_a_rows"], a_range),
        dev.launch("slow_b_job", {"ops": {"slow_b": refresh}}),
    ]
    runs = dev.wait(lambda: dev.ended(launched, at_least=8), "end of all runs", 180)
    assert {run["status"] for run in runs} == {"SUCCESS"}

    notes = [json.loads(line) for line in (dev.folder / "slow.log").read_text().splitlines()]
    spans: dict[str, dict[int, tuple[float, float]]] = {"slow_a": {}, "slow_b": {}}
    for note in notes:
        began, ended = spans[note["name"]].get(note["pid"], (note["began"], note["ended"]))
        span = (min(began, note["began"]), max(ended, note["ended"]))
        spans[note["name"]][note["pid"]] = span
    ours, others = sorted(spans["slow_a"].values()), sorted(spans["slow_b"].values())
    assert len(ours) == 6, "sensor, backfill, two job launches and two materializations"
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(ours)), ours
    side_by_side = [(a, b) for a in ours for b in others if a[0] < b[1] and b[0] < a[1]]
    assert side_by_side, "another processor runs beside it"
