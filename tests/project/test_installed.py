"""The wheel in an environment of its own, far from any clone: it has all its files, and works.

Dependencies are those of the tests' environment, so that nothing is downloaded but the build tool.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from example_numbers import FILES
from helpers import EXAMPLES
from patience import PATIENCE, killed_after
from places import ROOT

PACKAGE = ROOT / "session_pipeline_dagster"
OURS = ("SESSION_", "SCHEDULER_", "DATA_DIR", "DAGSTER_", "XDG_", "PYTHONPATH")
pytestmark = pytest.mark.slow(seconds=60)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is, of a copy, so that nothing is left in the clone."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=ignored)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", "dist", "."]
    subprocess.run(build, cwd=source, check=True)
    (made,) = (source / "dist").iterdir()
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, installed from the wheel."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    # After the wheel's own, so that the clone, which is there as a path file, is not found by it.
    (Path(own) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    dagster = venv / "bin" / "dagster"
    dagster.write_text(f"#!{python}\nfrom dagster._cli import main\nmain()\n")
    dagster.chmod(0o755)
    return venv / "bin" / "session-pipeline"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return clean | {"HOME": str(tmp_path / "home"), "SESSION_DATA_DIR": str(EXAMPLES)}


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = {p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    missing = {p.relative_to(ROOT).as_posix() for p in files} - packed
    assert missing == set()


def test_it_works_in_any_folder_and_keeps_what_it_makes_where_its_user_keeps_such_things(
    program: Path, env: dict[str, str], tmp_path: Path
) -> None:
    """Dagster until its sensors have brought the data in; then the command line over it."""
    anywhere = tmp_path / "anywhere"
    anywhere.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with subprocess.Popen(
        [program, "dev", "--port", str(port)],
        cwd=anywhere,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as dagster:
        assert dagster.stdout
        said = []
        with killed_after(PATIENCE, dagster):
            for line in dagster.stdout:
                said.append(line)
                if line.startswith("Data is in: "):
                    break
        with suppress(ProcessLookupError):
            os.killpg(dagster.pid, signal.SIGTERM)
    text = "".join(said)
    assert f"Ready: http://127.0.0.1:{port}" in text
    assert f"{FILES} files processed" in said[-1], text
    found = subprocess.run(
        [program, "usage"], cwd=anywhere, env=env, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert "alice" in found.stdout
    home = tmp_path / "home" / ".local"
    assert (home / "share/session-pipeline/session_pipeline.duckdb").exists()
    state = home / "state/session-pipeline"
    assert {"dagster.yaml", "dev.log", "history"} <= {path.name for path in state.iterdir()}
    assert [*anywhere.iterdir()] == []


def test_dagster_is_set_up_as_in_a_clone_but_for_the_folders() -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    wing = ROOT / "session_pipeline_dagster" / "orchestration"
    installed = yaml.safe_load((wing / "dagster.yaml").read_text("utf-8"))
    folders = {"storage", "compute_logs", "local_artifact_storage"}
    assert installed == {name: value for name, value in ours.items() if name not in folders}
