"""`python -m benchmarks.ticks`: what a look at very many files costs, in Python and in SQL.

States are made in SQL, and a listing of the same files in memory: nothing is on disk, so no `stat`
is in it. One file in a thousand has grown, one in a thousand is new, one in a hundred is gone and
noted. Each look is made in a process of its own, twice: the first imports Arrow, as a command does;
the second is a sensor's in a process that stays.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import peak_mb
from session_pipeline_dagster.health.findings import snapshot
from session_pipeline_dagster.passes.deletions import unsettled
from session_pipeline_dagster.passes.plan import last_change, left_out, look
from session_pipeline_dagster.passes.seeing import see
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan, SessionFile, Signature
from session_pipeline_dagster.store import compare
from session_pipeline_dagster.store.database import open_store

_BEGUN_NS = 1_700_000_000 * 10**9
_KEY = "user{:04d}/-home-user-project{:05d}/{:08x}-7b1c-4c6e-9d7a-0242ac120002.jsonl"
_STATES = f"""INSERT INTO session_processor_state
    SELECT $1, format('{_KEY}', i // 1000, i // 50, i),
    format('user{{:04d}}', i // 1000), DATE '2025-01-01' + (i % 365)::INTEGER,
    TIMESTAMPTZ '2026-01-01 00:00:00+00', 3, md5(i::VARCHAR), 1000 + i, {_BEGUN_NS} + i * 1000003,
    {_BEGUN_NS} + i * 1000003, $2, 10, 0, NULL, 'run', TIMESTAMPTZ '2026-01-01 00:00:00+00', 0,
    CASE WHEN i % 100 = 7 THEN TIMESTAMPTZ '2026-02-01 00:00:00+00' END, '', NULL, NULL
    FROM range($3) AS made(i)"""


def files(count: int) -> Iterator[SessionFile]:
    """The files as they are there now."""
    for i in range(count + count // 1000):
        if i % 100 == 7 and i < count:
            continue
        key, at = _KEY.format(i // 1000, i // 50, i), _BEGUN_NS + i * 1000003
        signature = Signature(1000 + i + (i % 1000 == 5), at, at)
        yield SessionFile(key, f"user{i // 1000:04d}", None, f"/data/sessions/{key}", signature)


def make(settings: Settings, count: int) -> None:
    """A database with so many states."""
    usage, store = UsageProcessor(), open_store(settings)
    store.prepare(usage)
    with store.transaction() as connection:
        connection.execute(_STATES, [usage.name, usage.version, count])


def one(settings: Settings, count: int, *, in_sql: bool) -> dict[str, float]:
    """A sensor's look and a health evaluation over so many files; CPU seconds and MB."""
    compare.MANY = 0 if in_sql else sys.maxsize
    usage, store = UsageProcessor(), open_store(settings)
    store.row_counts([])
    scan = Scan(list(files(count)), [])
    listing_mb = peak_mb()
    found: dict[str, float] = {"listing": listing_mb}

    def tick(name: str) -> None:
        begun, now = time.process_time(), datetime.now(UTC)
        seen = see(usage, scan, store, settings, now)
        known, rest = seen.known, seen.known.rest
        outlook = look(seen.files, known.states, known.failures, usage.version, now, rest)
        last_change(known.states, known.failures, rest)
        left_out(scan.files, known.states, "all")
        missing = unsettled(scan, known, settings, now)
        found[name] = time.process_time() - begun
        grown, new = (count + 994) // 1000, count // 1000
        if (outlook.files, len(outlook.due), len(missing)) != (len(scan.files), grown + new, 0):
            raise SystemExit(f"wrong: {outlook.files} files, {len(outlook.due)} due")

    tick("first")
    tick("again")
    found["tick"] = peak_mb() - listing_mb
    begun, now = time.process_time(), datetime.now(UTC)
    seen = see(usage, scan, store, settings, now, None, now - timedelta(days=7))
    snapshot(usage.name, usage.version, seen, now)
    found["health"] = time.process_time() - begun
    found["peak"] = peak_mb()
    return found


def main() -> None:
    """Make the databases and say what looks cost, both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = (2_000, 20_000, 50_000, 100_000, 1_000_000)
    parser.add_argument("--states", type=int, nargs="+", default=sizes)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("DATABASE", "STATES", "WAY"))
    given = parser.parse_args()
    if given.one:
        database, count, way = given.one
        settings = replace(Settings(), database=Path(database))
        print(json.dumps(one(settings, int(count), in_sql=way == "SQL")))
        return
    heads = ("first s", "again s", "health s", "listing MB", "look MB", "peak MB")
    print(f"{'states':>10} {'':8}" + "".join(f"{head:>12}" for head in heads))
    with TemporaryDirectory() as folder:
        for count in given.states:
            settings = replace(Settings(), database=Path(folder) / f"{count}.duckdb")
            make(settings, count)
            rounds = [
                (way, _run(settings.database, count, way))
                for _ in range(given.rounds)
                for way in ("Python", "SQL")
            ]
            for way in ("Python", "SQL"):
                same = [found for named, found in rounds if named == way]
                shown = ("first", "again", "health", "listing", "tick", "peak")
                best = {name: min(found[name] for found in same) for name in shown}
                line = "".join(
                    f"{best[name]:12.3f}" if name in shown[:3] else f"{best[name]:12.0f}"
                    for name in shown
                )
                print(f"{count:10,} {way:8}{line}", flush=True)


def _run(database: Path, count: int, way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.ticks", "--one", str(database), str(count), way]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
