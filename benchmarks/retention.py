"""`python -m benchmarks.retention`: a year of rows goes, day by day; what is kept, what each
transaction takes while it holds the database, and whether any sum has changed.

The store is made in SQL: a row of one shape a response, two calls and a stretch, of so many people
on every day, one response in fifty a copy in another file. No transcript is read.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster.passes.retention import ROWS_AT_ONCE
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.rollups import ROLLUPS
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store import retaining, rolling, write
from session_pipeline_dagster.store.database import Store, open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DETAIL = ("usage_messages", "usage_events", "usage_activity")
_WHO = """format('user{:04}', n % $users) AS username,
    format('user{:04}/p/{}-{}.jsonl', n % $users, $day, n % 50 = 49) AS session_file,
    format('s{:04}-{}', n % $users, $day) AS session_id, 'p' AS project,
    n - if(n % 50 = 49 AND n >= $users, $users, 0) AS twin,
    to_timestamp($day * 86400 + (twin * 7919) % 86000) AS moment,
    md5(concat_ws(' ', $day, twin)) AS id"""
_ROWS = {
    "usage_messages": f"""SELECT session_file, id AS message_key, id AS message_id, session_id,
            session_id AS origin_session_id, username, project, false AS is_sidechain,
            'claude-sonnet-4-5' AS model, moment AS sent_at, 3 AS input_tokens,
            n % 900 AS output_tokens,
            0 AS cache_creation_tokens, 0 AS cache_creation_5m_tokens,
            0 AS cache_creation_1h_tokens, n % 90000 AS cache_read_tokens,
            0 AS web_search_requests, false AS output_partial, n AS line_number,
            false AS sent_at_inferred, moment AS file_started_at, left(id, 24) AS line_digest,
            n % 4000 AS output_characters, moment AS began_at, 'claude-code' AS agent,
            'anthropic' AS provider, 'main' AS git_branch
        FROM (SELECT n, {_WHO} FROM range($responses) AS r(n))""",
    "usage_events": f"""SELECT session_file, id AS event_key, session_id, username, project,
            'tool_use' AS event_type, if(n % 9 = 0, 'Skill', 'Bash') AS tool_name,
            if(n % 9 = 0, 'skill' || n % 40, NULL) AS skill_name, false AS is_error,
            moment AS occurred_at, n AS line_number, session_id AS origin_session_id,
            false AS is_sidechain, moment AS file_started_at, left(id, 24) AS line_digest,
            'ok' AS outcome, moment AS began_at
        FROM (SELECT n, {_WHO} FROM range(2 * $responses) AS r(n))""",
    "usage_activity": f"""SELECT session_file, username, project, moment AS started_at,
            moment + INTERVAL 9 MINUTE AS ended_at, left(id, 24) AS line_digest
        FROM (SELECT n, {_WHO} FROM range($responses // 4) AS r(n))""",
}


def _make(store: Store, processor: UsageProcessor, users: int, responses: int, days: int) -> None:
    store.prepare(processor)
    today = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(days=1)

    def day_of(connection: "DuckDBPyConnection", day: int) -> None:
        given = {"users": users, "responses": responses, "day": day}
        for table, sql in _ROWS.items():
            connection.execute(f"INSERT INTO {table} BY NAME {sql}", given)

    for day in range(today - days + 1, today + 1):
        store.done(lambda connection, day=day: day_of(connection, day))

    def rest(connection: "DuckDBPyConnection") -> None:
        connection.execute(
            f"""INSERT INTO session_processor_state BY NAME
            SELECT DISTINCT session_file, username, 'usage' AS processor_name, 'x' AS file_hash,
                {processor.version} AS processor_version FROM usage_activity"""
        )
        connection.execute("INSERT INTO session_rollup_changes VALUES ('model_prices', 'models')")
        rolling.declare(connection, processor, write.declaration_digest(processor))

    store.done(rest)


def _sums(store: Store) -> list[object]:
    """A number for each roll-up that any other row would change."""
    selects = [
        f"SELECT count(*), sum(hash(r)::HUGEINT)::VARCHAR FROM {r.name} AS r" for r in ROLLUPS
    ]
    return [rows for _, rows in store.query(*selects)]


def main() -> None:
    """Make the store, let it go, say what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--responses", type=int, default=20_000, help="of all of them, a day")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--kept", type=int, default=30, help="days")
    parser.add_argument("--folder", type=Path, default=Path("var/bench-retention"))
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder.resolve()
    database = folder / "x.duckdb"
    environment = {
        "SESSION_PIPELINE_DATABASE": str(database),
        "SESSION_DATA_DIR": str(folder / "sessions"),
    }
    processor = UsageProcessor()
    if given.make:
        made = read_settings({**environment, "SESSION_PIPELINE_DATABASE_MEMORY_MB": "2000"})
        _make(open_store(made), processor, given.users, given.responses, given.days)
        recompute(processor, open_store(made), made)
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sessions").mkdir(parents=True)
    # Its memory would count as that of what is measured.
    subprocess.run(
        [sys.executable, "-m", "benchmarks.retention", *sys.argv[1:], "--make"], check=True
    )
    store = open_store(read_settings(environment))
    before, size = _sums(store), database.stat().st_size
    print("rows", store.row_counts([*_DETAIL, *(r.name for r in ROLLUPS)]), f"{size / 1e6:.0f} MB")
    now = datetime.now(UTC)
    day = (now - timedelta(days=given.kept)).date()
    targets = {"messages": day, "events": day}
    walls, cpus, gone = [], [], []
    peak = 0.0
    while True:
        wall, cpu = time.monotonic(), time.process_time()
        done = store.done(lambda c: retaining.retire(c, processor, targets, ROWS_AT_ONCE, now))
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
        gone.append(sum(sum(one.rows.values()) for one in done))
        # The checks of sums before and after take more.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if not any(one.left for one in done):
            break
    for what, values in (("wall s", walls), ("CPU s", cpus), ("rows", gone)):
        median, most = statistics.median(values), max(values)
        first, last = values[0], values[-2] if len(values) > 1 else values[-1]
        print(f"{what:8} median {median:,.2f} most {most:,.2f} first {first:,.2f} last {last:,.2f}")
    print(f"{len(walls)} transactions, {sum(gone):,} rows; peak {peak:.0f} MB")
    print("rows", store.row_counts([*_DETAIL, "session_retention_names"]))
    print(f"{database.stat().st_size / 1e6:.0f} MB; sums unchanged: {_sums(store) == before}")


if __name__ == "__main__":
    main()
