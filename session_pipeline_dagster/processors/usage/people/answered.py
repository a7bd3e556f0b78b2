"""What `usage` may be asked and answers where people, or small groups of them, are hidden."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.processors.usage.people.whose import PERSON, SHOWN_CELLS, with_people
from session_pipeline_dagster.processors.usage.rollups import PRICELESS
from session_pipeline_dagster.processors.usage.small_cells import SHOWN, few, small_cells
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

PERSONS: Final = ("user", "person")
TEAMS: Final = ("team", "cost_center")
_PROJECTS: Final = ("project", "repository")
_KINDS: Final = ("agent", "provider", "model")
_NAMING: Final = ("session", "branch")
_ONE_BY_ONE: Final = (*PERSONS, *_NAMING)
"""Keys of which each row is one person's: where people are shown, there is nothing to merge."""
_WAYS: Final = {key: way for way in (TEAMS, _PROJECTS, _KINDS) for key in way}
"""How a day's usage is told apart. Cells of two ways at once would be of fewer people than those of
either, and what is no cell of one way could be had by setting off two keys of it."""


def check_keys(
    by: Sequence[str],
    times: Collection[str],
    zone: str,
    people: PeopleSettings,
    agent: str | None = None,
) -> None:
    """Refuse keys whose values would show more than may be shown.

    Args:
        times: the keys that are days, weeks and so on. zone: whose days these are.
        agent: of which one alone is asked.

    Raises:
        SettingsError: says which, why, and what to ask instead.
    """
    mode, least = people.mode, people.smallest_group
    hidden = _ONE_BY_ONE if mode is PeopleMode.TEAM else _NAMING
    for key in by:
        if key in hidden and mode is not PeopleMode.NAMED:
            raise SettingsError(
                f"--by {key} shows people or what names them, which SESSION_PIPELINE_PEOPLE="
                f"{mode.value} hides; ask --by team, project, model or day"
            )
    if least <= 1:
        return
    asked = [key for key in by if key not in times]
    alone = agent is not None and merges(by, people)
    ways = {_WAYS.get(key, key) for key in (*asked, *(["agent"] if alone else []))}
    if len(ways) > 1:
        said = f"--by {','.join(by)}{f' --agent {agent}' if alone else ''}"
        raise SettingsError(
            f"{said} would tell groups of fewer than {least} people apart "
            "(SESSION_PIPELINE_MIN_GROUP); ask by one of them, and by day, week or month"
        )
    if zone != "UTC":
        raise SettingsError(
            f"--timezone {zone} would cut days otherwise than those in which groups of fewer than "
            f"{least} people are merged (SESSION_PIPELINE_MIN_GROUP); these are of UTC"
        )


def merges(by: Collection[str], people: PeopleSettings) -> bool:
    """Whether cells of few people are put together: what is one person's is one person's."""
    return people.smallest_group > 1 and not any(key in _ONE_BY_ONE for key in by)


def columns(by: Collection[str], people: PeopleSettings) -> Mapping[str, str]:
    """Keys -> SQL of what is shown of them, where that is not what they are; see `joins`."""
    found: dict[str, str] = {}
    if people.mode is not PeopleMode.NAMED:
        found |= {"user": "shown_user", "person": "shown_person"}
        found |= dict.fromkeys(_PROJECTS, f"coalesce(shown_project, '{HIDDEN}')")
        found["model"] = _MODEL
    if merges(by, people):
        found |= {"team": "shown_team", "cost_center": "shown_center"}
        project = found.get("project", _PROJECT)
        kinds = {key: found.get(key, key) for key in _KINDS}
        for key, sql in {**dict.fromkeys(_PROJECTS, project), **kinds}.items():
            found[key] = f"if(told = {SHOWN}, {sql}, '{few(people.smallest_group)}')"
    return found


_PROJECT: Final = "coalesce(of_name, repository, project)"
_MODEL: Final = f"if(model IS NULL, NULL, coalesce(shown_model, '{HIDDEN}'))"


