"""What people decided about detections: one row per decision and detection, of which the last
counts.

A label says whether a detection is right, and under which item it belongs. It is found by the
detection's key, else by the same words in the same line: another version may see another type.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from session_pipeline_dagster.processors.verification.detection.quotes import (
    folded,
    stands_in_original,
)

APPROVED, REJECTED, EDITED, SAME = "approved", "rejected", "edited", "same"
SUPERSEDED = "superseded"
"""The side of a contradiction that was not kept: it was said, but holds no longer."""
SKIPPED = "skipped"
"""No decision: it comes again, after all others."""
RIGHT = frozenset({APPROVED, EDITED, SAME})
"""Decisions that say: this detection is a fact."""
JUDGED = RIGHT | {REJECTED}
MOST_RECENT, ENOUGH, PRECISE = 100, 20, 0.8
"""Decisions that precision is measured over; how many there must be, and how many of them right."""


@dataclass(frozen=True)
class Label:
    """A row of `knowledge_labels`.

    Attributes:
        decision: one of those above.
        detection_type: as it was found, or as the person says.
        content: the fact as it was decided.
        item_id: the item it was put under; None for a candidate that became none.
        accepted: whether it was an item by itself when it was decided about.
        decided_at: microseconds since 1970-01-01 UTC; later than what was decided before it.
    """

    id: str
    detection_key: str
    session_file: str
    line_number: int | None
    line_key: str | None
    user_quote: str
    decision: str
    detection_type: str
    content: str
    item_id: str | None
    score: float | None
    accepted: bool
    extractor: str | None
    extractor_version: int | None
    decided_by: str
    decided_at: int

    @property
    def order(self) -> tuple[int, str]:
        """The last one counts."""
        return (self.decided_at, self.id)


def label_id(detection_key: str, decision: str, decided_by: str, decided_at: int) -> str:
    """Names one decision about one detection."""
    parts = f"{detection_key}:{decision}:{decided_by}:{decided_at}"
    return "kl_" + sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def words_of(line_key: str | None) -> str | None:
    """What names the words of a line, in every copy and at whatever time."""
    return line_key.partition("@")[0] if line_key else None


class Settled:
    """The last decision about each detection, without those that were skipped."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._last: dict[str, Label] = {}
        self.skipped: dict[str, int] = {}
        for label in sorted(labels, key=lambda label: label.order):
            if label.decision == SKIPPED:
                self.skipped[label.detection_key] = label.decided_at
            else:
                self._last[label.detection_key] = label
        self._in_line: dict[str, list[Label]] = defaultdict(list)
        for label in self._last.values():
            if words := words_of(label.line_key):
                self._in_line[words].append(label)

    @property
    def last(self) -> Sequence[Label]:
        """One for each detection, the oldest decision first."""
        return sorted(self._last.values(), key=lambda label: label.order)

    @property
    def refused(self) -> Sequence[Label]:
        """What was refused before it was an item: the same in another spelling is refused, too."""
        return [
            each for each in self._last.values() if each.decision == REJECTED and not each.item_id
        ]

    def of(self, detection_key: str, line_key: str | None, quote: str) -> Label | None:
        """What was decided about a detection, or about its words under another type."""
        found = self._last.get(detection_key)
        beside = self._in_line.get(words_of(line_key) or "") if found is None else None
        if not beside:
            return found
        same = [label for label in beside if _same_words(label.user_quote, quote)]
        return max(same, key=lambda label: label.order, default=None)


def _same_words(one: str, other: str) -> bool:
    """Whether two quotes of one line are of the same statement: another version may cut it another
    way, or take other secrets out of it."""
    short, long = sorted((one, other), key=lambda quote: len(folded(quote)))
    enough = 2 * len(folded(short)) >= len(folded(long))
    return enough and (
        stands_in_original(short, folded(long)) or stands_in_original(long, folded(short))
    )


def homeless(
    labels: Iterable[Label],
    files: Iterable[str],
    places: Iterable[tuple[str, str, int | None]],
) -> Mapping[str, Label | None]:
    """What becomes of labels whose file was taken out: they move to a copy of the line that is
    still there, else they go.

    Args:
        files: session files that are known.
        places: (detection key, session file, line number) of what is detected now.

    Returns:
        Label id -> the label in its new place; None = it goes.
    """
    there = frozenset(files)
    lost = {label.id: label for label in labels if label.session_file not in there}
    keys = {label.detection_key for label in lost.values()}
    copies: dict[str, tuple[str, int | None]] = {}
    for key, file, line in sorted((p for p in places if p[0] in keys), key=lambda p: p[:2]):
        copies.setdefault(key, (file, line))
    moved: dict[str, Label | None] = {}
    for name, label in lost.items():
        place = copies.get(label.detection_key)
        moved[name] = replace(label, session_file=place[0], line_number=place[1]) if place else None
    return moved


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of the newest decisions say that what was found is right.

    Attributes:
        decisions, right: about what had become an item by itself.
        candidates, right_candidates: about what was only shown; they are doubtful by design.
    """

    decisions: int
    right: int
    candidates: int
    right_candidates: int

    @property
    def share(self) -> float:
        """Of items; 1 where none was decided about."""
        return round(self.right / self.decisions, 3) if self.decisions else 1.0

    @property
    def is_low(self) -> bool:
        return self.decisions >= ENOUGH and self.share < PRECISE


def precision(labels: Iterable[Label]) -> Precision:
    """Over the last 100 decisions about items, and about candidates. What was decided at once about
    one item, however many lines support it, is one decision."""
    decisions: dict[tuple[object, ...], list[Label]] = defaultdict(list)
    for label in Settled(labels).last:
        if label.decision in JUDGED:
            about = label.item_id or label.detection_key
            decisions[about, label.decided_by, label.decided_at].append(label)
    right: dict[bool, list[bool]] = {True: [], False: []}
    for together in decisions.values():
        # An item may have candidates behind it as well.
        of_item = any(label.accepted for label in together)
        right[of_item].append(together[0].decision in RIGHT)
    items, shown = right[True][-MOST_RECENT:], right[False][-MOST_RECENT:]
    return Precision(len(items), sum(items), len(shown), sum(shown))
