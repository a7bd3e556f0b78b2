"""`python -m benchmarks.idle`: what `make dev` costs while nothing happens.

It starts the location as `make dev` does, over a copy of the examples, waits until all of them are
in, and then reads for so many minutes what the processes of the tree used: CPU, memory, ticks, and
how much each file of Dagster's grew.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CLOCK = os.sysconf("SC_CLK_TCK")
_QUIET = 90
"""No run for so many seconds: what a start brings is over."""
_PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Process:
    """CPU in seconds, ended children that it waited for included; Pss in MB."""

    what: str
    cpu: float
    megabytes: float


def started(place: Path) -> subprocess.Popen[bytes]:
    """The location in a folder of its own, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(name, place)
    (place / "var").mkdir()
    shutil.copytree("examples/sessions", place / "sessions")
    environment = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}
    environment |= {
        "SESSION_DATA_DIR": str(place / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(place / "var" / "sessions.duckdb"),
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])
        ),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "session_pipeline_dagster.orchestration.dev", str(port)]
    return subprocess.Popen(command, cwd=place, env=environment)


def wait_until_quiet(place: Path) -> None:
    """Until runs have been made and the last one ended a while ago."""
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        time.sleep(5)
        database = place / "var" / "dagster" / "history" / "runs.db"
        if not database.exists():
            continue
        sql = "SELECT count(*), sum(status NOT IN ('SUCCESS', 'FAILURE')), max(end_time) FROM runs"
        try:
            runs, open_ones, ended = select(database, sql)[0]
        except sqlite3.OperationalError:
            continue
        if runs and not open_ones and time.time() - ended > _QUIET:
            return
    raise SystemExit("it did not come to rest")


def select(database: Path, sql: str) -> list[tuple]:
    """Rows of one of Dagster's databases."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def tree(top: int) -> Iterator[tuple[int, Process]]:
    """The process and all below it."""
    parents: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15])) / _CLOCK
    for pid, (_, cpu) in sorted(parents.items()):
        above = pid
        while above > 1 and above != top:
            above = parents.get(above, (0, 0.0))[0]
        if above == top:
            try:
                text = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode()
                rollup = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
            except OSError:
                continue
            pss = int(rollup.partition("Pss:")[2].split()[0]) / 1024
            yield pid, Process(what(text.split("\0")), cpu, pss)


def what(command: list[str]) -> str:
    """A short name of a process of Dagster's."""
    text = " ".join(command)
    names = {
        "dagster_webserver": "web server",
        "dagster._daemon": "daemon",
        "code-server start": "code server (proxy)",
        "api grpc": "code server",
        "orchestration.dev": "make dev",
        "dagster dev": "dagster dev",
    }
    return next((name for mark, name in names.items() if mark in text), text[:40])


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def ticks(place: Path, since: float) -> Counter[str]:
    """Ticks of each sensor since then."""
    database = place / "var" / "dagster" / "schedules" / "schedules.db"
    sql = f"SELECT tick_body FROM job_ticks WHERE timestamp >= datetime({since}, 'unixepoch')"
    return Counter(json.loads(body)["job_name"] for (body,) in select(database, sql))


def busy() -> tuple[float, float]:
    """CPU seconds that the machine worked, and had."""
    numbers = [int(n) / _CLOCK for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def show(
    seconds: float,
    before: dict[int, Process],
    after: dict[int, Process],
    worked: tuple[float, float],
    has: tuple[float, float],
    had: dict[str, int],
    grown: dict[str, int],
    counted: Counter[str],
) -> None:
    """The table of what was used between two looks."""
    share = (has[0] - worked[0]) / (has[1] - worked[1])
    print(f"\n{seconds / 60:.1f} minutes; the machine was {share:.0%} busy")
    total = 0.0
    for pid, process in after.items():
        used = process.cpu - before[pid].cpu if pid in before else process.cpu
        total += used
        line = f"{used:7.2f} s {used / seconds:7.2%} of a core"
        print(f"{process.what:22}{line} {process.megabytes:6.0f} MB")
    memory = sum(process.megabytes for process in after.values())
    print(f"{'together':22}{total:7.2f} s {total / seconds:7.2%} of a core {memory:6.0f} MB")
    for name, number in counted.most_common():
        print(f"{name:28}{number / seconds * 60:6.2f} ticks a minute")
    print(f"{'together':28}{sum(counted.values()) / seconds * 60:6.2f} ticks a minute")
    day = 86400 / seconds / 1e6
    for name, size in sorted(grown.items()):
        if more := size - had.get(name, 0):
            print(f"{name:60}{more:12,} bytes {more * day:8.2f} MB a day")
    print(f"{'together':60}{sum(grown.values()) - sum(had.values()):12,} bytes")


def main() -> None:
    """Start, wait, measure, end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--place", type=Path, default=Path("var/bench-idle"))
    given = parser.parse_args()
    place = given.place.resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    dev = started(place)
    try:
        wait_until_quiet(place)
        began, before, worked = time.time(), dict(tree(dev.pid)), busy()
        had = sizes(place / "var" / "dagster")
        time.sleep(given.minutes * 60)
        seconds, after, has = time.time() - began, dict(tree(dev.pid)), busy()
        grown = sizes(place / "var" / "dagster")
        counted = ticks(place, began)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait()
    show(seconds, before, after, worked, has, had, grown, counted)


if __name__ == "__main__":
    main()
