"""Plugins on the command line: loaded, failed, and what they do to the exit code."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from test_cli import PROGRAM, Cli, assert_one_clear_line

from helpers import append, write_session
from session_pipeline_dagster.names import printable

pytestmark = pytest.mark.slow

PICKY = """
from datetime import timedelta
from session_pipeline_dagster.contract.processor import ProcessorResult

class Picky:
    name = "picky"
    version = 3
    cadence = timedelta(seconds=60)
    tables = {"picky_rows": "session_file VARCHAR"}

    def process(self, session):
        if "bad" in session.key:
            from session_pipeline_dagster.errors import Permanent
            raise Permanent("not to my taste")
        return ProcessorResult({"picky_rows": [(session.key,)]}, 1)
"""
AWRY = PICKY.replace("icky", "wry").replace("pwry", "awry").replace("Pwry", "Awry")
AWRY = AWRY.replace("VARCHAR", "VARCHAR, n BIGINTT")
BROKEN = "raise RuntimeError('no such thing [/here]')\n"


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    for key in ("alice/good.jsonl", "alice/bad.jsonl"):
        write_session(tmp_path / "sessions", key, "hello")
    return tmp_path / "sessions"


def install(cli: Cli, name: str, code: str, target: str) -> None:
    """A plugin as pip would leave it: a module and a dist-info folder with an entry point."""
    folder = cli.folder / "plugins"
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[session_pipeline_dagster.processors]\n{name} = {name}:{target}\n"
    )
    cli.env["PYTHONPATH"] = str(folder)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def picky(cli: Cli) -> Cli:
    """With a plugin that loads and gives up on one of the files."""
    install(cli, "picky", PICKY, "Picky")
    return cli


@pytest.fixture
def broken(cli: Cli) -> Cli:
    """With a plugin that fails to import."""
    install(cli, "broken", BROKEN, "Broken")
    return cli


def test_processors_lists_the_built_in_ones(cli: Cli) -> None:
    answer = cli("processors", "--json")
    usage, verification = json.loads(answer.stdout)["processors"]
    assert {"verifications", "llm_calls"} <= set(verification["relations"])
    assert (answer.returncode, usage["name"], usage["cadence_seconds"]) == (0, "usage", 600)
    assert {"usage_messages", "usage_messages_unique", "usage_daily"} <= set(usage["relations"])
    assert "usage_messages" in cli("processors").stdout


def test_processors_lists_a_plugin_with_its_version_and_tables(picky: Cli) -> None:
    answer = picky("processors", "--json")
    found = {p["name"]: p for p in json.loads(answer.stdout)["processors"]}
    assert answer.returncode == 0
    assert (found["picky"]["version"], found["picky"]["relations"]) == (3, ["picky_rows"])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_plugin_that_fails_to_import_is_listed_and_exits_1(
    broken: Cli, options: list[str]
) -> None:
    answer = broken("processors", *options)
    assert (answer.returncode, answer.stderr) == (1, "")
    for word in ("usage", "broken", "RuntimeError", "no such thing [/here]"):
        assert word in answer.stdout.replace("\n", " ")


def test_a_plugin_that_fails_to_import_is_in_status_and_stops_no_run(
    broken: Cli, sessions: Path
) -> None:
    document = broken.json(sessions, "run")
    assert document["processors"]["usage"]["processed"] == 2
    for command in ("run", "status"):
        answer = broken.on(sessions, command)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "broken" in answer.stdout
    (failed,) = broken.json(sessions, "status")["failed_plugins"]
    assert (failed["name"], failed["target"]) == ("broken", "broken:Broken")


def test_a_plugin_with_declarations_that_do_not_work_costs_itself_only(
    picky: Cli, sessions: Path
) -> None:
    install(picky, "awry", AWRY, "Awry")
    answer = picky.on(sessions, "run")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("session-pipeline: awry could not go on: processor 'awry'")
    for name in ("usage", "verification", "picky"):
        assert name in answer.stdout, "the others ran, also the one after it"
    document = json.loads(picky.on(sessions, "run", "--json").stdout)
    assert "BIGINTT" in document["broken"]["awry"]
    assert document["error"]["type"] == "ContractError"
    assert "awry" in document["error"]["message"]
    found = picky.json(sessions, "status")["processors"]
    assert (found["picky"]["pending"], found["awry"]["pending"]) == (0, 2), "one is given up"
    listed = picky("processors")
    assert listed.returncode == 1
    assert "BIGINTT" in listed.stdout.replace("\n", " ")


def test_a_summary_that_does_not_work_is_named_and_the_rest_is_said(
    cli: Cli, sessions: Path
) -> None:
    summed = PICKY.replace(
        "    def process",
        '    summaries = (Summary("Most liked", "FROM picky_rowz"), Summary("All", "FROM '
        'picky_rows"))\n\n    def process',
    ).replace("import ProcessorResult", "import ProcessorResult, Summary")
    install(cli, "picky", summed, "Picky")
    answer = cli.on(sessions, "run")
    assert answer.returncode == 2
    said = " ".join(answer.stdout.split())
    assert "summary failed picky: Most liked: a query failed: Catalog Error: Table with" in said
    assert "alice/good.jsonl" in said, "the other summary"
    assert "Most liked" in cli("processors").stdout


@pytest.mark.parametrize(
    "declared",
    ['views = {"mine": "FROM read_csv(\'/etc/passwd\')"}', 'views = {"mine": "FROM nowhere"}'],
)
def test_a_view_of_what_it_may_not_read_costs_its_plugin(
    cli: Cli, sessions: Path, declared: str
) -> None:
    code = PICKY.replace("    def process", f"    {declared}\n\n    def process")
    install(cli, "picky", code, "Picky")
    answer = cli.on(sessions, "run")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "picky could not go on: processor 'picky': mine: " in answer.stderr
    assert "usage" in answer.stdout
    assert "mine: " in cli("processors").stdout


def test_a_plugin_that_did_not_load_is_said_to_who_asks_for_it(broken: Cli, sessions: Path) -> None:
    answer = broken.on(sessions, "run", "--processor", "broken")
    assert answer.returncode == 2
    why = "could not be loaded: RuntimeError: no such thing [/here] at broken.py:1"
    assert why in answer.stderr


def test_a_plugin_of_a_taken_name_is_listed_and_ours_stays(cli: Cli) -> None:
    install(cli, "thief", PICKY.replace('"picky"', '"usage"'), "Picky")
    document = json.loads(cli("processors", "--json").stdout)
    assert [p["name"] for p in document["processors"]] == ["usage", "verification"]
    assert "already loaded" in document["failed"][0]["error"]


def test_a_failed_file_is_exit_1_named_and_retried_when_asked(picky: Cli, sessions: Path) -> None:
    answer = picky.on(sessions, "run", "--json")
    document = json.loads(answer.stdout)["processors"]
    assert (answer.returncode, answer.stderr) == (1, "")
    assert document["usage"]["errors"] == 0
    assert document["picky"]["errors_detail"] == [
        {"session": "alice/bad.jsonl", "error": "not to my taste"}
    ]
    assert picky.on(sessions, "run").returncode == 0
    standing = picky.json(sessions, "status")["processors"]["picky"]
    assert (standing["quarantined"], standing["pending"]) == (1, 0)
    assert standing["failures"][0]["error"] == "not to my taste"
    assert "not to my taste" in picky.on(sessions, "status").stdout
    answer = picky.on(sessions, "retry", "alice/bad.jsonl")
    assert answer.returncode == 0
    assert "picky: alice/bad.jsonl" in answer.stdout
    again = picky.on(sessions, "run")
    assert again.returncode == 1
    assert "not to my taste" in again.stdout
    answer = picky.on(sessions, "retry", "--all-quarantined", "--processor", "picky")
    assert "alice/bad.jsonl" in answer.stdout
    assert picky.json(sessions, "status")["processors"]["picky"]["quarantined"] == 0


def test_run_takes_only_the_processors_named(picky: Cli, sessions: Path) -> None:
    document = picky.json(sessions, "run", "--processor", "usage")
    assert list(document["processors"]) == ["usage"]
    append(sessions / "alice" / "good.jsonl", "more")
    standing = picky.json(sessions, "status")["processors"]
    assert (standing["usage"]["pending"], standing["picky"]["pending"]) == (1, 2)


def test_retry_of_nothing_says_so(picky: Cli, sessions: Path) -> None:
    picky.on(sessions, "run")
    answer = picky.on(sessions, "retry", "alice/unknown.jsonl", "alice/bad.jsonl")
    assert_one_clear_line(answer, 2, "alice/unknown.jsonl", "what failed: alice/bad.jsonl")
    assert picky.json(sessions, "status")["processors"]["picky"]["quarantined"] == 1
    answer = picky.on(sessions, "retry", "alice/good.jsonl")
    assert (answer.returncode, answer.stdout) == (0, "no failed file of that name\n")
    picky.on(sessions, "retry", "--all-quarantined")
    answer = picky.on(sessions, "retry", "--all-quarantined")
    assert (answer.returncode, answer.stdout) == (0, "no file is quarantined\n")


@pytest.mark.parametrize("arguments", [[], ["alice/x.jsonl", "--all-quarantined"]])
def test_retry_takes_keys_or_all(picky: Cli, sessions: Path, arguments: list[str]) -> None:
    answer = picky.on(sessions, "retry", *arguments)
    assert_one_clear_line(answer, 2, "KEY...", "--all-quarantined")


def test_a_file_that_may_not_be_read_is_named_and_the_others_go_on(
    cli: Cli, sessions: Path
) -> None:
    path = sessions / "alice" / "bad.jsonl"
    path.chmod(0)
    if os.geteuid() == 0:
        # Root reads everything, so the program runs without that power.
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("needs setpriv to give up root's power to read everything")
        powerless = [setpriv, "--bounding-set=-dac_override,-dac_read_search"]
    else:
        powerless = []
    command = ["session-pipeline", "run", "--json", "--sessions", sessions]
    program = Path(sys.executable).with_name(command[0])
    answer = subprocess.run(
        [*powerless, program, *command[1:], "--database", cli.database],
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(answer.stdout)["processors"]["usage"]
    assert (answer.returncode, answer.stderr) == (1, "")
    assert (report["processed"], report["errors"]) == (1, 1)
    assert report["errors_detail"] == [
        {"session": "alice/bad.jsonl", "error": "cannot be read: Permission denied"}
    ]
    path.chmod(0o644)
    assert cli.json(sessions, "run")["processors"]["usage"]["processed"] == 1


def test_a_file_that_was_given_up_waits_for_nothing(picky: Cli, sessions: Path) -> None:
    picky.on(sessions, "run")
    shown = picky.on(sessions, "status").stdout.splitlines()
    (standing,) = [line.split() for line in shown if line.startswith(" picky")]
    # Files, pending, the oldest; then, what failed and what was given up.
    assert (standing[1:4], standing[-2:]) == (["2", "0", "-"], ["0", "1"])
    (failure,) = picky.json(sessions, "status")["processors"]["picky"]["failures"]
    assert failure["next_attempt_at"] is None
    again = picky.json(sessions, "run")["processors"]["picky"]
    assert (again["capped"], again["backing_off"], again["quarantined"]) == (0, 0, 1)
    checks = picky.json(sessions, "health", "--processor", "picky")["services"]["session_pipeline"]
    freshness = checks["processors"]["picky"]["checks"]["freshness"]
    assert freshness["pending"] == 0
    assert freshness["detail"] == "1 of 2 session files are processed (1 given up)"


def test_a_key_that_no_terminal_shows_can_be_retried_as_health_says_it(
    picky: Cli, sessions: Path
) -> None:
    key = "al\x1b[31mice/bad's \\ \u202e\n.jsonl"
    write_session(sessions, key, "hello")
    picky.on(sessions, "run")
    said = picky.on(sessions, "health", "--processor", "picky").stdout
    (line,) = [line for line in said.splitlines() if "picky/quarantine" in line]
    commands = re.findall(r"`session-pipeline (retry .*?) --processor", line)
    where = f"--sessions {sessions} --database {picky.database}"
    assert commands
    for given in (commands[0], shlex.join(["retry", printable(key)])):
        program = f"{PROGRAM} {given} {where}"
        answer = subprocess.run(
            ["bash", "-c", program], cwd=picky.folder, env=picky.env, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        assert "picky: al\ufffd[31mice" in answer.stdout
        picky.on(sessions, "run")


FAILING = PICKY.replace(
    'raise Permanent("not to my taste")', 'raise ValueError(f"odd: {session.key}")'
).replace('if "bad" in session.key:', "if True:")


def test_an_exception_of_a_plugin_is_shown_to_who_asks_and_counted_for_the_others(
    cli: Cli, sessions: Path
) -> None:
    install(cli, "picky", FAILING, "Picky")
    quiet = cli.on(sessions, "run", "--processor", "picky")
    assert (quiet.returncode, quiet.stderr) == (1, "")
    (line,) = [line for line in quiet.stdout.splitlines() if line.startswith("failed")]
    assert line.startswith(
        "failed picky: 2 files, the first alice/bad.jsonl: processor 'picky' raised ValueError at "
    )
    assert "odd: " not in quiet.stdout
    loud = cli.on(sessions, "run", "--processor", "picky", "--full-refresh", "--debug")
    assert loud.stderr.count("Traceback") == 1, "the same error is shown once"
    assert "ValueError: odd: alice/" in loud.stderr
    assert "odd: " not in loud.stdout
    assert loud.returncode == 1


def test_an_exception_in_a_derivation_costs_its_processor_and_says_where(
    cli: Cli, sessions: Path
) -> None:
    deriving = PICKY.replace(
        "    def process",
        "    def compute(inputs):\n        raise KeyError(str(inputs.rows))\n\n"
        '    derivations = (Derivation("sums", {"sums": DerivedTable("id VARCHAR", "id")}, '
        '{"rows": "FROM picky_rows"}, compute, "SELECT session_file FROM batch"),)\n\n'
        "    def process",
    ).replace(
        "class Picky",
        "from session_pipeline_dagster.contract.derivation import Derivation, DerivedTable\n\n\n"
        "class Picky",
    )
    install(cli, "picky", deriving, "Picky")
    quiet = cli.on(sessions, "run")
    assert quiet.returncode == 2
    assert "derivation 'sums' raised KeyError at picky.py:" in quiet.stderr
    assert "good.jsonl" not in quiet.stderr
    assert "usage" in quiet.stdout, "the others went on"
    loud = cli.on(sessions, "run", "--full-refresh", "--debug")
    assert "KeyError" in loud.stderr
    assert "good.jsonl" in loud.stderr
