"""Whether a root is laid out as it is said to be: a wrong one is refused before anything is stored.

Taken for users, the projects of one person would be people in every table.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from session_pipeline_dagster.errors import WrongLayout
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.setting_places import AnyRoot, Bucket, last_part
from session_pipeline_dagster.settings import Layout
from session_pipeline_dagster.sources.files import (
    Content,
    Fingerprint,
    Scan,
    SessionFile,
    SessionSource,
)
from session_pipeline_dagster.sources.keys import FLAT, HOMES, home_of, prefix_of
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.packed import plain_name
from session_pipeline_dagster.transcripts.reader import Readers

_PROJECT = re.compile(r"-|[A-Za-z]--")
"""How Claude Code's name of a project begins: `-home-me-app`, `C--Users-me-app`."""
_HOME = "projects"


@dataclass(frozen=True, slots=True)
class CheckedSource(LocalSource):
    """Session files below roots that are laid out as they are said to be.

    Attributes:
        hides: no error names a folder below a root.
    """

    hides: bool = False

    def scan(self) -> Scan:
        """See `SessionSource.scan`.

        Raises:
            WrongLayout: a root is laid out otherwise; says which command is right.
        """
        found = LocalSource.scan(self)
        for root in self.roots:
            check_layout(root, self.layout, found, hides=self.hides)
        return found


@dataclass(frozen=True, slots=True)
class LayoutChecked:
    """Session files below one root of any kind that is laid out as it is said to be.

    Attributes:
        hides: no error names a folder below the root.
    """

    source: SessionSource
    root: AnyRoot
    layout: Layout
    hides: bool = False

    @property
    def readers(self) -> Readers:
        """See `SessionSource`."""
        return self.source.readers

    @property
    def remote(self) -> bool:
        """See `SessionSource`."""
        return self.source.remote

    def scan(self) -> Scan:
        """See `CheckedSource.scan`."""
        found = self.source.scan()
        check_layout(self.root, self.layout, found, hides=self.hides)
        return found

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`."""
        return self.source.read(file)

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        return self.source.fingerprint(file)

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        return self.source.day(file)


def check_layout(root: AnyRoot, layout: Layout, found: Scan, *, hides: bool = False) -> None:
    """Check a root against what was found below it.

    Args:
        hides: do not name what was found.

    Raises:
        WrongLayout: says which command is right.
    """
    prefix = prefix_of(root.name)
    keys = [file.key.removeprefix(prefix) for file in found.files if file.root == (root.name or "")]
    flat = [
        left.key.removeprefix(prefix)
        for left in found.left_out
        if left.reason.startswith(FLAT) and left.key.startswith(prefix)
    ]
    name = last_part(root)
    if layout not in HOMES and flat and _is_of(keys, flat):
        one = "project" if _PROJECT.match(name) or layout is Layout.PROJECTS else "user"
        said = f"holds session files itself, so it is the folder of one {one}"
        raise _wrong(root, said, Layout.PROJECTS if one == "project" else layout, _above(root))
    if keys and all(key.startswith(f"{_HOME}/") and _PROJECT.match(key[9:]) for key in keys):
        said = "is the folder of Claude Code; its sessions are one deeper"
        raise _wrong(root, said, Layout.PROJECTS, f"{root.label.rstrip('/')}/{_HOME}")
    if layout not in HOMES and (home := home_of(keys)) is not None:
        said = f"is the home folder of {HOMES[home].agent}"
        raise _wrong(root, said, home, root.label)
    if layout is Layout.USERS and keys and all(map(_PROJECT.match, keys)):
        one = "" if hides else f" ({printable(keys[0].split('/')[0])})"
        said = f"holds projects{one}, not users"
        raise _wrong(root, said, Layout.PROJECTS, root.label)


def _above(root: AnyRoot) -> str | None:
    """The place that a root lies in; nothing is above a bucket."""
    if not isinstance(root, Bucket):
        return str(root.path.absolute().parent)
    above = root.url.rpartition("/")[0]
    return None if above.endswith("/") else above


def _is_of(keys: Sequence[str], flat: Sequence[str]) -> bool:
    """Whether there is nothing below but what belongs to the files: subagents of sessions."""
    sessions = {PurePosixPath(plain_name(key)).stem for key in flat}
    return all(key.split("/")[0] in sessions for key in keys)


def _wrong(root: AnyRoot, said: str, layout: Layout, right: str | None) -> WrongLayout:
    forced = "--force-layout (SESSION_PIPELINE_FORCE_LAYOUT=1) takes it as it is"
    if right is None:
        return WrongLayout(
            f"session root {root.label} {said}; put them below a prefix of their own, {forced}"
        )
    place = shlex.quote(right)
    return WrongLayout(
        f"session root {root.label} {said}; `session-pipeline run --layout {layout.value} "
        f"--sessions {place}` is right (SESSION_LAYOUT={layout.value} SESSION_DATA_DIR={place}), "
        f"{forced}"
    )
