"""Which items contradict each other: what is compared with what, and what an answer is worth.

Pure rules. Both sides always stay; a person decides. Who asks a model is `judge.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from rapidfuzz import fuzz, process

from session_pipeline_dagster.processors.verification.knowledge.index import Index, Sieve
from session_pipeline_dagster.processors.verification.knowledge.items import REJECTED, Item, when
from session_pipeline_dagster.processors.verification.knowledge.text import (
    alike,
    contrary,
    differences,
)
from session_pipeline_dagster.sources.snapshot import content_hash

BY_RULES = "rules"
OK, FAILED, GIVEN_UP = "ok", "failed", "given_up"
ATTEMPTS = 5
"""Answers that a model refused before an item is given up; an outage counts none."""
MOST_CANDIDATES = 20
_FEW_LOOKUPS = 100
ACTIONS = frozenset({"kept_a", "kept_b", "merge", "both_valid"})
SEVERITIES = frozenset({"hard", "soft"})
_LONGEST = 500
_MINUTE = 60_000_000
_DAY = 1440 * _MINUTE


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A row of `knowledge_contradictions`. For rules, `a` is what was said later.

    Attributes:
        suggested_resolution: JSON: action, justification, merged_content.
        found_by: `rules`, or the model.
        resolution: the action that a person chose.
    """

    id: str
    item_a_id: str
    item_b_id: str
    explanation: str
    severity: str | None
    suggested_resolution: str | None
    resolved: bool
    detected_at: int | None
    found_by: str
    resolution: str | None = None
    resolved_by: str | None = None
    resolved_at: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A row of `knowledge_checks`: an item was compared with these candidates.

    Attributes:
        outcome: `ok`, `failed` (tried again at `next_attempt_at`) or `given_up`.
        attempts: how often a model refused to answer.
        basis: what was compared; an item of another basis is compared again.
    """

    item_id: str
    checked_by: str
    outcome: str
    candidates: tuple[str, ...]
    attempts: int
    checked_at: int | None
    next_attempt_at: int | None
    basis: str


@dataclass(frozen=True)
class Question:
    """Does an item contradict any of the candidates?"""

    item: Item
    candidates: tuple[Item, ...]


class Verdict(msgspec.Struct):
    """One contradiction, as a model answers. Only strings: what is not ours is left out here."""

    candidate_id: str
    explanation: str
    severity: str | None = None
    action: str | None = None
    justification: str | None = None
    merged_content: str | None = None


class Verdicts(msgspec.Struct):
    """The answer to a question."""

    contradictions: list[Verdict]


def contradiction_id(a: str, b: str) -> str:
    """The same whichever is named first."""
    return "kc_" + sha256(":".join(sorted((a, b))).encode()).hexdigest()[:12]


def basis(item: Item) -> str:
    """Changes if the item would be compared with others, or otherwise."""
    return content_hash(repr((item.domain, item.content, item.entities)).encode())[:16]


def unchecked(items: Mapping[str, Item], checks: Mapping[str, Check], now: int) -> list[Item]:
    """Live items that are to be compared now, in the order in which they were said."""
    found = []
    for item in items.values():
        check = checks.get(item.id)
        due = (
            check is None
            or check.basis != basis(item)
            or (check.outcome == FAILED and (check.next_attempt_at or 0) <= now)
        )
        if due and item.status != REJECTED:
            found.append(item)
    return sorted(found, key=lambda i: (when(i.created_at), i.id))


# --- without a model ---


def by_rules(new: Iterable[Item], items: Mapping[str, Item]) -> list[Contradiction]:
    """Pairs that are the same sentence but for a number, a period, a negation or an opposite."""
    due = sorted(new, key=lambda item: len(item.content))
    # What a sieve costs is soon paid, but not by one lookup.
    made = Sieve if len(due) > _FEW_LOOKUPS else Index
    indexes = {
        domain: made({i.id: i.statement for i in found}) for domain, found in _live(items).items()
    }
    pairs = {
        contradiction_id(item.id, other): (item, items[other])
        for item in due
        for other in indexes[item.domain].contrary(item.statement, most=MOST_CANDIDATES)
    }
    return [_by_rules(key, *pair) for key, pair in sorted(pairs.items())]


def still_holds(known: Contradiction, items: Mapping[str, Item]) -> Contradiction | None:
    """A stored contradiction as the items are now; None if one of them is gone.

    What a rule found follows the rule until a person has decided; what a model said stays.
    """
    a, b = items.get(known.item_a_id), items.get(known.item_b_id)
    if a is None or b is None:
        return None
    if known.found_by != BY_RULES or known.resolved:
        return known
    return _by_rules(known.id, a, b) if _contrary(a, b) else None


def _contrary(a: Item, b: Item) -> bool:
    return (
        a.domain == b.domain
        and alike(a.statement, b.statement)
        and contrary(a.statement, b.statement)
    )


def _by_rules(key: str, one: Item, other: Item) -> Contradiction:
    b, a = sorted((one, other), key=lambda i: (when(i.created_at), i.id))
    said = "; ".join(differences(a.statement, b.statement))
    text = f"alike, but they differ in {said}"[:_LONGEST]
    return Contradiction(key, a.id, b.id, text, "soft", None, False, a.created_at, BY_RULES)


def _live(items: Mapping[str, Item]) -> Mapping[str | None, list[Item]]:
    domains: dict[str | None, list[Item]] = defaultdict(list)
    for item in items.values():
        if item.status != REJECTED:
            domains[item.domain].append(item)
    return domains


# --- with a model ---


def questions(
    new: Iterable[Item], items: Mapping[str, Item], checks: Mapping[str, Check]
) -> list[Question]:
    """One question for each new item; a pair is asked about once, by the later of the two."""
    domains = _live(items)
    asked: set[frozenset[str]] = {
        frozenset((c.item_id, other))
        for c in checks.values()
        if c.outcome == OK
        for other in c.candidates
    }
    waiting = {item.id for item in new}
    found = []
    for item in new:
        waiting.discard(item.id)
        others = [
            other
            for other in domains[item.domain]
            if other.id != item.id
            # One said later, and asked later, has this one among its candidates.
            and other.id not in waiting
            and frozenset((item.id, other.id)) not in asked
        ]
        found.append(Question(item, _nearest(item, others)))
    return found


def _nearest(item: Item, others: list[Item]) -> tuple[Item, ...]:
    """The candidates most likely to speak of the same thing."""
    texts = [other.statement.folded for other in others]
    scores = process.extract(item.statement.folded, texts, scorer=fuzz.ratio, limit=None)
    mine = item.statement.entities
    shared = [len(mine & other.statement.entities) for other in others]
    # Half by what they name, the rest by how they sound.
    naming = sorted(
        (i for i, n in enumerate(shared) if n), key=lambda i: (-shared[i], others[i].id)
    )
    chosen = [*naming[: MOST_CANDIDATES // 2], *(i for _, _, i in scores)]
    return tuple(others[i] for i in list(dict.fromkeys(chosen))[:MOST_CANDIDATES])


def read_verdicts(
    question: Question, verdicts: Verdicts, model: str, now: int
) -> list[Contradiction]:
    """The contradictions of an answer. Ids that were not asked about are left out."""
    candidates = {candidate.id for candidate in question.candidates}
    found: dict[str, Contradiction] = {}
    for verdict in verdicts.contradictions:
        if verdict.candidate_id not in candidates:
            continue
        key = contradiction_id(question.item.id, verdict.candidate_id)
        severity = verdict.severity if verdict.severity in SEVERITIES else None
        found.setdefault(
            key,
            Contradiction(
                key,
                question.item.id,
                verdict.candidate_id,
                verdict.explanation[:_LONGEST],
                severity,
                _resolution(verdict),
                False,
                now,
                model,
            ),
        )
    return list(found.values())


def _resolution(verdict: Verdict) -> str | None:
    if verdict.action not in ACTIONS:
        return None
    merged = verdict.merged_content if verdict.action == "merge" else None
    said = {
        "action": verdict.action,
        "justification": (verdict.justification or "")[:_LONGEST] or None,
        "merged_content": merged[:_LONGEST] if merged else None,
    }
    return msgspec.json.encode(said).decode()


def failed(
    question: Question, earlier: Check | None, model: str, now: int, wait: int | None, counts: bool
) -> Check:
    """The check of a question that got no answer.

    Args:
        wait: microseconds, if whoever could not answer said so.
        counts: whether the item is given up after so many.
    """
    attempts = (earlier.attempts if earlier else 0) + counts
    pause = wait if wait is not None else min(_MINUTE * 2**attempts, _DAY)
    outcome = GIVEN_UP if attempts >= ATTEMPTS else FAILED
    item = question.item
    return Check(item.id, model, outcome, (), attempts, now, now + pause, basis(item))
