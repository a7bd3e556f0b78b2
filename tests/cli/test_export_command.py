"""`session-pipeline export`, and what a run and `forget` do with exports, as a user meets them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from test_cli import OURS

from exported import SUMS, bytes_of, document, rows, table
from helpers import EXAMPLES
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.testing import SessionBuilder

pytestmark = pytest.mark.slow(seconds=10)

EVERY = [
    word
    for kind in ("parquet", "csv", "ccusage", "focus", "prometheus")
    for word in ("--format", kind)
]


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


class Cli:
    """Runs the program in this process, which is faster, with none of our variables set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "test.duckdb"

    def on(self, sessions: Path, *words: object, **env: object) -> Answer:
        none = {name: None for name in os.environ if name.startswith(OURS)}
        given = [*words, "--sessions", sessions, "--database", self.database]
        found = CliRunner().invoke(
            main, [*map(str, given)], env=none | {name: str(value) for name, value in env.items()}
        )
        return Answer(found.exit_code, found.stdout, found.stderr)

    def json(self, sessions: Path, *words: object) -> dict:
        return json.loads(self.on(sessions, *words, "--json").stdout)


def assert_one_clear_line(answer: Answer, code: int, *words: str) -> None:
    assert (answer.returncode, answer.stdout) == (code, ""), answer
    (line,) = answer.stderr.splitlines()
    assert not [word for word in words if word not in line], line


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    made = Cli(tmp_path_factory.mktemp("examples"))
    assert made.on(EXAMPLES, "run", "--json").returncode == 0
    return made


def test_an_export_says_what_it_wrote(examples: Cli, tmp_path: Path) -> None:
    answer = examples.on(EXAMPLES, "export", tmp_path / "out", *EVERY)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "parquet: 20 files written with" in answer.stdout
    assert "focus: 2 files written with 70 rows" in answer.stdout
    found = examples.json(EXAMPLES, "export", tmp_path / "out", *EVERY)
    assert found["folder"] == str(tmp_path / "out")
    assert {kind: one["written"] for kind, one in found["formats"].items()} == {
        **{"parquet": 0, "csv": 0, "ccusage": 0, "focus": 0},
        "prometheus": 1,
    }
    assert found["formats"]["parquet"]["unchanged"] == 20


def test_days_of_a_zone_are_for_ccusage_alone(examples: Cli, tmp_path: Path) -> None:
    into, zone = tmp_path / "out", ("--timezone", "Pacific/Kiritimati")
    answer = examples.on(
        EXAMPLES, "export", into, "--format", "ccusage", *zone, "--until", "2026-05-05"
    )
    assert answer.returncode == 0, answer.stderr
    days = {row["date"] for row in document(into / "daily.json")["daily"]}
    assert max(days) == "2026-05-05"
    assert_one_clear_line(examples.on(EXAMPLES, "export", into, *zone), 2, "--timezone", "UTC")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out", "--since", "2026-06-31"), "--since"),
        (("out", "--since", "2026-06-02", "--until", "2026-06-01"), "is after"),
        (("", "--format", "csv"), "DIR is empty"),
        (("out", "--format", "prometheus", "--since", "2026-06-02"), "of today"),
        (("out", "--timezone", "Mars"), "--timezone"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    words: tuple[str, ...], said: str, examples: Cli, tmp_path: Path
) -> None:
    folder, *more = words
    answer = examples.on(EXAMPLES, "export", tmp_path / folder if folder else "", *more)
    assert_one_clear_line(answer, 2, said)
    assert [*tmp_path.iterdir()] == []


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer = Cli(tmp_path).on(EXAMPLES, "export", tmp_path / "out")
    assert_one_clear_line(answer, 2, "no database")
    assert not (tmp_path / "out").exists()


# --- what follows a run ---


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """A session of zacharias and one of bob."""
    for name in ("zacharias", "bob"):
        built = SessionBuilder(f"s-{name}", cwd=f"/home/{name}/work").prompt("x").response("y")
        built.write(tmp_path / "sessions", f"{name}/-home-{name}-work/s-{name}.jsonl")
    return tmp_path / "sessions"


