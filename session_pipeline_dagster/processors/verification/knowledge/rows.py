"""Rows of the knowledge tables to records and back. The rules are elsewhere."""

from collections.abc import Iterable
from dataclasses import fields, replace

from session_pipeline_dagster.contract.derivation import Inputs, Row
from session_pipeline_dagster.names import plain
from session_pipeline_dagster.processors.verification.knowledge.candidates import Detected, refused
from session_pipeline_dagster.processors.verification.knowledge.contradictions import (
    Check,
    Contradiction,
)
from session_pipeline_dagster.processors.verification.knowledge.items import (
    Evidence,
    Item,
    Observation,
)
from session_pipeline_dagster.processors.verification.knowledge.labels import Label, Settled
from session_pipeline_dagster.processors.verification.knowledge.relations import (
    LIKELY_SAME,
    Relation,
)
from session_pipeline_dagster.sources.snapshot import content_hash

_ACCEPTED = 15
"""Where a row of `verifications` says whether it becomes an item by itself."""


def observations(inputs: Inputs) -> Iterable[Observation]:
    """What counts of `verifications`: what became an item by itself, and what a person put under
    one; not what waits for a person, nor what one refused."""
    settled = Settled(labels(inputs))
    closed = refused(settled)
    for row in inputs.rows["observations"]:
        seen = _observation(row)
        label = settled.of(seen.detection_key, seen.line_key, seen.user_quote)
        if label and label.item_id:
            yield replace(seen, put=label.item_id, put_at=label.decided_at)
        elif label is None and row[_ACCEPTED] and seen.statement.normal not in closed:
            yield seen


def candidates(inputs: Inputs) -> list[Detected]:
    """The rows of `verifications` that do not become an item by themselves."""
    return [_detected(row) for row in inputs.rows["observations"] if not row[_ACCEPTED]]


def detected(inputs: Inputs) -> list[Detected]:
    """All rows of `verifications`, whatever became of them."""
    return [_detected(row) for row in inputs.rows["observations"]]


def _detected(row: Row) -> Detected:
    *_, accepted, score, extractor, version, reasons = row
    told = tuple(_words(reasons))
    return Detected(_observation(row), bool(accepted), score, extractor, version, told)  # ty: ignore[invalid-argument-type]  as the SELECT has it


def _observation(row: Row) -> Observation:
    """A row of `verifications`, with a digest of what is said and where."""
    *said, started_us, is_copy, line_key = row[:_ACCEPTED]
    values = (*said[:4], *map(_plain, said[4:7]), said[7], tuple(_words(said[8])), *said[9:])
    named = values if line_key is None else (*values, line_key)
    digest = content_hash(repr(named).encode())[:16]
    return Observation(*values, digest, started_us, is_copy, line_key)  # ty: ignore[invalid-argument-type]  as the SELECT has it


def items(inputs: Inputs) -> dict[str, Item]:
    """Rows of `knowledge_items` by id."""
    found = (
        Item(*r[:5], tuple(_words(r[5])), tuple(_words(r[6])), *r[7:])  # ty: ignore[invalid-argument-type]  as the SELECT has it
        for r in inputs.rows["items"]
    )
    return {item.id: item for item in found}


def evidence(inputs: Inputs) -> dict[str, Evidence]:
    """Rows of `verification_evidence` by id."""
    found = (Evidence(*r[:9], tuple(_words(r[9]))) for r in inputs.rows["evidence"])  # ty: ignore[invalid-argument-type]  as the SELECT has it
    return {row.id: row for row in found}


def relations(inputs: Inputs) -> dict[str, Relation]:
    """Rows of `knowledge_relations` by key."""
    found = (Relation(*r) for r in inputs.rows["relations"])  # ty: ignore[invalid-argument-type]  as the SELECT has it
    return {row.key: row for row in found}


def contradictions(inputs: Inputs) -> dict[str, Contradiction]:
    """Rows of `knowledge_contradictions` by id."""
    found = (Contradiction(*r) for r in inputs.rows["contradictions"])  # ty: ignore[invalid-argument-type]  as the SELECT has it
    return {row.id: row for row in found}


def labels(inputs: Inputs) -> list[Label]:
    """Rows of `knowledge_labels`."""
    return [Label(*r) for r in inputs.rows["labels"]]  # ty: ignore[invalid-argument-type]  as the SELECT has it


def checks(inputs: Inputs) -> dict[str, Check]:
    """Rows of `knowledge_checks` by item."""
    found = (Check(*r[:3], tuple(_words(r[3])), *r[4:]) for r in inputs.rows["checks"])  # ty: ignore[invalid-argument-type]  as the SELECT has it
    return {row.item_id: row for row in found}


def row(record: Item | Evidence | Contradiction | Check | Relation | Label) -> Row:
    """A record as a row of its table, in column order."""
    if isinstance(record, Relation):
        return (
            *(record.item_a_id, record.item_b_id, LIKELY_SAME),
            *(record.score, record.created_at),
        )
    # Not astuple, which copies every value of every field.
    return tuple(getattr(record, field.name) for field in fields(record))


def _plain(value: object) -> object:
    """Rows of before may hold what acts on a terminal or a page."""
    return plain(value) if isinstance(value, str) else value


def _words(value: object) -> Iterable[str]:
    return [plain(word) for word in value] if isinstance(value, list) else ()
