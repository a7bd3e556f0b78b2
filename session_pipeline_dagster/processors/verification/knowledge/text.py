"""When two statements say the same, and when they only look alike.

Pure text rules for English; a text in another language is compared by its letters, numbers and
names alone. What is merged with what is decided in `merge.py`.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from session_pipeline_dagster.processors.verification.knowledge.words import (
    COMMON,
    NEGATIONS,
    NUMBERS,
    POLES,
    UNITS,
)

SHORTEST = 40
"""Characters; a shorter text is too easily like another."""
ALIKE = 82.0
ALIKE_WITH_ENTITIES = 65.0
SHARED_ENTITIES = 2
_SAME_NAME = 80.0
_SAME_SENTENCE = 90.0

_EDGES = ".,;:!?\"'()[]{}“”‘’«»`*_~…"
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
_NUMBER = re.compile(r"([<>=≤≥~+-]*)(\d+(?:[.,:/-]\d+)*)(?:(k|m|bn|b)(?![a-z]))?")
_MULTIPLES = {"k": "000", "m": "000000", "bn": "000000000", "b": "000000000"}


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
        text = unicodedata.normalize("NFKC", self.text).replace("’", "'")
        return tuple(t for t in (found.strip(_EDGES) for found in _TOKEN.findall(text)) if t)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Its words, case folded."""
        return tuple(token.casefold() for token in self.raw_tokens)

    @cached_property
    def normal(self) -> str:
        """The same for texts that differ in case, spaces and punctuation only."""
        return " ".join(self.tokens) or self.text

    @cached_property
    def stems(self) -> frozenset[str]:
        """Beginnings of the words that carry meaning."""
        return frozenset(t[:5] for t in self.tokens if t not in COMMON)

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """Numbers in their order, words for numbers among them."""
        return tuple(n for token in self.tokens for n in _numbers(token))

    @cached_property
    def units(self) -> frozenset[str]:
        """Units, periods, months and days of the week."""
        found = {unit for token in self.tokens for unit in _units(token)}
        # "may" is a verb unless it is written like a month in the middle of a sentence.
        return frozenset(found | ({"may"} if "May" in self.raw_tokens[1:] else set()))

    @cached_property
    def negations(self) -> int:
        """How many words deny something. A "no," that only answers does not count."""
        words = self.tokens[1:] if self.tokens[:1] == ("no",) else self.tokens
        return sum(w in NEGATIONS or w.endswith("n't") or w.startswith("non-") for w in words)

    @cached_property
    def measures(self) -> tuple[tuple[str, ...], frozenset[str], int]:
        """What is the same in all texts that `differences` finds no difference in."""
        return self.numbers, self.units, self.negations

    @cached_property
    def poles(self) -> frozenset[str]:
        """Words that have an opposite, as `+axis` or `-axis`."""
        return frozenset(POLES[token] for token in self.tokens if token in POLES)

    @cached_property
    def masked(self) -> str:
        """The text with everything that `differences` looks at taken out."""
        return " ".join("□" if _is_marked(token) else token for token in self.tokens)


def _numbers(token: str) -> Iterable[str]:
    if token in NUMBERS:
        return [NUMBERS[token]]
    found = []
    for sign, digits, multiple in _NUMBER.findall(token):
        # 1,000 is a thousand; 2024-01-02, 1.5 and 10:30 stay as they are.
        plain = re.sub(r",(?=\d{3}\b)", "", digits)
        found.append(sign + plain + _MULTIPLES.get(multiple, ""))
    return found


def _units(token: str) -> Iterable[str]:
    if token in UNITS:
        return [UNITS[token]]
    # 30s, 5%, $5
    tail, sign = re.sub(r"^[\d.,<>=≤≥~+-]+", "", token), token[0]
    found = [UNITS[tail]] if tail != token and tail in UNITS else []
    return [*found, UNITS[sign]] if sign in "$€£" else found


def _is_marked(token: str) -> bool:
    return bool(
        token in NEGATIONS
        or token in POLES
        or token.endswith("n't")
        or list(_numbers(token))
        or list(_units(token))
    )


def alike(a: Statement, b: Statement) -> bool:
    """Whether two texts are near enough to be the same statement, by their letters alone."""
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
        found.append(_phrase("numbers", a.numbers, b.numbers))
    if a.units != b.units:
        found.append(_phrase("units or periods", sorted(a.units), sorted(b.units)))
    if a.negations != b.negations:
        found.append("one of them says not")
    if any(_axis(a, axis) != _axis(b, axis) for axis in _axes(a) & _axes(b)):
        found.append("words of opposite meaning")
    return (*found, *named_differently(a, b))


def contrary(a: Statement, b: Statement) -> bool:
    """Whether two texts are the same sentence but for one number, period, negation or opposite.

    Much narrower than `differences`: it must be right without anyone to ask.
    """
    if not differences(a, b) or named_differently(a, b):
        return False
    others = sum(x != y for x, y in zip_longest(a.numbers, b.numbers))
    return others <= 1 and fuzz.ratio(a.masked, b.masked) >= _SAME_SENTENCE


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
    if _is_marked(mine) or _is_marked(other) or fuzz.ratio(mine, other) >= _SAME_NAME:
        return False
    listed = (mine in a.entities - b.entities) and (other in b.entities - a.entities)
    return listed or (_like_a_name(a, i) and _like_a_name(b, j))


def _like_a_name(statement: Statement, index: int) -> bool:
    token = statement.raw_tokens[index]
    if token.casefold() in COMMON:
        return False
    return token[0].isupper() or any(c.isupper() or c.isdigit() or c in "_./@" for c in token[1:])


def _axes(statement: Statement) -> set[str]:
    return {pole[1:] for pole in statement.poles}


def _axis(statement: Statement, axis: str) -> set[str]:
    return {pole for pole in statement.poles if pole[1:] == axis}


def _phrase(what: str, ours: Sequence[str], theirs: Sequence[str]) -> str:
    return f"{what}: {', '.join(ours) or 'none'} / {', '.join(theirs) or 'none'}"
