"""Seats that are nobody's: what the check of the file says, with and without a directory."""

from dataclasses import replace
from pathlib import Path

import pytest

from company_people import database
from session_pipeline_dagster.contract.quality import Data, Measured
from session_pipeline_dagster.processors.usage.money.budgeting import money_rules
from session_pipeline_dagster.settings import PeopleMode, Settings, read_settings

NOBODY = {
    'person = "Anna Muster"': 'is called "Anna Muster"; nearest is "Ann Muster"',
    'person = "ANN@example.org"': 'the address of "Ann Muster", and a seat takes the name',
    'person = "quite another"': 'is called "quite another"',
    'team = "dta"': 'nobody in team "dta", so the seat costs nothing; nearest is "data"',
    'team = "tech"': "the team is only above others, and a seat is of a team's own people",
}
SOMEBODY = ('person = "Ann Muster"', 'person = "ann"', 'person = "carol"', 'team = "data"')


def seat(whose: str) -> str:
    return f"""[[seat]]\n{whose}\nplan = "Max"\nprice = 100\nfrom = 2026-03-10\n"""


class Checked:
    """The check `seats_file` over a database of one team, and of Carol whom no row names."""

    def __init__(self, folder: Path, *, directory: bool = True) -> None:
        self.file = folder / "seats.toml"
        self.connection = database()
        self.connection.execute(
            "INSERT INTO usage_slots (slot, day, username, messages) VALUES "
            "('2026-03-10', '2026-03-10', 'carol', 1)"
        )
        if directory:
            self.connection.execute(
                """INSERT INTO people VALUES
                ('ann', 'Ann Muster', 'ann@example.org', 'data', '4711', NULL, NULL)"""
            )
            self.connection.execute(
                "INSERT INTO org_units VALUES ('data', 'tech', '4711'), ('tech', '(org)', NULL)"
            )

    def __call__(self, *seats: str, mode: PeopleMode = PeopleMode.NAMED) -> Measured:
        self.file.write_text("".join(map(seat, seats)), "utf-8")
        found: Settings = read_settings({"SESSION_PIPELINE_SEATS": str(self.file)})
        settings = replace(found, people=replace(found.people, mode=mode))
        (rule,) = (
            one
            for one in money_rules(settings.money, settings=settings)
            if one.name == "seats_file"
        )
        data = Data(lambda sql: self.connection.execute(sql).fetchall(), lambda _: None)
        return rule.measure(data)


@pytest.mark.parametrize(("whose", "said"), NOBODY.items())
def test_a_seat_of_nobody_is_said_with_its_line_and_the_nearest_name(
    tmp_path, whose: str, said: str
) -> None:
    found = Checked(tmp_path)(*SOMEBODY, whose)
    assert (found.stands, found.violations) == ("warning", 1)
    assert found.said.startswith(f"{tmp_path}/seats.toml:21: ")
    assert said in found.said


def test_seats_of_people_and_teams_that_there_are_say_nothing(tmp_path) -> None:
    found = Checked(tmp_path)(*SOMEBODY)
    assert (found.stands, found.said) == ("ok", "4 in the file")


def test_without_a_directory_a_team_has_nobody_and_a_person_is_a_folder(tmp_path) -> None:
    checked = Checked(tmp_path, directory=False)
    assert checked('person = "carol"').stands == "ok"
    assert 'called "carl"; nearest is "carol"' in checked('person = "carl"').said
    assert "there is no directory (SESSION_PIPELINE_DIRECTORY)" in checked('team = "data"').said


@pytest.mark.parametrize("mode", [PeopleMode.PSEUDONYM, PeopleMode.TEAM])
def test_where_people_are_hidden_no_person_and_no_other_team_is_named(
    tmp_path, mode: PeopleMode
) -> None:
    found = Checked(tmp_path)(*NOBODY, mode=mode)
    said = found.said.replace(str(tmp_path), "")
    assert found.violations == len(NOBODY)
    for name in ("Ann", "ANN", "another", "carol", "data"):
        assert name not in said
