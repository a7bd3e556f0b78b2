"""Which project names stay where people are hidden."""

import pytest

from session_pipeline_dagster.people.projects import HIDDEN, NamesOfPeople, shown_project

PEOPLE = NamesOfPeople.of(["alice", "bob-smith", "ann", "Élodie", "c.jones@example.org", "", "..."])
FOLDERS = frozenset({"-home-alice-web", "misc"})


@pytest.mark.parametrize(
    "project",
    (
        "alice alice-tools ALICE_x x.alice bob-smith bob_smith/dotfiles élodie -home-alice-web "
        "misc c.jones c-jones-notes c.jones@example.org ann"
    ).split(),
)
def test_what_names_somebody_or_is_a_project_folder_is_not_shown(project: str) -> None:
    assert shown_project(project, FOLDERS, PEOPLE) == HIDDEN


@pytest.mark.parametrize("project", ["malice", "planning", "bob", "smith-bob", "jones", "web", ""])
def test_what_only_looks_like_a_name_stays(project: str) -> None:
    assert shown_project(project, FOLDERS, PEOPLE) == project


def test_without_people_only_project_folders_go() -> None:
    nobody = NamesOfPeople.of([])
    assert shown_project("alice", FOLDERS, nobody) == "alice"
    assert shown_project("misc", FOLDERS, nobody) == HIDDEN
