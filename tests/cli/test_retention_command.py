"""`session-pipeline retention`: what would go, what has gone, what came too late."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

from session_pipeline_dagster.cli.retention import retired_line
from session_pipeline_dagster.store.states import Retired
from session_pipeline_dagster.testing import SessionBuilder

pytestmark = pytest.mark.slow(seconds=4)

DAYS = {"SESSION_PIPELINE_RETENTION_DAYS": "messages=90 events=90"}


def test_it_says_what_would_go_and_what_has_gone(tmp_path: Path) -> None:
    cli, sessions = Cli(tmp_path), tmp_path / "sessions"

    def write(name: str, age: int) -> None:
        start = datetime.now(UTC) - timedelta(days=age)
        SessionBuilder(name, start=start).prompt("hi").response("ho").write(
            sessions, f"alice/p/{name}.jsonl"
        )

    for name, age in (("old", 100), ("young", 1)):
        write(name, age)
    cli.on(sessions, "run", "--processor", "usage")
    before = cli.database.read_bytes()
    dry = cli.on(sessions, "retention", "--dry-run", **DAYS)
    assert dry.returncode == 0
    today = datetime.now(UTC).date()
    days = f"; of 1 day from {today - timedelta(days=100)} (100 days old), before "
    days += f"{today - timedelta(days=90)} (90 days old)\n"
    assert f"usage: messages: 1 row would go (usage_messages 1){days}" in dry.stdout
    assert cli.database.read_bytes() == before
    gone = cli.json(sessions, "retention", **DAYS)["processors"]["usage"]
    assert {one["kind"]: one["rows"] for one in gone["gone"]} == {
        "messages": {"usage_messages": 1},
        "events": {"usage_events": 1, "usage_activity": 1},
    }
    write("late", 200)
    cli.on(sessions, "run", "--processor", "usage", **DAYS)
    said = "messages: frozen before {}, 1 rows removed; 1 came too late for these days"
    day = (datetime.now(UTC) - timedelta(days=90)).date()
    assert f"usage: {said.format(day)}" in cli.on(sessions, "status").stdout
    standing = json.loads(cli.on(sessions, "status", "--json").stdout)["processors"]["usage"]
    assert {one["kind"]: one["late"] for one in standing["detail"]} == {"messages": 1, "events": 1}
    again = cli.on(sessions, "retention", **DAYS)
    assert "usage: messages: nothing goes\n" in again.stdout
    wrong = cli.on(sessions, "retention", SESSION_PIPELINE_RETENTION_DAYS="mesages=90")
    assert_one_clear_line(wrong, 2, "'mesages'", "there are events, evidence, messages")


def test_its_lines_say_rows_texts_days_and_what_waits() -> None:
    today = date(2026, 11, 30)
    one = Retired(
        "x",
        date(2026, 9, 1),
        days=2,
        rows={"notes": 1_000, "quotes": 1},
        oldest=date(2025, 11, 30),
        emptied=("quotes",),
    )
    days = "; of 2 days from 2025-11-30 (365 days old), before 2026-09-01 (90 days old)"
    would = "x: 1,000 rows would go (notes 1,000), 1 row would lose its text (quotes 1)"
    assert retired_line(one, today, dry_run=True) == would + days
    is_gone = "x: 1,000 rows are gone (notes 1,000), 1 row has lost its text (quotes 1)"
    assert retired_line(one, today, dry_run=False) == is_gone + days
    more = replace(one, left=3, waits="files wait")
    said = retired_line(more, today, dry_run=False)
    assert said == f"{is_gone}{days}; 3 more wait: files wait"
    none = Retired("x", None, left=3, waits="files wait")
    said = retired_line(none, today, dry_run=False)
    assert said == "x: nothing goes; 3 rows wait: files wait"
