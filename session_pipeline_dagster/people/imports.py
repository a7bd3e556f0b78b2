"""Exported files of GitHub, SCIM and LDAP as rows of a directory.

What an export says is taken as it is, and what a directory has no room for (a person in two teams,
two cost centers of one team) is decided here and told. No network: a reference to elsewhere in a
file is left alone. Lines of LDIF are read in `ldif.py`.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.names import cell, plain, short
from session_pipeline_dagster.people.directory import COLUMNS, EMAIL, UNASSIGNED, directory_of
from session_pipeline_dagster.people.groups import ROOT
from session_pipeline_dagster.people.ldif import Entry, entries, first_of
from session_pipeline_dagster.people.rows import Row, shown

_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_DISABLED = 2
"""The bit of Active Directory's userAccountControl."""
_FEW = 5


@dataclass(frozen=True, slots=True)
class Person:
    """One person of an export.

    Attributes:
        folder: their login: what their folder of sessions is assumed to be called.
        teams: every one that they are in, the one that is meant first where the export says it.
    """

    folder: str
    name: str
    email: str = ""
    teams: tuple[str, ...] = ()
    cost_center: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """The rows of a directory, and what was decided or left out on the way, a line each."""

    people: Sequence[Person]
    notes: Sequence[str] = field(default=())

    def csv(self) -> str:
        """The directory as CSV, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in self.people:
            team = one.teams[0] if one.teams else ""
            writer.writerow(
                (one.folder, one.name, one.email, team, one.cost_center, "", "", one.parent)
            )
        return text.getvalue()


def github_teams(path: Path) -> Imported:
    """An answer of GitHub's GraphQL to `organization { teams { nodes { … } } }`, or several of them
    in a list; or a list of teams with `members`.

    Raises:
        SettingsError: the file is none of these, or does not have all.
    """
    teams = [*_teams(path, _json(path))]
    above = {_word(t, "slug", "name"): _above(t) for t in teams}
    names = {_word(t, "slug", "name"): _word(t, "name", "slug") for t in teams}
    found: dict[str, Person] = {}
    of: dict[str, set[str]] = {}
    for team in teams:
        for member in _nodes(path, team.get("members"), f"members of team {_word(team, 'name')}"):
            login = _word(member, "login")
            found.setdefault(login, Person(login, _word(member, "name", "login"), _mail(member)))
            of.setdefault(login, set()).add(_word(team, "slug", "name"))
    people = []
    for login, person in found.items():
        # Members of a team below are listed in those above it, too.
        over = {up for slug in of[login] for up in _chain(slug, above)}
        slugs = sorted(of[login] - over) or sorted(of[login])
        parent = names.get(above.get(slugs[0], ""), "")
        people.append(replace(person, teams=tuple(names[s] for s in slugs), parent=parent))
    return _settled(path, people)


def scim(path: Path) -> Imported:
    """Users of SCIM 2.0, and groups where they are there too: a ListResponse, several in a list, or
    a list of resources.

    Raises:
        SettingsError: the file is none of these, or does not have all.
    """
    resources = [*_resources(path, _json(path))]
    groups: dict[str, set[str]] = {}
    for group in resources:
        # A member of a group, and a group of a member: a service may say one, or both.
        for member in map(_map, _list(group.get("members"))):
            groups.setdefault(_word(member, "value"), set()).add(_word(group, "displayName"))
    people, inactive = [], 0
    for user in resources:
        if not _word(user, "userName"):
            continue
        if _says(user.get("active"), yes=False):
            inactive += 1
            continue
        more = _map(user.get(_ENTERPRISE))
        department = _word(more, "department")
        own = {_word(one, "display") for one in map(_map, _list(user.get("groups")))}
        of = (groups.get(_word(user, "id"), set()) | own) - {""}
        teams = (department,) if department else tuple(sorted(of))
        people.append(
            Person(
                _word(user, "userName"),
                _word(user, "displayName") or _name(_map(user.get("name"))),
                _mail(user),
                teams,
                _word(more, "costCenter"),
                _word(more, "division"),
            )
        )
    return _settled(path, people, _left_out(inactive, "not active"))


def ldif(path: Path) -> Imported:
    """People of an LDAP server as LDIF: those with `uid` or `sAMAccountName`; the team is their
    `department`, else `ou`, else the group (`member`, `memberUid`, `memberOf`) that they are in.

    Raises:
        SettingsError: the file is no LDIF; names the line.
    """
    found = [*entries(str(path), _bytes(path))]
    groups: dict[str, set[str]] = {}
    for group in found:
        members = (*group.all("member"), *group.all("uniquemember"), *group.all("memberuid"))
        for member in members:
            groups.setdefault(member.casefold(), set()).add(group.first("cn"))
    people, disabled = [], 0
    for entry in found:
        login = entry.first("uid", "samaccountname")
        if not login or entry.first("changetype") not in ("", "add"):
            continue
        if _is_disabled(entry):
            disabled += 1
            continue
        own = entry.first("department", "ou")
        of = groups.get(entry.dn.casefold(), set()) | groups.get(login.casefold(), set())
        of |= {first_of(name) for name in entry.all("memberof")}
        people.append(
            Person(
                login,
                entry.first("displayname", "cn"),
                entry.first("mail"),
                (own,) if own else tuple(sorted(of - {""})),
                entry.first("costcenter", "departmentnumber"),
            )
        )
    return _settled(path, people, _left_out(disabled, "disabled"))


# --- what all have in common ---------------------------------------------------------------------


def _settled(path: Path, given: Sequence[Person], notes: Sequence[str] = ()) -> Imported:
    """People as a directory can have them.

    Raises:
        SettingsError: a directory of them makes no sense; the message names the file.
    """
    notes = [*notes]
    once: dict[str, Person] = {}
    for one in given:
        # Half a character is in no folder's name.
        if _is_text(one.folder):
            once.setdefault(one.folder, _tidy(one))
    if len(once) < len(given):
        notes.append(f"{len(given) - len(once)} left out: without a login, or with that of another")
    people = [*once.values()]
    if several := [one.folder for one in people if len(one.teams) > 1]:
        notes.append(f"in several teams, put in the first by name: {_named(several)}")
    names = Counter(one.name for one in people)
    people = [
        replace(one, name=_label(f"{one.name} ({one.folder})")) if names[one.name] > 1 else one
        for one in people
    ]
    seen: set[str] = set()
    for place, one in enumerate(people):
        if one.email.casefold() in seen:
            notes.append(f"{shown(one.folder)} has the address of another; left empty")
            people[place] = replace(one, email="")
        elif one.email:
            seen.add(one.email.casefold())
    people = _agreed(people, "cost_center", lambda one: one.cost_center, notes)
    people = _agreed(people, "parent", lambda one: one.parent, notes)
    made = Imported(people, tuple(notes))
    if not people:
        raise SettingsError(f"{path}: there are no people in it")
    _check(path, made)
    return made


def _tidy(one: Person) -> Person:
    teams = tuple(t for t in map(_label, one.teams) if t and t not in (ROOT, UNASSIGNED))
    parent = _label(one.parent) if teams and _label(one.parent) != teams[0] else ""
    return Person(
        one.folder,
        _label(one.name) or _label(one.folder),
        _label(one.email) if EMAIL.fullmatch(_label(one.email)) else "",
        teams,
        _label(one.cost_center) if teams else "",
        "" if parent == UNASSIGNED else parent,
    )


def _label(text: str) -> str:
    """A text as a directory has it; somebody's own words are no formula of who opens the file."""
    return short(cell(normalize("NFC", plain(text)).strip()))


