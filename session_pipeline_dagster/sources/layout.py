"""Whether a root is laid out as it is said to be: a wrong one is refused before anything is stored.

Taken for users, the projects of one person would be people in every table.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from session_pipeline_dagster.errors import WrongLayout
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.settings import Layout, Root, Settings
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.sources.local import LocalSource, open_source

_PROJECT = re.compile(r"-|[A-Za-z]--")
"""How Claude Code's name of a project begins: `-home-me-app`, `C--Users-me-app`."""
_FLAT = "not inside a folder of"
_HOME = "projects"


@dataclass(frozen=True, slots=True)
class CheckedSource(LocalSource):
    """Session files below roots that are laid out as they are said to be."""

    def scan(self) -> Scan:
        """See `SessionSource.scan`.

        Raises:
            WrongLayout: a root is laid out otherwise; says which command is right.
        """
        found = LocalSource.scan(self)
        for root in self.roots:
            check_layout(root, self.layout, found)
        return found


def open_checked(settings: Settings) -> LocalSource:
    """The session files of the settings; their layout is checked unless it is forced."""
    if settings.force_layout:
        return open_source(settings)
    roots = tuple(root for root in settings.roots if isinstance(root, Root))
    return CheckedSource(roots, settings.layout, settings.user, settings.limits)


def check_layout(root: Root, layout: Layout, found: Scan) -> None:
    """Check a root against what was found below it.

    Raises:
        WrongLayout: says which command is right.
    """
    prefix = f"{root.name}:" if root.name else ""
    keys = [file.key.removeprefix(prefix) for file in found.files if file.root == (root.name or "")]
    flat = [
        left.key.removeprefix(prefix)
        for left in found.left_out
        if left.reason.startswith(_FLAT) and left.key.startswith(prefix)
    ]
    path = root.path
    if flat and _is_of(keys, flat):
        above = path.absolute().parent
        one = "project" if _PROJECT.match(path.name) or layout is Layout.PROJECTS else "user"
        said = f"holds session files itself, so it is the folder of one {one}"
        raise _wrong(path, said, Layout.PROJECTS if one == "project" else layout, above)
    if keys and all(key.startswith(f"{_HOME}/") and _PROJECT.match(key[9:]) for key in keys):
        said = "is the folder of Claude Code; its sessions are one deeper"
        raise _wrong(path, said, Layout.PROJECTS, path / _HOME)
    if layout is Layout.USERS and keys and all(map(_PROJECT.match, keys)):
        said = f"holds projects ({printable(keys[0].split('/')[0])}), not users"
        raise _wrong(path, said, Layout.PROJECTS, path)


def _is_of(keys: Sequence[str], flat: Sequence[str]) -> bool:
    """Whether there is nothing below but what belongs to the files: subagents of sessions."""
    sessions = {PurePosixPath(key.removesuffix(".gz")).stem for key in flat}
    return all(key.split("/")[0] in sessions for key in keys)


def _wrong(root: Path, said: str, layout: Layout, right: Path) -> WrongLayout:
    place = shlex.quote(str(right))
    return WrongLayout(
        f"session root {root} {said}; `session-pipeline run --layout {layout.value} --sessions "
        f"{place}` is right (SESSION_LAYOUT={layout.value} SESSION_DATA_DIR={place}), "
        "--force-layout (SESSION_PIPELINE_FORCE_LAYOUT=1) takes it as it is"
    )
