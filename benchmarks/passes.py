"""The passes that are measured: ours, of each processor and of all, and what else one would use."""

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus
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
_MINUTE_AGO = 60
_LINE = b'{"type":"user","message":{"role":"user","content":"more"}}\n'
ALL = "both"
"""A plain `session-pipeline run`."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A corpus, where it lies, and what is measured beside us.

    Attributes:
        processors: of which passes are measured: `usage`, `verification`, `both`.
        before: another version's `session-pipeline`, whose passes take turns with ours.
    """

    folder: Path
    truth: corpus.Truth
    ccusage: str | None
    processors: Sequence[str] = ("usage", "verification", ALL)
    before: str | None = None

    @property
    def sessions(self) -> Path:
        """One folder a user; ccusage takes them for projects."""
        return self.folder / "claude" / "projects"

    @property
    def megabytes(self) -> float:
        """Size of the corpus."""
        return self.truth.bytes / 1e6

    @property
    def versions(self) -> Sequence[tuple[str, str]]:
        """What is added to the names of a version's passes, and its program."""
        ours = ("", str(Path(sys.executable).with_name("session-pipeline")))
        return [ours, (" (before)", self.before)] if self.before else [ours]

    def python(self, name: str, code: str) -> Pass:
        """A few lines of Python over the sessions."""
        command = [sys.executable, "-c", code, str(self.sessions)]
        return measure(name, command, self.folder / "answer.txt", self.megabytes)

    def ours(
        self,
        name: str,
        processor: str,
        *,
        sessions: Path | None = None,
        more: Path | None = None,
        database: str = "bench",
    ) -> list[Pass]:
        """One pass of `session-pipeline run` a version; over the corpus, its totals are checked.

        Args:
            sessions: another tree than the corpus; None = the corpus.
            more: a second tree beside the corpus, the only one where something is to do.
        """
        new = more or sessions
        megabytes = self.megabytes if new is None else _size(new)
        answer, passes = self.folder / "answer.json", []
        for suffix, program in self.versions:
            command = [program, "run", "--json"]
            command += [] if processor == ALL else ["--processor", processor]
            command += ["--sessions", str(sessions or self.sessions)]
            command += ["--sessions", str(more)] if more else []
            command += ["--database", str(self.database(database, processor, suffix))]
            title = f"{processor}: {name}{suffix}"
            passes.append(measure(title, command, answer, megabytes))
            if new is None and processor != "verification":
                rows = json.loads(answer.read_text())["summaries"]["Usage"]
                sums = (sum(int(row[c]) for row in rows) for c in ("messages", "input", "output"))
                self.check(title, *sums)
        return passes

    def database(self, name: str, processor: str, suffix: str) -> Path:
        """Each processor's passes and each version's have a database of their own."""
        return self.folder / f"{name}-{processor}{suffix and '-before'}.duckdb"

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
    floors = [bench.python("list and stat", _SCAN), bench.python("read and hash", _FLOOR)]
    return [*floors, *bench.theirs(), *_first(bench), *_again(bench, paths)]


def _first(bench: Bench) -> list[Pass]:
    """Everything is new, then nothing, then a second tree as large."""
    passes = []
    for processor in bench.processors:
        passes += bench.ours("cold", processor)
        passes += bench.ours("nothing changed", processor)
    if "usage" in bench.processors:
        for suffix, _ in bench.versions:
            full = bench.database("full", "usage", suffix)
            shutil.copyfile(bench.database("bench", "usage", suffix), full)
        more = bench.folder / "more"
        passes += bench.ours("cold, into a full database", "usage", more=more, database="full")
    return passes


def _again(bench: Bench, paths: Sequence[Path]) -> list[Pass]:
    """What changes: times alone, one file in a hundred, one large file."""
    passes, one = [], bench.folder / "one"
    before = time.time() - _MINUTE_AGO
    for path in paths:
        os.utime(path, (before, before))
    for processor in bench.processors:
        passes += bench.ours("touched, same content", processor)
    for path in paths[::100]:
        append(path)
    for processor in bench.processors:
        passes += bench.ours("1 % grown by a line", processor)
    for processor in bench.processors:
        bench.ours("one file of 20 MB", processor, sessions=one, database="one")
    append(next(one.rglob("*.jsonl")))
    for processor in bench.processors:
        name = "20 MB file grown by a line"
        passes += bench.ours(name, processor, sessions=one, database="one")
    return passes


def append(path: Path) -> None:
    """Let a session say one thing more."""
    with path.open("ab") as file:
        file.write(_LINE)


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl")) / 1e6
