"""What the checks of the directory and of projects say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from company_people import database
from session_pipeline_dagster.contract.quality import Data, Measured
from session_pipeline_dagster.processors.usage.people.checks import people_rules
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

HEAD = "folder,person,team,from,to\n"


class Checks:
    """A database of usage, and the rules under some settings."""

    def __init__(self, folder: Path) -> None:
        self.connection = database()
        self.file = folder / "people.csv"
        self.file.write_text(HEAD)
        self.people = PeopleSettings(directory=self.file)

    def use(self, folder: str, day: str, messages: int = 1) -> None:
        self.connection.execute(
            "INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, ? AS username, ? AS messages",
            [day, folder, messages],
        )

    def name(self, folder: str, first: str | None = None, last: str | None = None) -> None:
        self.connection.execute(
            "INSERT INTO people VALUES (?, ?, NULL, 'data', NULL, ?, ?)",
            [folder, folder.title(), first, last],
        )

    def measured(self, name: str, mode: PeopleMode = PeopleMode.NAMED) -> Measured:
        rules = {rule.name: rule for rule in people_rules(replace(self.people, mode=mode))}

        def select(sql: str) -> Sequence[tuple[object, ...]]:
            return self.connection.execute(sql).fetchall()

        return rules[name].measure(Data(select, lambda _: None))


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


def test_nothing_is_set_and_nothing_is_wrong(checks) -> None:
    checks.people = PeopleSettings()
    checks.use("ann", "2026-05-01")
    for name in ("directory_file", "projects_file", "unassigned_people"):
        found = checks.measured(name)
        assert (found.stands, found.violations, found.said) == ("ok", 0, "nothing is set")


def test_a_directory_that_is_good_is_counted(checks) -> None:
    checks.file.write_text(HEAD + "ann,Ann,data,,\nann2,Ann,data,,\nbob,,,,\n")
    found = checks.measured("directory_file")
    assert (found.stands, found.said) == ("ok", "2 people, 1 team")


def test_a_directory_that_is_bad_is_a_warning_with_line_and_column(checks) -> None:
    checks.file.write_text(HEAD + "secret-ann,Ann,data,,\nsecret-ann,Ann,web,,\n")
    found = checks.measured("directory_file")
    assert found.stands == "warning"
    assert found.said.startswith(f'{checks.file}:3, column from: folder "secret-ann"')


@pytest.mark.parametrize("mode", [PeopleMode.TEAM, PeopleMode.PSEUDONYM])
def test_who_may_not_be_shown_is_in_no_sentence(checks, mode: PeopleMode) -> None:
    checks.file.write_text(HEAD + "secret-ann,Ann,data,,\nsecret-ann,Ann,web,,\n")
    checks.use("secret-bob", "2026-05-01")
    for name in ("directory_file", "unassigned_people"):
        found = checks.measured(name, mode)
        assert found.stands == "warning"
        assert "secret" not in repr(found)


def test_projects_that_are_bad_are_a_warning(checks, tmp_path) -> None:
    file = tmp_path / "projects.toml"
    file.write_text('[[project]]\nname = "x"\nrepositories = ["x"]\n')
    checks.people = PeopleSettings(projects=file)
    assert checks.measured("projects_file").said == "1 in the file"
    file.write_text("[[project]]\n")
    assert checks.measured("projects_file").stands == "warning"


def test_folders_that_nobody_names_are_named_with_why(checks) -> None:
    checks.name("ann", "2026-05-01", "2026-05-31")
    checks.name("Zoé")
    for day in range(1, 31):
        checks.use("ann", f"2026-05-{day:02}", 100)
    checks.use("ann", "2026-06-01", 2)
    checks.use("zoe\u0301", "2026-05-30", 3)
    checks.use("bob", "2026-04-01", 999)
    found = checks.measured("unassigned_people")
    assert (found.stands, found.violations) == ("info", 0)
    assert [(*one.values(),) for one in found.listed] == [
        ("bob", 999, "2026-04-01", "2026-04-01", "in no row"),
        ("zoe\u0301", 3, "2026-05-30", "2026-05-30",
         "the directory has it spelt otherwise, as 'Zo\\xe9'"),
        ("ann", 2, "2026-06-01", "2026-06-01", "outside its periods"),
    ]  # fmt: skip
    assert found.said.startswith("the directory does not name 3 folders on days with usage: bob,")


def test_much_of_a_month_without_a_team_is_a_warning(checks) -> None:
    checks.name("ann")
    checks.use("ann", "2026-05-01", 95)
    checks.use("bob", "2026-05-01", 5)
    assert checks.measured("unassigned_people").stands == "info"
    checks.use("bob", "2026-05-02", 1)
    found = checks.measured("unassigned_people")
    assert (found.stands, found.violations) == ("warning", 1)
    # What a clock that was ahead has written makes nothing old.
    checks.use("ann", "4000-01-01", 10_000)
    assert checks.measured("unassigned_people").stands == "warning"


def test_the_share_of_few_folders_that_nobody_names_is_not_said(checks) -> None:
    """The messages of all and the share of one folder are that folder's messages."""
    checks.name("ann")
    checks.use("ann", "2026-05-01", 99)
    checks.use("new0", "2026-05-01", 1)
    found = checks.measured("unassigned_people", PeopleMode.TEAM)
    assert found.said == "the directory does not name 1 folder on days with usage"
    assert found.numbers == {"folders": 1}
    assert checks.measured("unassigned_people").numbers == {"folders": 1, "recent_percent": 1.0}
    for number in range(1, 5):
        checks.use(f"new{number}", "2026-05-01", 1)
    found = checks.measured("unassigned_people", PeopleMode.TEAM)
    assert found.numbers == {"folders": 5, "recent_percent": 4.81}
    assert found.said.endswith("4.8 % of the messages of the newest 30 days")
