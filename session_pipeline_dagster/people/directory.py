"""Who is who: which person a folder of sessions belongs to, in which team and when.

A directory is checked whole, so that whatever reads it may rely on it: periods of a folder do not
overlap, a team has one parent and one cost center, and no team is above itself. How a file is read
is `rows.py`; nothing here knows what anybody used.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from session_pipeline_dagster.names import LONGEST, printable, short
from session_pipeline_dagster.people.groups import ROOT
from session_pipeline_dagster.people.rows import Row, read_rows, shown

UNASSIGNED = "(unassigned)"
"""The team of what nobody's row names."""
COLUMNS = ("folder", "person", "email", "team", "cost_center", "from", "to", "parent")
"""Those that mean something; every other one is an attribute."""

EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
"""What an address looks like, at least."""

_RESERVED = (ROOT, UNASSIGNED)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Membership:
    """Whose a folder is on some days, and where that person belongs.

    Attributes:
        folder: as rows of usage name it; compared exactly.
        email: case-folded.
        cost_center: of the team.
        valid_from, valid_to: first and last day, inclusive, UTC; None = open.
        attributes: other columns of the row, as they stand.
        line: of the row in the file.
    """

    folder: str
    person: str
    email: str | None = None
    team: str | None = None
    cost_center: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """A team, what is above it, and who pays."""

    team: str
    parent: str = ROOT
    cost_center: str | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Everybody, in the order of the file, and every team by its name."""

    memberships: tuple[Membership, ...] = ()
    units: tuple[Unit, ...] = ()


def read_directory(path: Path) -> Directory:
    """The directory in a CSV or YAML file.

    Raises:
        DirectoryError: it cannot be used; the message names file, line and column.
    """
    return directory_of(read_rows(path))


def directory_of(rows: Sequence[Row]) -> Directory:
    """The directory of these rows; linear in them, but for a sort.

    Raises:
        DirectoryError: as `read_directory`.
    """
    entries = [_Entry(_membership(row), row, place) for place, row in enumerate(rows)]
    _refuse_overlaps(entries)
    _refuse_shared_addresses(entries)
    parents = _one_each(entries, "parent", lambda entry: _parent(entry.row))
    centers = _one_each(entries, "cost_center", lambda entry: entry.one.cost_center)
    _refuse_circles(parents)
    teams = {e.one.team for e in entries if e.one.team} | {up for up, _ in parents.values()}
    units = [
        Unit(
            team,
            parents[team][0] if team in parents else ROOT,
            centers[team][0] if team in centers else None,
        )
        for team in sorted(teams - {ROOT})
    ]
    paid = {unit.team: unit.cost_center for unit in units}
    members = (replace(e.one, cost_center=paid.get(e.one.team or "")) for e in entries)
    return Directory(tuple(members), tuple(units))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a row says, and its place among the rows: several may stand in one line of YAML."""

    one: Membership
    row: Row
    place: int


def _membership(row: Row) -> Membership:
    if "folder" not in row.values:
        raise row.fail("folder", "folder is missing; it takes the name of a folder of sessions")
    # As it stands: a folder may be called anything, and "é" in two ways.
    folder = row.values["folder"]
    email = _text(row, "email")
    if email and not EMAIL.fullmatch(email):
        raise row.fail("email", f"{shown(email)} is no address such as ann@example.org")
    email = email.casefold() if email else None
    team, cost_center = _text(row, "team"), _text(row, "cost_center")
    if team in _RESERVED:
        raise row.fail("team", f"{team} is what others are called; leave it empty for no team")
    for column in ("cost_center", "parent"):
        if column in row.values and not team:
            raise row.fail("team", f"{column} is of a team, and there is none in this row")
    first, last = _day(row, "from"), _day(row, "to")
    if first and last and last < first:
        raise row.fail("to", f"to is {last}, which is before from, {first}")
    return Membership(
        short(folder),
        _text(row, "person") or email or short(folder),
        email,
        team,
        cost_center,
        first,
        last,
        {name: value for name, value in row.values.items() if name not in COLUMNS},
        row.line,
    )


def _text(row: Row, column: str) -> str | None:
    """A name; spaces around it and the two ways to write an accent are no difference."""
    if column not in row.values:
        return None
    text = unicodedata.normalize("NFC", row.values[column].strip())
    if printable(text) != text:
        raise row.fail(column, f"{shown(text)} has characters that do not show; write plain text")
    if len(text) > LONGEST:
        raise row.fail(column, f"{shown(text)} is longer than {LONGEST} characters")
    return text


