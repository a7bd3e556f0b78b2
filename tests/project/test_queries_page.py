"""docs/queries.md: each query is asked of the examples, wherever the page says it can be."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from helpers import EXAMPLES
from places import ROOT

pytestmark = pytest.mark.slow(seconds=8)
PAGE = (ROOT / "docs" / "queries.md").read_text("utf-8")
PROGRAM = Path(sys.executable).with_name("session-pipeline")
OURS = ("SESSION_", "SCHEDULER_", "DATA_DIR")
BLOCK = re.compile(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)+)", re.DOTALL)
PSEUDONYMS, TEAMS = {1, 2, 3, 4, 5, 7}, {3, 4}


def questions() -> Iterator[tuple[int, str, list[list[str]]]]:
    """Number, query, and its answer: the table below it, the names of columns first."""
    for section in re.split(r"^## (?=\d)", PAGE, flags=re.MULTILINE)[1:]:
        for sql, table in BLOCK.findall(section):
            rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
            yield int(section.split(".")[0]), sql, [rows[0], *rows[2:]]


def command(folder: Path, line: str, **env: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    clean |= {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "SESSION_DATA_DIR": str(EXAMPLES),
        "SESSION_PIPELINE_DIRECTORY": str(ROOT / "examples" / "people.csv"),
        "SESSION_PIPELINE_DATABASE": str(folder / "var" / "session_pipeline.duckdb"),
    }
    done = subprocess.run(
        ["sh", "-ec", line], cwd=folder, env=clean | env, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database and the read-only copy."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "var").mkdir()
    copied = {"SESSION_PIPELINE_PUBLISH": str(folder / "usage.duckdb")}
    command(folder, "session-pipeline run", **copied)
    return folder


def test_there_are_ten_questions_and_each_has_an_answer() -> None:
    heads = re.findall(r"^## (\d+)\. .+\?$", PAGE, re.MULTILINE)
    assert [*map(int, heads)] == [*range(1, 11)]
    assert {number for number, _, _ in questions()} == {*range(1, 11)}
    assert len([*questions()]) == PAGE.count("```sql\n")


@pytest.mark.parametrize("file", ["var/session_pipeline.duckdb", "usage.duckdb"])
def test_each_query_says_what_stands_below_it(place: Path, file: str) -> None:
    with duckdb.connect(str(place / file), read_only=True) as database:
        for number, sql, (columns, *expected) in questions():
            found = database.sql(sql)
            assert found.columns == columns, number
            rows = [["" if cell is None else str(cell) for cell in row] for row in found.fetchall()]
            assert rows == expected, number


def test_every_table_of_the_page_is_in_the_database(place: Path) -> None:
    section = PAGE.partition("## Which tables there are")[2]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 18
    with duckdb.connect(str(place / "var/session_pipeline.duckdb"), read_only=True) as database:
        there = {
            name for (name,) in database.sql("SELECT table_name FROM duckdb_columns()").fetchall()
        }
    assert named <= there


def test_the_commands_and_the_python_of_the_page_answer(place: Path) -> None:
    for line in "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines():
        assert command(place, line), line
    (python,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (place / "asked.py").write_text(python)
    assert "Alice Muster" in command(place, f"'{sys.executable}' asked.py")


@pytest.mark.parametrize(("mode", "answered"), [("pseudonym", PSEUDONYMS), ("team", TEAMS)])
def test_the_shared_database_answers_what_the_page_says(
    tmp_path: Path, mode: str, answered: set[int]
) -> None:
    (tmp_path / "var").mkdir()
    # Two people are fewer than a team is shown from by itself.
    env = {"SESSION_PIPELINE_PEOPLE": mode, "SESSION_PIPELINE_MIN_GROUP": "1"}
    command(tmp_path, "session-pipeline run --processor usage", **env)
    shared, found = tmp_path / "var" / "session_pipeline_shared.duckdb", set()
    with duckdb.connect(str(shared), read_only=True) as database:
        for number, sql, _ in questions():
            try:
                rows = database.sql(sql).fetchall()
            except duckdb.CatalogException:
                continue
            assert rows, number
            found.add(number)
            assert not re.search("alice|bob|muster", str(rows), re.IGNORECASE), number
    assert found == answered
    assert "questions 1 to 5 and 7 can be asked of it with pseudonyms, 3 and 4 with teams" in PAGE
