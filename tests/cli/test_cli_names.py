"""Names are data: no user, file or tool is called something that a terminal obeys."""

import json
from pathlib import Path

import pytest
from test_cli import Cli

from helpers import EchoProcessor, make_pipeline, write_session
from hostile import ACTING, NAME, hostile_tree, shows
from session_pipeline_dagster.cli.forget import find
from session_pipeline_dagster.cli.health_output import print_health
from session_pipeline_dagster.health.checkup import Checkup
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.health.unread import unread_files

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path)
    # So wide that no name is broken to fit.
    made.env |= {"COLUMNS": "1000"}
    return made


def test_no_command_lets_a_name_act(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / NAME
    keys = hostile_tree(root)
    ran = cli.on(root, "run")
    assert (ran.returncode, ran.stderr) == (1, "")
    shown = {
        "users": next(line for line in ran.stdout.splitlines() if "ice" in line),
        "tools": next(line for line in ran.stdout.splitlines() if "tool_use" in line),
        "taught": next(line for line in ran.stdout.splitlines() if "correction" in line),
        "root": ran.stdout.splitlines()[0],
        "run": ran.stdout,
        "status": cli.on(root, "status").stdout,
        "health": cli.on(root, "health").stdout,
        "show": cli.on(root, "knowledge", "show", item(cli, root)).stdout,
        "error": cli.on(root, "knowledge", "show", NAME).stderr,
        "no root": cli("run", "--sessions", f"{root} gone").stderr,
        "forget": cli.on(root, "forget", "--user", NAME, "--dry-run").stdout,
        "retry": cli.on(root, "retry", keys["bad"]).stdout,
    }
    for what, text in shown.items():
        assert shows(text), what
    assert len(shown["error"].splitlines()) == len(shown["no root"].splitlines()) == 1
    listed = cli.on(root, "knowledge", "list").stdout
    assert "invoice date" in listed, "what acts is not even stored of a fact"
    assert not set(ACTING) & set(listed)
    assert "left out" in shown["status"]


def test_a_user_whose_name_is_not_utf8_is_forgotten_as_it_is_typed_and_as_it_is_shown(
    tmp_path: Path,
) -> None:
    pipeline = make_pipeline(tmp_path)
    for typed in ("\udcff\udcfe", "%FF%FE"):
        write_session(pipeline.root, "\udcff\udcfe/a.jsonl", "hello")
        pipeline.run(EchoProcessor())
        keys, there = find(pipeline.store, [EchoProcessor()], pipeline.source, typed, ())
        assert keys == there == ["%FF%FE/a.jsonl"]


def item(cli: Cli, root: Path) -> str:
    return cli.json(root, "knowledge", "list")["items"][0]["id"]


def test_health_gives_a_processors_reason_and_does_not_obey_it(capsys) -> None:
    stuck = Finding("fifo_stuck_file", Status.INFO, "one is skipped", reason=f"{NAME} is odd")
    print_health(Checkup(1, {"usage": [stuck]}, unread_files({})), [])
    reason = capsys.readouterr().out.partition("reason")[2]
    assert shows(reason)


def test_json_is_escaped_and_exact(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    keys = hostile_tree(root)
    texts = {
        command: cli.on(root, *command.split(), "--json").stdout
        for command in ("run", "status", "health", "knowledge list")
    }
    texts["show"] = cli.on(root, "knowledge", "show", item(cli, root), "--json").stdout
    for text in texts.values():
        assert not set(ACTING) & set(text)
    made = {command: json.loads(text) for command, text in texts.items()}
    (failed,) = made["run"]["processors"]["usage"]["errors_detail"]
    assert failed["session"] == keys["bad"]
    assert [row["user"] for row in made["run"]["summaries"]["Usage"]] == [NAME]
    assert [row["tool"] for row in made["run"]["summaries"]["Tools"]] == [NAME]
    assert [left["key"] for left in made["status"]["left_out"]] == [keys["link"]]
    (failure,) = made["status"]["processors"]["usage"]["failures"]
    assert failure["session"] == keys["bad"]
    usage = made["health"]["services"]["session_pipeline"]["processors"]["usage"]
    assert usage["checks"]["quarantine"]["failures"][0]["session"] == keys["bad"]
    assert "invoice date" in made["knowledge list"]["items"][0]["content"]
    assert made["show"]["evidence"][0]["user"] == NAME


def test_the_report_shows_names_and_obeys_none(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    hostile_tree(root)
    cli.on(root, "run")
    made = cli.on(root, "report", "--output", tmp_path / "report")
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "report" / "usage.html").read_text("utf-8")
    assert shows(page)
    # Users, models and tools, each in its table.
    assert page.count("\ufffdFORGED") > 3


def test_what_is_exported_for_the_next_session_hides_nothing(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    hostile_tree(root)
    cli.on(root, "run")
    cli.on(root, "knowledge", "approve", item(cli, root))
    page = cli.on(root, "knowledge", "export", "--print").stdout
    assert "invoice date" in page
