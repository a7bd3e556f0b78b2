"""Labelled turns of people, and what a finder makes of them: shares with intervals."""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from session_pipeline_dagster.processors.verification.detection.extractor import (
    DEFINITION,
    Detection,
)
from session_pipeline_dagster.processors.verification.detection.quotes import folded

LABELLED = Path(__file__).parent.parent / "tests" / "data" / "labelled_turns"
HANDS = LABELLED / "hands"
_QUOTED = 0.8
"""Of a fact's characters, what a detection has to quote to have found it."""
_SURE = 1.96
"""Standard deviations on both sides that hold 95 of 100."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A turn of a person, what the assistant said before it, and (type, quote) of its facts."""

    id: str
    assistant: str | None
    user: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    of: int
    hits: int

    @property
    def value(self) -> float:
        """The share; 0 of nothing."""
        return self.hits / self.of if self.of else 0.0

    @property
    def short(self) -> str:
        """With its interval: `.97 (.86-.99)`."""
        low, high = wilson(self.hits, self.of) if self.of else (0.0, 1.0)
        return " (".join(map(_digits, (self.value, low))) + f"-{_digits(high)})"

    def __str__(self) -> str:
        if not self.of:
            return "none"
        low, high = wilson(self.hits, self.of)
        return f"{self.value:.2f} [{low:.2f}-{high:.2f}]  {self.hits} of {self.of}"


def _digits(share: float) -> str:
    """Two of them: `.97`, `1.00`."""
    return f"{share:.2f}".removeprefix("0")


@dataclass(slots=True)
class Measured:
    """What came of all turns that got an answer.

    Attributes:
        items, shown: detections that were accepted, and those left to be looked at.
        facts: of the labels; by_items, by_all: those that are quoted.
        endings: how the others ended.
        counts: of the product: tokens, calls, what the gates dropped.
    """

    turns: int = 0
    items: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    by_items: int = 0
    by_all: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> Share:
        """Of the items, those that quote a fact."""
        return Share(self.items["found"], self.items["right"])

    @property
    def recall(self) -> Share:
        """Of the facts, those that an item quotes."""
        return Share(self.facts, self.by_items)

    @property
    def recall_with_review(self) -> Share:
        """Of the facts, those that an item or a candidate quotes."""
        return Share(self.facts, self.by_all)

    @property
    def typed(self) -> Share:
        """Of what quotes a fact, items or not, what has its type."""
        both = self.items + self.shown
        return Share(both["right"], both["typed"])

    @property
    def wrong(self) -> Share:
        """Items that quote no fact, of the turns."""
        return Share(self.turns, self.items["found"] - self.items["right"])

    def add(self, labelled: Labelled, found: Sequence[Detection]) -> None:
        """What was found in one turn."""
        self.turns += 1
        self.facts += len(labelled.facts)
        items = [one for one in found if one.accepted]
        for one in found:
            tally = self.items if one.accepted else self.shown
            types = [kind for kind, fact in labelled.facts if covers(labelled.user, one, fact)]
            tally["found"] += 1
            tally["right"] += bool(types)
            tally["typed"] += one.detection_type in types
        for _, fact in labelled.facts:
            self.by_items += any(covers(labelled.user, one, fact) for one in items)
            self.by_all += any(covers(labelled.user, one, fact) for one in found)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval that holds the true share 95 times in 100, also of few and of nearly all."""
    share, square = hits / of, _SURE**2
    middle = share + square / (2 * of)
    wide = _SURE * math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    whole = 1 + square / of
    return max(0.0, (middle - wide) / whole), min(1.0, (middle + wide) / whole)


def covers(text: str, found: Detection, fact: str) -> bool:
    """Whether the quote holds the fact, nearly all of it."""
    whole, quote, wanted = folded(text), folded(found.quote), folded(fact)
    mine, theirs = whole.find(quote), whole.find(wanted)
    shared = min(mine + len(quote), theirs + len(wanted)) - max(mine, theirs)
    return min(mine, theirs) >= 0 and shared >= _QUOTED * len(wanted)


def read(path: Path) -> Iterator[Labelled]:
    """The turns of a file, or of all files of a folder.

    Raises:
        SystemExit: it is none of that; says where.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        try:
            lines = file.read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            sys.exit(f"{file} cannot be read; LABELS is a file of labelled turns, or a folder")
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _labelled(line, f"{file}, line {number}")


def _labelled(line: str, where: str) -> Labelled:
    try:
        made = json.loads(line)
        facts = tuple((_type(fact), str(fact["quote"])) for fact in made["facts"])
        return Labelled(str(made.get("id", "")), made.get("assistant"), made["user"], facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"{where}: no labelled turn; it needs user and facts (docs/knowledge.md)")


def _type(fact: Mapping[str, object]) -> str:
    return DEFINITION if fact.get("type") == "definition" else str(fact.get("type"))
