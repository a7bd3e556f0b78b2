"""What is shown in place of people, projects and small teams, as tables: `published.py` joins them.

They are derived, so that every page, export and file says the same of the same day.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Any

from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable, Inputs
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import PeopleMode, Settings

PEOPLE, PROJECTS, CELLS = "people_shown", "projects_shown", "cells_shown"
TABLES = {
    PEOPLE: DerivedTable("person VARCHAR, shown VARCHAR", "person"),
    PROJECTS: DerivedTable("project VARCHAR, shown VARCHAR", "project"),
    CELLS: DerivedTable(
        "day DATE, team VARCHAR, label VARCHAR, cost_center VARCHAR, active BIGINT",
        "concat_ws(chr(31), day::VARCHAR, team)",
    ),
}
_NAMES = """SELECT username AS name FROM usage_activity_daily UNION SELECT username FROM usage_daily
    UNION SELECT person FROM people UNION SELECT folder FROM people"""
_EMAILS = "SELECT DISTINCT email FROM people WHERE email IS NOT NULL"
_SHOWN = """SELECT project FROM usage_person_daily WHERE project IS NOT NULL
    UNION SELECT model FROM usage_daily WHERE model IS NOT NULL"""
_FOLDERS = """SELECT DISTINCT project FROM usage_daily WHERE project IS NOT NULL"""
_ACTIVE = """WITH active AS (
        SELECT DISTINCT day, team, cost_center, person FROM usage_person_daily),
    counted AS (SELECT *, row_number() OVER (PARTITION BY day, person ORDER BY team) AS place
        FROM active)
    SELECT day, team, count(DISTINCT person), count(*) FILTER (place = 1),
        CASE WHEN count(DISTINCT coalesce(cost_center, '')) = 1 THEN any_value(cost_center) END
    FROM counted GROUP BY day, team"""
_UNITS = "SELECT team, any_value(parent), any_value(cost_center) FROM org_units GROUP BY team"


def shown_derivation(settings: Settings) -> Derivation:
    """What is shown as things are set: empty tables where nobody is hidden."""
    people = settings.people
    reads = {table: f"SELECT {one.key}, * FROM {table}" for table, one in TABLES.items()}
    if people.mode is not PeopleMode.NAMED:
        reads |= {"names": _NAMES, "emails": _EMAILS, "projects": _SHOWN, "folders": _FOLDERS}
    if people.smallest_group > 1:
        reads |= {"active": _ACTIVE, "units": _UNITS}
    return Derivation(
        name="shown",
        tables=TABLES,
        reads=reads,
        compute=partial(_shown, settings),
        basis=partial(_basis, settings),
        deps=("usage_daily", "usage_activity_daily", "people", "org_units"),
        # Where nobody is hidden there is nothing to find out.
        quick=not people.hides,
    )


def _basis(settings: Settings) -> str:
    people = settings.people
    said = f"{people.mode.value} {people.smallest_group}"
    if people.mode is PeopleMode.NAMED:
        return said
    from hashlib import sha256  # noqa: PLC0415  it loads OpenSSL, and who hides nobody need not

    from session_pipeline_dagster.people.pseudonyms import key_file, read_key  # noqa: PLC0415  as above

    try:
        # Which key it is, not what it is: the database leaves the machine in backups.
        return f"{said} {sha256(read_key(key_file(settings))).hexdigest()[:16]}"
    except SettingsError:
        return f"{said} no key"


def _shown(settings: Settings, inputs: Inputs) -> Changes:
    # Types are those of the SELECTs.
    rows: Any = inputs.rows
    found: dict[str, Iterable[tuple[object, ...]]] = {}
    if "names" in rows:
        from session_pipeline_dagster.people.projects import NamesOfPeople, homes, shown_project  # noqa: PLC0415  as above
        from session_pipeline_dagster.people.veil import veil_of  # noqa: PLC0415  as above

        veil, names = veil_of(settings), [name for (name,) in rows["names"] if name is not None]
        folders = frozenset(name for (name,) in rows["folders"])
        emails = (email for (email,) in rows["emails"])
        called = NamesOfPeople.of([*names, *emails, *homes(folders)])
        found[PEOPLE] = ((name, str(veil.person(name))) for name in names)
        found[PROJECTS] = (
            (name, shown_project(name, folders, called)) for (name,) in rows["projects"]
        )
    if "active" in rows:
        found[CELLS] = _cells(rows["active"], rows["units"], settings.people.smallest_group)
    removed, added = {}, {}
    for table in TABLES:
        stood = {row: key for key, *values in rows[table] if (row := tuple(values))}
        fresh = {*found.get(table, ())}
        removed[table] = [key for row, key in stood.items() if row not in fresh]
        added[table] = [row for row in fresh if row not in stood]
    return Changes(removed, added)


def _cells(
    active: Iterable[tuple[date, str, int, int, str | None]],
    units: Iterable[tuple[str, str | None, str | None]],
    least: int,
) -> Iterable[tuple[object, ...]]:
    """The rows of `cells_shown`: a cell alone keeps its people and its cost center."""
    from session_pipeline_dagster.people.groups import Cell, labels  # noqa: PLC0415  who merges nothing does not wait for it

    known = [*units]
    parents = {team: parent for team, parent, _ in known if parent}
    centers = {team: center for team, _, center in known}
    days: dict[date, list[tuple[Any, str | None]]] = defaultdict(list)
    for day, team, people, counted, center in active:
        days[day].append((Cell(team, people, counted), center))
    for day, cells in days.items():
        found = labels((cell for cell, _ in cells), parents, least)
        together: dict[str | None, int] = defaultdict(int)
        for label in found.values():
            together[label] += 1
        for cell, center in cells:
            label = found[cell.team]
            alone = together[label] == 1
            yield (
                day,
                cell.team,
                label,
                center if alone else centers.get(label or ""),
                cell.active if alone else cell.counted,
            )
