"""Checks of the directory and of the groups of projects: whether the files are good, and whom the
directory does not name."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial

from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import Directory, read_directory
from session_pipeline_dagster.people.rows import DirectoryError
from session_pipeline_dagster.processors.usage.people.whose import FIRST, LAST
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

_NAMED, _FEW = 20, 5
_MONTH, _MUCH = 30, 5
_PERIODS = "outside its periods"

# A clock that was ahead must not make all others old.
_UNASSIGNED = f"""
    WITH days AS (
        SELECT day, username, sum(messages)::BIGINT AS messages FROM usage_slots GROUP BY ALL),
    nobody AS (
        FROM days ANTI JOIN people ON folder = username AND day >= {FIRST} AND day <= {LAST}),
    newest AS (SELECT max(day) AS last FROM days WHERE day <= current_date + 1)
    SELECT username, sum(messages)::BIGINT AS messages, min(day), max(day),
        username IN (SELECT folder FROM people),
        coalesce(sum(messages) FILTER (day > last - {_MONTH} AND day <= last), 0)::BIGINT
    FROM nobody CROSS JOIN newest GROUP BY username ORDER BY messages DESC, username"""
_OF_A_MONTH = f"""SELECT coalesce(sum(messages), 0)::BIGINT FROM usage_slots,
        (SELECT max(day) AS last FROM usage_slots WHERE day <= current_date + 1)
    WHERE day > last - {_MONTH} AND day <= last"""


def people_rules(people: PeopleSettings) -> Sequence[Quality]:
    """The checks of the two files, and of who is in none."""
    return (
        Quality(
            "directory_file",
            "people",
            "The directory that `SESSION_PIPELINE_DIRECTORY` names can be read and makes sense. "
            "While it does not, the last good one stays in use. `session-pipeline directory check` "
            "says the same of a file before it is put in place.",
            partial(_directory_is_good, people),
            glance=True,
        ),
        Quality(
            "projects_file",
            "usage_daily",
            "The file that `SESSION_PIPELINE_PROJECTS` names can be read and makes sense. While it "
            "does not, what was good last stays, and a repository that is new has its own name.",
            partial(_projects_are_good, people),
            glance=True,
        ),
        Quality(
            "unassigned_people",
            "people",
            "Every folder with usage is named by the directory, on the days of its usage. "
            f"Information as long as it is less than {_MUCH} % of the newest {_MONTH} days, then a "
            "warning: the sums of teams are too low. Add rows to the directory; a folder that is "
            "written with another accent or case than in the file is another folder.",
            partial(_unassigned, people),
            glance=True,
        ),
    )


def _directory_is_good(people: PeopleSettings, _: Data) -> Measured:
    try:
        found = read_directory(people.directory) if people.directory else Directory()
    except DirectoryError as error:
        if people.mode is PeopleMode.NAMED:
            return Measured(1, said=str(error))
        # What is wrong may quote a name; the command says it to whoever may read the file.
        column = f", column {error.column}" if error.column else ""
        why = "`session-pipeline directory check` says why"
        return Measured(1, said=f"{error.file}:{error.line}{column} cannot be used; {why}")
    persons = len({one.person for one in found.memberships})
    numbers = {"people": persons, "teams": len(found.units), "rows": len(found.memberships)}
    said = f"{persons} people, {len(found.units)} team{'s' * (len(found.units) != 1)}"
    return Measured(0, numbers, said=said if people.directory else "nothing is set")


def _projects_are_good(people: PeopleSettings, _: Data) -> Measured:
    if not people.projects:
        return Measured(0, {"projects": 0}, said="nothing is set")
    from session_pipeline_dagster.processors.usage.people.projects import read_projects  # noqa: PLC0415  who has no such file does not wait for it

    try:
        found = len(read_projects(people.projects))
    except SettingsError as error:
        return Measured(1, said=str(error))
    return Measured(0, {"projects": found}, said=f"{found} in the file")


def _unassigned(people: PeopleSettings, data: Data) -> Measured:
    rows = data.select(_UNASSIGNED)
    ((whole,),) = data.select(_OF_A_MONTH)
    if not people.directory:
        return Measured(0, said="nothing is set")
    alike = {
        _alike(str(folder)): str(folder) for (folder,) in data.select("SELECT folder FROM people")
    }
    listed = [
        {
            "folder": str(folder),
            "messages": int(str(messages)),
            "first_day": str(first),
            "last_day": str(last),
            "why": _PERIODS if known else _why(str(folder), alike),
        }
        for folder, messages, first, last, known, _ in rows
    ]
    recent = sum(int(str(row[-1])) for row in rows)
    share = 100 * recent / int(str(whole)) if int(str(whole)) else 0.0
    status = "warning" if share > _MUCH else "info" if rows else "ok"
    numbers: dict[str, int | float] = {"folders": len(rows)}
    # A share of few people, and the messages of all, would be theirs.
    told = len(rows) >= people.smallest_group
    if told or not rows:
        numbers["recent_percent"] = round(share, 2)
    named = people.mode is PeopleMode.NAMED
    return Measured(
        len(rows) if status == "warning" else 0,
        numbers,
        listed[:_NAMED] if named else (),
        _said(listed, share if told else None, named=named) if rows else "",
        status,
    )


def _said(listed: Sequence[Mapping[str, str | int]], share: float | None, *, named: bool) -> str:
    names = ", ".join(str(one["folder"]) for one in listed[:_FEW])
    who = f": {names}{', ...' if listed[_FEW:] else ''}" if named else ""
    folders = f"{len(listed)} folder{'s' * (len(listed) != 1)}"
    said = f"the directory does not name {folders} on days with usage{who}"
    if share is None:
        return said
    return f"{said}; {share:.1f} % of the messages of the newest {_MONTH} days"


def _why(folder: str, alike: Mapping[str, str]) -> str:
    other = alike.get(_alike(folder))
    return f"the directory has it spelt otherwise, as {other!a}" if other else "in no row"


def _alike(folder: str) -> str:
    return unicodedata.normalize("NFKC", folder.strip()).casefold()
