"""What a person is asked in a review, in which order: candidates, then items if asked for. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.contract.derivation import Inputs
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge import tables as tables
from session_pipeline_dagster.processors.verification.knowledge.candidates import (
    Detected,
    similar,
    waiting,
)
from session_pipeline_dagster.processors.verification.knowledge.heard import Line
from session_pipeline_dagster.processors.verification.knowledge.items import (
    PENDING,
    REJECTED,
    Item,
)
from session_pipeline_dagster.processors.verification.knowledge.labels import SKIPPED, Settled

READS: Mapping[str, str] = {
    "observations": tables.READ_OBSERVATIONS,
    "items": tables.READ_ITEMS,
    "evidence": tables.READ_EVIDENCE,
    "labels": tables.READ_LABELS,
}


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to decide about.

    Attributes:
        id: of a candidate (`vd_...`) or an item (`kv_...`).
        content: the fact.
        detected: who said it, where and in which words; of an item the first of it.
        lines: of people that say it.
    """

    id: str
    content: str
    detected: Detected
    lines: int = 1

    @property
    def is_item(self) -> bool:
        return self.id != self.detected.key

    @property
    def line(self) -> Line:
        """Where its quote stands."""
        o = self.detected.observation
        return Line(o.session_file, o.line_number, o.line_key, o.user_quote)


@dataclass(frozen=True)
class Questions:
    """What is open.

    Attributes:
        candidates, items: the best first, what was skipped last.
        standing: the words of every item that is not rejected, by id.
    """

    candidates: Sequence[Question]
    items: Sequence[Question]
    standing: Mapping[str, str]

    def like(self, question: Question) -> Sequence[str]:
        """Ids of the items that are most like it."""
        others = {key: text for key, text in self.standing.items() if key != question.id}
        return similar(question.content, others)


def questions(inputs: Inputs) -> Questions:
    """Everything that nobody has decided yet."""
    items, labels = rows.items(inputs), rows.labels(inputs)
    settled = Settled(labels)
    refused = [item for item in items.values() if item.status == REJECTED]
    open_ = waiting(rows.candidates(inputs), settled, refused)
    put_off = {
        label.item_id: label.decided_at
        for label in sorted(labels, key=lambda label: label.order)
        if label.decision == SKIPPED
    }
    return Questions(
        [Question(d.key, d.observation.content, d) for d in open_],
        sorted(_pending(inputs, items), key=lambda q: (put_off.get(q.id, 0), _order(items[q.id]))),
        {key: item.content for key, item in items.items() if item.status != REJECTED},
    )


def _order(item: Item) -> tuple[float, object]:
    return (-item.confidence, item.order)


def _pending(inputs: Inputs, items: Mapping[str, Item]) -> list[Question]:
    seen = {d.observation.digest: d for d in rows.detected(inputs)}
    behind: dict[str, list[Detected]] = defaultdict(list)
    lines: dict[str, int] = defaultdict(int)
    for evidence in rows.evidence(inputs).values():
        lines[evidence.item_id] += 1
        behind[evidence.item_id] += [seen[d] for d in evidence.digests if d in seen]
    return [
        Question(key, item.content, min(found, key=lambda d: d.observation.order), lines[key])
        for key, item in items.items()
        if item.status == PENDING and (found := behind[key])
    ]
