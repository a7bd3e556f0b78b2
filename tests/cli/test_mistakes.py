"""docs/mistakes.md: every mistake of its table is made, and says what stands there."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from helpers import EXAMPLES, write_session
from places import ROOT
from session_pipeline_dagster.cli.main import main

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


def test_they_are_fifteen() -> None:
    assert len(ROWS) == 15


@pytest.mark.parametrize(("mistake", "line", "code", "text"), ROWS, ids=[row[0] for row in ROWS])
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
    with pytest.raises(SystemExit) as ending:
        main(words)
    said = capsys.readouterr()
    pattern = re.escape(text).replace("…", ".*")
    assert ending.value.code == int(code)
    assert re.search(pattern, said.err + said.out), said
    assert "Traceback" not in said.err
