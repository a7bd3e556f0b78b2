"""A statement, what is compared of it, and when two of them only look alike.

Pure text rules for English; a text in another language is compared by its letters, numbers and
names alone. What is merged with what is decided in `merge.py`, what is likely the same in
`likeness.py`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import zip_longest

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from session_pipeline_dagster.processors.verification.knowledge.canonical import (
    canonical,
    words_of,
)
from session_pipeline_dagster.processors.verification.knowledge.measures import EACH, MARK
from session_pipeline_dagster.processors.verification.knowledge.words import (
    CALENDAR,
    COMMON,
    NEGATIONS,
    POLES,
    UNITS,
)

SHORTEST = 40
"""Characters; a shorter text is too easily like another."""
ALIKE = 82.0
ALIKE_WITH_ENTITIES = 65.0
SHARED_ENTITIES = 2
_SAME_NAME = 80.0
SAME_SENTENCE = 90.0
_MEASURES = frozenset({*UNITS.values(), *CALENDAR.values()})
_ORDINAL = re.compile(r"\d+\.")
_NUMBER = re.compile(r"[+~-]?\d")


@dataclass(frozen=True)
class Statement:
    """A text and what is compared of it; computed when first needed.

    Attributes:
        text: the statement in full.
        entities: names and terms in it, lower case.
    """

    text: str
    entities: frozenset[str] = frozenset()

    @cached_property
    def folded(self) -> str:
        """One form of its letters and spaces; what ratios are measured on."""
        return " ".join(unicodedata.normalize("NFKC", self.text).casefold().split())

    @cached_property
    def raw_tokens(self) -> tuple[str, ...]:
        """Its words as written, without the punctuation around them."""
        return words_of(self.text)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Its words, case folded."""
        return tuple(token.casefold() for token in self.raw_tokens)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words in the form that does not depend on the spelling."""
        return canonical(self.text)

    @cached_property
    def normal(self) -> str:
        """The same for texts that are only spelt otherwise: they are one fact."""
        return " ".join(self.words) or self.text

    @cached_property
    def stems(self) -> frozenset[str]:
        """Beginnings of the words that carry meaning."""
        return frozenset(t[:5] for t in self.tokens if t not in COMMON)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Numbers with their units, and periods, in their order."""
        said = (w.replace(EACH, "every ", 1) for w in self.words if _is_number(w))
        return tuple(word.removeprefix(MARK) for word in said)

    @cached_property
    def units(self) -> frozenset[str]:
        """Units without a number, months and days of the week, and ordinals."""
        return frozenset(w for w in self.words if w in _MEASURES or _ORDINAL.fullmatch(w))

    @cached_property
    def negations(self) -> int:
        """How many words deny something."""
        return sum(word in NEGATIONS for word in self.words)

    @cached_property
    def poles(self) -> frozenset[str]:
        """Words that have an opposite, as `+axis` or `-axis`."""
        found = (POLES.get(token) for token in (*self.tokens, *self.words))
        return frozenset(pole for pole in found if pole)

    @cached_property
    def masked(self) -> str:
        """The text with everything that `differences` looks at taken out."""
        return " ".join("□" if _is_marked(word) else word for word in self.words)


def _is_number(word: str) -> bool:
    return word.startswith(MARK) or bool(_NUMBER.match(word) and not _ORDINAL.fullmatch(word))


def _is_marked(word: str) -> bool:
    return bool(
        word in NEGATIONS
        or word in POLES
        or word in _MEASURES
        or word in UNITS
        or _is_number(word)
        or _ORDINAL.fullmatch(word)
    )


def alike(a: Statement, b: Statement) -> bool:
    """Whether two texts are near enough to be compared word by word, by their letters alone."""
    if min(len(a.text), len(b.text)) < SHORTEST:
        return False
    shared = len(a.entities & b.entities) >= SHARED_ENTITIES
    if not shared and not share_words(a, b):
        return False
    return fuzz.ratio(a.folded, b.folded) >= (ALIKE_WITH_ENTITIES if shared else ALIKE)


