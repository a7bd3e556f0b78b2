"""docs/mistakes.md: every mistake of its table is made, and says what stands there."""

import os
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from helpers import EXAMPLES, write_session
from places import ROOT
from session_pipeline_dagster import setting_values
from session_pipeline_dagster.cli.main import main

SMALL = 16_384
HOLD = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print(flush=True); input()"
OLD = """#!/bin/sh
exec {python} -c "import sys; sys.version_info, sys.version = (3, 9, 6), '3.9.6'; $2"
"""
"""A Python that says it is an old one, for whoever asks it with -c; none is at hand."""
PAGE = (ROOT / "docs" / "mistakes.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| (\d) \| (.+) \|$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one session."""
    folder = tmp_path_factory.mktemp("ran")
    write_session(folder / "sessions", "alice/x.jsonl", "hello")
    path = folder / "x.duckdb"
    with pytest.raises(SystemExit) as ending:
        main(["run", "--sessions", str(folder / "sessions"), "--database", str(path)])
    assert ending.value.code == 0
    return path


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Another process has the database, as a second `run` has for a while."""
    command = [sys.executable, "-c", HOLD, str(folder / "x.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate(b"\n")


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing is written beyond what any file has, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert (folder / "x.duckdb").stat().st_size > SMALL
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Somebody listens on port 3000, we or whoever does already; and the program is installed."""
    with pytest.MonkeyPatch.context() as patch, socket.socket() as here:
        patch.setattr(setting_values, "CLONE", folder / "none")
        patch.setenv("XDG_STATE_HOME", str(folder))
        with suppress(OSError):
            here.bind(("127.0.0.1", 3000))
            here.listen()
        yield


@contextmanager
def old(folder: Path) -> Iterator[None]:
    """A clone that is not set up, and a Python that is too old."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    program = folder / "python3.9"
    program.write_text(OLD.format(python=sys.executable))
    program.chmod(0o755)
    yield


SITUATIONS: Mapping[str, Callable[[Path], AbstractContextManager[None]]] = {
    "two `run` at once, for too long": held,
    "a disk that is full": full,
    "a port that is taken": taken,
    "a Python that is too old": old,
}


def ended(words: list[str]) -> int:
    """The exit code of a command line."""
    if words[0] == "make":
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(words, env=clean, capture_output=True, text=True, check=False)
        sys.stdout.write(done.stdout)
        sys.stderr.write(done.stderr)
        return done.returncode
    with pytest.raises(SystemExit) as ending:
        main(words)
    assert isinstance(ending.value.code, int)
    return ending.value.code


def test_they_are_twenty_one_and_have_their_situations() -> None:
    assert len(ROWS) == 21
    assert {*SITUATIONS, *PASSES} < {row[0] for row in ROWS}


PASSES = ("prices that are no TOML", "a disk that is full")
"""Mistakes that are found by a pass over the examples."""


@pytest.mark.parametrize(
    ("mistake", "line", "code", "text"),
    [
        pytest.param(*row, id=row[0], marks=pytest.mark.slow if row[0] in PASSES else ())
        for row in ROWS
    ],
)
def test_a_mistake_is_answered_as_the_page_says(
    mistake: str,
    line: str,
    code: str,
    text: str,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("my notes\n" * 1000)
    for name in [n for n in os.environ if n.startswith(("SESSION_", "SCHEDULER_", "DATA_DIR"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SESSION_DATA_DIR", str(EXAMPLES))
    own = str(shutil.copy(database, tmp_path / "x.duckdb"))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", own)
    words = shlex.split(line)
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    with SITUATIONS.get(mistake, nullcontext)(tmp_path):
        answer = ended(words)
    said = capsys.readouterr()
    pattern = re.escape(text).replace("…", ".*")
    assert answer == int(code), said
    assert re.search(pattern, said.err + said.out), said
    assert "Traceback" not in said.err
