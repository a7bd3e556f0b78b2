"""What the catalog, the command line and the checks say of knowledge."""

from collections.abc import Mapping, Sequence

from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.contract.quality import Data, Measured, Quality, counted
from session_pipeline_dagster.processors.verification.knowledge.tables import READ_LABELS

SUMMARIES: Sequence[Summary] = (
    Summary(
        "Knowledge",
        """SELECT status, count(*) AS items, sum(evidence)::BIGINT AS evidence,
            count(*) FILTER (verifiers > 1) AS by_several
        FROM knowledge_current GROUP BY status ORDER BY status""",
    ),
    Summary(
        "To be looked at: session-pipeline knowledge review",
        """SELECT detection_type AS type, count(DISTINCT detection_key) AS candidates,
            round(max(score), 2) AS highest_score
        FROM verifications ANTI JOIN knowledge_labels USING (detection_key)
        WHERE accepted IS FALSE GROUP BY ALL ORDER BY ALL""",
    ),
)

_TO_DECIDE = 7
"""Days: a contradiction is for a person to decide, and not an alarm on its first."""
_MENDED = (
    "If it fails, the tables were changed from outside: "
    "`session-pipeline run --processor verification --full-refresh` makes them right."
)


def knowledge_precision(data: Data) -> Measured:
    """Hold what was found against what people decided about it."""
    # A declaration is read by every start; this runs in a check.
    from session_pipeline_dagster.processors.verification.knowledge import labels  # noqa: PLC0415

    # Not by `rows.py`, which knows of all that is merged and takes 50 ms to import.
    made = [labels.Label(*row) for row in data.select(READ_LABELS)]  # ty: ignore[invalid-argument-type]  as the SELECT has it
    found = labels.precision(made)
    numbers: dict[str, int | float] = {
        "decisions": found.decisions,
        "decisions_of_candidates": found.candidates,
    }
    if found.decisions:
        numbers["precision"] = found.share
    if found.decisions < labels.ENOUGH:
        said = f"{found.decisions} decisions about items yet; judged from {labels.ENOUGH} on"
    else:
        said = f"{found.right} of the last {found.decisions} decisions about items: right"
    said += f" (candidates: {found.right_candidates} of {found.candidates})"
    wrong = found.decisions - found.right if found.is_low else 0
    return Measured(wrong, numbers, said=said)


QUALITY: Sequence[Quality] = (
    Quality(
        "knowledge_precision",
        "knowledge_items",
        "Of the last 100 decisions of people about items, at least 0.8 say that the item is right: "
        "approved, edited, or the same as another. Judged from 20 on; candidates are doubtful by "
        "design and only counted beside it. If it fails, too much that is no fact becomes an item: "
        "raise `SESSION_PIPELINE_ACCEPT_SCORE`, or `make train` with your labels.",
        knowledge_precision,
        glance=True,
    ),
    Quality(
        "evidence_without_item",
        "verification_evidence",
        f"Every piece of evidence supports an item that is there. {_MENDED}",
        counted(
            "SELECT count(*) FROM verification_evidence e "
            "ANTI JOIN knowledge_items i ON i.id = e.item_id"
        ),
    ),
    Quality(
        "item_without_evidence",
        "knowledge_items",
        "Every item that nobody has reviewed has evidence in a session. Reviewed items may have "
        f"lost theirs; they are counted beside it. {_MENDED}",
        counted(
            """SELECT count(*) FILTER (status = 'pending' AND NOT decided),
                count(*) FILTER (status <> 'pending')
            FROM (SELECT i.status, i.id IN (SELECT unnest([item_a_id, item_b_id])
                FROM knowledge_contradictions WHERE resolved
                UNION SELECT item_id FROM knowledge_labels WHERE item_id IS NOT NULL) AS decided
                FROM knowledge_items i ANTI JOIN verification_evidence e ON i.id = e.item_id)""",
            "reviewed_items_without_evidence",
        ),
    ),
    Quality(
        "contradiction_backlog",
        "knowledge_contradictions",
        f"Every contradiction is decided within {_TO_DECIDE} days, and every item compared with "
        "the others. Decide with `session-pipeline knowledge resolve`; checks that got no answer "
        "are tried again by themselves, those given up are not.",
        counted(
            f"""SELECT late + waiting + given_up, open, waiting, given_up FROM
                (SELECT count(*) AS open, count(*) FILTER (
                        greatest(detected_at, one.checked_at, other.checked_at)
                            < now() - INTERVAL {_TO_DECIDE} DAY) AS late
                    FROM knowledge_contradictions c
                    LEFT JOIN knowledge_checks one ON one.item_id = c.item_a_id
                    LEFT JOIN knowledge_checks other ON other.item_id = c.item_b_id
                    JOIN knowledge_items a ON a.id = c.item_a_id AND a.status <> 'rejected'
                    JOIN knowledge_items b ON b.id = c.item_b_id AND b.status <> 'rejected'
                    WHERE NOT c.resolved),
                (SELECT count(*) FILTER (outcome = 'failed') AS waiting,
                    count(*) FILTER (outcome = 'given_up') AS given_up FROM knowledge_checks)""",
            "open_contradictions",
            "checks_waiting",
            "checks_given_up",
        ),
    ),
)