def share_words(a: Statement, b: Statement) -> bool:
    """Whether at least a third of the words of the longer one is in the other.

    Texts that are much alike have that; it is cheap to look up, so it is asked first.
    """
    longer = max(len(a.stems), len(b.stems))
    return longer > 0 and len(a.stems & b.stems) * 3 >= longer


def differences(a: Statement, b: Statement) -> tuple[str, ...]:
    """In what two texts that look alike say something else; empty if in nothing.

    Numbers, units and periods, negations, words of opposite meaning, and names in the same place.
    The order of the two does not matter, but in the wording.
    """
    found = []
    if a.numbers != b.numbers:
        found.append(_phrase("numbers or periods", a.numbers, b.numbers))
    if a.units != b.units:
        found.append(_phrase("units or days", sorted(a.units), sorted(b.units)))
    if a.negations != b.negations:
        found.append("one of them says not")
    if conflicts(a, b):
        found.append("words of opposite meaning")
    return (*found, *named_differently(a, b))


def conflicts(a: Statement, b: Statement) -> frozenset[str]:
    """Axes on which both say something, and not the same."""
    return frozenset(x for x in _axes(a) & _axes(b) if _axis(a, x) != _axis(b, x))


def contrary(a: Statement, b: Statement) -> bool:
    """Whether two texts are the same sentence but for one number, period, negation or opposite.

    Much narrower than `differences`: it must be right without anyone to ask.
    """
    others = sum(x != y for x, y in zip_longest(a.numbers, b.numbers))
    return (
        others <= 1
        and fuzz.ratio(a.masked, b.masked) >= SAME_SENTENCE
        and bool(differences(a, b))
        and not named_differently(a, b)
    )


def named_differently(a: Statement, b: Statement) -> tuple[str, ...]:
    """Names that stand in the place of other names."""
    first, second = sorted((a, b), key=lambda s: (s.folded, s.text))
    found = []
    for step in Levenshtein.opcodes(first.tokens, second.tokens):
        ours = range(step.src_start, step.src_end)
        theirs = range(step.dest_start, step.dest_end)
        if step.tag != "replace" or len(ours) != len(theirs):
            continue
        for here, there in zip(ours, theirs, strict=True):
            if _names_differ(first, here, second, there):
                found.append(_phrase("names", [first.tokens[here]], [second.tokens[there]]))
    return tuple(found)


def _names_differ(a: Statement, i: int, b: Statement, j: int) -> bool:
    mine, other = a.tokens[i], b.tokens[j]
    if _tells_apart(mine) or _tells_apart(other) or fuzz.ratio(mine, other) >= _SAME_NAME:
        return False
    listed = (mine in a.entities - b.entities) and (other in b.entities - a.entities)
    return listed or (like_a_name(a.raw_tokens[i]) and like_a_name(b.raw_tokens[j]))


@lru_cache(maxsize=1 << 12)
def _tells_apart(token: str) -> bool:
    """Whether a word is compared as something else than a name."""
    return any(map(_is_marked, canonical(token))) or token in UNITS or token in POLES


def like_a_name(raw: str) -> bool:
    """Whether a word as written may be a name: capitals, digits or signs in it."""
    if raw.casefold() in COMMON:
        return False
    return raw[0].isupper() or any(c.isupper() or c.isdigit() or c in "_./@" for c in raw[1:])


def _axes(statement: Statement) -> set[str]:
    return {pole[1:] for pole in statement.poles}


def _axis(statement: Statement, axis: str) -> set[str]:
    return {pole for pole in statement.poles if pole[1:] == axis}


def _phrase(what: str, ours: Sequence[str], theirs: Sequence[str]) -> str:
    return f"{what}: {', '.join(ours) or 'none'} / {', '.join(theirs) or 'none'}"
