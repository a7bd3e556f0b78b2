"""`python -m benchmarks`: each pass in its own process; one table and one JSON file."""

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import corpus, detection
from benchmarks.measuring import Pass, measure
from benchmarks.passes import ALL, Bench, one_round

_EVERY = 40
"""The baseline gets one file in so many: it would take minutes for all."""


def baseline(bench: Bench) -> Pass:
    """The plain way, on a sample: it would take minutes for all."""
    database = bench.folder / "baseline.duckdb"
    command = [sys.executable, "-m", "benchmarks.baseline", str(bench.sessions), str(database)]
    sample = sorted(bench.sessions.rglob("*.jsonl"))[::_EVERY]
    megabytes = sum(path.stat().st_size for path in sample) / 1e6
    name = f"plain Python, 1 file in {_EVERY}"
    return measure(name, [*command, str(_EVERY)], bench.folder / "answer.txt", megabytes)


def show(bench: Bench, rounds: Sequence[Sequence[Pass]]) -> list[dict[str, object]]:
    """Print the medians and give them back; ratios are medians of ratios within a round."""
    rival = "ccusage" if bench.ccusage else "read and hash"
    heads = ("wall s", "cpu s", "MB/s", "files/s", "peak MB", "commit s", f"x {rival}")
    print(
        f"{'pass':42}" + "".join(f"{head:>16}" if "x" in head else f"{head:>10}" for head in heads)
    )
    medians = []
    for same in zip(*rounds, strict=True):
        found: dict[str, object] = {"name": same[0].name, "megabytes": same[0].megabytes}
        for field in ("wall", "cpu", "peak_mb", "longest_commit"):
            found[field] = statistics.median(asdict(one)[field] for one in same)
        beside = [next(p.wall for p in one if p.name == rival) for one in rounds]
        ratio = statistics.median(p.wall / wall for p, wall in zip(same, beside, strict=True))
        wall = float(str(found["wall"]))
        found["ratio"] = ratio
        whole = same[0].megabytes > bench.megabytes / 2
        files = f"{bench.truth.files / wall:.0f}" if whole else ""
        print(
            f"{same[0].name:42}{wall:10.2f}{found['cpu']:10.2f}{same[0].megabytes / wall:10.0f}"
            f"{files:>10}{found['peak_mb']:10.0f}{found['longest_commit']:10.2f}{ratio:16.2f}"
        )
        medians.append(found)
    return medians


def main() -> None:
    """Make the corpus, run the rounds, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--mb", type=float, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="its program, if any")
    parser.add_argument("--before", help="another version's session-pipeline, in turn with ours")
    kinds = ("usage", "verification", ALL)
    parser.add_argument("--processor", action="append", choices=kinds, help="default: all three")
    given = parser.parse_args()
    folder = Path("var/bench")
    shutil.rmtree(folder, ignore_errors=True)
    truth = corpus.make(folder / "claude" / "projects", given.files, given.mb)
    corpus.make(folder / "more", given.files, given.mb, seed=2)
    corpus.make(folder / "one", 1, 20)
    bench = Bench(folder, truth, given.ccusage, given.processor or kinds, given.before)
    print(f"{truth.files} files, {bench.megabytes:.0f} MB, medians of {given.rounds} rounds\n")
    plain = baseline(bench)
    medians = show(bench, [one_round(bench) for _ in range(given.rounds)])
    speed = plain.megabytes / plain.wall
    cold = next(m for m in medians if str(m["name"]).endswith(": cold"))
    times = bench.megabytes / float(str(cold["wall"])) / speed
    print(f"\n{plain.name}: {speed:.2f} MB/s; cold is {times:.0f} times as fast")
    print(f"\n{detection.report()}")
    result = {"truth": asdict(truth), "passes": medians, "baseline": asdict(plain)}
    (folder / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
