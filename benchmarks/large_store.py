"""`python -m benchmarks.large_store`: what a look and one grown file cost in a store that grew.

The stores are made in SQL from sessions that were really processed, with other people, days and
ids: 9,000 responses a day of fifty people, one file in twenty a copy of another. All hold 20,000
files, so what differs is the rows alone. The files are there, of one line each, with signatures
that the store knows, and one real file of today that grows by a response.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import corpus
from benchmarks.measuring import Pass, measure
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.sources.opening import open_source
from session_pipeline_dagster.store import rolling, write
from session_pipeline_dagster.store.batch import Batch, Signed
from session_pipeline_dagster.store.database import open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SIZES = (330_000, 3_300_000, 10_000_000)
_SEEDS, _SEED_MB = 400, 38.0
_FILES, _USERS, _A_DAY = 20_000, 50, 9_000
_AT_ONCE = 330_000
_GRAIN = 2.5
_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))

# File n is made of seed n % _SEEDS. A copy repeats the file before it; few of them say another day,
# as a clock that was wrong does.
_PLAN = f"""SELECT n, n - (n % 20 = 19)::INT AS twin, twin % {_SEEDS} AS nth,
        format('user{{:02}}', n // 20 % {_USERS}) AS who,
        format('{{}}/{{}}.jsonl', who, md5(n::VARCHAR)) AS file, md5(twin::VARCHAR) AS session,
        twin * $days // {_FILES} + (n % 1000 = 999)::INT - $days AS day
    FROM range({_FILES}) AS numbers(n)"""
_TABLES = {
    "usage_sessions": "session_id username started_at ended_at",
    "usage_activity": "username started_at ended_at line_digest",
    "usage_messages": """session_id username message_key message_id line_digest sent_at
        file_started_at began_at""",
    "usage_events": """session_id username event_key message_key line_digest occurred_at
        file_started_at began_at""",
}
_ONE_EACH = {"session_id": "plan.session", "username": "plan.who"}


def _column(name: str) -> str:
    """A seed's column in a row of its own."""
    if name in _ONE_EACH:
        return _ONE_EACH[name]
    if name.endswith("_at"):
        return f"seed.{name} + to_days((plan.day - seeds.day)::INT) + to_minutes(30 * again)"
    digest = f"md5(concat_ws(' ', seed.{name}, plan.twin, again))"
    return f"left({digest} || {digest}, length(seed.{name}))"


def _rows(table: str, fold: int) -> str:
    """SELECT of the rows of some files, `fold` times over, half an hour apart."""
    other = [f"{_column(name)} AS {name}" for name in _TABLES[table].split()]
    times = 1 if table == "usage_sessions" else fold
    return f"""SELECT seed.* REPLACE (plan.file AS session_file, {", ".join(other)})
        FROM (FROM plan WHERE n BETWEEN $first AND $last) AS plan
        JOIN seeds USING (nth) JOIN seed_{table} AS seed ON seed.session_file = seeds.session_file
        CROSS JOIN range({times}) AS folds(again) ORDER BY plan.n, again"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder with the tree of files, and a database for each size beside it."""

    folder: Path

    @property
    def tree(self) -> Path:
        """Where the sessions are."""
        return self.folder / "projects"

    @property
    def grows(self) -> Path:
        """The file that grows."""
        return self.tree / "user00" / "11111111-0000-4000-8000-000000000000.jsonl"

    def database(self, responses: int) -> Path:
        """Of the store with so many responses."""
        return self.folder / f"{responses}.duckdb"

    def run(self, name: str, responses: int, sessions: Path | None = None) -> Pass:
        """One pass as people run it."""
        command = [_PROGRAM, "run", "--json", "--processor", "usage"]
        command += ["--sessions", str(sessions or self.tree)]
        command += ["--database", str(self.database(responses))]
        return measure(name, command, self.folder / "answer.json", 0)

    def report(self) -> dict[str, object]:
        """What the last pass said."""
        return json.loads((self.folder / "answer.json").read_text())["processors"]["usage"]

    def files(self) -> None:
        """The seeds, processed; and a tree of 20,000 files."""
        seeds = self.folder / "seeds"
        corpus.make(seeds, _SEEDS, _SEED_MB)
        self.run("seeds", 0, seeds)
        for number in range(_FILES):
            name = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
            path = self.tree / f"user{number // 20 % _USERS:02}" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"{}\n")
        self.grows.write_bytes(b"")
        for _ in range(15):
            self.grow()

    def grow(self) -> None:
        """One more response at the end of the file."""
        number = self.grows.stat().st_size
        message = {
            **{"id": f"msg_{number}", "type": "message", "role": "assistant", "content": []},
            **{"model": "claude-sonnet-4-5", "stop_reason": "end_turn"},
            "usage": {"input_tokens": 3, "output_tokens": 7, "cache_read_input_tokens": 100},
        }
        line = {
            **{"sessionId": self.grows.stem, "cwd": "/home/user/project", "version": "2.1.40"},
            **{"type": "assistant", "requestId": f"req_{number}", "isSidechain": False},
            **{"uuid": f"{number:032x}", "timestamp": f"{datetime.now(UTC):%FT%T.000Z}"},
            "message": message,
        }
        with self.grows.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")

    def make(self, responses: int) -> None:
        """The store with so many responses: rows, state, and all that is derived."""
        shutil.copyfile(self.database(0), self.database(responses))
        settings = read_settings(
            {
                "SESSION_PIPELINE_DATABASE": str(self.database(responses)),
                "SESSION_PIPELINE_DATABASE_MEMORY_MB": "2000",
                "SESSION_DATA_DIR": str(self.tree),
            }
        )
        store, processor = open_store(settings), UsageProcessor().under(settings)
        with store.transaction() as connection:
            had = connection.execute("SELECT count(*) FROM usage_messages").fetchall()[0][0]
            fold = max(1, round(responses * _SEEDS / had / _FILES))
            days = {"days": responses // _A_DAY}
            connection.execute(f"CREATE TEMP TABLE plan AS {_PLAN}", days)
            # The last day is today.
            today = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(days=1)
            connection.execute("UPDATE plan SET day = day + ? + 1", [today])
            connection.execute("""CREATE TEMP TABLE seeds AS SELECT session_file,
                row_number() OVER (ORDER BY session_file) - 1 AS nth,
                epoch_us(started_at) // 86400000000 AS day FROM usage_sessions""")
            rollups = [rollup.name for rollup in processor.rollups]
            for table in _TABLES:
                connection.execute(f"CREATE TEMP TABLE seed_{table} AS FROM {table}")
            for table in (*_TABLES, *rollups, "session_processor_state"):
                connection.execute(f"DELETE FROM {table}")
            for table in _TABLES:
                step = max(1, _FILES * _AT_ONCE // responses)
                for first in range(0, _FILES, step):
                    some = {"first": first, "last": first + step - 1}
                    connection.execute(f"INSERT INTO {table} {_rows(table, fold)}", some)
            self._rest(connection, processor.version)
            rolling.declare(connection, processor, write.declaration_digest(processor))
        files = open_source(settings).scan().files
        now = datetime.now(UTC)
        known = [Signed(f.key, f.signature, now) for f in files if f.path != str(self.grows)]
        store.commit(processor, Batch(signed=known))
        recompute(processor, store, settings)
        # The file that grows is still a new one.
        self.run("read", responses)

    def _rest(self, connection: "DuckDBPyConnection", version: int) -> None:
        """What else there is of each file."""
        for sql in (
            """INSERT INTO usage_trails BY NAME SELECT file AS session_file,
                session AS session_id, who AS username, 'project' AS project, session AS root,
                '[]' AS asked_by, to_timestamp(day * 86400) AS began_at,
                repeat(session, 12)::BLOB AS digests FROM plan""",
            """INSERT INTO usage_trail_links SELECT file,
                unnest(['session:' || session, left(session, 16)]) FROM plan""",
            f"""INSERT INTO session_processor_state BY NAME SELECT file AS session_file,
                who AS username, 'usage' AS processor_name, {version} AS processor_version,
                'known' AS file_hash, '' AS root FROM plan""",
            "INSERT INTO session_rollup_changes VALUES ('model_prices', 'models')",
        ):
            connection.execute(sql)


def _measured(bench: Bench, sizes: Sequence[int]) -> list[Pass]:
    """A look and a grown file in every store, in turn."""
    found = []
    for responses in sizes:
        found.append(bench.run(f"{responses:>10,}  nothing changed", responses))
    bench.grow()
    # What is signed within two seconds of its write is hashed again by the next look.
    time.sleep(_GRAIN)
    for responses in sizes:
        found.append(bench.run(f"{responses:>10,}  one file grown by a line", responses))
        if bench.report()["processed"] != 1:
            raise SystemExit(f"one file should have been processed: {bench.report()}")
    return found


def _show(rounds: Sequence[Sequence[Pass]], kinds: int) -> None:
    """Medians; ratios are medians of the CPU's ratios to the smallest store within a round."""
    print(f"{'responses, pass':44}{'wall s':>10}{'CPU s':>10}{'peak MB':>10}{'x smallest':>12}")
    for nth, same in enumerate(zip(*rounds, strict=True)):
        least = [one[nth - nth % kinds].cpu for one in rounds]
        ratio = statistics.median(p.cpu / cpu for p, cpu in zip(same, least, strict=True))
        wall, cpu, peak = (
            statistics.median(values)
            for values in zip(*((p.wall, p.cpu, p.peak_mb) for p in same), strict=True)
        )
        print(f"{same[0].name:44}{wall:10.2f}{cpu:10.2f}{peak:10.0f}{ratio:12.2f}")


def main() -> None:
    """Make the stores, unless they are there, and run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, nargs="+", default=_SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("var/bench-large"))
    parser.add_argument("--kept", action="store_true", help="measure stores that were made before")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    bench = Bench(given.folder.resolve())
    if given.make:
        bench.make(given.make)
        return
    if not given.kept:
        shutil.rmtree(bench.folder, ignore_errors=True)
        bench.folder.mkdir(parents=True)
        bench.files()
        for responses in given.responses:
            # Its memory would count as that of the passes that are begun later.
            making = [sys.executable, "-m", "benchmarks.large_store", "--make", str(responses)]
            subprocess.run([*making, "--folder", str(bench.folder)], check=True)
    sizes = given.responses
    for responses in sizes:
        bench.run("warm", responses)
    _show([_measured(bench, sizes) for _ in range(given.rounds)], len(sizes))


if __name__ == "__main__":
    main()
