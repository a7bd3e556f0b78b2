"""Which project names may be shown where people are hidden: those that name nobody."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HIDDEN = "(not shown)"
_BETWEEN = re.compile(r"[\W_]+")
_HOME = re.compile(r"(?:-home|-Users|[A-Za-z]--Users)-(.*\w.*)")


@dataclass(frozen=True, slots=True)
class NamesOfPeople:
    """The words that people are called by.

    Attributes:
        words: each name as the words it is made of, without case.
        longest: words in the longest of them.
    """

    words: frozenset[tuple[str, ...]]
    longest: int

    @classmethod
    def of(cls, names: Iterable[str]) -> "NamesOfPeople":
        """Of names, folders and e-mail addresses; of an address also the part before the @."""
        found = {_words(form) for name in names for form in (name, name.partition("@")[0]) if name}
        found.discard(())
        return cls(frozenset(found), max(map(len, found), default=0))

    def stand_in(self, text: str) -> bool:
        """Whether somebody is named in the text, as a whole word or several."""
        words = _words(text)
        return any(part in self.words for part in _parts(words, self.longest))


def shown_project(project: str, folders: frozenset[str], people: NamesOfPeople) -> str:
    """The name of a project, or `HIDDEN`: of a project folder, which is somebody's path, and of a
    repository that is called like somebody."""
    return HIDDEN if project in folders or people.stand_in(project) else project


def _words(text: str) -> tuple[str, ...]:
    """The words of a text, in whatever form they are spelt; one without any is itself a word."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return tuple(filter(None, _BETWEEN.split(plain))) or tuple(filter(None, (plain.strip(),)))


def homes(folders: Iterable[str]) -> Iterator[str]:
    """What home folders are called, from the project folders of sessions that began in or below
    one: all that follows, for that is the name if it was the home itself, and its first word."""
    for folder in folders:
        if found := _HOME.fullmatch(folder):
            yield found[1]
            yield _words(found[1])[0]


def _parts(words: tuple[str, ...], longest: int) -> Iterator[tuple[str, ...]]:
    for size in range(1, min(longest, len(words)) + 1):
        for start in range(len(words) - size + 1):
            yield words[start : start + size]
