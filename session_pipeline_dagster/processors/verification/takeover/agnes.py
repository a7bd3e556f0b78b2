"""The database of the web app Agnes, as its schemas 28 and newer have it; facts about it alone.

What is known of it: states are keyed by `<folder>/<file>` and hold an MD5 of the whole file; a fact
and its evidence name a session as `session-<file without ending>-<user>`; a domain was a column
once and is a table now; times have no zone and are UTC.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.errors import SettingsError

DOMAINS = ("data", "engineering", "finance", "infrastructure", "operations", "product")
FROM_SESSIONS = "user_verification"
_STATES, _OLD_STATES = "session_processor_state", "session_extraction_state"
_STATE_COLUMNS = ("session_file", "username", "processed_at", "items_extracted", "file_hash")
_ITEM_COLUMNS = (
    *("id", "title", "content", "category", "tags", "status", "source_user", "confidence"),
    *("entities", "source_type", "source_ref", "sensitivity", "is_personal"),
    *("created_at", "updated_at"),
)
_EXPECTED: Mapping[str, Sequence[str]] = {
    "knowledge_items": _ITEM_COLUMNS,
    "verification_evidence": (
        *("id", "item_id", "source_user", "source_ref", "detection_type", "user_quote"),
        "created_at",
    ),
    "knowledge_contradictions": (
        *("id", "item_a_id", "item_b_id", "explanation", "severity", "suggested_resolution"),
        *("resolved", "resolved_by", "resolved_at", "resolution", "detected_at"),
    ),
}
_STATUSES = {
    "pending": "pending",
    "approved": "approved",
    "mandatory": "approved",
    "rejected": "rejected",
    # Approved once and taken back, or no longer true: not to be handed on.
    "revoked": "rejected",
    "expired": "rejected",
}
_RESOLUTIONS = {"merged": "merge"}


@dataclass(frozen=True, slots=True)
class State:
    """What a processor of Agnes has done; times are microseconds since 1970-01-01 UTC."""

    processor: str
    session_file: str
    username: str
    processed_us: int | None
    items: int
    file_hash: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A fact. `status` is one of ours; None where Agnes has one that is not known."""

    id: str
    title: str
    content: str
    category: str
    tags: tuple[str, ...]
    status: str | None
    source_user: str
    confidence: float | None
    entities: tuple[str, ...]
    source_type: str
    source_ref: str | None
    sensitivity: str
    is_personal: bool
    created_us: int | None
    updated_us: int | None
    domain: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A line that supports a fact."""

    id: str
    item_id: str
    source_user: str
    source_ref: str | None
    detection_type: str | None
    quote: str
    created_us: int | None


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two facts that cannot both be true. `suggested`: JSON, or words."""

    item_a_id: str
    item_b_id: str
    explanation: str
    severity: str | None
    suggested: str | None
    resolved: bool
    resolution: str | None
    resolved_by: str | None
    resolved_us: int | None
    detected_us: int | None


@dataclass(frozen=True, slots=True)
class Original:
    """What is in a database of Agnes, as far as it is taken over."""

    states: Sequence[State]
    items: Sequence[Item]
    evidence: Sequence[Evidence]
    contradictions: Sequence[Contradiction]


def asked(there: Mapping[str, frozenset[str]]) -> Mapping[str, str]:
    """The SELECTs for a database with these tables.

    Raises:
        SettingsError: it is none of a schema that is known; says what is missing.
    """
    missing = [
        f"{table}({', '.join(lost)})" if table in there else table
        for table, columns in _EXPECTED.items()
        if (lost := [name for name in columns if name not in there.get(table, ())])
    ]
    states = [_states(name, there) for name in (_STATES, _OLD_STATES) if name in there]
    if not states:
        missing.append(f"{_STATES} or {_OLD_STATES}")
    if missing:
        raise SettingsError(
            f"the file is no database of Agnes that can be taken over: it has no "
            f"{', no '.join(missing)}. Expected are schemas 28 and newer"
        )
    domain = _domain(there)
    return {
        "states": " UNION ALL ".join(states),
        "items": f"""SELECT id, title, content, category, tags::VARCHAR, status, source_user,
            confidence::DOUBLE, entities::VARCHAR, source_type, source_ref, sensitivity,
            coalesce(is_personal, false), epoch_us(created_at), epoch_us(updated_at), {domain}
            FROM knowledge_items AS i ORDER BY id""",
        "evidence": """SELECT id, item_id, source_user, source_ref, detection_type, user_quote,
            epoch_us(created_at) FROM verification_evidence ORDER BY id""",
        "contradictions": """SELECT item_a_id, item_b_id, explanation, severity,
            suggested_resolution, coalesce(resolved, false), resolution, resolved_by,
            epoch_us(resolved_at), epoch_us(detected_at) FROM knowledge_contradictions
            ORDER BY id""",
    }


