"""How the program ends, whatever the command, the error and the pipe."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import PROGRAM, Cli

from helpers import EXAMPLES, write_session

pytestmark = pytest.mark.slow

SHOWING = ("run", "status", "health", "processors", "knowledge list", "forget --user x --dry-run")
JSON = ("run", "status", "health", "knowledge list", "knowledge show kv_1", "report")
NOTES = "my notes\n" * 1000
"""What is no database."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def ran(cli: Cli) -> Cli:
    """With the examples in its database."""
    assert cli.on(EXAMPLES, "run").returncode == 0
    return cli


def shell(cli: Cli, command: str, end: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command with its output redirected, as a shell has it; the code is the program's."""
    where = "" if "--help" in command else f"--sessions {EXAMPLES} --database {cli.database}"
    line = f"{PROGRAM} {command} {where} {end}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cli.folder,
        env=cli.env | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", [*SHOWING, *(f"{command} --json" for command in JSON[:4])])
def test_a_pipe_that_nobody_reads_is_no_error(ran: Cli, command: str) -> None:
    # Nobody reads before anything is written, so every write fails.
    answer = shell(ran, command, "| exec true")
    assert answer.returncode in (0, 141)
    assert answer.stderr == ""


def test_help_into_a_pipe_that_nobody_reads_is_no_error(cli: Cli) -> None:
    for command in ("--help", "run --help", "knowledge --help"):
        answer = shell(cli, command, "| exec true")
        assert (answer.returncode in (0, 141), answer.stderr) == (True, ""), command


@pytest.mark.parametrize("command", [*SHOWING, "status --json", "--help"])
def test_a_full_disk_behind_the_output_is_one_line(ran: Cli, command: str) -> None:
    answer = shell(ran, command, "> /dev/full")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("session-pipeline: the output cannot be written (")
    # Nobody can be told, and the code still says it.
    assert shell(ran, command, "> /dev/full 2> /dev/full").returncode == 2


def test_without_an_output_the_work_is_done(cli: Cli) -> None:
    for end in (">&-", "2>&-", ">&- 2>&-"):
        assert shell(cli, "run", end).returncode == 0
    assert cli.json(EXAMPLES, "status")["processors"]["usage"]["pending"] == 0


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=str,
)
def test_every_encoding_of_the_output_takes_every_name(
    cli: Cli, tmp_path: Path, env: dict[str, str]
) -> None:
    root = tmp_path / "Sitzungen für 名前"
    write_session(root, "Žižek 😀/ünï.jsonl", "In Germany the fiscal year always begins in März.")
    (root / "gone – link.jsonl").symlink_to("nowhere")
    words = ("run", "status", "health", "knowledge list", "retry nix", "run --json")
    for command in (*words, "status --layout naïve"):
        given = [*command.split(), "--sessions", root, "--database", cli.database]
        made = subprocess.run(
            [PROGRAM, *given], cwd=cli.folder, env=cli.env | env, capture_output=True, check=False
        )
        assert b"Traceback" not in made.stderr, command
        assert made.returncode in (0, 1, 2), command
        if command == "status":
            assert b"Sitzungen f" in made.stdout
            # Where Python itself could not read the name, it is shown as one that cannot be.
            shown = ("名前".encode(), rb"\u540d", rb"\ufffd")
            assert any(name in made.stdout for name in shown)


@pytest.mark.parametrize("command", JSON)
@pytest.mark.parametrize("wrong", ["setting", "option", "layout"])
def test_with_json_what_is_wrong_is_a_document_too(cli: Cli, command: str, wrong: str) -> None:
    env = {"SESSION_PIPELINE_MAX_FILES_PER_RUN": "0"} if wrong == "setting" else {}
    more = {"option": ["--no-such"], "layout": ["--layout", "flat"]}.get(wrong, [])
    assert_error(cli.on(EXAMPLES, *command.split(), "--json", *more, **env))


def assert_error(answer: subprocess.CompletedProcess[str], code: int = 2) -> dict[str, str]:
    assert answer.returncode == code, answer
    assert answer.stderr
    assert "Traceback" not in answer.stderr
    error = json.loads(answer.stdout)["error"]
    assert set(error) == {"type", "message", "hint"}
    assert all(error.values())
    return error


def test_a_document_says_what_kind_of_error_it_is(cli: Cli, tmp_path: Path) -> None:
    missing = assert_error(cli.on(tmp_path / "nix", "run", "--json"))
    assert (missing["type"], "nix" in missing["message"]) == ("SourceUnavailable", True)
    unknown = assert_error(cli.on(EXAMPLES, "run", "--json", "--processor", "usgae"))
    assert (unknown["type"], "usgae" in unknown["message"]) == ("ContractError", True)
    cli.database.write_text(NOTES)
    for command in ("run", "status", "knowledge list", "report"):
        damaged = assert_error(cli.on(EXAMPLES, *command.split(), "--json"))
        assert damaged["type"] == "StoreUnusable"


def test_health_keeps_its_own_document(cli: Cli, tmp_path: Path) -> None:
    answer = cli.on(tmp_path / "nix", "health", "--json")
    assert (answer.returncode, json.loads(answer.stdout)["status"]) == (2, "unknown")


def test_a_folder_that_may_not_be_written_to_is_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cli.on(EXAMPLES, "run")
    for command in (
        ["report", "--output", tmp_path / "file" / "x"],
        ["knowledge", "export", "file"],
    ):
        answer = cli.on(EXAMPLES, *command)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


def test_what_was_interrupted_says_so_without_a_trace(cli: Cli, tmp_path: Path) -> None:
    write_session(tmp_path / "s", "alice/x.jsonl", "hello")
    hold = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, cli.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        line = f"timeout -s INT 3 {PROGRAM} run --sessions s --database {cli.database}"
        answer = subprocess.run(
            ["bash", "-c", line], cwd=cli.folder, env=cli.env, capture_output=True, text=True
        )
        holder.communicate(b"\n")
    assert "session-pipeline: interrupted" in answer.stderr
    assert "Traceback" not in answer.stderr
