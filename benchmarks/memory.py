"""`python -m benchmarks.memory`: the peak memory of a pass over sessions and over short lines.

Short lines are the worst case: a row for every 190 bytes. Both are measured at half the size too,
because what matters is that memory does not follow the corpus.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.corpus import make
from benchmarks.measuring import measure

_FILE_MB = 2
_START = datetime(2026, 7, 1, tzinfo=UTC)


def sessions(folder: Path, megabytes: int) -> None:
    """Sessions as people have them, 110 kB on average."""
    make(folder, megabytes * 9, megabytes)


def short_lines(folder: Path, megabytes: int) -> None:
    """API responses without a text, each followed by a tool call without an input."""
    for file in range(megabytes // _FILE_MB):
        path = folder / f"user{file % 20:02}" / f"{file:08x}-0000-4000-8000-000000000000.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lines:
            number = 0
            while lines.tell() < _FILE_MB * 10**6:
                lines.write(_line(file, number, {"usage": {"input_tokens": 3, "output_tokens": 5}}))
                tool = {"type": "tool_use", "id": f"toolu_{file}_{number}", "name": "Bash"}
                lines.write(_line(file, number, {"content": [tool]}))
                number += 1


def _line(file: int, number: int, more: dict[str, object]) -> str:
    message = {"id": f"msg_{file}_{number}", "model": "claude-sonnet-4-5", **more}
    time = f"{_START + timedelta(hours=file, seconds=number):%FT%TZ}"
    record = {"type": "assistant", "timestamp": time, "sessionId": f"{file}", "message": message}
    return json.dumps(record, separators=(",", ":")) + "\n"


def main() -> None:
    """Make each corpus, run one pass over it, and print its peak."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mb", type=int, default=1000)
    given = arguments.parse_args()
    folder = Path("var/bench/memory")
    program = str(Path(sys.executable).with_name("session-pipeline"))
    print("corpus        MB   peak MB   wall s")
    kinds: list[Callable[[Path, int], None]] = [sessions, short_lines]
    for kind in kinds:
        for megabytes in (given.mb // 2, given.mb):
            shutil.rmtree(folder, ignore_errors=True)
            root, database = folder / "sessions", folder / "memory.duckdb"
            root.mkdir(parents=True)
            kind(root, megabytes)
            command = [program, "run", "--json", "--processor", "usage"]
            command += ["--sessions", str(root), "--database", str(database)]
            found = measure(kind.__name__, command, folder / "answer.json", megabytes)
            print(f"{found.name:12} {megabytes:4}  {found.peak_mb:7.0f}  {found.wall:7.1f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
