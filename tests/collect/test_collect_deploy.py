"""deploy/collector and docs/collecting.md: units and agents that their tools take, commands that
run as they are written."""

import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployment import directives
from helpers import write_session
from places import ROOT
from session_pipeline_dagster.cli.collect import command
from session_pipeline_dagster.collect.place import parse_target
from session_pipeline_dagster.settings import read_settings

FOLDER = ROOT / "deploy" / "collector"
PAGE = (ROOT / "docs" / "collecting.md").read_text("utf-8")
SERVICE = FOLDER / "session-pipeline-collect.service"
PLIST = FOLDER / "org.session-pipeline.collect.plist"
TO = "sessions-collector@sessions.example.org:"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's, with a session and the program where the units look for it."""
    write_session(tmp_path / ".claude" / "projects", "-home-alice-app/one.jsonl", "hello")
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    program = Path(sys.executable).parent / "session-pipeline"
    (tmp_path / ".local" / "bin" / "session-pipeline").symlink_to(program)
    (tmp_path / "place").mkdir()
    return tmp_path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_reads_the_units_without_a_complaint(home: Path) -> None:
    units = home / "units"
    units.mkdir()
    for path in FOLDER.glob("session-pipeline-collect.*"):
        text = path.read_text("utf-8").replace("%h/", f"{home}/")
        (units / path.name).write_text(text, "utf-8")
    paths = sorted(str(path) for path in units.iterdir())
    assert len(paths) == 2
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "XDG_RUNTIME_DIR": str(home)}
    verify = ["systemd-analyze", "--user", "verify", "--man=no", *paths]
    found = subprocess.run(verify, env=env, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    calendar = directives(FOLDER / "session-pipeline-collect.timer", "OnCalendar")
    when = subprocess.run(["systemd-analyze", "calendar", *calendar], check=False)
    assert when.returncode == 0


@pytest.mark.slow
def test_what_the_service_and_the_agent_start_brings_the_sessions(home: Path) -> None:
    (line,) = directives(SERVICE, "ExecStart")
    agent = plistlib.loads(PLIST.read_bytes())
    assert agent["Label"] == PLIST.stem
    assert (agent["StartInterval"], agent["Umask"]) == (600, 0o27)
    for words in (shlex.split(line.replace("%h", str(home))), agent["ProgramArguments"]):
        place = home / "place" / str(len(words))
        place.mkdir()
        changed = [word.replace(TO, str(place)) for word in words]
        assert changed != words
        env = {**os.environ, "HOME": str(home)}
        done = subprocess.run(changed, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (place / "-home-alice-app" / "one.jsonl").exists()


def test_every_command_of_the_page_is_taken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SESSION_USER", "alice")
    found = re.findall(r"session-pipeline (collect --to [^#\n]+)", PAGE)
    assert len(found) == 3
    for line in found:
        _, _, target, *more = shlex.split(line)
        parse_target(target)
        done = CliRunner().invoke(command, ["--to", str(home / "place"), *more])
        assert done.exit_code == 0, done.output
    assert (home / "place" / "alice" / "-home-alice-app" / "one.jsonl").exists()


def test_the_options_of_the_page_are_those_of_the_command() -> None:
    rows = {row.split(" ")[0] for row in re.findall(r"^\| `(--[^`]+)` \|", PAGE, re.MULTILINE)}
    assert rows == {option for one in command.params for option in one.opts}


def test_the_pages_numbers_are_those_of_the_program() -> None:
    assert f"`SESSION_PIPELINE_NOT_ARRIVED_DAYS` ({read_settings({}).not_arrived.days})" in PAGE


def test_the_policy_of_the_page_is_one() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    actions = [one["Action"] for one in json.loads(block)["Statement"]]
    assert actions == ["s3:ListBucket", ["s3:GetObject", "s3:PutObject"]]
