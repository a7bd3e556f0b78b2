"""What is derived of knowledge: from the rows that are there to the rows that change.

Gathers records from rows, calls the rules, and phrases what they say as changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from session_pipeline_dagster.contract.derivation import Changes, Inputs, Row
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge.candidates import waiting
from session_pipeline_dagster.processors.verification.knowledge.contradictions import (
    BY_RULES,
    FAILED,
    OK,
    Check,
    Contradiction,
    basis,
    by_rules,
    failed,
    questions,
    read_verdicts,
    still_holds,
    unchecked,
)
from session_pipeline_dagster.processors.verification.knowledge.items import (
    PENDING,
    REJECTED,
    Item,
)
from session_pipeline_dagster.processors.verification.knowledge.judge import Judge
from session_pipeline_dagster.processors.verification.knowledge.labels import (
    Label,
    Settled,
    homeless,
    precision,
)
from session_pipeline_dagster.processors.verification.knowledge.merge import Known, merge
from session_pipeline_dagster.processors.verification.knowledge.relations import relations
from session_pipeline_dagster.processors.verification.knowledge.tables import CHECKING
from session_pipeline_dagster.processors.verification.models.model import Call

_ITEMS, _WAITING = "items", "waiting"

R = TypeVar("R")


def merge_knowledge(inputs: Inputs) -> Changes:
    """Items, evidence, relations and labels that change."""
    labels = rows.labels(inputs)
    resolved = {item for pair in inputs.rows["resolved"] for item in pair}
    known = Known(
        items=rows.items(inputs),
        evidence=rows.evidence(inputs),
        pinned=frozenset(resolved | {label.item_id for label in Settled(labels).last}),  # ty: ignore[invalid-argument-type]  ids
        files=frozenset(row[0] for row in inputs.rows["files"]),  # ty: ignore[invalid-argument-type]  keys
    )
    observations = list(rows.observations(inputs))
    merged = merge(observations, known)
    seen = ((o[1], o[0], o[10]) for o in inputs.rows["observations"])
    moved = homeless(labels, known.files, seen)  # ty: ignore[invalid-argument-type]  as the SELECT has it
    now = {k: v for k, v in {**known.items, **merged.items}.items() if v}
    old, new = rows.relations(inputs), relations(now, (o.statement for o in observations))
    edges = {key: new.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
    gone = known.items.keys() - now.keys()
    fresh = now.keys() - known.items.keys()
    return Changes(
        removed={
            "knowledge_items": _gone(known.items, merged.items),
            "verification_evidence": _gone(known.evidence, merged.evidence),
            "knowledge_relations": _gone(old, edges),
            "knowledge_labels": sorted(moved),
        },
        added={
            "knowledge_items": _come(merged.items),
            "verification_evidence": _come(merged.evidence),
            "knowledge_relations": _come(edges),
            "knowledge_labels": _come(moved),
        },
        notes={CHECKING: [_ITEMS]} if merged.items else {},
        numbers={
            "items_new": len(fresh),
            "items_retracted": len(gone),
            "items_pending_review": sum(i.status == PENDING for i in now.values()),
            **_reviewing(inputs, labels, now),
        },
    )


def _reviewing(
    inputs: Inputs, labels: Sequence[Label], items: Mapping[str, Item]
) -> dict[str, int | float]:
    """How many candidates wait, and how right people found what they decided about."""
    rejected = [item for item in items.values() if item.status == REJECTED]
    open_ = len(waiting(rows.candidates(inputs), Settled(labels), rejected))
    found = precision(labels)
    measured = {"knowledge_precision": found.share} if found.decisions else {}
    return {"candidates_waiting": open_, **measured}


def _gone(old: Mapping[str, object], changes: Mapping[str, object]) -> list[str]:
    """Keys of the rows that are replaced or go."""
    return sorted(key for key in changes if key in old)


def _come(changes: Mapping[str, R | None]) -> list[Row]:
    """The rows that come, in an order of their own."""
    return [rows.row(changes[key]) for key in sorted(changes) if changes[key] is not None]  # ty: ignore[invalid-argument-type]  records all


@dataclass(frozen=True)
class Checking:
    """The contradiction check, with or without someone to ask."""

    judge: Judge | None

    def compute(self, inputs: Inputs) -> Changes:
        """Contradictions and checks that change."""
        items, checks = rows.items(inputs), rows.checks(inputs)
        there = rows.contradictions(inputs)
        now = int(inputs.now.timestamp() * 1_000_000)
        new = unchecked(items, checks, now)
        found: list[Contradiction] = []
        done: dict[str, Check] = {}
        calls: list[Call] = []
        if self.judge is None:
            found = by_rules(new, items)
            done = {i.id: Check(i.id, BY_RULES, OK, (), 0, now, None, basis(i)) for i in new}
        else:
            asked = questions(new, items, checks)
            for question, answer in zip(asked, self.judge.answers(asked), strict=True):
                item, name = question.item, self.judge.model.name
                calls += answer.calls
                if answer.verdicts is None:
                    wait = int(answer.wait.total_seconds() * 1e6) if answer.wait else None
                    earlier = checks.get(item.id)
                    done[item.id] = failed(question, earlier, name, now, wait, answer.counts)
                else:
                    found += read_verdicts(question, answer.verdicts, name, now)
                    others = tuple(c.id for c in question.candidates)
                    done[item.id] = Check(item.id, name, OK, others, 0, now, None, basis(item))
        fresh = {c.id: c for c in found if c.id not in there}
        kept = {c.id: still_holds(c, items) for c in there.values()}
        changed = {**fresh, **{k: c for k, c in kept.items() if c != there[k]}}
        after = {k: c for k, c in {**checks, **done}.items() if k in items}
        waiting = sum(c.outcome == FAILED for c in after.values())
        run_id = self.judge.run_id if self.judge else None
        return Changes(
            removed={
                "knowledge_contradictions": _gone(there, changed),
                "knowledge_checks": sorted(
                    (checks.keys() & done.keys()) | (checks.keys() - after.keys())
                ),
            },
            added={
                "knowledge_contradictions": _come(changed),
                "knowledge_checks": _come(done),
                "llm_calls": [_ledger(call, run_id) for call in calls],
            },
            notes={CHECKING: [_WAITING]} if waiting else {},
            numbers={
                "items_checked": sum(c.outcome == OK for c in done.values()),
                "checks_waiting": waiting,
                "contradictions_new": len(fresh),
                "judge_calls": len(calls),
            },
        )


def _ledger(call: Call, run_id: str | None) -> Row:
    """A row of `llm_calls`; the work was on no file."""
    return (
        "",
        call.called_at,
        call.purpose,
        call.model,
        call.input_tokens,
        call.output_tokens,
        call.cached_tokens,
        call.milliseconds,
        call.outcome,
        run_id,
    )
