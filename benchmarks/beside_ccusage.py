"""`python -m benchmarks.beside_ccusage TREE... --ccusage PROGRAM`: each tree counted by both.

A tree has a folder `projects` (as `~/.claude`) or is a root with a folder a person. Prints what
differs per group: tokens, and costs to the last digit that ccusage has.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

_TOKENS = ("inputTokens", "outputTokens", "cacheCreationTokens", "cacheReadTokens")
_OURS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")
_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))
_CLOSE = Decimal("0.0000005")
"""Half a micro-dollar: theirs are floating point."""


@dataclass(frozen=True, slots=True)
class Period:
    """One way of grouping: the name of ours, ccusage's command and its answer's fields."""

    by: str
    command: str
    rows: str
    name: str


PERIODS = (
    Period("day", "daily", "daily", "date"),
    Period("week", "weekly", "weekly", "week"),
    Period("month", "monthly", "monthly", "month"),
    Period("session", "session", "sessions", "sessionId"),
)


@dataclass(frozen=True, slots=True)
class Sum:
    """Input, output, cache writes, cache reads; USD, None without a price."""

    tokens: tuple[int, ...]
    cost: Decimal | None

    def is_as(self, other: "Sum") -> bool:
        """Whether both say the same, but for rounding; nothing is another thing than unknown."""
        if None in (self.cost, other.cost) or self.tokens != other.tokens:
            return self == other
        return abs((self.cost or 0) - (other.cost or 0)) < _CLOSE


Sums = Mapping[tuple[str, str], Sum]


def theirs(program: str, tree: Path, period: Period, mode: str) -> Sums:
    """(group, model) -> what ccusage says of it, UTC."""
    with tempfile.TemporaryDirectory() as folder:
        there = configurations(tree.resolve(), Path(folder))
        command = [program, "claude", period.command, "--json", "--breakdown", "--offline"]
        answer = _json(
            [*command, "-z", "UTC", "-m", mode], CLAUDE_CONFIG_DIR=",".join(map(str, there))
        )
    found: dict[tuple[str, str], Sum] = {}
    for row in answer[period.rows] if isinstance(answer, dict) else ():
        for one in row["modelBreakdowns"]:
            tokens = tuple(one[name] for name in _TOKENS)
            key = (row[period.name], one["modelName"])
            found[key] = _and(found.get(key), Sum(tokens, Decimal(str(one["cost"]))))
    return found


def configurations(tree: Path, folder: Path) -> Sequence[Path]:
    """Folders as `~/.claude` is one: the tree, or one for each person, made in `folder`."""
    if (tree / "projects").is_dir():
        return [tree]
    people = [tree] if [*tree.glob("*/*.jsonl")] else sorted(tree.iterdir())
    made = []
    for person in people:
        made.append(folder / person.name)
        made[-1].mkdir()
        (made[-1] / "projects").symlink_to(person)
    return made


def read(tree: Path, database: Path) -> None:
    """One pass over the tree, into a database of its own."""
    projects = tree / "projects"
    where = [str(projects), "--layout", "projects"] if projects.is_dir() else [str(tree)]
    _json([_PROGRAM, "run", "--processor", "usage", "--json", "--sessions", *where], database)


def ours(database: Path, period: Period) -> Sums:
    """(group, model) -> what `session-pipeline usage` says of it."""
    command = [_PROGRAM, "usage", "--by", f"{period.by},model", "--week-start", "sunday", "--json"]
    answer = _json(command, database)
    found: dict[tuple[str, str], Sum] = {}
    for row in answer["rows"]:
        key = (str(row[period.by]), str(row["model"]))
        one = Sum(tuple(row[name] for name in _OURS), row["cost"])
        found[key] = _and(found.get(key), one)
    return found


def _and(one: Sum | None, more: Sum) -> Sum:
    if one is None:
        return more
    tokens = tuple(a + b for a, b in zip(one.tokens, more.tokens, strict=True))
    costs = [cost for cost in (one.cost, more.cost) if cost is not None]
    return Sum(tokens, sum(costs, Decimal(0)) if costs else None)


def _json(command: Sequence[str], database: Path | None = None, **environment: str) -> Any:
    where = {} if database is None else {"SESSION_PIPELINE_DATABASE": str(database)}
    env = {**os.environ, **where, **environment}
    done = subprocess.run(command, env=env, capture_output=True, check=True, text=True)
    return json.loads(done.stdout, parse_float=Decimal)


def total(sums: Sums) -> Sum:
    """Of all groups; what has no price counts as nothing."""
    tokens = [sum(column) for column in zip(*(one.tokens for one in sums.values()), strict=True)]
    return Sum(tuple(tokens), sum((one.cost or Decimal(0) for one in sums.values()), Decimal(0)))


def show(tree: Path, period: Period, our: Sums, their: Sums) -> None:
    """A line for the tree, and one for each group that differs."""
    names = sorted({*our, *their})
    nothing = Sum((0, 0, 0, 0), Decimal(0))
    pairs = {name: (our.get(name, nothing), their.get(name, nothing)) for name in names}
    differing = {name: pair for name, pair in pairs.items() if not pair[0].is_as(pair[1])}
    a, b = total(our), total(their)
    same = "same" if not differing else f"{len(differing)} of {len(names)} differ"
    print(f"{tree.name:34}{period.by:9}{_usd(a.cost):>16}{_usd(b.cost):>16}  {same}")
    for (group, model), (mine, other) in differing.items():
        print(f"    {group} {model}")
        print(f"        ours    {mine.tokens} {_usd(mine.cost)}")
        print(f"        ccusage {other.tokens} {_usd(other.cost)}")


def _usd(cost: Decimal | None) -> str:
    return "unknown" if cost is None else f"{cost:.9f}"


def main() -> None:
    """Every tree by every period."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="its program")
    parser.add_argument("--mode", default="calculate", choices=("auto", "calculate", "display"))
    parser.add_argument("--by", choices=[period.by for period in PERIODS], action="append")
    given = parser.parse_args()
    if given.ccusage is None:
        raise SystemExit("ccusage is not installed: npm install ccusage, or name it in --ccusage")
    print(f"{'tree':34}{'by':9}{'ours, USD':>16}{'ccusage, USD':>16}")
    for tree in given.trees:
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "usage.duckdb"
            read(tree, database)
            for period in PERIODS:
                if given.by is None or period.by in given.by:
                    their = theirs(given.ccusage, tree, period, given.mode)
                    show(tree, period, ours(database, period), their)


if __name__ == "__main__":
    main()
