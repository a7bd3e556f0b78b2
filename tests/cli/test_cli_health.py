"""`session-pipeline health` as a person and as a monitor meet it: output, exit codes, JSON."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line
from test_cli_plugins import BROKEN, install

from helpers import EXAMPLES, append, set_mtime, write_session

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def test_ok_is_exit_0_and_a_line_for_every_check(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    answer = cli.on(EXAMPLES, "health")
    assert (answer.returncode, answer.stderr) == (0, "")
    first, *lines = answer.stdout.splitlines()
    assert first == "ok"
    checks = (
        "freshness backlog fifo_stuck_file quarantine unreadable_lines unknown_record_types "
        "vanished_files".split()
    )
    each = [f"{processor}/{check}:" for processor in ("usage", "verification") for check in checks]
    money = "unlogged_usage unpriced_models prices_file budgets_file seats_file".split()
    money += ["directory_file", "projects_file", "unassigned_people"]
    each[len(checks) : len(checks)] = [f"usage/{check}:" for check in money]
    more = ["verification/knowledge_precision:", "processors_loaded:", "not_arrived:"]
    more.append("unread_files:")
    assert [line.split()[1] for line in lines] == [*each, *more]


def test_a_warning_is_degraded_and_exit_1(cli: Cli, tmp_path: Path) -> None:
    write_session(tmp_path / "s", "alice/x.jsonl", "hello", mtime=ago(1))
    answer = cli.on(tmp_path / "s", "health")
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[0] == "degraded"
    assert "warning  usage/freshness: 1 of 1 session files are pending" in answer.stdout
    document = cli.json(tmp_path / "s", "health")
    service = document["services"]["session_pipeline"]
    assert (document["status"], service["status"]) == ("degraded", "warning")
    assert service["session_files"] == 1
    assert service["lag_seconds"] == pytest.approx(3600, abs=60)
    assert service["processors"]["usage"]["checks"]["freshness"]["pending"] == 1
    usage = ("health", "--processor", "usage")
    later = cli.on(tmp_path / "s", *usage, SCHEDULER_USAGE_PROCESSOR_INTERVAL=3600)
    assert later.returncode == 0, "the interval drives the grace"


def test_info_is_exit_0_and_names_the_file(cli: Cli, tmp_path: Path) -> None:
    old = write_session(tmp_path / "s", "alice/old.jsonl", "hello", mtime=ago(9))
    write_session(tmp_path / "s", "alice/new.jsonl", "hello", mtime=ago(1))
    cli.on(tmp_path / "s", "run")
    append(old, "more")
    set_mtime(old, ago(5))
    answer = cli.on(tmp_path / "s", "health", "--json")
    service = json.loads(answer.stdout)["services"]["session_pipeline"]
    assert answer.returncode == 0
    assert json.loads(answer.stdout)["status"] == "ok"
    assert service["stuck_file"] == "alice/old.jsonl"
    assert service["stuck_file_age_seconds"] == pytest.approx(5 * 3600, abs=60)
    often = cli.on(tmp_path / "s", "health", SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS=6 * 3600)
    assert "info" not in often.stdout


def test_a_missing_root_is_unknown_and_exit_2(cli: Cli, tmp_path: Path) -> None:
    write_session(tmp_path / "s", "alice/x.jsonl", "hello")
    cli.on(tmp_path / "s", "run")
    shutil.rmtree(tmp_path / "s")
    answer = cli.on(tmp_path / "s", "health")
    assert (answer.returncode, answer.stderr) == (2, "")
    first, second, *_ = answer.stdout.splitlines()
    assert first == "unknown"
    assert "SESSION_DATA_DIR" in second
    assert answer.stdout.count("SESSION_DATA_DIR") == 2, "once a processor, not for every check"


def test_processors_can_be_named_and_an_unknown_one_is_exit_2(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    document = cli.json(EXAMPLES, "health", "--processor", "usage")
    assert list(document["services"]["session_pipeline"]["processors"]) == ["usage"]
    assert_one_clear_line(cli.on(EXAMPLES, "health", "--processor", "nix"), 2, "nix", "usage")


def test_a_plugin_that_did_not_load_is_degraded_unless_others_are_asked_for(cli: Cli) -> None:
    install(cli, "broken", BROKEN, "Broken")
    cli.on(EXAMPLES, "run")
    answer = cli.on(EXAMPLES, "health")
    assert answer.returncode == 1
    assert "warning  processors_loaded: not loaded: broken" in answer.stdout
    assert cli.on(EXAMPLES, "health", "--processor", "usage").returncode == 0


@pytest.mark.parametrize("how", ["look", "write"])
def test_who_keeps_runs_from_writing_is_named(cli: Cli, how: str) -> None:
    """One that reads holds them up as one that writes, though it hides nothing from a look."""
    cli.on(EXAMPLES, "run")
    code = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'look');"
        "print(flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code, cli.database, how], stdin=pipe, stdout=pipe
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        wait = {"SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS": "0.3"}
        answer = cli.on(EXAMPLES, "health", **wait)
        document = cli.json(EXAMPLES, "health", **wait)
        holder.communicate(b"\n")
    assert f"held by process {holder.pid}" in answer.stdout
    assert str(holder.pid) in json.dumps(document)
    assert answer.returncode == {"look": 0, "write": 2}[how]
    if how == "look":
        service = document["services"]["session_pipeline"]
        assert service["database"]["database_held"]["holder"] == holder.pid
        assert service["processors"]["usage"]["status"] == "ok"
    assert "held" not in cli.on(EXAMPLES, "health").stdout
