"""`python -m benchmarks.people`: what views of people, teams and months cost over many slots.

The rows are made up in SQL: a session is eight slots of a day and two models, everybody has moved
once, and of two sessions in five the bill is known. One thread of DuckDB.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store

_PEOPLE, _TEAMS = 5_000, 200
_SLOTS_OF_A_SESSION = 8
_MAY = "day BETWEEN DATE '2026-05-01' AND DATE '2026-05-31'"
_QUERIES = {
    "usage_person_daily, a month by team": f"""SELECT team, sum(cost) FROM usage_person_daily
        WHERE {_MAY} GROUP BY ALL""",
    "usage_person_daily, a year by team": """SELECT team, sum(cost) FROM usage_person_daily
        GROUP BY ALL""",
    "usage_team_daily, a month": f"""SELECT sum(people), sum(cost), sum(unlogged_cost)
        FROM usage_team_daily WHERE {_MAY}""",
    "usage_team_daily, a year": """SELECT sum(people), sum(cost), sum(unlogged_cost)
        FROM usage_team_daily""",
    "chargeback_monthly, a month": """SELECT sum(cost) FROM chargeback_monthly
        WHERE month = DATE '2026-05-01'""",
}


def _rows(slots: int) -> list[str]:
    sessions = slots // _SLOTS_OF_A_SESSION
    who = f"(session * 7919) % {_PEOPLE}"
    counters = "cache_creation_5m_tokens cache_creation_1h_tokens web_search_requests"
    unused = "partial_messages unpriced_messages assumed_messages"
    nothing = ", ".join(f"0 AS {name}" for name in f"{counters} {unused}".split())
    return [
        f"""INSERT INTO usage_slots BY NAME
        WITH made AS (
            SELECT n, n // {_SLOTS_OF_A_SESSION} AS session, {who} AS who,
                DATE '2026-01-01' + (session * 365 // {sessions})::INT AS day
            FROM range({slots}) AS numbers(n))
        SELECT day, (day::TIMESTAMP + to_minutes(15 * (n % {_SLOTS_OF_A_SESSION})))
                AT TIME ZONE 'UTC' AS slot,
            'user' || who AS username, '-home-user' || who || '-' || session % 10 AS project,
            'repo' || (who % 300 + session % 10) AS repository, 's' || session AS session_id,
            'claude-code' AS agent, 'anthropic' AS provider,
            ['claude-opus-4-5', 'claude-sonnet-4-5'][1 + n % 2] AS model, 3 AS messages,
            10 AS input_tokens, 500 AS output_tokens, 1000 AS cache_creation_tokens,
            90000 AS cache_read_tokens, {nothing}, 0.123456789 AS cost FROM made""",
        f"""INSERT INTO people SELECT 'user' || n, 'Person ' || n, NULL, 'team' || n % {_TEAMS},
            'C' || n % {_TEAMS}, CASE WHEN half = 1 THEN DATE '2026-07-01' END,
            CASE WHEN half = 0 THEN DATE '2026-06-30' END
        FROM range({_PEOPLE}) AS everyone(n), range(2) AS halves(half)""",
        f"""INSERT INTO usage_own_billed BY NAME
        SELECT 's' || session AS session_id, 'user' || {who} AS username,
            false AS unknown_model_cost, 'claude-opus-4-5' AS model, 80 AS input_tokens,
            4000 AS output_tokens, 8000 AS cache_creation_tokens, 0 AS cache_creation_5m_tokens,
            0 AS cache_creation_1h_tokens, 720000 AS cache_read_tokens, 0 AS web_search_requests,
            1 AS cost
        FROM range({sessions * 2 // 5}) AS billed(session)""",
    ]


def main() -> None:
    """Make the rows, ask, print the median of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    folder = Path("var/bench/people")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = Settings(database=folder / "people.duckdb", database_memory_mb=512)
    store = open_store(settings)
    store.prepare(UsageProcessor())
    with store.connect() as connection:
        for sql in _rows(asked.slots):
            connection.execute(sql)
    with store.connect() as connection:
        for name, sql in _QUERIES.items():
            seconds = []
            for _ in range(asked.rounds):
                began = time.process_time()
                connection.execute(sql).fetchall()
                seconds.append(time.process_time() - began)
            print(f"{name:40} {statistics.median(seconds):6.2f} s of CPU")


if __name__ == "__main__":
    main()
