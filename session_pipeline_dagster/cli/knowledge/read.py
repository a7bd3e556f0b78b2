"""What the knowledge commands show: records read from the store as of one moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.processors.verification.knowledge.export import Fact
from session_pipeline_dagster.store.database import Store

_ITEMS = """SELECT id, title, content, domain, entities, status, round(current_confidence, 2),
    weight, evidence, verifiers, strftime(last_verified_at AT TIME ZONE 'UTC', '%Y-%m-%d'),
    source_ref, reviewed_by, strftime(reviewed_at AT TIME ZONE 'UTC', '%Y-%m-%d')
    FROM knowledge_current ORDER BY weight DESC, id"""
_EVIDENCE = """SELECT item_id, source_user, detection_type, user_quote, source_ref,
    strftime(created_at AT TIME ZONE 'UTC', '%Y-%m-%d'), score, coalesce(reasons, [])[:3]
    FROM verification_evidence LEFT JOIN (
        SELECT session_file, line_uuid, detection_type, user_quote, max(score) AS score,
            arg_max(reasons, coalesce(score, 0)) AS reasons
        FROM verifications GROUP BY ALL
    ) USING (session_file, line_uuid, detection_type, user_quote) ORDER BY created_at, id"""
_CONTRADICTIONS = """SELECT id, item_a_id, item_b_id, explanation, severity, suggested_resolution,
    resolved, resolution, found_by FROM knowledge_contradictions ORDER BY detected_at, id"""
_RELATIONS = """SELECT item_a_id, item_b_id, relation_type, score FROM knowledge_relations
    ORDER BY score DESC, item_a_id, item_b_id"""
_WAITING = "SELECT count(*) FROM knowledge_checks WHERE outcome <> 'ok'"


@dataclass(frozen=True, slots=True)
class ItemShown:
    """An item as of now: `confidence` is decayed by age, days are `YYYY-MM-DD`."""

    id: str
    title: str
    content: str
    domain: str | None
    entities: Sequence[str]
    status: str
    confidence: float
    weight: float
    evidence: int
    verifiers: int
    last_verified: str | None
    source: str | None
    reviewed_by: str | None
    reviewed_on: str | None


@dataclass(frozen=True, slots=True)
class EvidenceShown:
    """A person's own words, how sure their finder was, and its strongest reasons."""

    item_id: str
    user: str
    type: str
    quote: str
    source: str
    said_on: str | None
    score: float | None
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class ContradictionShown:
    """Two items, and what is suggested."""

    id: str
    item_a: str
    item_b: str
    explanation: str
    severity: str | None
    suggested_resolution: str | None
    resolved: bool
    resolution: str | None
    found_by: str


@dataclass(frozen=True, slots=True)
class RelationShown:
    """Two items with something in common."""

    item_a: str
    item_b: str
    type: str
    score: float


@dataclass(frozen=True, slots=True)
class OneItem:
    """An item with all that hangs on it."""

    item: ItemShown
    evidence: Sequence[EvidenceShown]
    contradictions: Sequence[ContradictionShown]
    relations: Sequence[RelationShown]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything there is.

    Attributes:
        waiting: items whose contradiction check got no answer yet.
    """

    items: Sequence[ItemShown] = ()
    evidence: Sequence[EvidenceShown] = ()
    contradictions: Sequence[ContradictionShown] = ()
    relations: Sequence[RelationShown] = ()
    waiting: int = 0

    @property
    def open(self) -> list[ContradictionShown]:
        """Contradictions that nobody has decided yet, between items that still stand."""
        standing = {item.id for item in self.items if item.status != "rejected"}
        return [
            c for c in self.contradictions if not c.resolved and {c.item_a, c.item_b} <= standing
        ]

    def of(self, item_id: str) -> OneItem:
        """One item.

        Raises:
            ContractError: there is none of that id.
        """
        item = next((i for i in self.items if i.id == item_id), None)
        if item is None:
            raise ContractError(f"no item {item_id}; `session-pipeline knowledge list` shows them")
        return OneItem(
            item,
            [e for e in self.evidence if e.item_id == item_id],
            [c for c in self.contradictions if item_id in (c.item_a, c.item_b)],
            [r for r in self.relations if item_id in (r.item_a, r.item_b)],
        )

    @property
    def disputed(self) -> frozenset[str]:
        """Approved items that contradict another approved one: none of them is handed on."""
        approved = {item.id for item in self.items if item.status == "approved"}
        pairs = ({c.item_a, c.item_b} for c in self.open)
        return frozenset(i for pair in pairs if pair <= approved for i in pair)

    def exported(self) -> list[Fact]:
        """What may be handed on: approved and undisputed."""
        return [
            Fact(
                *(i.id, i.content, i.domain, i.weight, i.verifiers, i.last_verified),
                *(i.reviewed_by, i.reviewed_on),
            )
            for i in self.items
            if i.status == "approved" and i.id not in self.disputed
        ]


def read(store: Store, processor: Processor, veil: Veil) -> Knowledge:
    """All of it, people named as they may be shown; empty where no session was ever read.

    Args:
        processor: whose tables they are.

    Raises:
        StoreUnusable: the tables are of another version; says what to do.
    """
    # Opening the database costs more than a look.
    with store.held():
        if not store.row_counts(["knowledge_items"])["knowledge_items"]:
            return Knowledge()
        store.ready(processor)
        answers = store.query(_ITEMS, _EVIDENCE, _CONTRADICTIONS, _RELATIONS, _WAITING)
    # Columns and types are those of the SELECTs above.
    rows: Any = [rows for _, rows in answers]
    items, evidence, contradictions, relations, waiting = rows
    return Knowledge(
        [_item(ItemShown(*row), veil) for row in items],
        [_evidence(EvidenceShown(*row), veil) for row in evidence],
        [ContradictionShown(*row) for row in contradictions],
        [RelationShown(*row) for row in relations],
        waiting[0][0],
    )


def source_shown(source: str, veil: Veil) -> str:
    """`file:line` with the file as it is shown."""
    file, colon, line = source.rpartition(":")
    return f"{veil.file(file)}:{line}" if colon and line.isdigit() else veil.file(source)


def _item(item: ItemShown, veil: Veil) -> ItemShown:
    if not veil.hides:
        return item
    return replace(
        item,
        source=source_shown(item.source, veil) if item.source else item.source,
        reviewed_by=veil.person(item.reviewed_by) if item.reviewed_by else item.reviewed_by,
    )


def _evidence(found: EvidenceShown, veil: Veil) -> EvidenceShown:
    if not veil.hides:
        return found
    return replace(found, user=veil.person(found.user), source=source_shown(found.source, veil))
