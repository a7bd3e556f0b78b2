"""`session-pipeline dev` up to where Dagster begins; what begins is in test_installed.py."""

import os
import socket
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from places import ROOT
from session_pipeline_dagster import setting_values
from session_pipeline_dagster.cli.dev import command
from session_pipeline_dagster.cli.main import main

OF_THE_CLONE = {"storage", "compute_logs", "local_artifact_storage"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As in a wheel, where no pyproject.toml is beside the package; where state is kept."""
    monkeypatch.setattr(setting_values, "CLONE", tmp_path / "pyproject.toml")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "session-pipeline"


def test_the_folder_is_made_with_the_clones_instance_and_what_was_changed_there_stays(
    installed: Path,
) -> None:
    done = CliRunner().invoke(command, ["--home"])
    assert (done.exit_code, done.output) == (0, f"{installed}\n")
    instance = installed / "dagster.yaml"
    clone = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    expected = {name: block for name, block in clone.items() if name not in OF_THE_CLONE}
    assert yaml.safe_load(instance.read_text("utf-8")) == expected
    instance.write_text("telemetry: {enabled: false}\n")
    CliRunner().invoke(command, ["--home"])
    assert instance.read_text() == "telemetry: {enabled: false}\n"


def test_dagster_is_started_with_its_home_and_told_it_by_the_environment(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda _file, words: started.append(words))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = CliRunner().invoke(command, ["--port", str(port)])
    assert done.exit_code == 0, done.output
    ((env, home, _python, *rest),) = started
    assert (env, home) == ("env", f"DAGSTER_HOME={installed}")
    assert rest == ["-P", "-m", "session_pipeline_dagster.orchestration.dev", str(port), rest[-1]]
    assert rest[-1] == str(installed)


def test_where_nobody_said_which_sessions_ones_own_history_is_suggested_if_there_is_one(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execvp", lambda *_given: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("SESSION_DATA_DIR", "DATA_DIR", "SESSION_LAYOUT", "SESSION_PIPELINE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])

    def said(*words: str, home: Path = tmp_path / "data" / "session-pipeline") -> str:
        done = CliRunner().invoke(main, [*words])
        assert done.exit_code == (0 if words[0] == "dev" else 2), done.output
        assert str(home) in done.output
        return done.output

    hint = "SESSION_LAYOUT=projects SESSION_DATA_DIR=~/.claude/projects"
    assert hint not in said("run")
    assert hint not in said("dev", "--port", port)
    (tmp_path / ".claude" / "projects").mkdir(parents=True)
    assert hint in said("run")
    assert hint in said("dev", "--port", port)
    nowhere = tmp_path / "nowhere"
    assert hint not in said("run", "--sessions", str(nowhere), home=nowhere)
    monkeypatch.setenv("SESSION_DATA_DIR", str(nowhere))
    assert hint not in said("run", home=nowhere)


def test_a_taken_port_and_a_clone_are_said(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ending:
        main(["dev", "--port", str(taken.getsockname()[1])])
    assert ending.value.code == 2
    assert "choose another: --port 3001" in capsys.readouterr().err
    monkeypatch.setattr(setting_values, "CLONE", ROOT / "pyproject.toml")
    with pytest.raises(SystemExit) as ending:
        main(["dev"])
    assert ending.value.code == 2
    assert "make dev" in capsys.readouterr().err
