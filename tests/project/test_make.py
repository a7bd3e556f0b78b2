"""What `make` says, and that the commands of README.md go on with what it showed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from helpers import write_session
from places import ROOT

OURS = ("SESSION_", "SCHEDULER_", "DATA_DIR", "DAGSTER_")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone needs to run, with this environment as its own."""
    for name in ("Makefile", "README.md", "workspace.yaml", "dagster.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "constraints.txt").touch()
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
    (tmp_path / ".venv" / ".runs").touch()
    return tmp_path


def shell(clone: Path, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=clone,
        env=clean | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def commands(clone: Path) -> list[str]:
    """The commands in README's list of them, each with what it needs put in."""
    page = (clone / "README.md").read_text("utf-8")
    block = page.partition("## Command line")[2].partition("```sh\n")[2].partition("```")[0]
    put_in = {"KEY": "--all-quarantined", "--open": "", "forget": "forget --user alice --dry-run"}
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    for word, instead in put_in.items():
        lines = [re.sub(rf"{word}$", instead, line) for line in lines]
    return lines


@pytest.mark.slow
def test_after_make_run_the_commands_of_the_readme_work_as_they_are_written(clone: Path) -> None:
    made = shell(clone, "make run")
    assert made.returncode == 0, made.stderr
    assert "Showing the made-up sessions in examples/" in made.stdout
    found = commands(clone)
    assert len(found) > 6
    for command in found:
        answer = shell(clone, command)
        assert (answer.returncode, answer.stderr) == (0, ""), command
    assert " 17 " in shell(clone, ".venv/bin/session-pipeline status").stdout
    assert ".jsonl" in shell(clone, ".venv/bin/session-pipeline knowledge list --json").stdout


@pytest.mark.slow
def test_what_make_showed_last_is_gone_on_with_until_other_sessions_are_named(clone: Path) -> None:
    mine = clone / "my own"
    write_session(mine, "-home-me-proj/x.jsonl", "hello")
    shell(clone, "make run")
    env = {"SESSION_DATA_DIR": str(mine), "SESSION_LAYOUT": "projects", "SESSION_USER": "me"}
    said = shell(clone, "make run", **env).stdout
    assert "made-up" not in said
    for command in ("make run", ".venv/bin/session-pipeline status"):
        assert str(mine) in shell(clone, command).stdout, command
    assert "(projects)" in shell(clone, ".venv/bin/session-pipeline status").stdout
    # All of it or nothing: a layout of other sessions would be a wrong one.
    for named in ("--sessions examples/sessions", "--database examples.duckdb"):
        shown = shell(clone, f".venv/bin/session-pipeline status {named}").stdout
        assert ("(users)" in shown) is named.startswith("--sessions")
    assert shell(clone, ".venv/bin/session-pipeline status", SESSION_USER="me").returncode == 2


def test_a_taken_port_is_said_in_words_and_starts_no_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # -o: whatever is installed is taken as it is.
        command = ["make", "-o", ".venv/.runs", f"BIN={sys.prefix}/bin", f"PORT={port}", "dev"]
        pipe = subprocess.PIPE
        made = subprocess.Popen(
            command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        try:
            said, complained = made.communicate(timeout=30)
        finally:
            # Should it have begun all the same, nothing of it stays.
            with suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)
    assert made.returncode == 2
    assert f"Port {port} is taken" in complained
    assert "PORT=3001 make dev" in complained
    assert "Dagster" not in said
