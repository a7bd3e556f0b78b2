"""Backfills under a real `dagster dev`, as its button launches them."""

from pathlib import Path
from typing import Any

import pytest

from dagster_dev import DagsterDev
from example_numbers import FILES
from locations import copy_examples, query, real_location

TABLES = ["usage_messages", "usage_events", "usage_sessions", "usage_daily"]
DAYS = [f"2026-05-{day:02}" for day in range(4, 11)]

pytestmark = pytest.mark.slow(seconds=140)


def backfill(dev: DagsterDev, **config: object) -> str:
    return dev.backfill(TABLES, DAYS, {"ops": {"usage": {"config": config}}})


def runs_of(dev: DagsterDev, name: str, count: int = 2) -> list[dict[str, Any]]:
    """The runs of a backfill once so many have ended: of the tables first, then of the roll-up.

    Dagster's daemon looks at backfills every 30 s, and for each of the two it needs a look. The
    second may be there before anybody has asked after the first, but has not ended then.
    """

    def ended() -> list[dict[str, Any]] | None:
        ours = [run for run in dev.runs() if run["tags"].get("dagster/backfill") == name]
        over = [run for run in ours if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")]
        return over if len(over) >= count else None

    return dev.wait(ended, f"{count} runs of a backfill")


def processed_by(dev: DagsterDev, runs: list[dict[str, Any]]) -> int:
    """How many files these runs processed for usage."""
    ids = ", ".join(f"'{run['runId']}'" for run in runs)
    sql = f"""SELECT count(*) FROM session_processor_state
        WHERE processor_name = 'usage' AND run_id IN ({ids})"""
    return query(dev, sql)[0][0]


def test_a_backfill_over_a_week_refreshes_its_files_and_changes_no_row(tmp_path: Path) -> None:
    """With a cap it does a part, and the sensor finishes the rest by itself."""
    copy_examples(tmp_path)
    with real_location(tmp_path, SCHEDULER_USAGE_PROCESSOR_INTERVAL="3600") as dev:
        for processor in ("usage", "verification"):
            dev.wait(
                lambda name=processor: dev.ended(at_least=1, processor=name),
                f"first run of {processor}",
            )

        def tables() -> dict[str, list[tuple[Any, ...]]]:
            return {name: query(dev, f"FROM {name} ORDER BY ALL") for name in TABLES}

        before = tables()
        full = backfill(dev, full_refresh=True)
        runs_of(dev, full, 1)
        # Each next one is there before the roll-up of the last, so that one look is for both.
        idle = backfill(dev)
        refreshed, first_of_idle = runs_of(dev, full), runs_of(dev, idle, 1)
        assert [run["status"] for run in refreshed] == ["SUCCESS", "SUCCESS"]
        assert processed_by(dev, refreshed) == 10, "every file of these days"
        assert processed_by(dev, first_of_idle) == 0
        assert tables() == before

        capped = backfill(dev, full_refresh=True, max_files=4)
        assert processed_by(dev, runs_of(dev, capped)) == 4
        assert [run["status"] for run in runs_of(dev, idle)] == ["SUCCESS", "SUCCESS"]
        assert processed_by(dev, runs_of(dev, idle)) == 0
        outdated = "SELECT 1 FROM session_processor_state WHERE processor_version = 0"
        dev.wait(lambda: not query(dev, outdated), "the sensor finishing the rest")
        dev.wait(dev.ended, "end of its run")
        by_sensor = [run for run in dev.runs() if "dagster/sensor_name" in run["tags"]]
        assert processed_by(dev, by_sensor) == FILES - 10 + 6, "other days, and the rest"
        assert tables() == before
