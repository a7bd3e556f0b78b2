"""`session-pipeline retention`: what would go, what has gone, what came too late."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

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
    assert "usage: messages: 1 rows would go (usage_messages 1)" in dry.stdout
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
    wrong = cli.on(sessions, "retention", SESSION_PIPELINE_RETENTION_DAYS="mesages=90")
    assert_one_clear_line(wrong, 2, "'mesages'", "there are events, evidence, messages")
