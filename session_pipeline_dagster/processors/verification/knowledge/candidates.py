"""What waits for a person: detections that are not sure enough to become an item by themselves.

Which of them wait, in which order, and which items are like them. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from session_pipeline_dagster.processors.verification.detection.quotes import folded
from session_pipeline_dagster.processors.verification.knowledge.items import (
    Item,
    Observation,
    when,
)
from session_pipeline_dagster.processors.verification.knowledge.labels import (
    Label,
    Settled,
    words_of,
)
from session_pipeline_dagster.processors.verification.knowledge.merge import one_file_a_line
from session_pipeline_dagster.processors.verification.knowledge.text import Statement

MOST_SIMILAR = 3
_SIMILAR = 55.0


@dataclass(frozen=True)
class Detected:
    """A row of `verifications`, with how sure its finder was.

    Attributes:
        accepted: whether it becomes an item without being looked at.
    """

    observation: Observation
    accepted: bool
    score: float | None = None
    extractor: str | None = None
    extractor_version: int | None = None
    reasons: tuple[str, ...] = field(default=())

    @property
    def key(self) -> str:
        return self.observation.detection_key

    def label(self, settled: Settled) -> Label | None:
        """What was decided about it; None where nobody has."""
        o = self.observation
        return settled.of(o.detection_key, o.line_key, o.user_quote)

    @property
    def order(self) -> tuple[float, int, str]:
        """The best first."""
        o = self.observation
        return (-1.0 if self.score is None else -self.score, when(o.detected_at), o.detection_key)


def one_a_detection(detected: Iterable[Detected]) -> dict[str, Detected]:
    """By detection key: of the copies of a line, the one that evidence would name."""
    copies: dict[str, list[Detected]] = defaultdict(list)
    for each in detected:
        copies[each.key].append(each)
    found: dict[str, Detected] = {}
    for key, same in copies.items():
        chosen = min(
            one_file_a_line(d.observation for d in same), key=lambda o: (o.order, o.session_file)
        )
        found[key] = next(d for d in same if d.observation is chosen)
    return found


def refused(settled: Settled) -> set[str]:
    """What people refused before it was an item, as it is once it is spelt in one way."""
    return {Statement(label.content).normal for label in settled.refused}


def waiting(
    detected: Iterable[Detected], settled: Settled, rejected: Iterable[Item] = ()
) -> list[Detected]:
    """The candidates that nobody has decided about, the best first; what was skipped comes last.

    Words that one line gives as two types are one candidate.

    Args:
        rejected: items; what is only spelt otherwise is not asked about again, nor what was
            refused as a candidate.
    """
    closed = refused(settled) | {item.statement.normal for item in rejected}
    open_ = [
        d
        for d in one_a_detection(d for d in detected if not d.accepted).values()
        if d.label(settled) is None
        # To spell a text in one way takes longest: only where something is closed.
        and not (closed and d.observation.statement.normal in closed)
    ]
    found: dict[object, Detected] = {}
    for each in sorted(open_, key=lambda d: d.order):
        o = each.observation
        words = words_of(o.line_key)
        # Quotes that are old are emptied.
        found.setdefault(
            (words, folded(o.user_quote)) if words and o.user_quote else each.key, each
        )
    skipped = settled.skipped
    return sorted(found.values(), key=lambda d: (skipped.get(d.key, 0), d.order))


def similar(content: str, contents: Mapping[str, str]) -> Sequence[str]:
    """Ids of the texts that are most like this one, for a person to compare: nothing is merged
    for it."""
    found = process.extract(
        content.casefold(),
        {key: text.casefold() for key, text in contents.items()},
        scorer=fuzz.token_set_ratio,
        score_cutoff=_SIMILAR,
        limit=MOST_SIMILAR,
    )
    return [key for _, _, key in found]
