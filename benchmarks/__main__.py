"""`python -m benchmarks`: each pass in its own process; one table and one JSON file."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import corpus, detection

_FLOOR = """
import sys, xxhash
from pathlib import Path
for path in Path(sys.argv[1]).rglob("*.jsonl"):
    xxhash.xxh3_128_hexdigest(path.read_bytes())
"""
_JSON = """
import json, sys
from pathlib import Path
for path in Path(sys.argv[1]).rglob("*.jsonl"):
    for line in path.open("rb"):
        json.loads(line)
"""


@dataclass(frozen=True, slots=True)
class Pass:
    """One process: wall and CPU in seconds (children included), peak memory in MB."""

    name: str
    wall: float
    cpu: float
    peak_mb: float
    longest_commit: float = 0.0


def measure(name: str, command: Sequence[str], answer: Path) -> Pass:
    """Run a command to its end; its standard output goes to `answer`."""
    began = time.monotonic()
    with answer.open("wb") as out:
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise SystemExit(f"{name} failed: {command}")
    cpu = usage.ru_utime + usage.ru_stime
    return Pass(name, wall, cpu, usage.ru_maxrss / 1024, _longest_commit(answer))


def _longest_commit(answer: Path) -> float:
    text = answer.read_text()
    if not text.startswith("{"):
        return 0.0
    report = json.loads(text)["processors"]["usage"]
    return max(report["commit_seconds"], default=0.0)


def check(answer: Path, truth: corpus.Truth) -> None:
    """A fast wrong answer is a failure."""
    rows = json.loads(answer.read_text())["summaries"]["Usage"]
    found = tuple(
        sum(int(row[column]) for row in rows) for column in ("messages", "input", "output")
    )
    wanted = (truth.messages, truth.input_tokens, truth.output_tokens)
    if found != wanted:
        raise SystemExit(f"wrong totals: {found}, the truth is {wanted}")


def grow(sessions: Path, share: float) -> int:
    """Append a line to some of the files; to how many."""
    paths = sorted(sessions.rglob("*.jsonl"))
    chosen = paths[:: max(1, int(1 / share))]
    for path in chosen:
        with path.open("ab") as file:
            file.write(b'{"type":"user","message":{"role":"user","content":"more"}}\n')
    return len(chosen)


def one_round(folder: Path, sessions: Path, truth: corpus.Truth) -> list[Pass]:
    """Floor, baseline, cold, unchanged, 1 % grown; in this order."""
    database, answer = folder / "bench.duckdb", folder / "answer.json"
    database.unlink(missing_ok=True)
    program = str(Path(sys.executable).with_name("session-pipeline"))
    run = [program, "run", "--json", "--processor", "usage", "--sessions", str(sessions)]
    run += ["--database", str(database)]
    passes = [
        measure("read and hash (the floor)", [sys.executable, "-c", _FLOOR, str(sessions)], answer),
        measure("json.loads, nothing kept", [sys.executable, "-c", _JSON, str(sessions)], answer),
        measure("cold", run, answer),
    ]
    check(answer, truth)
    passes.append(measure("nothing changed", run, answer))
    grow(sessions, 0.01)
    passes.append(measure("1 % grown by a line", run, answer))
    check(answer, truth)
    return passes


def main() -> None:
    """Make the corpus, run the rounds, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--mb", type=float, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = Path("var/bench")
    shutil.rmtree(folder, ignore_errors=True)
    sessions = folder / "sessions"
    truth = corpus.make(sessions, given.files, given.mb)
    rounds = [one_round(folder, sessions, truth) for _ in range(given.rounds)]
    megabytes = truth.bytes / 1e6
    print(f"{truth.files} files, {megabytes:.0f} MB, medians of {given.rounds} rounds\n")
    heads = ("wall s", "cpu s", "MB/s", "peak MB", "commit s", "x floor")
    print(f"{'pass':28}" + "".join(f"{head:>10}" for head in heads))
    medians = []
    for same in zip(*rounds, strict=True):
        middle = {
            key: statistics.median(asdict(one)[key] for one in same)
            for key in ("wall", "cpu", "peak_mb", "longest_commit")
        }
        medians.append({"name": same[0].name, **middle})
        speed, ratio = megabytes / middle["wall"], middle["wall"] / medians[0]["wall"]
        print(
            f"{same[0].name:28}{middle['wall']:10.2f}{middle['cpu']:10.2f}{speed:10.0f}"
            f"{middle['peak_mb']:10.0f}{middle['longest_commit']:10.2f}{ratio:10.1f}"
        )
    print(f"\n{detection.report()}")
    (folder / "result.json").write_text(json.dumps({"truth": asdict(truth), "passes": medians}))


if __name__ == "__main__":
    main()
