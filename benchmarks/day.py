"""A day in the life: everything once, then a look every quarter of an hour while people work.

`python -m benchmarks.day`: a cold pass, then 96 looks, before each of which one file in a thousand
has grown by a line: a session of the last two days, or with `--grown any` of any day; beside it a
program that reads everything at every look, and our own pass if it had to read everything each
time.
"""

import argparse
import json
import random
import re
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import corpus
from benchmarks.measuring import Pass
from benchmarks.passes import ALL, Bench, append

_TIME = re.compile(rb'"timestamp":"([^"]+)"')
_DAYS = 2


def grows(sessions: Path, grown: str) -> list[Path]:
    """The files that may grow: all, or those begun in the last days of the corpus."""
    paths = sorted(sessions.rglob("*.jsonl"))
    if grown == "any":
        return paths
    begun = {path: _begun(path) for path in paths}
    first = max(begun.values()) - timedelta(days=_DAYS)
    return [path for path, time in begun.items() if time >= first]


def _begun(path: Path) -> datetime:
    with path.open("rb") as file:
        found = _TIME.search(file.readline())
    return datetime.fromisoformat(found[1].decode() if found else "")


def looks(bench: Bench, processor: str, count: int, share: float, grown: str) -> list[Pass]:
    """A cold pass and so many looks at a tree of which a share grew before each."""
    source = random.Random(1)
    paths = grows(bench.sessions, grown)
    many = max(1, round(share * bench.truth.files))
    passes = bench.ours("cold", processor)
    for _ in range(count):
        for path in source.sample(paths, many):
            append(path)
        passes += bench.ours("look", processor)
    return passes


def whole(passes: Sequence[Pass], times: int) -> tuple[float, float]:
    """Wall and CPU seconds of so many passes, from the mean of those that were made."""
    wall, cpu = (sum(getattr(p, name) for p in passes) for name in ("wall", "cpu"))
    return wall / len(passes) * times, cpu / len(passes) * times


def main() -> None:
    """Make the corpus, live the day, print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--mb", type=float, default=2000)
    parser.add_argument("--looks", type=int, default=96)
    parser.add_argument("--share", type=float, default=0.001, help="of files that grow in between")
    parser.add_argument("--grown", choices=("latest", "any"), default="latest")
    parser.add_argument("--sample", type=int, default=8, help="so often the others really run")
    parser.add_argument("--processor", choices=("usage", "verification", ALL), default=ALL)
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="its program, if any")
    given = parser.parse_args()
    folder = Path("var/bench-day")
    shutil.rmtree(folder, ignore_errors=True)
    truth = corpus.make(folder / "claude" / "projects", given.files, given.mb)
    bench = Bench(folder, truth, given.ccusage)
    times = given.looks + 1
    passes = looks(bench, given.processor, given.looks, given.share, given.grown)
    rows = {
        "the first time": whole(passes[:1], 1),
        f"{given.looks} looks": whole(passes[1:], given.looks),
        "the day": whole(passes, times),
        f"{times} passes that read everything": whole(passes[:1], times),
    }
    beside = [found for _ in range(given.sample) for found in bench.theirs()]
    if beside:
        rows[f"{times} times ccusage"] = whole(beside, times)
    print(f"{truth.files} files, {bench.megabytes:.0f} MB, {given.processor}")
    print(f"{'':40}{'wall s':>10}{'cpu s':>10}{'wall x':>10}{'cpu x':>10}")
    last = list(rows.values())[-1]
    for name, (wall, cpu) in rows.items():
        print(f"{name:40}{wall:10.1f}{cpu:10.1f}{wall / last[0]:10.3f}{cpu / last[1]:10.3f}")
    (folder / "result.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    sys.exit(main())