def _states(table: str, there: Mapping[str, frozenset[str]]) -> str:
    name = "processor_name" if "processor_name" in there[table] else "'verification'"
    lost = [column for column in _STATE_COLUMNS if column not in there[table]]
    if lost:
        raise SettingsError(
            f"the file is no database of Agnes that can be taken over: {table} has no "
            f"{', no '.join(lost)}"
        )
    return f"""SELECT {name}, session_file, username, epoch_us(processed_at), items_extracted,
        file_hash FROM {table}"""


def _domain(there: Mapping[str, frozenset[str]]) -> str:
    if "domain" in there["knowledge_items"]:
        return "domain"
    if not {"knowledge_item_domains", "memory_domains"} <= there.keys():
        return "NULL"
    return f"""(SELECT min(d.slug) FROM knowledge_item_domains AS j
        JOIN memory_domains AS d ON d.id = j.domain_id
        WHERE j.item_id = i.id AND d.slug IN {DOMAINS})"""


def parsed(rows: Mapping[str, Sequence[Row]]) -> Original:
    """The rows of `asked` as records. What a column holds that no such column has is left empty."""
    states: dict[tuple[str, str], State] = {}
    for row in rows["states"]:
        processor, key, user = map(_text, row[:3])
        if processor and key:
            state = State(processor, key, user, _whole(row[3]), _whole(row[4]) or 0, _name(row[5]))
            # The newer table comes first.
            states.setdefault((processor, key), state)
    return Original(
        list(states.values()),
        [_item(row) for row in rows["items"]],
        [
            Evidence(*map(_text, row[:3]), *map(_name, row[3:5]), _text(row[5]), _whole(row[6]))
            for row in rows["evidence"]
        ],
        [_contradiction(row) for row in rows["contradictions"]],
    )


def _item(row: Row) -> Item:
    title, content, category = map(_text, row[1:4])
    return Item(
        id=_text(row[0]),
        title=title,
        content=content or title,
        category=category or "business_logic",
        tags=_words(row[4]),
        status=_STATUSES.get(_text(row[5])),
        source_user=_text(row[6]),
        confidence=row[7] if isinstance(row[7], float) else None,
        entities=_words(row[8]),
        source_type=_text(row[9]),
        source_ref=_name(row[10]),
        sensitivity=_text(row[11]) or "internal",
        is_personal=bool(row[12]),
        created_us=_whole(row[13]),
        updated_us=_whole(row[14]),
        domain=domain if (domain := _name(row[15])) in DOMAINS else None,
    )


def _contradiction(row: Row) -> Contradiction:
    resolution = _name(row[6])
    return Contradiction(
        *map(_text, row[:3]),
        *map(_name, row[3:5]),
        bool(row[5]),
        _RESOLUTIONS.get(resolution or "", resolution),
        _name(row[7]),
        _whole(row[8]),
        _whole(row[9]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _name(value: object) -> str | None:
    return _text(value) or None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _words(value: object) -> tuple[str, ...]:
    """A JSON list of words."""
    try:
        found = msgspec.json.decode(_text(value) or "[]")
    except (msgspec.DecodeError, RecursionError):
        return ()
    return tuple(word for word in found if isinstance(word, str)) if isinstance(found, list) else ()


def sessions(states: Iterable[State], key: Callable[[str], str]) -> Mapping[str, str]:
    """How facts name a session -> its key here.

    Args:
        key: of a `<folder>/<file>` of Agnes.
    """
    found: dict[str, str] = {}
    for state in states:
        folder, _, file = state.session_file.rpartition("/")
        stem = file.removesuffix(".jsonl")
        for user in (state.username, folder.rpartition("/")[2]):
            found.setdefault(f"session-{stem}-{user}", key(state.session_file))
    return found
