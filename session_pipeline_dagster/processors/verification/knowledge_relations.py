"""Which items are likely the same thing said twice, for a person to see."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.knowledge import REJECTED, Item, when
from session_pipeline_dagster.processors.verification.knowledge_index import Index
from session_pipeline_dagster.processors.verification.knowledge_text import SHARED_ENTITIES

LIKELY_DUPLICATE = "likely_duplicate"


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of `knowledge_relations`; the lower id first, so a pair is there once.

    Attributes:
        score: entities in common by entities in all (Jaccard).
    """

    item_a_id: str
    item_b_id: str
    score: float
    created_at: int | None

    @property
    def key(self) -> str:
        return f"{self.item_a_id} {self.item_b_id}"


def relations(items: Mapping[str, Item], of: Collection[str]) -> dict[str, Relation]:
    """Relations that the items named in `of` have with any, by key. Rejected items have none."""
    domains: dict[str | None, list[Item]] = defaultdict(list)
    for item in items.values():
        if item.status != REJECTED:
            domains[item.domain].append(item)
    found: dict[str, Relation] = {}
    for live in domains.values():
        if not any(item.id in of for item in live):
            continue
        index = Index({item.id: item.statement for item in live})
        for item in live:
            if item.id not in of:
                continue
            for other, shared in index.shared_entities(item.statement).items():
                if other != item.id and shared >= SHARED_ENTITIES:
                    relation = _relation(item, items[other], shared)
                    found[relation.key] = relation
    return found


def _relation(one: Item, other: Item, shared: int) -> Relation:
    a, b = sorted((one, other), key=lambda i: i.id)
    union = len(a.statement.entities | b.statement.entities)
    later = max(a, b, key=lambda i: when(i.created_at)).created_at
    return Relation(a.id, b.id, round(shared / union, 4), later)
