"""`python -m benchmarks`: each pass in its own process; one table and one JSON file."""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import corpus, detection
from benchmarks.measuring import Pass, measure

_FLOOR = """
import sys, xxhash
from pathlib import Path
for path in Path(sys.argv[1]).rglob("*.jsonl"):
    xxhash.xxh3_128_hexdigest(path.read_bytes())
"""
_SCAN = """
import os, sys
folders = [sys.argv[1]]
for folder in folders:
    for entry in os.scandir(folder):
        folders.append(entry.path) if entry.is_dir() else entry.stat()
"""
_EVERY = 40
"""The baseline gets one file in so many: it would take minutes for all."""
_MINUTE_AGO = 60
_LINE = b'{"type":"user","message":{"role":"user","content":"more"}}\n'


@dataclass(frozen=True, slots=True)
class Bench:
    """A corpus, where it lies, and what is measured beside us."""

    folder: Path
    truth: corpus.Truth
    ccusage: str | None

    @property
    def sessions(self) -> Path:
        """One folder a user; ccusage takes them for projects."""
        return self.folder / "claude" / "projects"

    @property
    def megabytes(self) -> float:
        """Size of the corpus."""
        return self.truth.bytes / 1e6

    def python(self, name: str, code: str) -> Pass:
        """A few lines of Python over the sessions."""
        command = [sys.executable, "-c", code, str(self.sessions)]
        return measure(name, command, self.folder / "answer.txt", self.megabytes)

    def ours(
        self,
        name: str,
        *,
        sessions: Path | None = None,
        more: Path | None = None,
        database: str = "bench",
    ) -> Pass:
        """One pass of `session-pipeline run`; over the corpus, its totals are checked.

        Args:
            sessions: another tree than the corpus; None = the corpus.
            more: a second tree beside the corpus, the only one where something is to do.
        """
        program = str(Path(sys.executable).with_name("session-pipeline"))
        command = [program, "run", "--json", "--processor", "usage"]
        command += ["--sessions", str(sessions or self.sessions)]
        command += ["--sessions", str(more)] if more else []
        command += ["--database", str(self.folder / f"{database}.duckdb")]
        answer = self.folder / "answer.json"
        new = more or sessions
        megabytes = self.megabytes if new is None else _size(new)
        found = measure(name, command, answer, megabytes)
        if new is None:
            rows = json.loads(answer.read_text())["summaries"]["Usage"]
            sums = (sum(int(row[c]) for row in rows) for c in ("messages", "input", "output"))
            self.check(name, *sums)
        return found

    def theirs(self) -> list[Pass]:
        """Ccusage over the same tree, if it is installed; it stores nothing."""
        if self.ccusage is None:
            return []
        answer = self.folder / "ccusage.json"
        command = [self.ccusage, *"claude daily --json --offline -z UTC".split()]
        there = {"CLAUDE_CONFIG_DIR": str((self.folder / "claude").resolve())}
        found = measure("ccusage", command, answer, self.megabytes, there)
        totals = json.loads(answer.read_text())["totals"]
        messages = self.truth.messages
        self.check("ccusage", messages, totals["inputTokens"], totals["outputTokens"])
        return [found]

    def check(self, name: str, *found: int) -> None:
        """A fast wrong answer is a failure."""
        wanted = (self.truth.messages, self.truth.input_tokens, self.truth.output_tokens)
        if found != wanted:
            raise SystemExit(f"{name}: wrong totals: {found}, the truth is {wanted}")


def one_round(bench: Bench) -> list[Pass]:
    """Every pass once, ours and theirs in turn."""
    for database in bench.folder.glob("*.duckdb*"):
        database.unlink()
    paths = sorted(bench.sessions.rglob("*.jsonl"))
    passes = [
        bench.python("list and stat", _SCAN),
        bench.python("read and hash", _FLOOR),
        *bench.theirs(),
        bench.ours("cold"),
        bench.ours("nothing changed"),
    ]
    shutil.copyfile(bench.folder / "bench.duckdb", bench.folder / "full.duckdb")
    second = bench.ours("cold, into a full database", more=bench.folder / "more", database="full")
    passes.insert(-1, second)
    before = time.time() - _MINUTE_AGO
    for path in paths:
        os.utime(path, (before, before))
    passes.append(bench.ours("touched, same content"))
    for path in paths[::100]:
        _append(path)
    passes.append(bench.ours("1 % grown by a line"))
    one = bench.folder / "one"
    bench.ours("one file of 20 MB", sessions=one, database="one")
    _append(next(one.rglob("*.jsonl")))
    passes.append(bench.ours("20 MB file grown by a line", sessions=one, database="one"))
    return passes


def baseline(bench: Bench) -> Pass:
    """The plain way, on a sample: it would take minutes for all."""
    database = bench.folder / "baseline.duckdb"
    command = [sys.executable, "-m", "benchmarks.baseline", str(bench.sessions), str(database)]
    sample = sorted(bench.sessions.rglob("*.jsonl"))[::_EVERY]
    megabytes = sum(path.stat().st_size for path in sample) / 1e6
    name = f"plain Python, 1 file in {_EVERY}"
    return measure(name, [*command, str(_EVERY)], bench.folder / "answer.txt", megabytes)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(_LINE)


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl")) / 1e6


def show(bench: Bench, rounds: Sequence[Sequence[Pass]]) -> list[dict[str, object]]:
    """Print the medians and give them back; ratios are medians of ratios within a round."""
    rival = "ccusage" if bench.ccusage else "read and hash"
    heads = ("wall s", "cpu s", "MB/s", "files/s", "peak MB", "commit s", f"x {rival}")
    print(
        f"{'pass':30}" + "".join(f"{head:>16}" if "x" in head else f"{head:>10}" for head in heads)
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
            f"{same[0].name:30}{wall:10.2f}{found['cpu']:10.2f}{same[0].megabytes / wall:10.0f}"
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
    given = parser.parse_args()
    folder = Path("var/bench")
    shutil.rmtree(folder, ignore_errors=True)
    truth = corpus.make(folder / "claude" / "projects", given.files, given.mb)
    corpus.make(folder / "more", given.files, given.mb, seed=2)
    corpus.make(folder / "one", 1, 20)
    bench = Bench(folder, truth, given.ccusage)
    print(f"{truth.files} files, {bench.megabytes:.0f} MB, medians of {given.rounds} rounds\n")
    plain = baseline(bench)
    medians = show(bench, [one_round(bench) for _ in range(given.rounds)])
    speed = plain.megabytes / plain.wall
    cold = next(m for m in medians if m["name"] == "cold")
    times = bench.megabytes / float(str(cold["wall"])) / speed
    print(f"\n{plain.name}: {speed:.2f} MB/s; cold is {times:.0f} times as fast")
    print(f"\n{detection.report()}")
    result = {"truth": asdict(truth), "passes": medians, "baseline": asdict(plain)}
    (folder / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
