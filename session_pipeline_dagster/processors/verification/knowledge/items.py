"""What knowledge is made of: observations, facts and items, and the numbers that hang on them.

Records and small pure rules. What belongs together is decided in `merge.py`. Times are
microseconds since 1970-01-01 UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from session_pipeline_dagster.processors.copies import Copy
from session_pipeline_dagster.processors.verification.knowledge.text import Statement

PENDING, APPROVED, REJECTED = "pending", "approved", "rejected"
CORRECTION = "correction"
_BASE = {CORRECTION: 0.90, "unprompted_definition": 0.90, "confirmation": 0.60}
_UNKNOWN = 0.60
_EACH_FURTHER = 0.05
_NO_TIME = 2**62


def item_id(title: str, content: str) -> str:
    """The id of what is said, whoever says it."""
    return "kv_" + sha256(f"{title}:{content}".encode()).hexdigest()[:12]


def confidence(types: Iterable[str], verifiers: int) -> float:
    """How sure a fact is, 0 to 1: by the strongest thing said of it, and by how many people."""
    base = max((_BASE.get(kind, _UNKNOWN) for kind in types), default=_UNKNOWN)
    return round(min(1.0, base + _EACH_FURTHER * max(0, verifiers - 1)), 2)


def strength(kind: str) -> float:
    """The confidence that one thing said of this type gives."""
    return _BASE.get(kind, _UNKNOWN)


def when(moment: int | None) -> int:
    """For sorting: what has no time comes last."""
    return _NO_TIME if moment is None else moment


@dataclass(frozen=True)
class Observation:
    """One detection, whatever number of files hold a copy of its line.

    Attributes:
        line_uuid: the person's line, the same in every copy.
        line_key: its uuid, words and time; None in rows of before there were keys.
        detected_at: when the person wrote it.
        digest: changes if anything above does.
        put, put_at: the item that a person put it under, and when; None where nobody has.
    """

    session_file: str
    detection_key: str
    username: str
    detection_type: str
    title: str
    content: str
    user_quote: str
    domain: str | None
    entities: tuple[str, ...]
    line_uuid: str
    line_number: int | None
    detected_at: int | None
    digest: str
    file_started_us: int | None = None
    is_copy: bool | None = None
    line_key: str | None = None
    put: str | None = None
    put_at: int = 0

    @property
    def copy(self) -> Copy | None:
        """Its place among the copies of its line; None in rows of before there were places."""
        if self.file_started_us is None:
            return None
        return Copy(False, bool(self.is_copy), self.file_started_us, self.session_file)

    @cached_property
    def item_id(self) -> str:
        return item_id(self.title, self.content)

    @cached_property
    def statement(self) -> Statement:
        return Statement(self.content, frozenset(e.casefold() for e in self.entities))

    @property
    def order(self) -> tuple[int, str, str]:
        """Oldest first; never by who was read first."""
        return (when(self.detected_at), self.line_uuid, self.detection_key)

    @property
    def source_ref(self) -> str:
        return f"{self.session_file}:{self.line_number or 0}"


@dataclass(frozen=True)
class Fact:
    """Observations that say the same, but for the spelling.

    Attributes:
        key: its normal form; an id where a reviewed item has the very same words.
        observations: oldest first; the first one words it.
    """

    key: str
    observations: tuple[Observation, ...]

    @property
    def id(self) -> str:
        return self.observations[0].item_id

    @property
    def statement(self) -> Statement:
        return self.observations[0].statement

    @cached_property
    def domain(self) -> str | None:
        return next((o.domain for o in self.observations if o.domain), None)

    @property
    def created_at(self) -> int | None:
        return self.observations[0].detected_at


@dataclass(frozen=True)
class Item:
    """A row of `knowledge_items`."""

    id: str
    title: str
    content: str
    category: str
    domain: str | None
    entities: tuple[str, ...]
    tags: tuple[str, ...]
    status: str
    confidence: float
    source_type: str
    source_user: str | None
    source_ref: str | None
    sensitivity: str
    created_at: int | None
    updated_at: int | None
    rules_version: int
    reviewed_by: str | None = None
    reviewed_at: int | None = None

    @cached_property
    def statement(self) -> Statement:
        return Statement(self.content, frozenset(e.casefold() for e in self.entities))

    @property
    def source_file(self) -> str:
        return (self.source_ref or "").rpartition(":")[0]

    @property
    def order(self) -> tuple[int, int, str]:
        """Which of several that fit is the one to keep: approved, then oldest, then lowest id."""
        rank = {APPROVED: 0, PENDING: 2}.get(self.status, 1)
        return (rank, when(self.created_at), self.id)


@dataclass(frozen=True)
class Evidence:
    """A row of `verification_evidence`: one line of a person that supports an item.

    Attributes:
        digests: of all observations in that line that support it.
    """

    id: str
    item_id: str
    session_file: str
    source_user: str
    source_ref: str
    detection_type: str
    user_quote: str
    line_uuid: str
    created_at: int | None
    digests: tuple[str, ...]


def evidence_id(item: str, line_uuid: str) -> str:
    """One line supports an item once."""
    return "ke_" + sha256(f"{item}:{line_uuid}".encode()).hexdigest()[:12]
