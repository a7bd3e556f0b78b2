"""Tables of knowledge, as SQL, and what names them. Nothing heavy: every start reads this."""

from collections.abc import Mapping

from session_pipeline_dagster.contract.derivation import DerivedTable

KNOWLEDGE, CHECKING = "knowledge", "knowledge_contradiction_checks"
"""The names of the two derivations."""
SESSIONS = "sessions"
"""The part of `knowledge` that is noted when session files changed."""
RULES_VERSION = 2
"""Of the merge rules; a bump makes all pending items anew."""

ITEMS = DerivedTable(
    """id VARCHAR, title VARCHAR, content VARCHAR, category VARCHAR, domain VARCHAR,
    entities VARCHAR[], tags VARCHAR[], status VARCHAR, confidence DOUBLE, source_type VARCHAR,
    source_user VARCHAR, source_ref VARCHAR, sensitivity VARCHAR, created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ, rules_version INTEGER, reviewed_by VARCHAR, reviewed_at TIMESTAMPTZ""",
    "id",
)
EVIDENCE = DerivedTable(
    """id VARCHAR, item_id VARCHAR, session_file VARCHAR, source_user VARCHAR, source_ref VARCHAR,
    detection_type VARCHAR, user_quote VARCHAR, line_uuid VARCHAR, created_at TIMESTAMPTZ,
    digests VARCHAR[]""",
    "id",
)
RELATIONS = DerivedTable(
    """item_a_id VARCHAR, item_b_id VARCHAR, relation_type VARCHAR, score DOUBLE,
    created_at TIMESTAMPTZ""",
    "item_a_id || ' ' || item_b_id",
)
CONTRADICTIONS = DerivedTable(
    """id VARCHAR, item_a_id VARCHAR, item_b_id VARCHAR, explanation VARCHAR, severity VARCHAR,
    suggested_resolution VARCHAR, resolved BOOLEAN, detected_at TIMESTAMPTZ, found_by VARCHAR,
    resolution VARCHAR, resolved_by VARCHAR, resolved_at TIMESTAMPTZ""",
    "id",
)
CHECKS = DerivedTable(
    """item_id VARCHAR, checked_by VARCHAR, outcome VARCHAR, candidates VARCHAR[],
    attempts INTEGER, checked_at TIMESTAMPTZ, next_attempt_at TIMESTAMPTZ, basis VARCHAR""",
    "item_id",
)
LABELS = DerivedTable(
    """id VARCHAR, detection_key VARCHAR, session_file VARCHAR, line_number BIGINT,
    line_key VARCHAR, user_quote VARCHAR, decision VARCHAR, detection_type VARCHAR,
    content VARCHAR, item_id VARCHAR, score DOUBLE, accepted BOOLEAN, extractor VARCHAR,
    extractor_version INTEGER, decided_by VARCHAR, decided_at TIMESTAMPTZ""",
    "id",
)

READ_OBSERVATIONS = """SELECT session_file, detection_key, username, detection_type, title, content,
    user_quote, domain, entities, line_uuid, line_number, epoch_us(detected_at),
    epoch_us(file_started_at), is_copy, line_key, accepted IS NOT FALSE, score, extractor,
    extractor_version, reasons FROM verifications"""
READ_ITEMS = """SELECT id, title, content, category, domain, entities, tags, status, confidence,
    source_type, source_user, source_ref, sensitivity, epoch_us(created_at), epoch_us(updated_at),
    rules_version, reviewed_by, epoch_us(reviewed_at) FROM knowledge_items"""
READ_EVIDENCE = """SELECT id, item_id, session_file, source_user, source_ref, detection_type,
    user_quote, line_uuid, epoch_us(created_at), digests FROM verification_evidence"""
READ_RELATIONS = """SELECT item_a_id, item_b_id, score, epoch_us(created_at)
    FROM knowledge_relations"""
READ_CONTRADICTIONS = """SELECT id, item_a_id, item_b_id, explanation, severity,
    suggested_resolution, resolved, epoch_us(detected_at), found_by, resolution, resolved_by,
    epoch_us(resolved_at) FROM knowledge_contradictions"""
READ_CHECKS = """SELECT item_id, checked_by, outcome, candidates, attempts, epoch_us(checked_at),
    epoch_us(next_attempt_at), basis FROM knowledge_checks"""
READ_LABELS = """SELECT id, detection_key, session_file, line_number, line_key, user_quote,
    decision, detection_type, content, item_id, score, accepted, extractor, extractor_version,
    decided_by, epoch_us(decided_at) FROM knowledge_labels"""
ITEM_ID = "'kv_' || left(sha256(title || ':' || content), 12)"
"""The id that a row of `verifications` has as an item: `items.item_id`."""
READ_FILES = """SELECT session_file FROM session_processor_state
    WHERE processor_name = 'verification'"""

VIEWS: Mapping[str, str] = {
    "knowledge_current": """
        WITH support AS (
            SELECT item_id, count(*) AS evidence, count(DISTINCT source_user) AS verifiers,
                max(created_at) AS last_verified_at,
                least(1.0, max(CASE WHEN detection_type IN ('correction', 'unprompted_definition')
                    THEN 0.90 ELSE 0.60 END) + 0.05 * (count(DISTINCT source_user) - 1)) AS sure
            FROM verification_evidence GROUP BY item_id
        ), aged AS (
            SELECT i.*, coalesce(s.evidence, 0) AS evidence, coalesce(s.verifiers, 0) AS verifiers,
                coalesce(s.last_verified_at, i.updated_at) AS last_verified_at,
                coalesce(s.sure, i.confidence)::DOUBLE AS sure
            FROM knowledge_items i LEFT JOIN support s ON s.item_id = i.id
        )
        SELECT * EXCLUDE (sure), greatest(0.40, sure * recency) AS current_confidence,
            sure * recency AS weight
        FROM (SELECT *, 0.5 ** (coalesce(greatest(0,
            epoch_us(now()) - epoch_us(last_verified_at)), 0) / 1e6 / 86400 / 365.25) AS recency
            FROM aged)"""
}