def test_a_run_exports_what_is_set_and_only_if_something_changed(
    sessions: Path, tmp_path: Path
) -> None:
    cli, out, copy = Cli(tmp_path), tmp_path / "out", tmp_path / "bi" / "usage.duckdb"
    env = {
        "SESSION_PIPELINE_EXPORT_DIR": out,
        "SESSION_PIPELINE_EXPORT_FORMATS": "parquet,focus",
        "SESSION_PIPELINE_PUBLISH": copy,
    }
    answer = cli.on(sessions, "run", "--processor", "usage", **env)
    assert answer.returncode == 0, answer.stderr
    assert "copy for dashboards" in answer.stdout
    assert [row[0] for row in rows(out, "usage_person_daily", SUMS)] == [1, 1]
    assert len(table(out / "focus.csv")) > 0
    before = copy.stat().st_ino
    assert (
        "copy for dashboards" not in cli.on(sessions, "run", "--processor", "usage", **env).stdout
    )
    assert copy.stat().st_ino == before
    copy.unlink()
    assert "copy for dashboards" in cli.on(sessions, "run", "--processor", "usage", **env).stdout


def test_an_export_that_cannot_be_made_costs_no_row_and_is_said(
    sessions: Path, tmp_path: Path
) -> None:
    cli, file = Cli(tmp_path), tmp_path / "file"
    file.write_text("")
    answer = cli.on(sessions, "run", "--processor", "usage", SESSION_PIPELINE_EXPORT_DIR=file / "x")
    assert answer.returncode == 2
    assert "exports could not go on" in answer.stderr
    assert "file" in answer.stderr
    assert len(cli.json(sessions, "usage")["rows"]) == 2


# --- forget ---


def test_whoever_is_forgotten_is_in_no_export_any_more(sessions: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    kept, by_hand, copy = (tmp_path / name for name in ("kept", "by hand", "copy.duckdb"))
    env = {
        "SESSION_PIPELINE_EXPORT_DIR": kept,
        "SESSION_PIPELINE_EXPORT_FORMATS": "parquet,csv,ccusage,focus,prometheus",
        "SESSION_PIPELINE_PUBLISH": copy,
    }
    assert cli.on(sessions, "run", "--processor", "usage", **env).returncode == 0
    assert cli.on(sessions, "export", by_hand, *EVERY).returncode == 0
    # What a process that was killed has left is somebody's, too.
    (by_hand / f".focus.csv.{'a' * 32}").write_text("zacharias")
    left = cli.database.with_name(f"{cli.database.name}.published")
    left.write_text("zacharias")
    for place in (kept, by_hand):
        assert b"zacharias" in bytes_of(place)
    assert b"zacharias" in copy.read_bytes()
    (sessions / "zacharias" / "-home-zacharias-work" / "s-zacharias.jsonl").unlink()
    looked = cli.on(sessions, "forget", "--user", "zacharias", "--dry-run", **env)
    assert "exports: " in looked.stdout
    assert b"zacharias" in bytes_of(by_hand)
    # The setting is gone; where exports are is known all the same.
    env.pop("SESSION_PIPELINE_PUBLISH")
    answer = cli.on(sessions, "forget", "--user", "zacharias", "--yes", **env)
    assert answer.returncode == 0, answer.stderr
    for place in (kept, by_hand):
        assert b"zacharias" not in bytes_of(place)
    assert not copy.exists()
    assert not left.exists()
    assert [*by_hand.rglob("part.*")] == []
    assert [row[0] for row in rows(kept, "usage_person_daily", "person")] == ["bob"], "made again"
    assert len(table(kept / "focus.csv")) > 0


def test_a_copy_that_is_set_is_made_again_without_who_was_forgotten(
    sessions: Path, tmp_path: Path
) -> None:
    cli, copy = Cli(tmp_path), tmp_path / "copy.duckdb"
    env = {"SESSION_PIPELINE_PUBLISH": copy}
    assert cli.on(sessions, "run", "--processor", "usage", **env).returncode == 0
    (sessions / "zacharias" / "-home-zacharias-work" / "s-zacharias.jsonl").unlink()
    assert cli.on(sessions, "forget", "--user", "zacharias", "--yes", **env).returncode == 0
    assert b"zacharias" not in copy.read_bytes()
    with duckdb.connect(copy, read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT username FROM usage_costs").fetchall()
    assert found == [("bob",)]


def test_notes_of_where_exports_are_that_are_damaged_are_said(
    sessions: Path, tmp_path: Path
) -> None:
    cli = Cli(tmp_path)
    assert cli.on(sessions, "run", "--processor", "usage").returncode == 0
    notes = cli.database.with_name(f"{cli.database.name}.exports")
    notes.write_text("{")
    answer = cli.on(sessions, "forget", "--user", "bob", "--dry-run")
    assert_one_clear_line(answer, 2, str(notes))
    notes.write_text(json.dumps([]))
    assert cli.on(sessions, "forget", "--user", "bob", "--dry-run").returncode == 0
