"""What a text may hold, told by its words: most need no rule to look at them.

Every rule hangs on something that stands inside of one word: the beginning of a literal, digits, a
long run. People and agents say the same words all day, so what a word has of that is worked out
once and remembered.
"""

import re
from collections.abc import Iterable, Iterator, Set

from session_pipeline_dagster.processors.verification.redaction.finding import any_of
from session_pipeline_dagster.processors.verification.remembered import Remembered

LITERAL, FOLLOWED, STRONG, LONG, DIGITS = 1, 2, 4, 8, 16
"""A literal begins in a word; one that counts only in front of a strong word; it is such a word; it
holds a run that may be a token; two digits in a row."""
_STRONG = re.compile(r"\d|[^\W_][!@#$%^&*+=?~]+[^\W_]")
_SHORTEST = 16
_LONG = re.compile(r"[a-z0-9_+/.~%-]{16,}")
_DIGITS = re.compile(r"\d\d")
_FEW = 8
"""So many words are looked for all through a text; of more, each word is looked at in turn."""


class Glance:
    """Looks at texts in lower case.

    Args:
        literals: those on which a rule hangs.
        followed: those whose rule finds nothing but words that are STRONG, right behind them.
    """

    def __init__(self, literals: Iterable[str], followed: Iterable[str]) -> None:
        begins = {_in_a_word(each) for each in literals}
        self._literal = re.compile(any_of(begins))
        self._ascii = re.compile(any_of(filter(str.isascii, begins)))
        self._followed = re.compile(any_of({_in_a_word(each) for each in followed}))
        self._words = Remembered(self._of_word)
        self._begins = Remembered(self._begins_in)

    def at(self, words: Iterable[str]) -> int:
        """What the words of a text have, taken together."""
        found = 0
        for each in set(map(self._words.__getitem__, words)):
            found |= each
        return found

    def places(self, lower: str, words: Iterable[str], held: int) -> Iterable[int]:
        """Where a literal may stand that counts, in order.

        Args:
            words: those of the text, as they follow each other.
            held: what they have.
        """
        wanted = LITERAL | (FOLLOWED if held & STRONG else 0)
        known = self._words
        hold = [word for word in set(words) if known[word] & wanted]
        if len(hold) > _FEW:
            return self._places_in_turn(lower, words, frozenset(hold))
        return sorted({place for word in hold for place in self._places_of(word, lower)})

    def _places_in_turn(self, lower: str, words: Iterable[str], hold: Set[str]) -> Iterator[int]:
        end = 0
        for word in words:
            start = lower.find(word, end)
            end = start + len(word)
            if word in hold:
                yield from (start + at for at in self._begins[word])

    def _places_of(self, word: str, lower: str) -> Iterator[int]:
        """Wherever it stands by itself; where it laps over itself it is in a longer word, which
        has places of its own."""
        begins, start = self._begins[word], lower.find(word)
        while start >= 0:
            yield from (start + at for at in begins)
            start = lower.find(word, start + len(word))

    def _of_word(self, word: str) -> int:
        spaced = f" {word} "
        literal = self._ascii if word.isascii() else self._literal
        found = LITERAL if literal.search(spaced) else 0
        found |= FOLLOWED if self._followed.search(spaced) else 0
        if word.isalpha():
            return found | (LONG if len(word) >= _SHORTEST and _LONG.search(word) else 0)
        found |= STRONG if _STRONG.search(word) else 0
        found |= LONG if _LONG.search(word) else 0
        return found | (DIGITS if _DIGITS.search(word) else 0)

    def _begins_in(self, word: str) -> tuple[int, ...]:
        """Where literals may begin, from the word's first character; -1 = the space before it."""
        spaced = f" {word} "
        found: set[int] = set()
        for begin in (self._literal, self._followed):
            at = 0
            while literal := begin.search(spaced, at):
                found.add(literal.start() - 1)
                at = literal.start() + 1
        return tuple(sorted(found))


def counts(held: int) -> bool:
    """Whether a finder of literals has anything to look at."""
    return bool(held & LITERAL) or held & (FOLLOWED | STRONG) == FOLLOWED | STRONG


def _in_a_word(literal: str) -> str:
    """What of the beginning of a literal stands in one word, with a space where that ends."""
    before = " " if literal.startswith(" ") else ""
    word, *rest = literal.removeprefix(" ").split(" ")
    return f"{before}{word}{' ' if rest else ''}"
