"""How good weights are on labelled turns: precision, recall, kinds, with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn
from training.turns import Fact, Labelled

_Z = 1.96
_COVERED = 0.8
"""Of a fact's characters, what a detection has to quote."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share; 1 of nothing."""
        return self.part / self.whole if self.whole else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval, 95 %."""
        if not self.whole:
            return 0.0, 1.0
        n, p = self.whole, self.value
        middle = p + _Z * _Z / (2 * n)
        spread = _Z * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        scale = 1 + _Z * _Z / n
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} [{low:.2f}, {high:.2f}] {self.part}/{self.whole}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found in turns.

    Attributes:
        precision: of the items, those that quote a fact.
        recall: of the facts, those that an item quotes.
        with_review: of the facts, those that an item or a candidate quotes.
        kinds: of the facts found, those whose detection type is right.
        wrong: items that quote no fact, per 1,000 turns.
        candidates: what is to be looked at, per 1,000 turns.
    """

    turns: int
    precision: Share
    recall: Share
    with_review: Share
    kinds: Share
    wrong: float
    candidates: float


def detections(turn: Labelled, extractor: RulesExtractor) -> list[Detection]:
    """What is found in one turn."""
    turns = []
    if turn.assistant:
        turns.append(Turn(0, ASSISTANT, turn.assistant, "a", "a@", 1, 0, "s"))
    turns.append(Turn(len(turns), HUMAN, turn.user, "u", "u@", 2, 0, "s"))
    return extractor.find(turns, 0, "labelled", Notes())


def measure(turns: Sequence[Labelled], extractor: RulesExtractor) -> Measured:
    """The extractor on labelled turns."""
    right = items = found = looked = kinds = typed = facts = candidates = 0
    for turn in turns:
        said = detections(turn, extractor)
        facts += len(turn.facts)
        for detection in said:
            items += detection.accepted
            candidates += not detection.accepted
            right += detection.accepted and any(_quotes(detection, turn, f) for f in turn.facts)
        for fact in turn.facts:
            quoting = [d for d in said if _quotes(d, turn, fact)]
            looked += bool(quoting)
            found += any(d.accepted for d in quoting)
            if quoting:
                typed += 1
                kinds += quoting[0].detection_type == fact.kind
    return Measured(
        len(turns),
        Share(right, items),
        Share(found, facts),
        Share(looked, facts),
        Share(kinds, typed),
        1000 * (items - right) / max(1, len(turns)),
        1000 * candidates / max(1, len(turns)),
    )


def _quotes(detection: Detection, turn: Labelled, fact: Fact) -> bool:
    """Whether a detection quotes most of a fact."""
    start = turn.user.find(detection.quote)
    shared = min(start + len(detection.quote), fact.end) - max(start, fact.start)
    return start >= 0 and shared >= _COVERED * (fact.end - fact.start)
