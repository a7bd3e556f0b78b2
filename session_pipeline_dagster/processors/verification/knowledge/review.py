"""What a person decides about knowledge: approve, reject, resolve. Pure: rows in, changes out.

A reviewed item is never changed or retracted by a run again; what is read still adds evidence.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from session_pipeline_dagster.contract.derivation import Changes, Compute, Derivation, Inputs
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge import tables as tables
from session_pipeline_dagster.processors.verification.knowledge.contradictions import (
    ACTIONS,
    Contradiction,
)
from session_pipeline_dagster.processors.verification.knowledge.items import (
    APPROVED,
    REJECTED,
    Item,
)

_LONGEST = 500


class Unknown(ContractError):
    """No item or contradiction has that id."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who decides, and when (microseconds since 1970-01-01 UTC)."""

    name: str
    now: int


def review(decide: Compute) -> Derivation:
    """A decision as a derivation that nobody notes: written only if what it saw still holds."""
    return Derivation(
        "knowledge_review",
        {"knowledge_items": tables.ITEMS, "knowledge_contradictions": tables.CONTRADICTIONS},
        {"items": tables.READ_ITEMS, "contradictions": tables.READ_CONTRADICTIONS},
        decide,
    )


def set_status(inputs: Inputs, ids: Collection[str], status: str, by: Reviewer) -> Changes:
    """Approve or reject items.

    Raises:
        Unknown: one of the ids names no item; nothing is changed.
    """
    items = rows.items(inputs)
    missing = sorted(set(ids) - items.keys())
    if missing:
        raise Unknown(f"no item {', '.join(missing)}; see `session-pipeline knowledge list`")
    return _items_changed({i: _reviewed(items[i], status, by) for i in ids})


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
    changed: dict[str, Item] = {}
    if action in ("kept_a", "merge"):
        kept = replace(a, content=_merged(found, content)) if action == "merge" else a
        changed = {a.id: _reviewed(kept, APPROVED, by), b.id: _reviewed(b, REJECTED, by)}
    elif action == "kept_b":
        changed = {b.id: _reviewed(b, APPROVED, by), a.id: _reviewed(a, REJECTED, by)}
    resolved = replace(
        found, resolved=True, resolution=action, resolved_by=by.name, resolved_at=by.now
    )
    changes = _items_changed(changed, also=(a.id, b.id))
    return replace(
        changes,
        removed={**changes.removed, "knowledge_contradictions": [found.id]},
        added={**changes.added, "knowledge_contradictions": [rows.row(resolved)]},
    )


def suggestion(contradiction: Contradiction) -> Mapping[str, str | None]:
    """The suggested resolution: action, justification, merged_content; empty if there is none."""
    said = contradiction.suggested_resolution
    return msgspec.json.decode(said, type=dict[str, str | None]) if said else {}


def _merged(found: Contradiction, content: str | None) -> str:
    text = plain(content or suggestion(found).get("merged_content") or "").strip()
    if not text:
        raise ContractError("nothing is suggested to merge them into; give it with --content")
    if len(text) > _LONGEST:
        raise ContractError(f"--content has {len(text)} characters; it takes {_LONGEST}")
    return text


def _reviewed(item: Item, status: str, by: Reviewer) -> Item:
    said = replace(item, title=plain(item.title), content=plain(item.content))
    return replace(said, status=status, reviewed_by=short(plain(by.name)), reviewed_at=by.now)


def _items_changed(changed: Mapping[str, Item], also: Collection[str] = ()) -> Changes:
    """The rows, and a note: who may join whom is to be looked at again."""
    return Changes(
        removed={"knowledge_items": list(changed)},
        added={"knowledge_items": [rows.row(item) for item in changed.values()]},
        notes={tables.KNOWLEDGE: {*changed, *also}},
    )
