"""Which project a session is shown under: a group of projects.toml, else its repository.

The repository is the last part of the session's first working folder: no transcript says what the
git remote is. Put nothing here that knows a database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from session_pipeline_dagster.processors.usage.money.toml_file import Section, read, shown

_NOT_IN_A_FOLDER_NAME = re.compile(r"[^A-Za-z0-9*?]")
_KINDS = ("repositories", "folders", "paths")


@dataclass(frozen=True, slots=True)
class Group:
    """One project and what belongs to it.

    Attributes:
        repositories, folders: globs over names of repositories, and of project folders as Claude
            Code names them (`-home-ann-shop`); `*` is any text, and case matters.
    """

    name: str
    repositories: tuple[re.Pattern[str], ...] = ()
    folders: tuple[re.Pattern[str], ...] = ()


def read_projects(path: Path) -> tuple[Group, ...]:
    """The groups of a file, in its order.

    Raises:
        SettingsError: the file cannot be used; the message names file and line.
    """
    document = read(path)
    document.only(arrays=("project",))
    found: dict[str, int] = {}
    groups = []
    for section in document.arrays.get("project", ()):
        group = _group(section)
        if group.name in found:
            what = f"line {found[group.name]} has a project of this name; write it once"
            raise section.fail(what, "name")
        found[group.name] = section.line
        groups.append(group)
    return tuple(groups)


class Namer:
    """What projects are called; names that come often are matched once."""

    def __init__(self, groups: tuple[Group, ...]) -> None:
        self._groups = groups
        self._places: dict[tuple[str, str], int | None] = {}

    def name_of(self, project: str | None, repository: str | None) -> str | None:
        """The first group that either name belongs to, else the repository, else the folder."""
        places = (self._place("repositories", repository), self._place("folders", project))
        first = min((place for place in places if place is not None), default=None)
        return (repository or project) if first is None else self._groups[first].name

    def _place(self, kind: str, name: str | None) -> int | None:
        if name is None:
            return None
        if (kind, name) not in self._places:
            matching = (
                place
                for place, group in enumerate(self._groups)
                if any(glob.match(name) for glob in getattr(group, kind))
            )
            self._places[kind, name] = next(matching, None)
        return self._places[kind, name]


def _group(section: Section) -> Group:
    section.only("name", *_KINDS)
    given: Mapping[str, tuple[str, ...]] = {
        kind: section.texts(kind) if kind in section else () for kind in _KINDS
    }
    if not any(given.values()):
        what = f"project {shown(section.text('name'))} has none of {', '.join(_KINDS)}"
        raise section.fail(f'{what}; give it a list of globs such as ["shop", "shop-*"]')
    folders = (*given["folders"], *map(_as_folder, given["paths"]))
    return Group(section.text("name"), _globs(given["repositories"]), _globs(folders))


def _as_folder(path: str) -> str:
    """A glob over working folders as one over project folders: Claude Code makes `-` of every sign
    that is no letter and no digit."""
    return _NOT_IN_A_FOLDER_NAME.sub("-", path)


def _globs(texts: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(translate(text)) for text in texts)
