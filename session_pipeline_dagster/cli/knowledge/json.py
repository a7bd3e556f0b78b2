"""What the knowledge commands print for scripts: one JSON document each, nothing to draw with."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from session_pipeline_dagster.cli.knowledge.read import ItemShown, Knowledge, OneItem, source_shown
from session_pipeline_dagster.people.veil import Veil

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.verification.knowledge.questions import (
        Question,
        Questions,
    )


def list_json(shown: Sequence[ItemShown], total: int, found: Knowledge) -> str:
    """The list command's JSON document."""
    document = {
        "items": [asdict(item) for item in shown],
        "total": total,
        "open_contradictions": [asdict(c) for c in found.open],
        "checks_waiting": found.waiting,
    }
    return json.dumps(document, indent=1)


def show_json(found: OneItem) -> str:
    """The show command's JSON document."""
    return json.dumps(asdict(found), indent=1)


def review_json(found: "Questions | None", veil: Veil, *, items: bool) -> str:
    """The review command's JSON document."""
    candidates = found.candidates if found else ()
    pending = found.items if found else ()
    document: dict[str, object] = {
        "candidates": [_question(found, q, veil) for q in candidates if found],
        "items_pending": len(pending),
    }
    if items:
        document["items"] = [_question(found, q, veil) for q in pending if found]
    return json.dumps(document, indent=1)


def _question(found: "Questions", question: "Question", veil: Veil) -> dict[str, object]:
    o, d = question.detected.observation, question.detected
    return {
        "id": question.id,
        "content": question.content,
        "type": o.detection_type,
        "quote": o.user_quote,
        "score": d.score,
        "reasons": d.reasons,
        "user": veil.person(o.username),
        "source": source_shown(o.source_ref, veil),
        "like": [{"id": key, "content": found.standing[key]} for key in found.like(question)],
    }
