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
