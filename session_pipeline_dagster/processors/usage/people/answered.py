"""What `usage` may be asked and answers where people, or small groups of them, are hidden."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.processors.usage.people.whose import PERSON, TEAM
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

PERSONS: Final = ("user", "person")
TEAMS: Final = ("team", "cost_center")
_PROJECTS: Final = ("project", "repository")
_NAMING: Final = ("session", "branch")


def check_keys(
    by: Sequence[str], times: Collection[str], zone: str, people: PeopleSettings
) -> None:
    """Refuse keys whose values would show more than may be shown.

    Args:
        times: the keys that are days, weeks and so on. zone: whose days these are.

    Raises:
        SettingsError: says which, why, and what to ask instead.
    """
    mode, least = people.mode, people.smallest_group
    hidden = (*PERSONS, *_NAMING) if mode is PeopleMode.TEAM else _NAMING
    for key in by:
        if key in hidden and mode is not PeopleMode.NAMED:
            raise SettingsError(
                f"--by {key} shows people or what names them, which SESSION_PIPELINE_PEOPLE="
                f"{mode.value} hides; ask --by team, project, model or day"
            )
    if least <= 1:
        return
    others = [key for key in by if key not in times and key not in TEAMS]
    if len(others) > 1 or (others and any(key in TEAMS for key in by)):
        raise SettingsError(
            f"--by {','.join(by)} would tell groups of fewer than {least} people apart "
            "(SESSION_PIPELINE_MIN_GROUP); ask by one of them, and by day, week or month"
        )
    if zone != "UTC":
        raise SettingsError(
            f"--timezone {zone} would cut days otherwise than those in which groups of fewer than "
            f"{least} people are merged (SESSION_PIPELINE_MIN_GROUP); these are of UTC"
        )


def columns(people: PeopleSettings) -> Mapping[str, str]:
    """Keys -> SQL of what is shown of them, where that is not what they are; see `joins`."""
    found: dict[str, str] = {}
    if people.mode is not PeopleMode.NAMED:
        found |= {"user": "shown_user", "person": "shown_person"}
        found |= dict.fromkeys(_PROJECTS, f"coalesce(shown_project, '{HIDDEN}')")
    if people.smallest_group > 1:
        found |= {"team": "shown_team", "cost_center": "shown_center"}
    return found


def joins(by: Collection[str], people: PeopleSettings) -> str:
    """What `columns` of these keys stand in, beside `whose.with_people`."""
    found = []
    if people.mode is not PeopleMode.NAMED:
        for key, name in zip(PERSONS, ("username", PERSON), strict=True):
            if key in by:
                found.append(
                    f"""JOIN (SELECT person AS of_{key}, shown AS shown_{key} FROM people_shown)
                        ON of_{key} = {name}"""
                )
        if any(key in by for key in _PROJECTS):
            found.append(
                """LEFT JOIN (SELECT project AS of_folder, repository AS of_repository,
                        name AS of_name FROM usage_projects)
                    ON of_folder IS NOT DISTINCT FROM project
                    AND of_repository IS NOT DISTINCT FROM repository
                LEFT JOIN (SELECT project AS of_project, shown AS shown_project
                    FROM projects_shown)
                    ON of_project = coalesce(of_name, repository, project)"""
            )
    if people.smallest_group > 1 and any(key in by for key in TEAMS):
        found.append(
            f"""JOIN (SELECT day AS of_day, team AS of_team, label AS shown_team,
                        cost_center AS shown_center
                    FROM cells_shown WHERE label IS NOT NULL)
                ON of_day = day AND of_team = {TEAM}"""
        )
    return " ".join(found)
