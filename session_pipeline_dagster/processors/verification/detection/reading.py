"""One session read for what people taught in it: turns -> detections -> rows."""

from collections.abc import Callable, Sequence

from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.processors.verification.detection.extractor import (
    MOST,
    Detection,
    Extractor,
)
from session_pipeline_dagster.processors.verification.detection.rows import detection_key, rows
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import read_turns
from session_pipeline_dagster.settings import Thresholds

_CANDIDATES = 4
"""Times as many candidates of a session are kept as items: most of them are none."""


def read_by_rules(
    session: Session, version: int, clean: Callable[[str], str], thresholds: Thresholds
) -> ProcessorResult:
    """All turns of the session, by rules.

    Args:
        clean: takes secrets out of a text.
    """
    turns, extractor = read_turns(session.transcript, clean), RulesExtractor(thresholds)
    found = extractor.find(turns, 0, session.key, session.notes)
    return result(session, found, extractor, version, clean, len(turns))


def result(
    session: Session,
    found: Sequence[Detection],
    extractor: Extractor,
    version: int,
    clean: Callable[[str], str],
    turns: int,
    memo: str | None = None,
    *,
    append: bool = False,
    earlier: int = 0,
) -> ProcessorResult:
    """What was found, as rows, and a row about the reading itself.

    Args:
        clean: takes secrets out of a text.
        turns: how many were read.
        earlier: how many detections of the session there are already.
    """
    kept = limited(found, max(MOST - earlier, 0))
    if len(kept) < len(found):
        session.notes.count("detections_over_limit", len(found) - len(kept))
    made = rows(session, kept, extractor, version, clean)
    counts = session.notes.counts
    quotes, rejected = counts.get("quotes", len(found)), counts.get("rejected_quotes", 0)
    reading = (session.key, extractor.name, extractor.model, turns, quotes, rejected, len(made))
    tables = {"verifications": made, "verification_readings": [reading]}
    items = len({detection_key(each) for each in kept if each.accepted})
    return ProcessorResult(tables, items, memo, append)


def limited(found: Sequence[Detection], most: int) -> Sequence[Detection]:
    """So many accepted ones and four times as many candidates, the first of each: what was found
    in a session is still found when it has grown."""
    left = {True: most, False: _CANDIDATES * most}
    kept = []
    for each in found:
        if left[each.accepted] > 0:
            left[each.accepted] -= 1
            kept.append(each)
    return kept
