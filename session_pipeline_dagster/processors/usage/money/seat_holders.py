"""Seats of somebody whom nobody knows, or of a team that nobody is in: money that is nobody's.

A seat of a person is charged whether anybody is called so or not, and one of a team costs nothing
where nobody is in it; both are as silent as a name that is misspelt.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from session_pipeline_dagster.processors.usage.money.seats import Seat
from session_pipeline_dagster.processors.usage.money.toml_file import nearest, shown

_NAMES = """SELECT folder, NULL FROM people UNION SELECT person, NULL FROM people
    UNION SELECT email, person FROM people WHERE email IS NOT NULL
    UNION SELECT username, NULL FROM usage_slots"""
"""SELECT of what a person is called, and where that is an address, of whom it is."""


def strangers(
    file: Path,
    seats: Sequence[Seat],
    select: Callable[[str], Sequence[Sequence[object]]],
    *,
    hides: bool,
) -> list[str]:
    """A sentence for each such seat, with file and line.

    Args:
        hides: whether something of people is hidden; then no person is named, and no other team.
    """
    teams = {str(team) for (team,) in select("SELECT DISTINCT team FROM people")} - {"None"}
    above = {str(team) for (team,) in select("SELECT team FROM org_units")}
    names, addresses = set[str](), dict[str, str]()
    if any(seat.person for seat in seats):
        for name, of in select(_NAMES):
            if of is None:
                names.add(str(name))
            else:
                addresses[str(name)] = str(of)
    found = []
    for seat in seats:
        if seat.team and seat.team not in teams:
            what = _of_a_team(seat.team, teams, above, hides=hides)
        elif seat.person and seat.person not in names:
            what = _of_a_person(seat.person, names, addresses, hides=hides)
        else:
            continue
        found.append(f"{file}:{seat.line}: {what}")
    return found


def _of_a_team(name: str, teams: set[str], above: set[str], *, hides: bool) -> str:
    if not teams:
        return (
            f"team {shown(name)} has nobody in it: there is no directory "
            "(SESSION_PIPELINE_DIRECTORY), or no run has taken it; the seat costs nothing"
        )
    what = f"the directory has nobody in team {shown(name)}, so the seat costs nothing"
    if name in above:
        return f"{what}; the team is only above others, and a seat is of a team's own people"
    return what + ("" if hides else nearest(name, teams))


def _of_a_person(name: str, names: set[str], addresses: Mapping[str, str], *, hides: bool) -> str:
    if hides:
        return "no folder of sessions and nobody in the directory is called as this seat says"
    what = f"no folder of sessions and nobody in the directory is called {shown(name)}"
    if person := addresses.get(name.casefold()):
        return f"{what}; that is the address of {shown(person)}, and a seat takes the name"
    return what + nearest(name, names)
