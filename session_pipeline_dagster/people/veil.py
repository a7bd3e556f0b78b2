"""What is shown in place of people, and of what names them: the one place that decides it.

Whoever shows a person, a session file or a text about one to anybody takes it from here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NewType

from session_pipeline_dagster.people.pseudonyms import Kind, key_file, pseudonym, read_key
from session_pipeline_dagster.settings import PeopleMode, Settings

Shown = NewType("Shown", str)
"""A name as it may be shown: of a person, or of a file, in whose name people stand."""
SOMEBODY = Shown("(a person)")
_PART = "…"


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

    def person(self, name: str) -> Shown:
        """A person's name, or the name of a folder with somebody's sessions."""
        if self.mode is PeopleMode.NAMED:
            return Shown(name)
        if self.mode is PeopleMode.TEAM:
            return SOMEBODY
        return Shown(pseudonym(self.key, Kind.PERSON, name))

    def file(self, key: str) -> Shown:
        """A session file by its key. Its folders name people and their projects, so where these are
        hidden it is a word that `session-pipeline people show` leads back from."""
        return Shown(pseudonym(self.key, Kind.FILE, key)) if self.hides else Shown(key)

    def said(self, text: str, keys: Iterable[str]) -> Shown:
        """A text about files of these keys, as an error has it, without the parts of their keys."""
        if not self.hides:
            return Shown(text)
        instead: dict[str, str] = {}
        for key in keys:
            instead[key] = self.file(key)
            user, *folders = key.split("/")
            user = user.rpartition(":")[2]
            instead.setdefault(user, self.person(user))
            for part in folders:
                instead.setdefault(part, _PART)
                instead.setdefault(part.partition(".")[0], _PART)
        words = sorted(filter(None, instead), key=len, reverse=True)
        if not words:
            return Shown(text)
        found = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")
        return Shown(found.sub(lambda match: instead[match[0]], text))


def veil_of(settings: Settings) -> Veil:
    """How people are shown as things are set; the key is made on first use.

    Raises:
        SettingsError: the key cannot be used.
    """
    mode = settings.people.mode
    if mode is PeopleMode.NAMED:
        return Veil()
    return Veil(mode, read_key(key_file(settings)))