def _is_text(name: str) -> bool:
    return bool(name) and not any("\ud800" <= sign <= "\udfff" for sign in name)


def _agreed(
    people: Sequence[Person], column: str, value_of: Callable[[Person], str], notes: list[str]
) -> list[Person]:
    """A team has one cost center and one parent; where people say several, it has none."""
    said: dict[str, set[str]] = {}
    for one in people:
        if one.teams and value_of(one):
            said.setdefault(one.teams[0], set()).add(value_of(one))
    if unclear := sorted(team for team, values in said.items() if len(values) > 1):
        notes.append(f"left empty, people say several: {column} of {_named(unclear)}")
    cleared: Mapping[str, Any] = {column: ""}
    return [
        replace(one, **cleared) if one.teams and one.teams[0] in unclear else one for one in people
    ]


def _check(path: Path, made: Imported) -> None:
    """What is written can be read."""
    values = [
        dict(zip(COLUMNS, (p.folder, p.name, p.email, p.teams[0] if p.teams else "",
                           p.cost_center, "", "", p.parent), strict=True))
        for p in made.people
    ]  # fmt: skip
    directory_of(
        [
            Row(f"{path} as CSV", line, {k: v for k, v in one.items() if v})
            for line, one in enumerate(values, start=2)
        ]
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return f"{', '.join(shown(name) for name in names[:_FEW])}{more}"


def _left_out(number: int, why: str) -> list[str]:
    return [f"{number} left out: {why}"] if number else []


# --- reading -------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read ({type(error).__name__})") from None


def _json(path: Path) -> object:
    """The document; where there are several one after the other, as `gh api --paginate` writes
    pages, a list of them."""
    try:
        text = _bytes(path).decode("utf-8-sig").strip()
        found, end = list[Any](), 0
        while end < len(text):
            one, end = json.JSONDecoder().raw_decode(text, end)
            found.append(one)
            while end < len(text) and text[end].isspace():
                end += 1
    except (ValueError, RecursionError):
        found = []
    if not found:
        raise SettingsError(f"{path} is no JSON; it takes an exported file")
    if len(found) > 1:
        return [one for page in found for one in (_list(page) or [page])]
    return found[0]


def _teams(path: Path, document: object) -> Iterator[Mapping[str, Any]]:
    for one in _list(document) or [document]:
        value = _map(one)
        if "members" in value:
            yield value
            continue
        found = _map(_map(value.get("data", value)).get("organization")).get("teams")
        if found is None:
            takes = "data.organization.teams.nodes, or a list of teams with members"
            if "members_url" in value:
                takes += (
                    "; REST answers with teams that have none, so ask as `docs/people.md` shows"
                )
            raise SettingsError(f"{path} is no export of GitHub teams; it takes {takes}")
        # `gh api --paginate` writes every page of the teams, but no further one of the members.
        yield from _nodes(path, found, "teams", pages=isinstance(document, list))


def _nodes(path: Path, value: object, what: str, *, pages: bool = False) -> list[Mapping[str, Any]]:
    if isinstance(value, list):
        return [_map(one) for one in value]
    found = _map(value)
    if not pages and _map(found.get("pageInfo")).get("hasNextPage") is True:
        raise SettingsError(f"{path}: {what} are not all in the file; ask for the next pages, too")
    edges = [_map(one).get("node") for one in _list(found.get("edges"))]
    return [_map(one) for one in _list(found.get("nodes")) or edges]


def _above(team: Mapping[str, Any]) -> str:
    return _word(_map(team.get("parentTeam") or team.get("parent")), "slug", "name")


def _chain(slug: str, above: Mapping[str, str]) -> Iterator[str]:
    """Everything above a team, each once."""
    seen = {slug}
    while (slug := above.get(slug, "")) and slug not in seen:
        seen.add(slug)
        yield slug


def _resources(path: Path, document: object) -> Iterator[Mapping[str, Any]]:
    pages = [_map(one) for one in _list(document) or [document]]
    if any("Resources" in page for page in pages):
        found = [_map(one) for page in pages for one in _list(page.get("Resources"))]
        total = max(page.get("totalResults", 0) for page in pages)
        if isinstance(total, int) and total > len(found):
            what = f"the file has {len(found)} of {total} resources; ask for the other pages, too"
            raise SettingsError(f"{path}: {what}")
        pages = found
    if not any("userName" in one for one in pages):
        takes = "a ListResponse with Resources, or a list of users"
        raise SettingsError(f"{path} has no users of SCIM; it takes {takes}")
    yield from pages


def _mail(value: Mapping[str, Any]) -> str:
    """The address: GitHub's, or the primary of SCIM's, else the first."""
    if isinstance(value.get("email"), str):
        return _word(value, "email")
    mails = [_map(one) for one in _list(value.get("emails"))]
    chosen = next((one for one in mails if _says(one.get("primary"))), (mails or [{}])[0])
    return _word(chosen, "value")


def _name(value: Mapping[str, Any]) -> str:
    given = (_word(value, "givenName"), _word(value, "familyName"))
    return _word(value, "formatted") or " ".join(filter(None, given))


def _is_disabled(entry: Entry) -> bool:
    flags = entry.first("useraccountcontrol")
    return flags.isdecimal() and bool(int(flags[:10]) & _DISABLED)


def _says(value: object, *, yes: bool = True) -> bool:
    """Whether this is said, as a boolean or, as some services write it, as text."""
    return value is yes or (isinstance(value, str) and value.casefold() == str(yes).casefold())


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _word(value: Mapping[str, Any], *names: str) -> str:
    """The first of these that is text and not blank; else nothing."""
    texts: Iterable[object] = (value.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")
