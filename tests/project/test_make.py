"""What `make` says, and that the commands of README.md go on with what it showed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from example_numbers import FILES
from helpers import write_session
from patience import PATIENCE, killed_after
from places import ROOT
from session_pipeline_dagster.orchestration.dev import Screen

# Also what a make tells those below it: the tests may run in one.
OURS = ("SESSION_", "SCHEDULER_", "DATA_DIR", "DAGSTER_", "MAKE", "MFLAGS")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone needs to run, with this environment as its own."""
    for name in ("Makefile", "README.md", "workspace.yaml", "dagster.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "constraints.txt").touch()
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / ".venv" / name).symlink_to(Path(sys.prefix) / name)
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
    put_in = {
        "KEY": "--all-quarantined",
        "--open": "",
        "FROM TO": "--help",
        "--to DIR": "--help",
        "WORD": "--help",
        "agnes FILE": "agnes --help",
    }
    put_in["forget"] = "forget --user alice --dry-run"
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    for word, instead in put_in.items():
        lines = [re.sub(rf"{word}$", instead, line) for line in lines]
    return lines


def test_without_a_target_make_says_which_there_are(clone: Path) -> None:
    said = shell(clone, "make").stdout.splitlines()
    targets = re.search(r"^\.PHONY: (.*)$", (clone / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert targets
    assert sorted(line.split()[0] for line in said) == sorted(targets[1].split())
    assert all(line[9] == " " != line[10] for line in said), "a column of names, one of words"


@pytest.mark.slow
def test_after_make_run_the_commands_of_the_readme_work_as_they_are_written(clone: Path) -> None:
    made = shell(clone, "make run")
    assert made.returncode == 0, made.stderr
    assert "Showing made-up sessions of the last two weeks" in made.stdout
    readme = (clone / "README.md").read_text("utf-8")
    rows = re.findall(r"^ (?:alice|bob) .*\d$", readme, re.MULTILINE)
    assert len(rows) == 2
    printed = [line.split() for line in made.stdout.splitlines()]
    assert all(row.split() in printed for row in rows)
    found = commands(clone)
    assert len(found) > 6
    for command in found:
        answer = shell(clone, command)
        assert (answer.returncode, answer.stderr) == (0, ""), command
    assert f" {FILES} " in shell(clone, ".venv/bin/session-pipeline status").stdout
    assert ".jsonl" in shell(clone, ".venv/bin/session-pipeline knowledge list --json").stdout


@pytest.mark.slow
def test_what_make_showed_last_is_gone_on_with_until_other_sessions_are_named(clone: Path) -> None:
    mine = clone / "my own"
    write_session(mine, "-home-me-proj/x.jsonl", "hello")
    # As a clone of before has it, that showed the examples as they lie there.
    (clone / "var").mkdir()
    (clone / "var" / "make.env").write_text("SESSION_DATA_DIR=examples/sessions\n")
    assert "of the last two weeks" in shell(clone, "make run").stdout
    assert str(clone / "var" / "examples") in shell(clone, "make run").stdout
    env = {"SESSION_DATA_DIR": str(mine), "SESSION_LAYOUT": "projects", "SESSION_USER": "me"}
    said = shell(clone, "make run", **env).stdout
    assert "made-up" not in said
    for command in ("make run", ".venv/bin/session-pipeline status"):
        assert str(mine) in shell(clone, command).stdout, command
    assert "(projects)" in shell(clone, ".venv/bin/session-pipeline status").stdout
    assert "Going on with what was shown last" in shell(clone, "make run").stdout
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


STAMP = "2026-01-01 00:00:00 +0000 - dagster"
DEBUG = f"{STAMP} - DEBUG"
SENSOR = f"{STAMP}.daemon.SensorDaemon - INFO"
NOISE = f"""\
/x/click/core.py:911: SupersessionWarning: Function `dev_command` is superseded. Use 'dg dev'.
  return callback(*args, **kwargs)
\x1b[32m{STAMP} - \x1b[34mINFO\x1b[0m - Using temporary directory /x
{STAMP} - WARNING - /x/y.py:5: BetaWarning: Parameter `z` is in beta
{STAMP}-webserver - INFO - Serving dagster-webserver on http://h:1 in x
{SENSOR} - Launching run for usage_sensor
{SENSOR} - Launching run for odd_sensor
{STAMP} - INFO - usage_job - r - usage - usage: 3 files processed, 0 failed
{DEBUG} - usage_job - r - 1 - RUN_SUCCESS - Finished execution of run for "usage_job".
"""


def screened(log: str) -> list[str]:
    found: list[str] = []
    screen = Screen(found.append, reports="http://h:2")
    for line in log.splitlines():
        screen.take(re.sub(r"\x1b\[[0-9;]*m", "", line))
    return found


def test_of_the_log_only_what_is_ours_is_shown() -> None:
    (ready,) = screened(NOISE)
    assert ready.startswith("Ready: http://h:1 ")
    done = f'{DEBUG} - odd_job - r - RUN_FAILURE - Execution of run for "odd_job" failed.'
    assert screened(NOISE + done)[1:] == [
        "Data is in: http://h:1/assets   (usage: 3 files processed, 0 failed)"
    ]
    assert len(screened(NOISE + f"{done}\n{done}")) == 2, "said once"
    report = f"{SENSOR} - Launching run for usage_report_sensor\n"
    assert len(screened(NOISE + report + done)) == 2, "whether or not a report is being made"
    warned = "usage_job - r - usage - alice/x.jsonl failed: neither gzip nor zstd data"
    assert screened(f"{STAMP} - WARNING - {warned}") == [f"warning: {warned}"]
    failed = "usage_job - r - usage - STEP_FAILURE - Execution of step failed."
    follows = "usage_job - r - prices - Dependencies for step prices were not executed: ['usage']."
    errors = "\n".join(f"{STAMP} - ERROR - {said}" for said in (failed, follows))
    assert screened(errors) == [f"error: {failed}"], "what follows from it says nothing new"
    report = f"{DEBUG} - __ASSET_JOB - r - 1 - usage_report - STEP_SUCCESS - Finished."
    assert screened(f"{report}\n{report}") == ["The report: http://h:2/usage.html"]
    assert screened("plugin odd (odd:Odd) is left out: ValueError: no") == [
        "warning: plugin odd (odd:Odd) is left out: ValueError: no"
    ]


def of(clone: Path) -> list[str]:
    """Processes that work in the clone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == clone:
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_make_dev_is_calm_and_ends_with_all_its_children(
    clone: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    # As a script starts it in the background: there Ctrl-C would be ignored.
    made = subprocess.Popen(
        ["sh", "-c", f"trap '' INT; exec make PORT={port} dev"],
        cwd=clone,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert made.stdout
    said = []
    with killed_after(PATIENCE, made):
        for line in made.stdout:
            # It may be made before all the data is in.
            said += [] if line.startswith("The report: ") else [line]
            if line.startswith("Data is in" if number is signal.SIGTERM else "Ready"):
                break
    begun = time.monotonic()
    if number is signal.SIGTERM:
        made.send_signal(number)
    else:
        os.killpg(made.pid, number)
    made.wait(60)
    made.stdout.close()
    while of(clone) and time.monotonic() - begun < 60:
        time.sleep(0.2)
    assert of(clone) == []
    text = "".join(said)
    assert text.count("\n") == (4 if number is signal.SIGTERM else 3), text
    for word in ("temporary", "Supersession", "Beta", "Traceback"):
        assert word not in text
    assert f"{FILES} files processed" in text or number is not signal.SIGTERM
    assert "Using temporary directory" in (clone / "var" / "dev.log").read_text()
