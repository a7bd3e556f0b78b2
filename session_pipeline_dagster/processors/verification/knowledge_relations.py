"""Which items are likely the same thing said twice, for a person to see."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.knowledge import REJECTED, Item, when
from session_pipeline_dagster.processors.verification.knowledge_index import Index
from session_pipeline_dagster.processors.verification.knowledge_text import (
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


class Telling:
    """The items that can have relations, with those of their entities that tell something.

    A function of the items alone. Without it the pairs grow with the square of the items: what
    every tenth fact names would make each of 10,000 a likely duplicate of 1,600.
    """

    def __init__(self, items: Mapping[str, Item]) -> None:
        live = [item for item in items.values() if item.status != REJECTED]
        counted = Counter((item.domain, e) for item in live for e in item.statement.entities)
        self.common = {named for named, count in counted.items() if count > COMMON}
        self.entities = {
            item.id: frozenset(
                e for e in item.statement.entities if (item.domain, e) not in self.common
            )
            for item in live
        }

    def holds(self, relation: Relation) -> bool:
        """Whether the two still share enough that tells something."""
        a, b = (self.entities.get(i, frozenset()) for i in (relation.item_a_id, relation.item_b_id))
        return len(a & b) >= SHARED_ENTITIES


def relations_of_changed(
    before: Mapping[str, Item],
    items: Mapping[str, Item],
    changed: Collection[str],
    there: Mapping[str, Relation],
) -> tuple[dict[str, Relation], dict[str, Relation]]:
    """Relations by key that change: as they were, and as they are.

    Args:
        before, items: all items before and after the change.
        changed: ids of the items that the change touched.
        there: the relations before.
    """
    telling, was_common = Telling(items), Telling(before).common
    fallen = was_common - telling.common
    again = {*changed} | {
        item.id
        for item in items.values()
        if any((item.domain, e) in fallen for e in item.statement.entities)
    }
    old = {
        key: r
        for key, r in there.items()
        if r.item_a_id in again or r.item_b_id in again or not telling.holds(r)
    }
    return old, relations(items, again, telling)


def relations(
    items: Mapping[str, Item], of: Collection[str], telling: Telling
) -> dict[str, Relation]:
    """Relations that the items named in `of` have with any, by key. Rejected items have none."""
    domains: dict[str | None, dict[str, Statement]] = defaultdict(dict)
    for key, entities in telling.entities.items():
        if len(entities) >= SHARED_ENTITIES:
            domains[items[key].domain][key] = items[key].statement
    found: dict[str, Relation] = {}
    for statements in domains.values():
        asking = [key for key in statements if key in of]
        if not asking:
            continue
        index = Index(statements)
        for key in asking:
            for other, shared in index.shared_entities(telling.entities[key]).items():
                if other != key and shared >= SHARED_ENTITIES:
                    relation = _relation(items[key], items[other])
                    found[relation.key] = relation
    return found


def _relation(one: Item, other: Item) -> Relation:
    a, b = sorted((one, other), key=lambda i: i.id)
    shared = len(a.statement.entities & b.statement.entities)
    union = len(a.statement.entities | b.statement.entities)
    later = max(a, b, key=lambda i: when(i.created_at)).created_at
    return Relation(a.id, b.id, round(shared / union, 4), later)
