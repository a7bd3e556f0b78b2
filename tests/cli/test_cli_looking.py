"""Looking needs no right to write, makes nothing, and changes nothing."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli import PROGRAM, Cli

from example_numbers import FILES
from helpers import EXAMPLES

pytestmark = pytest.mark.slow

LOOKING = (
    "status",
    "health",
    "knowledge list",
    "knowledge export --print",
    "report --output ../report",
    "usage --by day,model",
    "prices list",
    "prices diff",
)
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "home").mkdir()
    made = Cli(tmp_path / "home")
    made.folder.joinpath("db").mkdir()
    made.database = made.folder / "db" / "x.duckdb"
    return made


@pytest.fixture
def shut(cli: Cli) -> Iterator[Cli]:
    """A database that was filled, in a folder that nobody may write to."""
    assert cli.on(EXAMPLES, "run").returncode == 0
    cli.database.chmod(0o444)
    cli.database.parent.chmod(0o555)
    yield cli
    cli.database.parent.chmod(0o755)


def bound_by_permissions(cli: Cli, *words: object) -> subprocess.CompletedProcess[str]:
    """The command, run by someone for whom permissions hold, be it root."""

    def drop() -> None:
        if os.geteuid() == 0:
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE)

    given = ["--sessions", EXAMPLES, "--database", cli.database]
    return subprocess.run(
        [PROGRAM, *map(str, words), *given],
        cwd=cli.folder,
        env=cli.env,
        preexec_fn=drop,
        capture_output=True,
        text=True,
        check=False,
    )


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_looking_works_where_nothing_may_be_written(shut: Cli) -> None:
    before = everything(shut.folder)
    for command in LOOKING:
        answer = bound_by_permissions(shut, *command.split())
        assert (answer.returncode in (0, 1), answer.stderr) == (True, ""), command
    assert everything(shut.folder) == before
    item = json.loads(bound_by_permissions(shut, "knowledge", "list", "--json").stdout)["items"][0]
    assert item["id"] in bound_by_permissions(shut, "knowledge", "show", item["id"]).stdout
    writing = bound_by_permissions(shut, "run", "--full-refresh")
    assert writing.returncode == 2, "the folder really may not be written to"


def test_looking_after_a_crash_reads_what_was_committed(cli: Cli) -> None:
    """What is committed may still be in the log beside the file."""
    cli.on(EXAMPLES, "run")
    code = (
        "import sys, os, duckdb; c = duckdb.connect(sys.argv[1]);"
        "c.execute('PRAGMA disable_checkpoint_on_shutdown');"
        "c.execute(\"DELETE FROM session_processor_state WHERE processor_name = 'usage'\");"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, cli.database], check=True)
    assert (cli.database.parent / "x.duckdb.wal").exists()
    cli.database.parent.chmod(0o555)
    answer = bound_by_permissions(cli, "status", "--json")
    cli.database.parent.chmod(0o755)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)["processors"]
    assert (found["usage"]["pending"], found["verification"]["pending"]) == (FILES, 0)


@pytest.mark.parametrize("name", ["typo.duckdb", "no/such/folder/x.duckdb"])
def test_looking_makes_no_database(cli: Cli, name: str) -> None:
    cli.database = cli.folder / name
    for command in LOOKING[:4]:
        assert cli.on(EXAMPLES, *command.split()).returncode in (0, 1), command
    assert "(not there yet)" in cli.on(EXAMPLES, "status").stdout
    for command in ("report", "report --json", "knowledge show kv_1"):
        answer = cli.on(EXAMPLES, *command.split())
        assert answer.returncode == 2, command
        assert answer.stderr.count("\n") == 1
    assert not any(path.is_file() for path in cli.folder.rglob("*"))
    for command in ("status", "health", "report"):
        cli(*command.split(), "--sessions", EXAMPLES)
    assert not (cli.folder / "var").exists(), "nor the folder of the usual one"


def test_two_can_look_at_once_and_one_that_writes_is_waited_for(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    hold = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'look');"
        "print(flush=True); input()"
    )
    for how, code in (("look", 0), ("write", 2)):
        with subprocess.Popen(
            [sys.executable, "-c", hold, cli.database, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout
            holder.stdout.readline()
            answer = cli.on(EXAMPLES, "status", SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS="0.3")
            holder.communicate(b"\n")
        assert answer.returncode == code
        assert code == 0 or f"process {holder.pid}" in answer.stderr


def test_tables_of_another_version_are_left_alone_and_the_remedy_is_said(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    change = "import sys, duckdb; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
    statements = {
        "report": "UPDATE session_processor_declarations SET digest = 'older'",
        "status": "UPDATE session_pipeline_schema SET version = 2",
    }
    for command, statement in statements.items():
        subprocess.run([sys.executable, "-c", change, cli.database, statement], check=True)
        before = everything(cli.folder)
        answer = cli.on(EXAMPLES, command)
        assert answer.returncode == 2
        assert "`session-pipeline run` makes them" in answer.stderr
        assert everything(cli.folder) == before
    shutil.rmtree(cli.folder)
