"""Whether two statements that are worded differently likely say the same: for a person to decide.

A pair is likely the same if most of their stems are common and nothing tells the two apart: another
number or day, a denial, an opposite, another word in the place of one, or the same words with two
things exchanged. Depends on the two texts alone, so no other fact can change it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from session_pipeline_dagster.processors.verification.knowledge.measures import EACH, MARK
from session_pipeline_dagster.processors.verification.knowledge.text import Statement, conflicts
from session_pipeline_dagster.processors.verification.knowledge.words import CALENDAR, NEGATIONS

LIKELY = 0.5
"""Of the stems of both texts, how many must be common."""
_FRAME = 0.75
"""Of the words of the longer text, how many stand still while others are exchanged."""
_NEAR = 0.85
_TYPO = 85.0
_SHORTEST, _LONGEST = 3, 8

_WITHOUT_MEANING = NEGATIONS | frozenset(
    """a an the our we us i you they he she it its this that these those there here my your their
    his her them who which what how be was were been being do did have had will would shall should
    can could may might must of in to from by for with as into onto on at than then so and or but if
    when once while where whether all any some also just only one until till about over after
    before per each every other own such both either rather instead because since due
    ≥ ≤ > <""".split()
)
_EXCEPT = frozenset({"but", "except", "besides", "other"})
_DENIES = NEGATIONS | frozenset("forbid forbidden prohibited impossible prevent".split())
_PASSIVE = frozenset({"be", "get", "got", "been", "being", "was", "were"})
_ENDINGS = frozenset(
    """ications ication ations ation ifications itions ition ments ment ances ance ences ence ings
    ing ities ity ions ion edly ables able ible ally ly als al ive ers er ed ies ied""".split()
)
_LENGTHS = range(max(map(len, _ENDINGS)), 1, -1)
_DOUBLE = re.compile(r"([bdgmnprt])\1$")


@lru_cache(maxsize=1 << 14)
def stem(word: str) -> str:
    """What a word has in common with others of its family: approve, approval, approved."""
    if not word.isascii() or not word.isalpha():
        return word
    for length in _LENGTHS:
        if word[-length:] in _ENDINGS and len(word) - length >= _SHORTEST:
            word = word[:-length]
            break
    if word.endswith("s") and not word.endswith("ss") and len(word) > _SHORTEST:
        word = word.removesuffix("s")
    word = _DOUBLE.sub(r"\1", word)
    if word.endswith(("e", "y", "i")) and len(word) > _SHORTEST:
        word = word[:-1]
    if word.endswith("at") and len(word) > _SHORTEST + 1:
        word = word.removesuffix("at")
    return word[:_LONGEST]


@dataclass(frozen=True)
class Meaning:
    """What of a statement is compared; computed once for each."""

    statement: Statement

    @cached_property
    def frame(self) -> tuple[str, ...]:
        """All its words, those with a meaning as `~stem`; how often is as good as how long."""
        words = (w.replace(EACH, MARK, 1) for w in self.statement.words)
        return tuple(w if _is_empty(w) or w.startswith(MARK) else f"~{stem(w)}" for w in words)

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """What it speaks of, in its order."""
        return tuple(dict.fromkeys(s for s in self.frame if not _is_empty(s)))

    @cached_property
    def speaks_of(self) -> frozenset[str]:
        """The same, whatever the order."""
        return frozenset(self.stems)

    @cached_property
    def measures(self) -> frozenset[str]:
        """Numbers with their units."""
        return frozenset(s for s in self.stems if s.startswith(MARK))

    @cached_property
    def days(self) -> frozenset[str]:
        """Months, days of the week and ordinals."""
        words = self.statement.words
        return frozenset(w for w in words if w in _DAYS or w[:-1].isdecimal())

    @cached_property
    def is_denied(self) -> bool:
        """Whether it says no on the whole: two denials are none."""
        return sum(1 for _ in self._denials()) % 2 == 1

    def _denials(self) -> Iterable[str]:
        words = self.statement.words
        # "X, not Y" says X, and only sharpens it.
        contrasts = ", not " in self.statement.folded and words.count("not") == 1
        for place, word in enumerate(words):
            if word not in _DENIES or (word == "not" and contrasts):
                continue
            yield word
            # "Nobody but X" is "only X", and "not until" is "only after".
            if word in NEGATIONS and _EXCEPT & set(words[place + 1 : place + 3]):
                yield word
            if word == "not" and {"until", "till"} & set(words[place:]):
                yield word

    @cached_property
    def is_passive(self) -> bool:
        """Whether it says what is done to something."""
        words = self.statement.words
        return any(
            word in _PASSIVE
            and any(w.endswith(("ed", "en", "t", "wn")) for w in words[i + 1 : i + 3])
            for i, word in enumerate(words)
        )


_DAYS = frozenset(CALENDAR.values())


def _is_empty(word: str) -> bool:
    return word in _WITHOUT_MEANING


def likeness(a: Meaning, b: Meaning) -> float:
    """How many stems of both are common, 0 to 1; nothing where something tells them apart."""
    score = overlap(a, b)
    return 0.0 if score < LIKELY or _told_apart(a, b, score) else round(score, 4)


def overlap(a: Meaning, b: Meaning) -> float:
    """Dice's coefficient of what they speak of."""
    together = len(a.stems) + len(b.stems)
    return 2 * len(a.speaks_of & b.speaks_of) / together if together else 0.0


