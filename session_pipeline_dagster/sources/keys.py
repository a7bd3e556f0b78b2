"""What a session file is called and whose it is: the rules of folders and buckets alike.

A key is the path below a root as every store takes it; the same tree has the same keys wherever it
lies. Nothing here looks at anything.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from session_pipeline_dagster.names import short
from session_pipeline_dagster.settings import Layout
from session_pipeline_dagster.sources.files import LeftOut, SessionFile
from session_pipeline_dagster.sources.packed import COMPRESSED
from session_pipeline_dagster.transcripts.looks import unread_reason

ENDINGS = (".jsonl", *(f".jsonl{ending}" for ending in COMPRESSED))
FLAT = "not inside a folder of"
"""How the reason of a file begins that lies in the root itself."""
MANIFEST = re.compile(r"collected\.([A-Za-z0-9_-]{1,64})\.json")
"""What a collector leaves in the folder of a user, of each machine one: its id stands in it."""
_COLON = re.compile(r"%3A|:")
_ESCAPED_COLON = re.compile(r"%253A|%3A")
_UPLOADED = (".claude", ".codex", ".copilot", ".gemini")
"""The folders with a dot that are walked: they may be part of what somebody has copied."""
_DAYS = re.compile(r"(?:/|^)(?:sessions/\d{4}|archived_sessions)/")
_STATE = "session-state"
_CHATS = re.compile(r"(?:/|^)tmp/([^/]+)/chats/")
"""Where Gemini CLI keeps sessions in its home folder, in a folder of each project."""
_ESCAPED_BYTE = re.compile(r"[\udc80-\udcff]")
_LOOKS_ESCAPED = re.compile(r"%(?=[89A-F][0-9A-F]|25)")

Owner = tuple[str, str | None]
"""A user and a project."""


@dataclass(frozen=True, slots=True)
class Home:
    """The home folder of an agent.

    Attributes:
        folders: those with sessions; beside them are others that may hold anything.
        keys: how the keys of sessions begin.
    """

    agent: str
    folders: tuple[str, ...]
    keys: re.Pattern[str]


HOMES: Mapping[Layout, Home] = {
    Layout.CODEX: Home("Codex", ("sessions", "archived_sessions"), _DAYS),
    Layout.COPILOT: Home("GitHub Copilot CLI", (_STATE,), re.compile(rf"{_STATE}/")),
    Layout.GEMINI: Home("Gemini CLI", ("tmp",), _CHATS),
}
"""The layouts of which the root is an agent's home folder."""


def key_of(name: str) -> str:
    """A name as a key: bytes that are not UTF-8 become %XX, so that every store takes it."""
    if name.isascii() and "%" not in name:
        return name
    return as_shown(_LOOKS_ESCAPED.sub("%25", name))


def as_shown(name: str) -> str:
    """A name that somebody gives, as keys and tables have it: its bytes that are not UTF-8 are
    written as %XX."""
    return _ESCAPED_BYTE.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", name)


def first_key(name: str) -> str:
    """The first folder as a key: a colon in it would look like the name of a root."""
    return _COLON.sub(lambda match: "%3A" if match[0] == ":" else "%253A", name)


def _first_name(key: str) -> str:
    """The name that a first folder of a key stands for."""
    if "%" not in key:
        return key
    return _ESCAPED_COLON.sub(lambda match: ":" if match[0] == "%3A" else "%3A", key)


def former_key(file: SessionFile) -> str | None:
    """The key that the file had before colons were escaped, where it is another one."""
    if "%" not in file.key:
        return None
    prefix = prefix_of(file.root)
    first, slash, rest = file.key.removeprefix(prefix).partition("/")
    name = _first_name(first)
    return None if name == first else f"{prefix}{name}{slash}{rest}"


def prefix_of(root: str | None) -> str:
    """What the keys of a root begin with; nothing where it has no name."""
    return f"{root}:" if root else ""


def is_hidden(folder: str) -> bool:
    """Whether a tool keeps things of its own there: old versions, snapshots, what was deleted."""
    return folder.startswith(".") and folder not in _UPLOADED


def may_be_manifest(key: str, layout: Layout) -> bool:
    """Whether a key below its root is one of a collector's manifest."""
    user, _, name = key.partition("/")
    return layout is Layout.USERS and bool(user) and MANIFEST.fullmatch(name) is not None


def is_entered(first: str, layout: Layout) -> bool:
    """Whether there are sessions in a folder of the root."""
    home = HOMES.get(layout)
    return home is None or first in home.folders


def flat(layout: Layout) -> str:
    """Why a session file in the root itself is none."""
    kinds = {Layout.USERS: "a user", Layout.PROJECTS: "a project"}
    return f"{FLAT} {kinds.get(layout, 'sessions')}"


def home_of(keys: Collection[str]) -> Layout | None:
    """The layout of the agent whose home folder it is, by the keys below a root."""
    homes = (layout for layout, home in HOMES.items() if all(map(home.keys.match, keys)))
    return next(homes, None) if keys else None


def is_plain(path: str) -> bool:
    """Whether a path is one that a folder could have, so that whoever reads it can ask for it."""
    if path.isascii() and path.isprintable() and "//" not in path and "/." not in path:
        return not path.startswith(("/", ".")) and not path.endswith("/")
    odd = any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in path)
    return not odd and not any(part in {"", ".", ".."} for part in path.split("/"))


def one_a_key(files: Iterable[SessionFile], left_out: list[LeftOut]) -> list[SessionFile]:
    """The first file of each key: two under one would replace each other's rows for ever.

    Args:
        files: in key order.
        left_out: where the others are listed.
    """
    kept: list[SessionFile] = []
    for file in files:
        if kept and kept[-1].key == file.key:
            left_out.append(LeftOut(file.key, "another root holds a file of this key; rename one"))
        else:
            kept.append(file)
    return kept


def documents_left_out(counted: Mapping[tuple[str, str], int], prefix: str) -> list[LeftOut]:
    """The documents of agents that have no reader, of each folder together: there may be one for
    each message.

    Args:
        counted: (key of a folder, what they look like) -> how many.
    """
    return [
        LeftOut(prefix + folder, unread_reason(look), many)
        for (folder, look), many in sorted(counted.items())
    ]


def owner_of(key: str, layout: Layout = Layout.USERS, user: str = "me") -> Owner:
    """The user and the project of a file, by the folders of its key below its root. All files of a
    folder have the same; its key ends with a slash.

    Names as they are stored: as the folders are called, but no longer than `names.LONGEST`.

    The project is that of `<user>/<project>/<session>.jsonl`, None for `<user>/<session>.jsonl`.
    Claude Code keeps a session's subagents in `<session>/subagents/`, which is no project; Codex
    keeps sessions by their days, Copilot CLI by their names, whichever project they are of; Gemini
    CLI has a folder `tmp/<project>/chats` for each.
    """
    chats = _CHATS.search(key) if "/chats/" in key else None
    if layout in HOMES:
        return short(user), short(chats[1]) if chats and layout is Layout.GEMINI else None
    first, *folders = key.split("/")[:-1]
    first = _first_name(first)
    if layout is Layout.PROJECTS:
        return short(user), short(first)
    if "sessions/" in key and _DAYS.search(key, len(first)):
        return short(first), None
    if chats is not None and chats.start() > 0:
        return short(first), short(chats[1])
    if _STATE in folders:
        return short(first), None
    if "subagents" in folders:
        folders = folders[: max(folders.index("subagents") - 1, 0)]
    return short(first), short(folders[0]) if folders else None