def joins(
    by: Collection[str], people: PeopleSettings, agent: str | None = None, days: str = "true"
) -> str:
    """What `columns` of these keys stand in, beside `whose.with_people`. Where small groups are
    merged, it leaves out what is shown on no day, and of one agent what is not told apart.

    Args:
        days: SQL over `day`: of which days it is asked, so that no others are looked at.
    """
    found = _joined_names(by, people)
    if not merges(by, people):
        return found
    found += f" {SHOWN_CELLS}"
    if any(key in by for key in _PROJECTS):
        hides = people.mode is not PeopleMode.NAMED
        shown = f"coalesce(shown_project, '{HIDDEN}')" if hides else _PROJECT
        found += _cells({"project": shown}, people, days)
    if agent is not None or any(key in by for key in _KINDS):
        found += _cells({key: key for key in _KINDS}, people, days)
    return found if agent is None else f"{found} AND told = {SHOWN}"


def _joined_names(by: Collection[str], people: PeopleSettings) -> str:
    """What is shown in place of people, projects and models."""
    hides, found = people.mode is not PeopleMode.NAMED, ""
    for key, name in zip(PERSONS, ("username", PERSON), strict=True):
        if hides and key in by:
            found += f""" JOIN (SELECT person AS of_{key}, shown AS shown_{key} FROM people_shown)
                    ON of_{key} = {name}"""
    if hides and "model" in by:
        found += """ LEFT JOIN (SELECT project AS of_model, shown AS shown_model
                FROM projects_shown) ON of_model = model"""
    if people.hides and any(key in by for key in _PROJECTS):
        found += """ LEFT JOIN (SELECT project AS of_folder, repository AS of_repository,
                    name AS of_name FROM usage_projects)
                ON of_folder IS NOT DISTINCT FROM project
                AND of_repository IS NOT DISTINCT FROM repository"""
        if hides:
            found += f""" LEFT JOIN (SELECT project AS of_project, shown AS shown_project
                    FROM projects_shown) ON of_project = {_PROJECT}"""
    return found


def _cells(names: Mapping[str, str], people: PeopleSettings, days: str) -> str:
    """The cells of each day by these columns of `shown_days`, beside the SQL that they are here."""
    cells = ", ".join(f"{name} AS cell_{name}" for name in names)
    same = " AND ".join(f"cell_{name} IS NOT DISTINCT FROM {sql}" for name, sql in names.items())
    small = small_cells(f"({shown_days(people.mode, days)})", [*names], people.smallest_group)
    return f""" JOIN (SELECT day AS cell_day, {cells}, told FROM ({small}))
        ON cell_day = day AND {same}"""


def shown_days(mode: PeopleMode, days: str = "true") -> str:
    """SELECT of `usage_person_daily` as it may be told apart where small groups are merged: without
    what is shown on no day, with the shown team as `label`, and projects as they are shown."""
    project, joined = "days.project", ""
    if mode is not PeopleMode.NAMED:
        project = f"coalesce(projects_shown.shown, '{HIDDEN}')"
        joined = "LEFT JOIN projects_shown ON projects_shown.project = days.project"
    return f"""SELECT days.* EXCLUDE (project), {project} AS project, label
        FROM usage_person_daily AS days JOIN cells_shown USING (day, team) {joined}
        WHERE label IS NOT NULL AND ({days})"""


BILLS: Final = "(FROM usage_reconciled WHERE status IN ('ok', 'unlogged'))"
"""The bills that are known, of which too little stands in lines or nothing."""


def bills(least: int) -> str:
    """What to select the bills from that may be shown: where small groups are merged, of people who
    are shown, on days on which enough of them have one."""
    if least <= 1:
        return BILLS
    return f"""(SELECT bills.* FROM {with_people(f"{BILLS} AS bills")} {SHOWN_CELLS}
        QUALIFY count(DISTINCT {PERSON}) OVER (PARTITION BY day) >= {least})"""


def unpriced(people: PeopleSettings, within: str = "true", days: str = "true") -> str:
    """SELECT of provider, model, messages, first and last day of what has no price; where small
    groups are merged, of the models alone that are told apart."""
    by = ("model",)
    model = "model" if people.mode is PeopleMode.NAMED else _MODEL
    told = f"AND told = {SHOWN}" if merges(by, people) else ""
    source = with_people("usage_slots") if people.hides else "usage_slots"
    days = f"{days} AND day IN (SELECT day FROM usage_slots WHERE {PRICELESS} > 0)"
    return f"""SELECT provider, {model} AS named, sum({PRICELESS})::BIGINT AS messages,
            min(day), max(day)
        FROM {source} {joins(by, people, days=days)} WHERE {PRICELESS} > 0 AND {within} {told}
        GROUP BY provider, named ORDER BY messages DESC, provider, named"""
