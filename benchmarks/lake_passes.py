"""`python -m benchmarks.lake_passes SESSIONS`: what passes cost over a lake, beside a DuckDB file.

A first pass over a folder of sessions, and a pass over ten files that have grown where the database
holds 1,300,000 responses more. Postgres and the lake's folder are on this machine.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.lakes import SUPPORT, fill, server_cpu
from benchmarks.measuring import measure
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.sources.opening import open_source
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.database import Store, open_store

_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))
_GROWN = 10
_ROWS = 1_300_000


@dataclass(frozen=True, slots=True)
class _Timed(Store):
    """A store that says what its commits of files take: CPU seconds here and at the server."""

    server: psutil.Process | None = None
    took: list[tuple[float, float]] = field(default_factory=list)

    def commit(
        self, processor: Processor, batch: Batch, run_id: str | None = None
    ) -> frozenset[str]:
        before, begun = _cpu_of(self.server), time.process_time()
        # Not super(): a dataclass with slots is another class than the one it was made of.
        left_out = Store.commit(self, processor, batch, run_id)
        self.took.append((time.process_time() - begun, _cpu_of(self.server) - before))
        return left_out


def _cpu_of(server: psutil.Process | None) -> float:
    return server_cpu(server) if server else 0.0


def _first(folder: Path, given: Mapping[str, str], server: psutil.Process | None) -> str:
    before = _cpu_of(server)
    command = [_PROGRAM, "run", "--processor", "usage", "--json"]
    done = measure("first pass", command, folder / "answer.json", 0, given)
    return f"{done.wall:8.1f} {done.cpu:8.2f} {_cpu_of(server) - before:8.2f} {done.peak_mb:8.0f}"


def _grown(sessions: Path, given: Mapping[str, str], server: psutil.Process | None) -> str:
    """A pass over ten grown files; what of it their commit takes."""
    settings, usage = read_settings(given), UsageProcessor()
    source, plain = open_source(settings), open_store(settings)
    fill(plain, _ROWS)
    # What was made up has no file: that is noted now, and not while it is measured.
    run_all(usage, source, plain, settings, Options())
    for path in sorted(sessions.rglob("*.jsonl"))[:_GROWN]:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines, *lines[-20:]]))
    store = _Timed(plain.place, None, server)
    before, begun = _cpu_of(server), resource.getrusage(resource.RUSAGE_SELF)
    wall = time.monotonic()
    report = run_all(usage, source, store, settings, Options())
    wall, ended = time.monotonic() - wall, resource.getrusage(resource.RUSAGE_SELF)
    if report.processed != _GROWN:
        raise SystemExit(f"{report.processed} files were processed")
    cpu = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
    (commit,) = store.took
    pass_ = f"{wall:8.1f} {cpu:8.2f} {_cpu_of(server) - before:8.2f} {'':8}"
    return f"{pass_}  of it the commit {commit[0]:.2f} and {commit[1]:.2f}"


def _bench(sessions: Path, folder: Path) -> None:
    sys.path.insert(0, str(SUPPORT))
    from postgres import postgres  # noqa: PLC0415  of the tests, which nothing installs

    few = folder / "few"
    for path in sorted(sessions.rglob("*.jsonl"))[: 2 * _GROWN]:
        (few / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, few / path.parent.name)
    with postgres() as started:
        assert started.process is not None  # noqa: S101  it has just been started
        server = psutil.Process(started.process.pid)
        megabytes = sum(path.stat().st_size for path in sessions.rglob("*.jsonl")) / 1e6
        print(f"{megabytes:.0f} MB, {datetime.now(UTC):%F}; load {os.getloadavg()[0]:.1f}")
        print(f"{'':32} {'wall s':>8} {'cpu s':>8} {'server':>8} {'peak MB':>8}", flush=True)
        # Those in processes of their own first: their peak begins with this one's memory.
        for what in ("first pass", "ten files grown"):
            for name in ("file", "lake"):
                place = folder / what / name
                place.mkdir(parents=True)
                given = {
                    "SESSION_PIPELINE_DATABASE": str(place / "x.duckdb"),
                    "SESSION_PIPELINE_WORK_DIR": str(place / "work"),
                    "SESSION_PIPELINE_WORKERS": "1",
                    "SESSION_PIPELINE_TIME_BUDGET_SECONDS": "3600",
                }
                if name == "lake":
                    given["SESSION_PIPELINE_DATABASE"] = f"ducklake:postgres:{started.catalog()}"
                    given["SESSION_PIPELINE_LAKE_DATA"] = str(place / "data")
                at = server if name == "lake" else None
                if what == "first pass":
                    given["SESSION_DATA_DIR"] = str(sessions)
                    figures = _first(place, given, at)
                else:
                    given["SESSION_DATA_DIR"] = str(few)
                    # All roll-ups of what is made up are made at once, which no daily use does.
                    given["SESSION_PIPELINE_DATABASE_MEMORY_MB"] = "512"
                    figures = _grown(few, given, at)
                print(f"{f'{what}, {name}':32} {figures}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lake_passes", description=__doc__)
    parser.add_argument("sessions", type=Path, help="a folder of session files; it is not changed")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lake-passes-") as folder:
        _bench(given.sessions, Path(folder))


if __name__ == "__main__":
    main()
