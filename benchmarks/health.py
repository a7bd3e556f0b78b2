"""`python -m benchmarks.health`: one health evaluation over many files, each in its own process.

"database" is how long the evaluation held it: from before it is opened until it is closed.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.batch import Batch, Done
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LINE = '{"type":"user","timestamp":"2026-07-01T12:00:00Z","message":{"content":"hello"}}\n'
_CASES = ("all processed", "1 % pending", "nothing processed")


@dataclass(frozen=True, slots=True)
class _WatchedStore(Store):
    """Notes how long each connection was there."""

    held: list[float] = field(default_factory=list)

    @contextmanager
    def connect(self, timeout: timedelta | None = None) -> Generator["DuckDBPyConnection"]:
        began = time.monotonic()
        # Without arguments `super()` looks for the class that a dataclass with slots replaces.
        with Store.connect(self, timeout) as connection:
            yield connection
        self.held.append(time.monotonic() - began)


def make(folder: Path, count: int) -> None:
    """The files, an hour old, and a database for each case."""
    hour_ago = time.time() - 3600
    for number in range(count):
        path = (
            folder / "sessions" / f"user{number % 50:02}" / f"p{number % 500}" / f"{number}.jsonl"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_LINE)
        os.utime(path, (hour_ago, hour_ago))
    files = LocalSource((Root(folder / "sessions"),)).scan().files
    now = datetime.now(UTC)
    done = [
        Done(
            session_file=file.key,
            username=file.user,
            session_day=now.date(),
            items=1,
            file_hash=f"{number:032x}",
            signature=file.signature,
            signature_at=now,
            lines=1,
            unreadable_lines=0,
            unknown_lines=0,
            memo=None,
        )
        for number, file in enumerate(files)
    ]
    for case, share in zip(_CASES, (1.0, 0.99, 0.0), strict=True):
        store = Store(DuckDBFile(folder / f"{case}.duckdb"))
        store.prepare(UsageProcessor())
        store.commit(UsageProcessor(), Batch(done=done[: int(len(done) * share)]))


def once(folder: Path, case: str) -> None:
    """One evaluation in this process; prints what it took."""
    settings = Settings(roots=(Root(folder / "sessions"),))
    source = LocalSource(settings.roots)
    store = _WatchedStore(DuckDBFile(folder / f"{case}.duckdb"))
    began = time.monotonic()
    found = examine([UsageProcessor()], source, store, settings, datetime.now(UTC))
    seconds = time.monotonic() - began
    # Not getrusage: its maximum is handed down from the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
    statuses = {f.check: f.status for f in found.findings["usage"] if f.status != "ok"}
    print(json.dumps([seconds, max(store.held), peak, found.session_files, statuses]))


def main() -> None:
    """Make the files, evaluate a few times, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", choices=_CASES)
    given = parser.parse_args()
    folder = Path("var/bench-health")
    if given.once:
        once(folder, given.once)
        return
    shutil.rmtree(folder, ignore_errors=True)
    make(folder, given.files)
    print(f"{given.files} files, medians of {given.rounds} processes\n")
    print(f"{'case':20}{'wall s':>10}{'database s':>12}{'peak MB':>10}  findings")
    for case in _CASES:
        command = [sys.executable, "-m", "benchmarks.health", "--once", case]
        answers = [
            json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            for _ in range(given.rounds)
        ]
        seconds, held, peak = (statistics.median(a[i] for a in answers) for i in range(3))
        if answers[0][3] != given.files:
            raise SystemExit(f"{answers[0][3]} files were found")
        print(f"{case:20}{seconds:10.2f}{held:12.2f}{peak:10.0f}  {answers[0][4] or 'ok'}")


if __name__ == "__main__":
    main()
