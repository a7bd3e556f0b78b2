"""`python -m benchmarks.lakes`: what a copy, upkeep and `forget` cost in a lake of 1,000,000 rows.

A Postgres of its own and a folder for the Parquet, both on this machine; `tests/support` starts it.
CPU of the program and of the server are said apart: with several machines they are apart.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.measuring import Pass, measure
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store.database import Store, open_store

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))
_FILES, _USERS = 20_000, 50
_MESSAGES = f"""INSERT INTO usage_messages BY NAME
    SELECT format('user{{:02}}/{{}}.jsonl', n % {_FILES} % {_USERS}, md5((n % {_FILES})::VARCHAR))
        AS session_file, format('user{{:02}}', n % {_FILES} % {_USERS}) AS username,
        md5(n::VARCHAR) AS message_key, 'msg_' || md5(n::VARCHAR) AS message_id,
        md5((n % {_FILES})::VARCHAR) AS session_id, 'project' AS project, 'claude' AS model,
        'anthropic' AS provider, to_timestamp(1750000000 + n * 7) AS sent_at,
        3 AS input_tokens, n % 977 AS output_tokens, left(md5(n::VARCHAR), 16) AS line_digest
    FROM range(?::BIGINT) AS numbers(n) ORDER BY n % {_FILES}"""
_STATES = """INSERT INTO session_processor_state BY NAME
    SELECT DISTINCT 'usage' AS processor_name, session_file, username, 1 AS processor_version,
        'known' AS file_hash, '' AS root FROM usage_messages"""


@dataclass(frozen=True, slots=True)
class _Step:
    """A command: what it took here and at the server, in seconds of CPU."""

    done: Pass
    server: float


def server_cpu(server: psutil.Process) -> float:
    """CPU of the whole server, also of sessions that have ended."""
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
        if process == server:
            total += times.children_user + times.children_system
    return total


def fill(store: Store, rows: int) -> None:
    """Put so many made-up responses of 20,000 files into an empty store."""
    processor = UsageProcessor()
    store.prepare(processor)
    with store.transaction() as connection:
        connection.execute(_MESSAGES, [rows])
        connection.execute(_STATES)


def _small_commits(store: Store, count: int) -> float:
    """As many files grown by a response, a transaction each; seconds of wall."""
    began = time.monotonic()
    for number in range(count):
        with store.transaction() as connection:
            key = connection.execute(
                "SELECT session_file FROM session_processor_state LIMIT 1 OFFSET ?", [number * 97]
            ).fetchall()[0][0]
            for table in ("usage_messages", "session_processor_state"):
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE own AS FROM {table} WHERE session_file = ?",
                    [key],
                )
                connection.execute(f"DELETE FROM {table} WHERE session_file = ?", [key])
                connection.execute(f"INSERT INTO {table} FROM own")
    return time.monotonic() - began


def _say(name: str, step: _Step, more: str = "") -> None:
    found = step.done
    figures = f"{found.wall:8.1f} {found.cpu:8.2f} {step.server:8.2f} {found.peak_mb:8.0f}"
    print(f"{name:32} {figures}  {more}", flush=True)


def _bench(folder: Path, rows: int, commits: int) -> None:
    sys.path.insert(0, str(SUPPORT))
    from postgres import postgres  # noqa: PLC0415  of the tests, which nothing installs

    file, back = folder / "x.duckdb", folder / "back.duckdb"
    with postgres() as started:
        assert started.process is not None  # noqa: S101  it has just been started
        server = psutil.Process(started.process.pid)
        lake = f"ducklake:postgres:{started.catalog()}"
        given = {
            "SESSION_PIPELINE_LAKE_DATA": str(folder / "data"),
            "SESSION_PIPELINE_WORK_DIR": str(folder / "work"),
            "SESSION_DATA_DIR": str(folder / "sessions"),
        }
        (folder / "sessions" / "nobody").mkdir(parents=True)

        def run(name: str, *command: str, say: Callable[[], str] = str) -> None:
            before = server_cpu(server)
            done = measure(name, [_PROGRAM, *command], folder / "answer.json", 0, given)
            _say(name, _Step(done, server_cpu(server) - before), say())

        def numbers() -> str:
            found = json.loads((folder / "answer.json").read_text())["upkeep"]
            return ", ".join(f"{name} {found[name]}" for name in found if name != "seconds")

        fill(open_store(read_settings({**given, "SESSION_PIPELINE_DATABASE": str(file)})), rows)
        print(f"{rows:,} rows, {datetime.now(UTC):%F}; load {os.getloadavg()[0]:.1f}")
        print(f"{'':32} {'wall s':>8} {'cpu s':>8} {'server':>8} {'peak MB':>8}")
        run("copy into the lake", "copy-store", str(file), lake)
        settings = read_settings({**given, "SESSION_PIPELINE_DATABASE": lake})
        before, began = server_cpu(server), time.process_time()
        wall = _small_commits(open_store(settings), commits)
        own = Pass("", wall, time.process_time() - began, 0, 0)
        _say(f"{commits} small commits", _Step(own, server_cpu(server) - before))
        run("upkeep", "upkeep", "--json", "--database", lake, say=numbers)
        run("upkeep again", "upkeep", "--json", "--database", lake, say=numbers)
        run("forget a user", "forget", "--user", "user07", "--yes", "--database", lake)
        run("copy into a file", "copy-store", lake, str(back))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lakes", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=200)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lakes-") as folder:
        _bench(Path(folder), given.rows, given.commits)


if __name__ == "__main__":
    main()
