"""Tables of the `verification` processor, as SQL, and what they mean."""

from collections.abc import Mapping, Sequence

from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.processors.copies import rank

TABLES: Mapping[str, str] = {
    "verifications": """
        session_file VARCHAR, detection_key VARCHAR, session_id VARCHAR, username VARCHAR,
        detection_type VARCHAR, title VARCHAR, content VARCHAR, user_quote VARCHAR, domain VARCHAR,
        entities VARCHAR[], line_uuid VARCHAR, line_number BIGINT, detected_at TIMESTAMPTZ,
        extractor VARCHAR, extractor_version INTEGER, project VARCHAR, model VARCHAR,
        file_started_at TIMESTAMPTZ, is_copy BOOLEAN, line_key VARCHAR, score DOUBLE,
        accepted BOOLEAN, reasons VARCHAR[]""",
    # One row per file and time that it was read: of a grown file a model reads the new turns only.
    "verification_readings": """
        session_file VARCHAR, extractor VARCHAR, model VARCHAR, turns BIGINT, quotes BIGINT,
        rejected_quotes BIGINT, detections BIGINT""",
}

JOURNALS: Mapping[str, str] = {
    "llm_calls": """
        session_file VARCHAR, called_at TIMESTAMPTZ, purpose VARCHAR, model VARCHAR,
        input_tokens BIGINT, output_tokens BIGINT, cached_tokens BIGINT, milliseconds BIGINT,
        outcome VARCHAR, run_id VARCHAR"""
}

RETENTION: Sequence[Retention] = (
    Retention(
        kind="evidence",
        table="verifications",
        at="coalesce(detected_at, file_started_at)",
        empties=("user_quote",),
        # By these words a decision is found again when another version reads the line.
        unless="""{table}.detection_key IN (SELECT detection_key FROM knowledge_labels)
            OR split_part({table}.line_key, '@', 1) IN (
                SELECT split_part(line_key, '@', 1) FROM knowledge_labels)""",
    ),
)

_RANK = rank("is_copy", sidechain="FALSE")
_TOLD = "struct_pack(username := username, title := title, domain := domain)"

SUMMARIES: Sequence[Summary] = (
    Summary(
        "What people taught (newest)",
        # See `Observation.copy` for rows without a rank.
        f"""SELECT told.username AS user, type, told.title AS title, told.domain AS domain, files
        FROM (
            SELECT detection_key, detection_type AS type, count(*) AS files,
                max(detected_at) AS newest, if(count(*) = count(file_started_at),
                    arg_min({_TOLD}, {_RANK}), arg_min({_TOLD}, session_file)) AS told
            FROM verifications WHERE accepted IS NOT FALSE GROUP BY detection_key, detection_type
        )
        ORDER BY newest DESC, detection_key LIMIT 15""",
    ),
)

DESCRIPTION = """What people corrected, confirmed and defined, in their own words."""

DESCRIPTIONS: Mapping[str, str] = {
    "verifications": """Read what was said: a row per correction, confirmation, definition and file.

"Checks" says whether what lands is processed, and `quarantine` there which files failed and why.

A fork or a resume repeats lines of another file: `line_key` names the line in all of them, so
count by it. What matters most: `detection_type`, `content` (the fact), `user_quote` (the person's
own words, redacted), `domain`.

```sql
SELECT any_value(username), detection_type, any_value(content) FROM verifications
GROUP BY line_key, detection_type
```""",
    "llm_calls": """See what asking a model took: one row per call, also of those that failed.

Rows are only ever added. No text: `model`, `purpose`, tokens, `milliseconds`, `outcome`. Empty as
long as `SESSION_PIPELINE_EXTRACTOR` is `rules`.

```sql
SELECT model, outcome, count(*) AS calls, sum(input_tokens), sum(output_tokens)
FROM llm_calls GROUP BY ALL
```""",
    "*.session_file": "the file's key: its path below its root",
    "verifications.session_id": "the session the line says it belongs to",
    "verifications.username": "who the file belongs to",
    "verifications.line_number": "in the file, from 1; NULL where it was taken over",
    "verifications.project": "project folder, as Claude Code names it",
    "verifications.detection_key": "names the detection: the same line, type and quote in any file",
    "verifications.detection_type": "correction, confirmation or unprompted_definition",
    "verifications.title": "the content in at most 60 characters",
    "verifications.content": "the fact, at most 500 characters, redacted",
    "verifications.user_quote": "the person's own words, redacted; occurs in the line; "
    "empty once it is older than SESSION_PIPELINE_RETENTION_DAYS says, unless someone decided",
    "verifications.domain": "finance, engineering, product, data, operations, infrastructure; "
    "NULL where none fits",
    "verifications.entities": "names and terms in the content, lower case, sorted",
    "verifications.line_uuid": "uuid of the person's line, the same in every copy; a hash of "
    "its text and of the line before it where it has none",
    "verifications.detected_at": "when the person wrote it, UTC",
    "verifications.extractor": "rules, anthropic or openai; agnes: taken over from there",
    "verifications.extractor_version": "the processor's version that found it",
    "verifications.model": "the model that found it; NULL for rules",
    "verifications.file_started_at": "the file's first time, UTC; NULL in older rows",
    "verifications.is_copy": "responses after it say that it was copied from another session",
    "verifications.line_key": "names the line by uuid, words and time: one with other words is "
    "another person's; NULL in older rows",
    "verifications.score": "0 to 1, how sure its finder is that it is a lasting fact; NULL in "
    "older rows and where a model gives none",
    "verifications.accepted": "true becomes an item, false waits for a person to look at it and is "
    "never exported; NULL in older rows, which count as true",
    "verifications.reasons": "the strongest reasons for it, in words; no text of the session",
    "llm_calls.called_at": "when the call began, UTC",
    "llm_calls.model": "as the provider names it",
    "llm_calls.input_tokens": "all of them, those read from a cache included",
    "llm_calls.output_tokens": "what the model wrote",
    "llm_calls.milliseconds": "until the reply or the failure",
    "llm_calls.run_id": "the Dagster run; NULL for the command line",
    "llm_calls.purpose": "detect (in a session) or judge (two items against each other)",
    "llm_calls.outcome": "ok, or what went wrong",
    "llm_calls.cached_tokens": "of the input tokens, those read from the provider's cache",
    "llm_calls.session_file": "the file that was worked on; empty where it was none",
}
