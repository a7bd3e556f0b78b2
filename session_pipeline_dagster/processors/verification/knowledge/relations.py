"""Which items are likely the same thing said twice, for a person to see."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.knowledge.index import Index
from session_pipeline_dagster.processors.verification.knowledge.items import REJECTED, Item, when
from session_pipeline_dagster.processors.verification.knowledge.text import (
    SHARED_ENTITIES,
    Statement,
)

LIKELY_DUPLICATE = "likely_duplicate"
COMMON = 50
"""An entity that more items of a domain name than this tells nothing of two of them."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of `knowledge_relations`; the lower id first, so a pair is there once.

    Attributes:
        score: entities in common by entities in all (Jaccard), common ones too.
    """

    item_a_id: str
    item_b_id: str
    score: float
    created_at: int | None

    @property
    def key(self) -> str:
        return f"{self.item_a_id} {self.item_b_id}"


def relations(items: Mapping[str, Item]) -> dict[str, Relation]:
    """All relations by key: a function of the items alone. Rejected items have none.

    What every tenth fact names would make each of 10,000 a likely duplicate of 1,600, so pairs
    would grow with the square of the items. They are looked for anew each time: with COMMON that is
    a second for 10,000 items, and which entity was common before would be one more thing to keep.
    """
    found: dict[str, Relation] = {}
    domains: dict[str | None, dict[str, Statement]] = defaultdict(dict)
    for item in items.values():
        if item.status != REJECTED:
            domains[item.domain][item.id] = item.statement
    for statements in domains.values():
        named = Counter(e for statement in statements.values() for e in statement.entities)
        telling = {e for e, count in named.items() if count <= COMMON}
        index = Index(statements)
        for key, statement in statements.items():
            shared = index.shared_entities(statement.entities & telling)
            for other, count in shared.items():
                if key < other and count >= SHARED_ENTITIES:
                    relation = _relation(items[key], items[other])
                    found[relation.key] = relation
    return found


def _relation(a: Item, b: Item) -> Relation:
    shared = len(a.statement.entities & b.statement.entities)
    union = len(a.statement.entities | b.statement.entities)
    later = max(a, b, key=lambda i: when(i.created_at)).created_at
    return Relation(a.id, b.id, round(shared / union, 4), later)