def _told_apart(a: Meaning, b: Meaning, score: float) -> bool:
    """Whether something says that they are two facts, however alike."""
    order = _order(a, b)
    moved = order != sorted(order)
    return (
        _measured_differently(a, b)
        or bool(a.days and b.days and a.days != b.days)
        or _says_no(a, b, moved)
        or _exchanged(a, b)
        or (score >= _NEAR and _turned(a, b, order))
    )


def _measured_differently(a: Meaning, b: Meaning) -> bool:
    """A measure that only one of them has is told by other words, if it is a single one."""
    mine, theirs = a.measures - b.measures, b.measures - a.measures
    single = all(measure.startswith(f"{MARK}1 ") for measure in mine | theirs)
    return bool((mine and theirs) or ((mine or theirs) and not single))


def _says_no(a: Meaning, b: Meaning, moved: bool) -> bool:
    """One denies what the other says. An opposite and a denial together are neither, nor are
    "before" and "after" where the two things change places."""
    opposites = conflicts(a.statement, b.statement) - {"may", "must", "level"}
    count = len(opposites - {"when"} if moved else opposites)
    return (count + (a.is_denied != b.is_denied)) % 2 == 1 or count > 1


def _exchanged(a: Meaning, b: Meaning) -> bool:
    """The same sentence with another word in the place of one, or with two that changed places."""
    steps = Levenshtein.opcodes(a.frame, b.frame)
    longer = max(len(a.frame), len(b.frame))
    still = sum(step.src_end - step.src_start for step in steps if step.tag == "equal")
    in_place = [step.src_end - step.src_start for step in steps if step.tag != "equal"] == [1, 1]
    return (still >= _FRAME * longer or (in_place and still == longer - 2)) and any(
        _another(a.frame[step.src_start : step.src_end], b.frame[step.dest_start : step.dest_end])
        for step in steps
        if step.tag == "replace"
    )


def _another(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether both sides speak of something here, and not of the same but for a letter."""
    ours = [word for word in mine if not _is_empty(word)]
    others = [word for word in theirs if not _is_empty(word)]
    return bool(ours and others) and fuzz.ratio(" ".join(ours), " ".join(others)) < _TYPO


def _order(a: Meaning, b: Meaning) -> list[int]:
    """Where in `b` what they share stands, in the order of `a`."""
    places = {s: place for place, s in enumerate(b.stems)}
    return [places[s] for s in a.stems if s in places]


def _turned(a: Meaning, b: Meaning, order: Sequence[int]) -> bool:
    """Three things in the opposite order, in otherwise the same words: "A copies to B".

    A part that moved as a whole ("On Fridays ...") turns no three; a passive, and "before" for
    "after", do.
    """
    if a.is_passive != b.is_passive or "when" in conflicts(a.statement, b.statement):
        return False
    longest = [1] * len(order)
    for i, place in enumerate(order):
        longest[i] = 1 + max((longest[j] for j in range(i) if order[j] > place), default=0)
    return max(longest, default=0) > 2
