"""`python -m benchmarks.history`: what Dagster's own history grows to in a month of busy days.

Days pass on a real SQLite instance: files grow, the real jobs run over them, health and the files
are looked at after each run, and at midnight every time in the history goes back a day and the
janitor comes. A day has fewer runs than the 240 that the default intervals allow: what each leaves
is measured before the janitor comes, what stays of a day once nothing else grows.
"""

import argparse
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.orchestration.retention import Retention
from session_pipeline_dagster.settings import Root, Settings

_FIRST = date(2026, 7, 1)
_RUNS = {"usage": 144, "verification": 96}
"""Of each processor, as many as its interval allows in a day."""
_TIMES = {
    "runs.db": {"runs": ("create_timestamp", "update_timestamp", "start_time", "end_time")},
    "runs/index.db": {
        "event_logs": ("timestamp",),
        "asset_check_executions": ("create_timestamp",),
    },
    "runs/.db": {"event_logs": ("timestamp",)},
}


class History:
    """An instance in a folder, the location on it, and one file that grows."""

    def __init__(self, place: Path) -> None:
        self.home = place / "home"
        self.home.mkdir(parents=True)
        shutil.copytree("examples/sessions", place / "sessions")
        self.settings = Settings(
            roots=(Root(place / "sessions"),), database=place / "sessions.duckdb"
        )
        self.registry = load_processors()
        self.defs = build_definitions(self.registry, self.settings)
        self.repository = self.defs.get_repository_def()
        self.instance = dg.DagsterInstance.local_temp(str(self.home))
        self.cursors: dict[str, str | None] = {}
        self.lines = 0

    def size(self) -> int:
        """Bytes of everything, as after a checkpoint."""
        for path in self.home.rglob("*.db"):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file())

    def grow(self, day: date) -> None:
        """One more line in the session of that day."""
        self.lines += 1
        path = self.settings.roots[0].path / "alice" / "-work" / f"{day}.jsonl"
        path.parent.mkdir(exist_ok=True)
        line = {
            "type": "user",
            "timestamp": f"{day}T12:00:00.000Z",
            "sessionId": str(day),
            "uuid": f"u{self.lines}",
            "message": {"role": "user", "content": f"line {self.lines}"},
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def run(self, processor: str, day: date) -> None:
        """A run as the sensor asks for it, and what sensors say after it."""
        tags = {f"dagster/asset_partition_range_{end}": f"{day}" for end in ("start", "end")}
        tags |= {"dagster/sensor_name": f"{processor}_sensor"}
        job = self.defs.resolve_job_def(f"{processor}_job")
        job.execute_in_process(instance=self.instance, tags=tags)
        for name in ("health_sensor", "session_files_sensor"):
            sensor = self.repository.get_sensor_def(name)
            cursor = self.cursors.get(name)
            result = sensor(dg.build_sensor_context(instance=self.instance, cursor=cursor))
            self.cursors[name] = result.cursor
            for event in result.asset_events:
                self.instance.report_runless_asset_event(event)

    def report(self) -> None:
        """The usage report, as its sensor asks for it."""
        whole = self.defs.resolve_implicit_global_asset_job_def()
        job = whole.get_subset(asset_selection={dg.AssetKey("usage_report")})
        tags = {"dagster/sensor_name": "usage_report_sensor"}
        job.execute_in_process(instance=self.instance, tags=tags)

    def midnight(self) -> int:
        """A day passes, and the janitor comes; how many runs went."""
        for name, tables in _TIMES.items():
            path = self.home / "history" / name
            if not path.exists():
                continue
            with closing(sqlite3.connect(path)) as connection:
                for table, columns in tables.items():
                    for column in columns:
                        connection.execute(_back(table, column))
                connection.commit()
        janitor = Retention(self.registry, PLAIN, self.settings.keep_runs)
        return sum(iter(lambda: janitor.tick(self.instance, datetime.now(UTC)), 0))


def _back(table: str, column: str) -> str:
    """SQL that sets a time back by a day; those of a run's work are numbers."""
    number = column in ("start_time", "end_time")
    day_less = (
        f"{column} - 86400" if number else f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-1 day')"
    )
    return f"UPDATE {table} SET {column} = {day_less} WHERE {column} IS NOT NULL"


def days(history: History, count: int, runs: int) -> Iterator[tuple[int, int, int]]:
    """So many days with so many runs of each processor: bytes written, runs that went, bytes."""
    for number in range(count):
        day, before = _FIRST + timedelta(days=number), history.size()
        for _ in range(runs):
            history.grow(day)
            for processor in _RUNS:
                history.run(processor, day)
        history.report()
        written = history.size() - before
        yield written, history.midnight(), history.size()


def main() -> None:
    """A table of days, and the month that they make."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=9)
    parser.add_argument("--runs", type=int, default=3, help="of each processor a day")
    parser.add_argument("--place", type=Path, default=Path("var/bench-history"))
    given = parser.parse_args()
    shutil.rmtree(given.place, ignore_errors=True)
    history = History(given.place.resolve())
    each: dict[str, float] = {}
    for processor in _RUNS:
        history.run(processor, _FIRST - timedelta(days=1))
    for processor in _RUNS:
        before, again = history.size(), 5
        for _ in range(again):
            history.grow(_FIRST - timedelta(days=1))
            history.run(processor, _FIRST - timedelta(days=1))
        each[processor] = (history.size() - before) / again
        print(f"{processor}: a run and its checks leave {each[processor] / 1e3:.0f} kB", flush=True)
    sizes: list[int] = []
    for written, went, size in days(history, given.days, given.runs):
        sizes.append(size)
        line = f"day {len(sizes)}: {written / 1e6:6.2f} MB written, {went:3} runs deleted"
        print(f"{line}, {size / 1e6:7.2f} MB in all", flush=True)
    busiest = sum(number * each[processor] for processor, number in _RUNS.items())
    steady = (sizes[-1] - sizes[3]) / (len(sizes) - 4)
    # The janitor looks every six hours for what ended a day ago.
    month = 1.25 * busiest + 29 * steady
    print(f"a day of {sum(_RUNS.values())} runs writes {busiest / 1e6:.0f} MB")
    print(f"a day that is over keeps {steady / 1e6:.2f} MB")
    print(f"after a month of such days {month / 1e6:.0f} MB, {month / 30e6:.1f} MB a day;")
    print(f"without the janitor {30 * busiest / 1e6:.0f} MB")
    began = time.process_time()
    history.midnight()
    print(f"a sweep that finds nothing: {time.process_time() - began:.2f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main()
