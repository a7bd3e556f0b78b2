"""Shared by the tests of knowledge: what people say, as observations and as rows."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from session_pipeline_dagster.processors.verification.knowledge.items import (
    Item,
    Observation,
    item_id,
)
from session_pipeline_dagster.processors.verification.knowledge.merge import Known, Merged, merge

HOUR = 3_600_000_000
NOON = 1_748_779_200_000_000
"""2025-06-01T12:00Z in microseconds."""

WEEKLY = "The revenue report is refreshed weekly on the finance dashboard"
MONTHLY = "The revenue report is refreshed monthly on the finance dashboard"
FISCAL = "The fiscal year of the company starts on the first of February"


def said(
    content: str,
    user: str = "alice",
    kind: str = "confirmation",
    *,
    at: int = 0,
    line: str | None = None,
    session: str | None = None,
    domain: str | None = "finance",
    entities: Iterable[str] = (),
    title: str | None = None,
    quote: str | None = None,
) -> Observation:
    """What a person said, `at` hours after noon."""
    file = session or f"{user}/s{at}.jsonl"
    key = sha256(f"{line or file}{at}{kind}{content}".encode()).hexdigest()[:16]
    made = Observation(
        session_file=file,
        detection_key=key,
        username=user,
        detection_type=kind,
        title=(content if title is None else title)[:60],
        content=content,
        user_quote=content if quote is None else quote,
        domain=domain,
        entities=tuple(sorted(entities)),
        line_uuid=line or f"{file}:{at}",
        line_number=at + 1,
        detected_at=NOON + at * HOUR,
        digest="",
    )
    return replace(made, digest=sha256(repr(made).encode()).hexdigest()[:16])


def applied(known: Known, merged: Merged) -> Known:
    """What is there after a merge."""
    items = {k: v for k, v in {**known.items, **merged.items}.items() if v}
    evidence = {k: v for k, v in {**known.evidence, **merged.evidence}.items() if v}
    return replace(known, items=items, evidence=evidence)


def knowledge(observations: Iterable[Observation], known: Known | None = None) -> Known:
    """Merged in one go."""
    before = known or Known({}, {})
    return applied(before, merge(observations, before))


def only(known: Known) -> Item:
    """The one item there is."""
    (item,) = known.items.values()
    return item


def id_of(content: str) -> str:
    """The id of the item that `said(content)` makes alone."""
    return item_id(content[:60], content)
