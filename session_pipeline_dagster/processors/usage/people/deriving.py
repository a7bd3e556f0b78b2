"""The directory of people and the groups of projects as parts of the processor: derived tables.

Both are made of a file and made again when it holds something else. While a file cannot be used,
what was good last stays; `checks.py` says so.
"""

from functools import partial

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import Directory, read_directory
from session_pipeline_dagster.processors.usage.money.pricing import content_of
from session_pipeline_dagster.settings import PeopleSettings

PEOPLE, UNITS, PROJECTS, BUDGETS = "people", "org_units", "usage_projects", "budget_status"
SHOWN = "shown"
_PEOPLE = DerivedTable(
    """folder VARCHAR, person VARCHAR, email VARCHAR, team VARCHAR, cost_center VARCHAR,
        valid_from DATE, valid_to DATE""",
    "concat_ws(chr(31), folder, coalesce(valid_from::VARCHAR, ''))",
)
_UNITS = DerivedTable("team VARCHAR, parent VARCHAR, cost_center VARCHAR", "team")
_PROJECTS = DerivedTable(
    "project VARCHAR, repository VARCHAR, name VARCHAR",
    "concat_ws(chr(31), coalesce(project, chr(30)), coalesce(repository, chr(30)))",
)
_UNIT_SEPARATOR, _NULL = "\x1f", "\x1e"


def people_derivation(people: PeopleSettings) -> Derivation:
    """The directory of the file, as tables."""
    return Derivation(
        name=PEOPLE,
        tables={PEOPLE: _PEOPLE, UNITS: _UNITS},
        reads={
            "people": f"SELECT {_PEOPLE.key} FROM {PEOPLE}",
            "units": f"SELECT {_UNITS.key} FROM {UNITS}",
        },
        compute=partial(_people, people),
        first=True,
        basis=partial(content_of, people.directory),
        quick=True,
    )


def _people(people: PeopleSettings, inputs: Inputs) -> Changes:
    try:
        found = read_directory(people.directory) if people.directory else Directory()
    except SettingsError:
        return Changes()
    rows: list[Row] = [
        (one.folder, one.person, one.email, one.team, one.cost_center, one.valid_from, one.valid_to)
        for one in found.memberships
    ]
    units: list[Row] = [(unit.team, unit.parent, unit.cost_center) for unit in found.units]
    removed = {PEOPLE: inputs.rows["people"], UNITS: inputs.rows["units"]}
    return Changes(
        {table: [str(key) for (key,) in keys] for table, keys in removed.items()},
        {PEOPLE: rows, UNITS: units},
        {BUDGETS: ["people"], SHOWN: ["people"]},
        {
            "people": len({one.person for one in found.memberships}),
            "folders": len({one.folder for one in found.memberships}),
            "teams": len(units),
        },
    )


def projects_derivation(people: PeopleSettings) -> Derivation:
    """What each project folder and repository that was ever seen is shown as."""
    return Derivation(
        name=PROJECTS,
        tables={PROJECTS: _PROJECTS},
        reads={
            "seen": "SELECT project, repository FROM usage_sessions GROUP BY ALL",
            "stood": f"FROM {PROJECTS}",
        },
        compute=partial(_projects, people),
        changed=f"""SELECT 'projects' FROM (
                SELECT project, repository FROM usage_sessions SEMI JOIN batch USING (session_file)
                GROUP BY ALL) AS new
            ANTI JOIN {PROJECTS} AS known ON known.project IS NOT DISTINCT FROM new.project
                AND known.repository IS NOT DISTINCT FROM new.repository
            UNION SELECT 'gone' FROM batch ANTI JOIN usage_sessions USING (session_file)""",
        deps=("usage_sessions",),
        first=True,
        basis=partial(content_of, people.projects),
        quick=True,
    )


def _projects(people: PeopleSettings, inputs: Inputs) -> Changes:
    from session_pipeline_dagster.processors.usage.people.projects import Namer, read_projects  # noqa: PLC0415  read when a project is new

    stood = {row[:2]: row[2] for row in inputs.rows["stood"]}
    try:
        namer = Namer(read_projects(people.projects) if people.projects else ())
    except SettingsError:
        # What is new meanwhile goes by its own name, until the file is another one.
        return Changes()
    seen: dict[tuple[object, ...], str | None] = {
        (project, repository): namer.name_of(_name(project), _name(repository))
        for project, repository in inputs.rows["seen"]
    }
    removed = [_key(*pair) for pair, name in stood.items() if seen.get(pair, _NULL) != name]
    added: list[Row] = [
        (*pair, name) for pair, name in seen.items() if stood.get(pair, _NULL) != name
    ]
    notes = {SHOWN: ["projects"]}
    return Changes({PROJECTS: removed}, {PROJECTS: added}, notes, {"projects": len(seen)})


def _name(value: object) -> str | None:
    return None if value is None else str(value)


def _key(*names: object) -> str:
    """As the key of the table in SQL."""
    return _UNIT_SEPARATOR.join(_NULL if name is None else str(name) for name in names)
