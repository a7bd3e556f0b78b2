"""What is shown in place of people, and of what names them: the one place that decides it.

Whoever shows a person, a session file or a text about one to anybody takes it from here.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, TypeVar

from session_pipeline_dagster.errors import PipelineError, SettingsError
from session_pipeline_dagster.names import printable, short
from session_pipeline_dagster.people import lost
from session_pipeline_dagster.people.pseudonyms import Kind, key_file, pseudonym, read_key
from session_pipeline_dagster.settings import PeopleMode, Settings

Shown = NewType("Shown", str)
"""A name as it may be shown: of a person, or of a file, in whose name people stand."""
SOMEBODY = Shown("(a person)")
_PART = "…"
_MARK = 8
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”")
_EMAIL = re.compile(r"[^\s\"'<>(),;]+@[^\s\"'<>(),;]+")
_PATH = re.compile(r"[^\s\"'`<>(),;]*[/\\][^\s\"'`<>(),;]*")
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_COLON = re.compile(r"%3A|%253A")
_OWN_COMMAND = re.compile(r"`session-pipeline [^`]*`")

Cell = TypeVar("Cell")


class Names(Enum):
    """What the texts of a column name."""

    PERSON = "person"
    FILE = "file"
    PART = "part"


COLUMNS: Mapping[str, Names] = {
    **dict.fromkeys(
        ("user", "username", "person", "folder", "counted_for", "held_by", "owner", "email"),
        Names.PERSON,
    ),
    **dict.fromkeys(("session", "session_file", "session_id", "file"), Names.FILE),
    **dict.fromkeys(("project", "cwd", "branch", "git_branch", "path"), Names.PART),
}
"""Columns that name people, by what they are called in tables and answers."""


@dataclass(frozen=True, slots=True)
class Veil:
    """How people are shown.

    Attributes:
        key: of pseudonyms; empty where nobody is hidden.
    """

    mode: PeopleMode = PeopleMode.NAMED
    key: bytes = field(default=b"", repr=False)

    @property
    def hides(self) -> bool:
        """Whether it hides anything."""
        return self.mode is not PeopleMode.NAMED

    @property
    def mark(self) -> str:
        """Another one under every mode and key, empty where nobody is hidden: what was said under
        it was said as people are shown now."""
        if not self.hides:
            return ""
        from hashlib import sha256  # noqa: PLC0415  who hides nobody need not load OpenSSL

        return f"{self.mode.value}:{sha256(self.key).hexdigest()[:_MARK]}"

    def person(self, name: str) -> Shown:
        """A person's name, or the name of a folder with somebody's sessions."""
        if self.mode is PeopleMode.NAMED:
            return Shown(name)
        if self.mode is PeopleMode.TEAM:
            return SOMEBODY
        return Shown(pseudonym(self.key, Kind.PERSON, name))

    def file(self, key: str) -> Shown:
        """A session file by its key, or a session by its id. Folders name people and their
        projects, so where these are hidden it is a word that `session-pipeline people show` leads
        back from."""
        return Shown(pseudonym(self.key, Kind.FILE, key)) if self.hides else Shown(key)

    def column(self, name: str, text: str) -> Shown:
        """A text of a column that is called so."""
        kind = COLUMNS.get(name.lower())
        if kind is None or not self.hides:
            return Shown(text)
        if kind is Names.PERSON:
            return self.person(text)
        return self.file(text) if kind is Names.FILE else Shown(_PART)

    def said(self, text: str, keys: Iterable[str]) -> Shown:
        """A text about files of these keys, as an error has it: without the keys, their parts, and
        whatever else looks like a path, an address or the id of a session. What a plugin says in
        plain words stays."""
        if not self.hides:
            return Shown(text)
        instead: dict[str, str] = {}
        for key in keys:
            user, *parts = key.split("/")
            user = user.rpartition(":")[2]
            instead |= dict.fromkeys(_forms(key), self.file(key))
            instead |= dict.fromkeys(_forms(user), self.person(_owner(user)))
            for part in parts:
                for form in (*_forms(part), *_forms(part.partition(".")[0])):
                    instead.setdefault(form, _PART)
        found = self.without(text, instead)
        # After the names: of what is replaced, nothing looks like a path.
        return Shown(_ID.sub(_PART, _PATH.sub(_PART, _EMAIL.sub(_PART, found))))

    def without(self, text: str, instead: Mapping[str, str]) -> str:
        """The text with names replaced; longer ones first, and none within a longer word."""
        words = sorted(filter(None, instead), key=len, reverse=True)
        if not words or not self.hides:
            return text
        found = "|".join(f"{_edge(w[0], '<')}{re.escape(w)}{_edge(w[-1], '')}" for w in words)
        return re.sub(found, lambda match: instead[match[0]], text)

    def error(self, error: PipelineError) -> Shown:
        """What an error of ours says. Of a file of settings it quotes what may be names; of others,
        whoever raises them shows people as they may be shown."""
        text = str(error)
        return self.unquoted(text) if isinstance(error, SettingsError) else Shown(text)

    def unquoted(self, text: str) -> Shown:
        """What is said of a file of settings, which quotes what stands there: without that."""
        if not self.hides:
            return Shown(text)
        own = _OWN_COMMAND.findall(text)
        left = _EMAIL.sub(_PART, _QUOTED.sub(_PART, _OWN_COMMAND.sub("\0", text)))
        for command in own:
            left = left.replace("\0", command, 1)
        return Shown(left)


def _edge(character: str, side: str) -> str:
    """No letter or digit beside a word that ends with one."""
    return rf"(?{side}!\w)" if re.match(r"\w", character) else ""


def _owner(folder: str) -> str:
    """Whose the first folder of a key is, as tables name them."""
    return short(_COLON.sub(lambda match: ":" if match[0] == "%3A" else "%3A", folder))


def _forms(word: str) -> Iterator[str]:
    """A part of a key as it may stand in a text: as in the key, as the folder is called, and either
    as it is shown, quoted, normalized or cut."""
    from urllib.parse import unquote  # noqa: PLC0415  likewise

    for name in dict.fromkeys((word, unquote(word, errors="surrogateescape"))):
        yield name
        yield short(name)
        yield printable(name)
        yield repr(name)[1:-1]
        yield json.dumps(name)[1:-1]
        yield name.encode("utf-8", "replace").decode()
        yield unicodedata.normalize("NFC", name)
        yield unicodedata.normalize("NFD", name)


def rows_shown(
    veil: Veil, rows: Sequence[Mapping[str, Cell]]
) -> tuple[list[dict[str, Cell | str]], dict[str, str]]:
    """Rows with the names in them replaced, by what their columns are called; and what was
    replaced by what."""
    instead: dict[str, str] = {}
    shown: list[dict[str, Cell | str]] = []
    for row in rows:
        made: dict[str, Cell | str] = {}
        for name, value in row.items():
            made[name] = value
            if isinstance(value, str) and name.lower() in COLUMNS:
                made[name] = instead[value] = veil.column(name, value)
        shown.append(made)
    return shown, instead


def veil_of(settings: Settings) -> Veil:
    """How people are shown as things are set; the key is made on first use.

    Raises:
        SettingsError: the key cannot be used; or people were hidden until now, and nobody says that
            they need not be any more.
    """
    lost.refuse(settings)
    mode = settings.people.mode
    if mode is not PeopleMode.NAMED:
        return Veil(mode, read_key(key_file(settings)))
    return Veil()
