"""`python -m benchmarks.agents`: how fast the sessions of each agent are read, and a tree of all.

One tree for each agent and a mixed one, with as many files and megabytes; totals are checked per
agent. Another agent is another function in `agents_made.py`. MB/s of `parse` are those of the
reader alone, in one process; those of `run` are of a first pass of `usage` with everything around
it.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import agents_made, corpus
from benchmarks.measuring import measure
from session_pipeline_dagster.transcripts.reader import installed_readers

Make = Callable[[random.Random, corpus.Truth, str, int, int], tuple[str, bytes]]
"""Makes a session: random, what to add to the truth, words, number, bytes -> its path below its
user, and its content."""


def claude_code(
    source: random.Random, truth: corpus.Truth, pool: str, number: int, size: int
) -> tuple[str, bytes]:
    """As `make bench` has them."""
    name = f"{number:08x}-0000-4000-8000-000000000000"
    return f"-home-user-project/{name}.jsonl", corpus.session(source, truth, pool, name, size)


AGENTS: Mapping[str, Make] = {
    "claude-code": claude_code,
    "codex": agents_made.codex,
    "copilot-cli": agents_made.copilot_cli,
    "gemini-cli": agents_made.gemini_cli,
}
"""Agent, as its reader is called -> what makes a session of it."""


def make(
    folder: Path, agents: Mapping[str, Make], files: int, megabytes: float, seed: int = 1
) -> dict[str, corpus.Truth]:
    """Write a tree in which the agents take turns; the truth of each."""
    source = random.Random(seed)
    pool = corpus.words(source)
    truths = {agent: corpus.Truth() for agent in agents}
    weights = [source.lognormvariate(0, 1.2) for _ in range(files)]
    scale = megabytes * 1e6 / sum(weights)
    for number, weight in enumerate(weights):
        agent = [*agents][number % len(agents)]
        truth = truths[agent]
        path, content = agents[agent](source, truth, pool, number, int(weight * scale))
        place = folder / f"user{number % 20:02}" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        truth.files += 1
        truth.bytes += len(content)
    return truths


def parsed(agent: str, tree: Path) -> float:
    """MB/s of the reader of an agent over a tree, read before."""
    readers = installed_readers()
    contents = [(path.name, path.read_bytes()) for path in sorted(tree.rglob("*.jsonl"))]
    began = time.process_time()
    for key, content in contents:
        found = readers.parse(key, content)
        if found is None or found.agent != agent or found.unreadable_lines or found.unknown_lines:
            raise SystemExit(f"{key} is not read as a session of {agent}")
    return sum(len(content) for _, content in contents) / 1e6 / (time.process_time() - began)


def ran(name: str, folder: Path, tree: Path, truths: Mapping[str, corpus.Truth]) -> float:
    """CPU seconds of a first pass of `usage` over the tree; each agent's totals are checked."""
    program = str(Path(sys.executable).with_name("session-pipeline"))
    database = folder / "agents.duckdb"
    for old in folder.glob("agents.duckdb*"):
        old.unlink()
    where = ["--sessions", str(tree), "--database", str(database)]
    command = [program, "run", "--json", "--processor", "usage", *where]
    megabytes = sum(truth.bytes for truth in truths.values()) / 1e6
    found = measure(name, command, folder / "answer.json", megabytes)
    asked = [program, "usage", "--by", "agent", "--json", *where]
    answer = subprocess.run(asked, capture_output=True, check=True).stdout
    rows = {row["agent"]: row for row in json.loads(answer)["rows"]}
    for agent, truth in truths.items():
        row = rows[agent]
        sums = (row["messages"], row["input_tokens"], row["output_tokens"])
        wanted = (truth.messages, truth.input_tokens, truth.output_tokens)
        if sums != wanted:
            raise SystemExit(f"{name}, {agent}: wrong totals: {sums}, the truth is {wanted}")
    return found.cpu


def main() -> None:
    """Make the trees, read each, print MB per CPU second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="of each tree")
    parser.add_argument("--mb", type=float, default=200, help="of each tree")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("var/bench-agents"))
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    trees = {agent: {agent: one} for agent, one in AGENTS.items()} | {"all": AGENTS}
    truths = {
        name: make(given.folder / name, agents, given.files, given.mb)
        for name, agents in trees.items()
    }
    print(f"{'tree':14}{'files':>8}{'MB':>8}{'parse, MB/CPU s':>18}{'run, MB/CPU s':>16}")
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
    for _ in range(given.rounds):
        for name in trees:
            tree, truth = given.folder / name, truths[name]
            megabytes = sum(one.bytes for one in truth.values()) / 1e6
            alone = parsed(name, tree) if name in AGENTS else 0.0
            rounds[name].append((alone, megabytes / ran(name, given.folder, tree, truth)))
    for name, found in rounds.items():
        alone, whole = (statistics.median(each) for each in zip(*found, strict=True))
        files = sum(one.files for one in truths[name].values())
        megabytes = sum(one.bytes for one in truths[name].values()) / 1e6
        said = f"{alone:.0f}" if alone else "-"
        print(f"{name:14}{files:8,}{megabytes:8.0f}{said:>18}{whole:16.0f}")
    shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
