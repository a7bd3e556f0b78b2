"""`python -m benchmarks.poison`: many tiny files, 1 % of them poison that sorts first.

Passes of the default cap, as a sensor would ask for them, until every healthy file is processed and
every poison file is given up. Prints how long a tick's look took and whether anything was starved.
"""

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from benchmarks.measuring import peak_mb
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.passes.pacing import Memory, decide
from session_pipeline_dagster.passes.plan import MAX_ATTEMPTS, last_change, look
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store

_USERS = 100
_LINE = b'{"type":"user","timestamp":"2026-07-01T12:00:00Z","message":{"content":"hello"}}\n'
_GIVEN_UP = """SELECT attempts, count(*) FROM session_processor_failures
    WHERE quarantined_at IS NOT NULL GROUP BY 1"""
_LONG_AGO = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp())


class Tiny:
    """One row a file; fails for poison."""

    name, version = "tiny", 1
    cadence = timedelta(seconds=60)
    tables: ClassVar = {"tiny_rows": "session_file VARCHAR, lines BIGINT"}

    def process(self, session: Session) -> ProcessorResult:
        """A row, or an error."""
        if "poison" in session.key:
            raise ValueError
        return ProcessorResult({"tiny_rows": [(session.key, session.transcript.lines)]}, 1)


@dataclass(slots=True)
class Found:
    """What the passes showed: seconds of each tick's look, and healthy files of each pass."""

    ticks: list[float] = field(default_factory=list)
    healthy: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)


def make(root: Path, files: int) -> int:
    """The files, poison oldest; how many are poison."""
    poison = files // 100
    for number in range(files):
        folder = root / f"user{number % _USERS:03}"
        if number < _USERS:
            folder.mkdir(parents=True)
        path = folder / f"{'poison' if number < poison else 'healthy'}{number:07}.jsonl"
        path.write_bytes(_LINE * 2)
        os.utime(path, (_LONG_AGO + number, _LONG_AGO + number))
    return poison


def tick(source: LocalSource, store: Store, settings: Settings) -> float:
    """What a sensor does before it asks for a run, in seconds."""
    begun, now, tiny = time.monotonic(), datetime.now(UTC), Tiny()
    scan, known = source.scan(), store.known(tiny)
    outlook = look(scan.files, known.states, known.failures, tiny.version, now)
    cap, change = settings.cap(tiny.name), last_change(known.states, known.failures)
    decide(outlook, Memory(), tiny.cadence, cap, now, change)
    return time.monotonic() - begun


def passes(source: LocalSource, store: Store, settings: Settings) -> Found:
    """Passes until nothing is left to do; back-offs are let pass at once."""
    found = Found()
    while True:
        found.ticks.append(tick(source, store, settings))
        report: BatchReport = run_batch(Tiny(), source, store, settings)
        if not report.scanned:
            return found
        found.healthy.append(report.processed)
        found.failed.append(report.errors)
        with store.connect() as connection:
            connection.execute(
                "UPDATE session_processor_failures SET next_attempt_at = last_failed_at "
                "WHERE quarantined_at IS NULL"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the files, run the passes, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    files: int = parser.parse_args(arguments).files
    folder = Path("var/bench-poison")
    shutil.rmtree(folder, ignore_errors=True)
    poison = make(folder / "sessions", files)
    settings = Settings(roots=(Root(folder / "sessions"),), database=folder / "poison.duckdb")
    source, store = LocalSource(settings.roots), open_store(settings)
    begun = time.monotonic()
    found = passes(source, store, settings)
    wall = time.monotonic() - begun
    rows = store.row_counts(["tiny_rows"])["tiny_rows"]
    given_up = store.query(_GIVEN_UP)[0][1]
    if (rows, given_up) != (files - poison, [(MAX_ATTEMPTS, poison)]):
        raise SystemExit(f"wrong: {rows} rows, given up {given_up}")
    healthy = found.healthy
    starved = [n for n, done in enumerate(healthy) if not done and any(healthy[n:])]
    print(f"{files:,} files, {poison:,} of them poison; {len(healthy)} passes in {wall:.0f} s")
    print(f"healthy files in the first three passes: {healthy[:3]}")
    print(f"failures a pass: {[n for n in found.failed if n]}")
    print(f"passes without a healthy file while some were left: {len(starved)}")
    print(
        f"a tick's look: median {sorted(found.ticks)[len(found.ticks) // 2]:.2f} s, "
        f"longest {max(found.ticks):.2f} s"
    )
    print(f"peak memory: {peak_mb()} MB")


if __name__ == "__main__":
    main()
