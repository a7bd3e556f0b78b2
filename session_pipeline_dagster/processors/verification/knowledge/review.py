"""What a person decides about knowledge, as derivations that nobody notes: written only if what
they saw still holds. Approve, reject and the like are in `decisions.py`, contradictions here.

A reviewed item is never changed or retracted by a run again; what is read still adds evidence.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import msgspec

from session_pipeline_dagster.contract.derivation import Changes, Compute, Derivation, Inputs
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.processors.verification.knowledge import labels as labels
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge import tables as tables
from session_pipeline_dagster.processors.verification.knowledge.contradictions import (
    ACTIONS,
    Contradiction,
)
from session_pipeline_dagster.processors.verification.knowledge.decisions import (
    Choice,
    Deciding,
    Reviewer,
    Unknown,
    decide,
    words,
)
from session_pipeline_dagster.processors.verification.knowledge.items import APPROVED, REJECTED


def review(compute: Compute, ids: Iterable[str] | None = None) -> Derivation:
    """A decision as a derivation.

    Args:
        ids: what it is about; nothing else is read, so who decides about something else is not in
            its way. None = everything.
    """
    written = {
        "knowledge_items": tables.ITEMS,
        "knowledge_contradictions": tables.CONTRADICTIONS,
        "knowledge_labels": tables.LABELS,
    }
    return Derivation("knowledge_review", written, _reads(ids), compute)


def _reads(ids: Iterable[str] | None) -> Mapping[str, str]:
    reads = {
        "items": tables.READ_ITEMS,
        "observations": tables.READ_OBSERVATIONS,
        "evidence": tables.READ_EVIDENCE,
        "labels": tables.READ_LABELS,
        "contradictions": tables.READ_CONTRADICTIONS,
    }
    if ids is None:
        return reads
    named = ", ".join("'" + key.replace("'", "''") + "'" for key in ids) or "''"
    # A candidate's own item may be there already.
    about = f"""(SELECT unnest([{named}]) UNION SELECT {tables.ITEM_ID} FROM verifications
        WHERE detection_key IN ({named}) UNION SELECT unnest([item_a_id, item_b_id])
        FROM knowledge_contradictions WHERE id IN ({named}))"""
    seen = f"""detection_key IN {about} OR (session_file, line_uuid) IN (SELECT session_file,
        line_uuid FROM verification_evidence WHERE item_id IN {about}) OR detection_key IN
        (SELECT detection_key FROM knowledge_labels WHERE item_id IN {about})"""
    narrowed = {
        "items": f"id IN {about}",
        "observations": seen,
        "evidence": f"item_id IN {about}",
        "labels": f"""item_id IN {about}
            OR detection_key IN (SELECT detection_key FROM verifications WHERE {seen})
            OR split_part(line_key, '@', 1) IN
            (SELECT split_part(line_key, '@', 1) FROM verifications WHERE {seen})""",
        "contradictions": f"id IN ({named})",
    }
    return {name: f"{sql} WHERE {narrowed[name]}" for name, sql in reads.items()}


def set_status(inputs: Inputs, ids: Collection[str], status: str, by: Reviewer) -> Changes:
    """Approve or reject candidates and items.

    Raises:
        Unknown: one of the ids names none; nothing is changed.
    """
    return decide(inputs, [Choice(key, status) for key in dict.fromkeys(ids)], by).changes


def resolve(
    inputs: Inputs, contradiction: str, action: str, content: str | None, by: Reviewer
) -> Changes:
    """Decide a contradiction. What is kept is approved, what is not is rejected.

    Args:
        action: `kept_a`, `kept_b`, `both_valid` (neither changes) or `merge`: `a` gets the content,
            `b` is rejected.
        content: for `merge`; default: what was suggested.

    Raises:
        Unknown: no contradiction has that id, or one of its items is gone.
        ContractError: the action does not exist, or there is no content to merge into.
    """
    if action not in ACTIONS:
        raise ContractError(f"action {action!r}; it takes {', '.join(sorted(ACTIONS))}")
    found = rows.contradictions(inputs).get(contradiction)
    items = rows.items(inputs)
    if found is None or not {found.item_a_id, found.item_b_id} <= items.keys():
        raise Unknown(
            f"no contradiction {contradiction}; `session-pipeline knowledge list` shows them"
        )
    a, b = items[found.item_a_id], items[found.item_b_id]
    deciding = Deciding(inputs, by)
    if action == "merge":
        deciding.set(replace(a, content=_merged(found, content)), APPROVED, labels.EDITED)
        deciding.set(b, REJECTED, labels.SUPERSEDED)
    elif action != "both_valid":
        kept, other = (a, b) if action == "kept_a" else (b, a)
        deciding.set(kept, APPROVED, labels.APPROVED)
        deciding.set(other, REJECTED, labels.SUPERSEDED)
    resolved = replace(
        found, resolved=True, resolution=action, resolved_by=by.name, resolved_at=by.now
    )
    changes = deciding.done().changes
    return replace(
        changes,
        removed={**changes.removed, "knowledge_contradictions": [found.id]},
        added={**changes.added, "knowledge_contradictions": [rows.row(resolved)]},
        notes={tables.KNOWLEDGE: {a.id, b.id}},
    )


def suggestion(contradiction: Contradiction) -> Mapping[str, str | None]:
    """The suggested resolution: action, justification, merged_content; empty if there is none."""
    said = contradiction.suggested_resolution
    return msgspec.json.decode(said, type=dict[str, str | None]) if said else {}


def _merged(found: Contradiction, content: str | None) -> str:
    suggested = content or suggestion(found).get("merged_content")
    return words(suggested, "nothing is suggested to merge them into; give it with --content")
