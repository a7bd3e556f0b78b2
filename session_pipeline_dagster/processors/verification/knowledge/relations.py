"""Which items likely say the same thing in other words, for a person to see.

Who is compared with whom is decided here: a few leads for each item, by the rare words and
entities that it shares. Whether two are the same is in `likeness.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from session_pipeline_dagster.processors.verification.knowledge.items import REJECTED, Item, when
from session_pipeline_dagster.processors.verification.knowledge.likeness import Meaning, likeness
from session_pipeline_dagster.processors.verification.knowledge.text import Statement

LIKELY_SAME = "likely_same"
MOST_LEADS = 12
"""Items that one is compared with: those that share the rarest words."""
MOST_HELD = 400
"""Items that are looked at to find them; what more items than that have tells nothing."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of `knowledge_relations`; the lower id first, so a pair is there once.

    Attributes:
        score: how many of the stems of both are common (Dice).
    """

    item_a_id: str
    item_b_id: str
    score: float
    created_at: int | None

    @property
    def key(self) -> str:
        return f"{self.item_a_id} {self.item_b_id}"


def relations(items: Mapping[str, Item], known: Iterable[Statement] = ()) -> dict[str, Relation]:
    """All relations by key: a function of the items alone. Rejected items have none.

    Over domains, too: a domain is guessed from the words, and other words are the point. They are
    looked for anew each time: what is rare changes with every item, and would have to be kept.

    Args:
        known: statements whose words are there already.
    """
    spelt = {statement: statement for statement in known}
    meanings = {
        key: Meaning(spelt.get(item.statement, item.statement))
        for key, item in items.items()
        if item.status != REJECTED
    }
    found: dict[str, Relation] = {}
    seen: set[tuple[str, str]] = set()
    for key, leads in _leads(meanings).items():
        for lead in leads:
            pair = (key, lead) if key < lead else (lead, key)
            if pair in seen:
                continue
            seen.add(pair)
            score = likeness(meanings[pair[0]], meanings[pair[1]])
            if score:
                relation = _relation(items[pair[0]], items[pair[1]], score)
                found[relation.key] = relation
    return found


def _leads(meanings: Mapping[str, Meaning]) -> Mapping[str, Sequence[str]]:
    """For each item the others that share most, rare words counting more; ties by id."""
    holders: dict[str, list[str]] = defaultdict(list)
    traits = {key: _traits(meaning) for key, meaning in meanings.items()}
    for key, own in traits.items():
        for trait in own:
            holders[trait].append(key)
    count = len(meanings)
    found: dict[str, Sequence[str]] = {}
    for key, own in traits.items():
        shared: dict[str, float] = defaultdict(float)
        looked_at = 0
        for trait in sorted(own, key=lambda t: (len(holders[t]), t)):
            others = holders[trait]
            if looked_at + len(others) > MOST_HELD:
                break
            looked_at += len(others)
            rare = 1 + log(count / len(others))
            for other in others:
                shared[other] += rare
        shared.pop(key, None)
        # Most are below the last of them, and need not be put in order.
        least = sorted(shared.values(), reverse=True)[:MOST_LEADS][-1:] or [0.0]
        best = sorted((-much, other) for other, much in shared.items() if much >= least[0])
        found[key] = [other for _, other in best[:MOST_LEADS]]
    return found


def _traits(meaning: Meaning) -> frozenset[str]:
    """What it is found by."""
    entities = (f"@{entity}" for entity in meaning.statement.entities)
    return frozenset((*meaning.stems, *entities))


def _relation(a: Item, b: Item, score: float) -> Relation:
    later = max(a, b, key=lambda i: when(i.created_at)).created_at
    return Relation(a.id, b.id, score, later)