def _day(row: Row, column: str) -> date | None:
    if column not in row.values:
        return None
    text = row.values[column].strip()
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise row.fail(column, f"{shown(text)} is no day; it takes one such as 2026-10-31, or nothing")


# --- rules over all rows -------------------------------------------------------------------------


def _refuse_overlaps(entries: Sequence[_Entry]) -> None:
    for folder, same in _grouped(entries, lambda entry: entry.one.folder).items():
        if clash := _clash(same, lambda entry: entry.place):
            earlier, later = clash
            raise later.row.fail(
                "from",
                f"folder {shown(folder)} has a row for these days already, line "
                f"{earlier.row.line}; both from and to are days of a period, so end one before the "
                "other begins",
            )


def _refuse_shared_addresses(entries: Sequence[_Entry]) -> None:
    """Two people of one name would be added up as one, and one of two names counted as two."""
    having = [entry for entry in entries if entry.one.email]
    first: dict[str, _Entry] = {}
    for entry in having:
        address = entry.one.email or ""
        other = first.setdefault(address, entry)
        if other.one.person != entry.one.person:
            raise entry.row.fail(
                "email",
                f"{shown(address)} is {shown(other.one.person)} in line {other.row.line}; write "
                "one name for one person",
            )
    for person, same in _grouped(having, lambda entry: entry.one.person).items():
        if clash := _clash(same, lambda entry: entry.one.email):
            earlier, later = clash
            raise later.row.fail(
                "email",
                f"{shown(person)} has another address in line {earlier.row.line} on the same days; "
                "if they are two people, give them two names, else one address",
            )


def _parent(row: Row) -> str | None:
    parent = _text(row, "parent")
    if parent == UNASSIGNED:
        raise row.fail("parent", f"{parent} is no team; leave it empty for none")
    return parent


def _one_each(
    entries: Sequence[_Entry], column: str, value_of: Callable[[_Entry], str | None]
) -> dict[str, tuple[str, Row]]:
    """Team -> the one value that its rows give it, and where; rows that say nothing agree."""
    values: dict[str, tuple[str, Row]] = {}
    for entry in entries:
        team, value = entry.one.team, value_of(entry)
        if team is None or value is None:
            continue
        known, where = values.setdefault(team, (value, entry.row))
        if known != value:
            raise entry.row.fail(
                column,
                f"team {shown(team)} has {shown(value)} here and {shown(known)} in line "
                f"{where.line}; a team has one {column}, so give a new one a new name",
            )
    return values


def _refuse_circles(parents: Mapping[str, tuple[str, Row]]) -> None:
    """Every team is walked over once."""
    ends: set[str] = set()
    for start in parents:
        way: dict[str, None] = {}
        team = start
        while team in parents and team not in ends:
            if team in way:
                names = [*way]
                circle = names[names.index(team) :]
                row = max((parents[one][1] for one in circle), key=lambda row: row.line)
                told = " is below ".join(shown(one) for one in (*circle[:3], circle[0]))
                more = ", with others between" if len(circle) > len(circle[:3]) else ""
                raise row.fail("parent", f"a team would be above itself: {told}{more}")
            way[team] = None
            team = parents[team][0]
        ends.update(way)


def _grouped(
    entries: Iterable[_Entry], name_of: Callable[[_Entry], str]
) -> dict[str, list[_Entry]]:
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(name_of(entry), []).append(entry)
    return groups


def _clash(
    entries: Sequence[_Entry], kind_of: Callable[[_Entry], object]
) -> tuple[_Entry, _Entry] | None:
    """Two of another kind that share a day, in their order; None where there are none."""
    # All of another kind that began before have ended, or they would have been the answer.
    longest: _Entry | None = None
    for entry in sorted(entries, key=_begins):
        if longest and kind_of(longest) != kind_of(entry) and _begins(entry) <= _ends(longest):
            earlier, later = sorted((longest, entry), key=lambda one: one.place)
            return earlier, later
        if longest is None or _ends(entry) > _ends(longest):
            longest = entry
    return None


def _begins(entry: _Entry) -> date:
    return entry.one.valid_from or date.min


def _ends(entry: _Entry) -> date:
    return entry.one.valid_to or date.max
