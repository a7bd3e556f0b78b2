"""Detections of one session -> rows of `verifications`; all that is stored of one is made here."""

import hashlib
from collections.abc import Callable, Sequence

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.copies import copied_lines, started_us
from session_pipeline_dagster.processors.verification.detection.extractor import (
    Detection,
    Extractor,
)
from session_pipeline_dagster.processors.verification.detection.quotes import folded
from session_pipeline_dagster.transcripts.records import times_us

LONGEST_TITLE, LONGEST_CONTENT, LONGEST_QUOTE = 60, 500, 2000


def rows(
    session: Session,
    detections: Sequence[Detection],
    extractor: Extractor,
    version: int,
    clean: Callable[[str], str],
) -> list[Row]:
    """A row for every detection; the same words of a line make one row of a type.

    Args:
        clean: takes secrets out of a text.
    """
    if not detections:
        return []
    began_us = started_us(times_us(session.transcript.records), session.day)
    copied = copied_lines(session)
    found: dict[str, Row] = {}
    for detection in detections:
        turn, key = detection.turn, detection_key(detection)
        # Words of a model: what it was sent is redacted, but not what it makes of it.
        content = _cut(clean(plain(detection.content)), LONGEST_CONTENT)
        found.setdefault(
            key,
            (
                session.key,
                key,
                short(turn.session_id or session.stem),
                short(session.user),
                detection.detection_type,
                _cut(clean(plain(detection.title)) or content, LONGEST_TITLE),
                content,
                plain(detection.quote[:LONGEST_QUOTE]),
                detection.domain,
                [clean(plain(entity)) for entity in detection.entities],
                short(turn.line_uuid),
                turn.line_number,
                began_us if turn.time_us is None else turn.time_us,
                extractor.name,
                version,
                session.project and short(session.project),
                extractor.model and short(extractor.model),
                began_us,
                turn.line_number <= copied,
                turn.line_key,
                detection.score,
                detection.accepted,
                list(detection.reasons),
            ),
        )
    return list(found.values())


def detection_key(detection: Detection) -> str:
    """The same for the same words of the same line in every copy of it."""
    words = detection.turn.line_key.partition("@")[0]
    parts = (words, detection.detection_type, folded(detection.quote))
    return f"vd_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def _cut(text: str, longest: int) -> str:
    """At most so many characters, at the end of a word where there is one."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    head = text[: longest - 3]
    return f"{head.rpartition(' ')[0] or head}..."