DESCRIPTIONS: Mapping[str, str] = {
    "knowledge_items": """Read what people taught: one row per fact, whoever said it.

`session-pipeline knowledge review` decides about those that are pending; `knowledge_precision` in
"Checks" says how often that was yes.

Pending until a person reviews it with `session-pipeline knowledge approve` or `reject`; from then
on no run changes it. How sure it is today is in the view `knowledge_current`. What matters most:
`content`, `status`, `confidence`, `domain`.

```sql
SELECT status, domain, title, current_confidence FROM knowledge_current
ORDER BY current_confidence DESC
```""",
    "verification_evidence": """See who said a fact: a row per fact and line that supports it.

Copies, forks and renamed files of a session add none.

```sql
SELECT i.title, e.source_user, e.user_quote
FROM verification_evidence e JOIN knowledge_items i ON i.id = e.item_id
```""",
    "knowledge_relations": """Find facts that are likely the same, said twice, in pairs.

In other words, so a person decides. Found by rare words and entities; numbers, days, negations,
opposites and exchanged words keep a pair out.

```sql
SELECT a.title, b.title, score FROM knowledge_relations
JOIN knowledge_items a ON a.id = item_a_id JOIN knowledge_items b ON b.id = item_b_id
```""",
    "knowledge_contradictions": """Find facts that cannot both be true, in pairs: a person decides.

Both stay; a person decides with `session-pipeline knowledge resolve`.

```sql
SELECT a.title, b.title, severity, explanation FROM knowledge_contradictions
JOIN knowledge_items a ON a.id = item_a_id JOIN knowledge_items b ON b.id = item_b_id
WHERE NOT resolved
```""",
    "knowledge_labels": """Train on what people decided: a row per decision and detection.

The last one about a detection counts; `skipped` is none. With the turns they are about:
`session-pipeline knowledge labels --export FILE`.

```sql
SELECT detection_key, arg_max(decision, decided_at) FROM knowledge_labels
WHERE decision <> 'skipped' GROUP BY detection_key
```""",
    "knowledge_labels.id": "`kl_` and 16 hex digits of the SHA-256 of detection, decision, "
    "who and when",
    "knowledge_labels.detection_key": "of `verifications`: the same in every copy of the line",
    "knowledge_labels.session_file": "where the line stands; a copy of it, once that file was "
    "taken out",
    "knowledge_labels.line_number": "in that file, from 1",
    "knowledge_labels.line_key": "of `verifications`",
    "knowledge_labels.user_quote": "the person's own words, as they were decided about",
    "knowledge_labels.extractor": "who had found it: rules, anthropic or openai",
    "knowledge_labels.extractor_version": "the processor's version that had found it",
    "knowledge_labels.decision": "approved, rejected, edited, same, superseded (the side of a "
    "contradiction that was not kept) or skipped",
    "knowledge_labels.detection_type": "as it was found, or as the person says",
    "knowledge_labels.content": "the fact as it was decided",
    "knowledge_labels.item_id": "the item it was put under; NULL for a candidate that was refused",
    "knowledge_labels.score": "as it was when it was decided",
    "knowledge_labels.accepted": "whether it had become an item by itself",
    "knowledge_labels.decided_by": "who decided",
    "knowledge_labels.decided_at": "when, UTC; later than what was decided before it",
    "knowledge_current": "`knowledge_items` as of now: evidence counted, confidence aged.",
    "knowledge_items.id": "`kv_` and 12 hex digits of the SHA-256 of title:content",
    "knowledge_items.category": "business_logic",
    "knowledge_items.tags": "none yet",
    "knowledge_items.source_type": "user_verification",
    "knowledge_items.sensitivity": "internal",
    "knowledge_items.reviewed_at": "when, UTC",
    "verification_evidence.id": "`ke_` and 12 hex digits of the SHA-256 of item and line",
    "verification_evidence.item_id": "the item it supports",
    "verification_evidence.source_user": "who said it",
    "verification_evidence.detection_type": "the strongest way in which the line says it",
    "knowledge_relations.item_a_id": "the lower id of the two",
    "knowledge_relations.item_b_id": "the higher id of the two",
    "knowledge_relations.relation_type": "likely_same",
    "knowledge_relations.created_at": "when the later of the two was said, UTC",
    "knowledge_contradictions.id": "`kc_` and 12 hex digits of the SHA-256 of the two items",
    "knowledge_contradictions.item_a_id": "the item that was compared; for rules, the later one",
    "knowledge_contradictions.item_b_id": "the one that was there; for rules, the earlier one",
    "knowledge_contradictions.explanation": "in what they differ, or what a model says",
    "knowledge_contradictions.resolved": "whether a person has decided",
    "knowledge_contradictions.resolved_by": "who decided",
    "knowledge_contradictions.resolved_at": "when, UTC",
    "knowledge_items.title": "the content in at most 60 characters",
    "knowledge_items.content": "the fact, redacted, as it was first said or reviewed",
    "knowledge_items.domain": "as a detection says; NULL where none fits",
    "knowledge_items.entities": "names and terms in the content, lower case, sorted",
    "knowledge_items.source_user": "who said it first",
    "knowledge_items.reviewed_by": "who approved or rejected it; agnes: it was decided there",
    "knowledge_items.status": "pending, approved or rejected",
    "knowledge_items.confidence": "0 to 1, by the strongest thing said and by how many people, "
    "as of the last merge; not aged",
    "knowledge_items.source_ref": "`file:line` of the first evidence",
    "knowledge_items.created_at": "when it was first said, UTC",
    "knowledge_items.updated_at": "when it was last said, as of the last merge, UTC",
    "knowledge_items.rules_version": "of the merge rules that made it",
    "verification_evidence.line_uuid": "the person's line, the same in every copy of it",
    "verification_evidence.user_quote": "the person's own words, redacted",
    "verification_evidence.source_ref": "`file:line`",
    "verification_evidence.created_at": "when it was said, UTC",
    "verification_evidence.digests": "of the detections in that line that support the item",
    "knowledge_relations.score": "how many of the stems of both are common (Dice), 0 to 1",
    "knowledge_contradictions.severity": "hard or soft; NULL where a model said something else",
    "knowledge_contradictions.suggested_resolution": "JSON: action (kept_a, kept_b, merge, "
    "both_valid), justification, merged_content; NULL where none is suggested",
    "knowledge_contradictions.detected_at": "when a model found it; for rules, when the later of "
    "the two was said; UTC",
    "knowledge_contradictions.found_by": "rules, or the model; agnes: taken over from there",
    "knowledge_contradictions.resolution": "what a person decided",
}
