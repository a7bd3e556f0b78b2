"""What `usage` may be asked and answers where people, or small groups of them, are hidden."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

_PERSON = ("user", "person")
_NAMING = ("session", "branch")
_TIME = ("day", "week", "month", "hour")
_TEAM = ("team", "cost_center")
_T = TypeVar("_T", bound=Hashable)


def check_keys(by: Sequence[str], people: PeopleSettings) -> None:
    """Refuse keys whose values would show more than may be shown.

    Raises:
        SettingsError: says which, why, and what to ask instead.
    """
    mode = people.mode
    hidden = {
        PeopleMode.NAMED: (),
        PeopleMode.PSEUDONYM: _NAMING,
        PeopleMode.TEAM: _PERSON + _NAMING,
    }
    for key in by:
        if key in hidden:
            raise SettingsError(
                f"--by {key} shows people or what names them, which SESSION_PIPELINE_PEOPLE="
                f"{mode.value} hides; ask --by team, project, model or day"
            )
    if people.smallest_group > 1:
        others = [key for key in by if key not in (*_TIME, *_TEAM)]
        if len(others) > 1 or (others and any(key in _TEAM for key in by)):
            raise SettingsError(
                f"--by {','.join(by)} would tell small groups apart, which "
                f"SESSION_PIPELINE_MIN_GROUP={people.smallest_group} hides; ask by one of them"
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """A row that may be too small to be shown: how it is named among others of its time, when it
    was, and whose it is."""

    time: tuple[str | None, ...]
    people: frozenset[str]


def too_small(cells: Mapping[_T, Cell], least: int) -> Collection[_T]:
    """Which cells are shown together as one: those of fewer than `least` people, with the next
    smallest of their time where they would be alone or are still too few."""
    times: dict[tuple[str | None, ...], list[_T]] = {}
    for name, cell in cells.items():
        times.setdefault(cell.time, []).append(name)
    hidden: set[_T] = set()
    for names in times.values():
        order = sorted(names, key=lambda name: len(cells[name].people))
        few = [name for name in order if len(cells[name].people) < least]
        rest = order[len(few) :]
        while few and rest and (len(few) == 1 or len(_together(few, cells)) < least):
            few.append(rest.pop(0))
        hidden.update(few)
    return hidden


def _together(names: Sequence[_T], cells: Mapping[_T, Cell]) -> frozenset[str]:
    return frozenset().union(*(cells[name].people for name in names))
