"""`session-pipeline directory`, and `usage` by what a directory says."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

from helpers import EXAMPLES

pytestmark = pytest.mark.slow

MOVED = """folder,person,team,cost_center,from,to,site
alice,Alice,data,C1,,2026-05-10,Graz
alice,Alice,platform,C2,2026-05-11,,Graz
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(MOVED)
    return path


def test_a_directory_is_checked_without_a_database(cli: Cli, directory: Path) -> None:
    answer = cli("directory", "check", directory)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "1 person with 1 folder in 2 teams and 2 cost centers" in answer.stdout
    assert "kept: site" in answer.stdout
    answer = cli("directory", "check", "--json", SESSION_PIPELINE_DIRECTORY=directory)
    found = json.loads(answer.stdout)
    assert (found["rows"], found["teams"], found["attributes"]) == (2, 2, ["site"])
    assert not cli.database.exists()


def test_a_column_that_is_nearly_one_of_ours_is_asked_about(cli: Cli, directory: Path) -> None:
    directory.write_text(MOVED.replace("person", "persn").replace("from", "form"))
    # Without its first day the second row is of all days, so each is a row of its own here.
    directory.write_text(
        directory.read_text().replace("2026-05-10,", ",").replace("\nalice", "\na", 1)
    )
    said = cli("directory", "check", directory).stdout
    assert "kept: persn (is person meant?), site, form (is from meant?)\n" in said


def test_what_is_wrong_is_one_line(cli: Cli, directory: Path) -> None:
    assert_one_clear_line(cli("directory", "check"), 2, "SESSION_PIPELINE_DIRECTORY names none")
    directory.write_text(MOVED.replace("2026-05-11", "2026-05-10"))
    line = (f"{directory}:3, column from: ", "already, line 2")
    assert_one_clear_line(cli("directory", "check", directory), 2, *line)


def test_an_export_becomes_a_directory_and_no_file_is_written_over(cli: Cli, tmp_path) -> None:
    export, out = tmp_path / "scim.json", tmp_path / "out.csv"
    export.write_text(json.dumps([{"userName": "ann", "displayName": "Änn"}]))
    answer = cli("directory", "import", "--scim", export, PYTHONIOENCODING="utf-8")
    assert answer.returncode == 0
    assert answer.stdout == ("folder,person,email,team,cost_center,from,to,parent\nann,Änn,,,,,,\n")
    assert answer.stderr == "1 person; folders are assumed to be the logins\n"
    assert cli("directory", "import", "--scim", export, "--out", out).stdout == ""
    assert cli("directory", "check", out).returncode == 0
    again = cli("directory", "import", "--scim", export, "--out", out)
    assert_one_clear_line(again, 2, "is there already")
    assert cli("directory", "import").returncode == 2
    assert cli("directory", "import", "--scim", export, "--ldif", export).returncode == 2


def test_usage_and_budgets_by_team_person_and_cost_center(cli: Cli, directory, tmp_path) -> None:
    budgets = tmp_path / "budgets.toml"
    scopes = ("team:data", "cost_center:C2", "person:Alice", "person:alice", "team:(unassigned)")
    budgets.write_text(
        "\n".join(
            f'[[budget]]\nname = "b{n}"\nscope = "{scope}"\nperiod = "month"\namount = 1'
            for n, scope in enumerate(scopes)
        )
    )
    env = {"SESSION_PIPELINE_DIRECTORY": directory, "SESSION_PIPELINE_BUDGETS": budgets}
    assert cli.on(EXAMPLES, "run", "--json", **env).returncode == 0

    def costs(*by: str) -> dict[object, Decimal]:
        answer = cli.on(EXAMPLES, "usage", "--by", ",".join(by), "--json")
        rows = json.loads(answer.stdout, parse_float=Decimal)["rows"]
        return {tuple(row[key] for key in by): row["cost"] for row in rows}

    data, moved, bob = map(Decimal, ("0.36414605", "0.227966", "0.63361225"))
    assert costs("team") == {
        ("data",): data, ("platform",): moved, ("(unassigned)",): bob
    }  # fmt: skip
    assert costs("person", "cost_center") == {
        ("Alice", "C1"): data, ("Alice", "C2"): moved, ("bob", None): bob
    }  # fmt: skip
    assert costs("user") == {("alice",): data + moved, ("bob",): bob}
    stand = json.loads(cli.on(EXAMPLES, "budget", "--json", **env).stdout, parse_float=Decimal)
    spent = [one["periods"][0]["spent"] for one in stand["budgets"]]
    assert spent == [data, moved, data + moved, data + moved, bob]
