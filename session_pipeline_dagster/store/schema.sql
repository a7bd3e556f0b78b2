-- The store's own tables. No keys, no indexes: uniqueness is kept by replacing a file's rows in one
-- transaction, and proven by tests (docs/decisions/0002-store.md).
CREATE TABLE IF NOT EXISTS session_pipeline_schema (version INTEGER);

-- One row per (processor, file): what was processed, and what the file looked like then.
CREATE TABLE IF NOT EXISTS session_processor_state (
    processor_name VARCHAR,
    session_file VARCHAR,
    username VARCHAR,
    session_day DATE,
    processed_at TIMESTAMPTZ,
    items_extracted BIGINT,
    file_hash VARCHAR,
    size_bytes UBIGINT,
    mtime_ns BIGINT,
    ctime_ns BIGINT,
    processor_version INTEGER,
    lines BIGINT,
    unreadable_lines BIGINT,
    memo VARCHAR,
    run_id VARCHAR,
    signature_at TIMESTAMPTZ,
    unknown_lines BIGINT,
    gone_at TIMESTAMPTZ, -- when the file was first missing from disk; its rows are kept
    root VARCHAR, -- the name of the root it is below, empty for the unnamed one
    left_out VARCHAR, -- what it looks like, if no reader claims it; it has no rows then
    readers VARCHAR -- who was asked then; of one that is read, the agent whose reader reads it
);

-- One row per (processor, file) that failed last time; gone once the file is processed.
CREATE TABLE IF NOT EXISTS session_processor_failures (
    processor_name VARCHAR,
    session_file VARCHAR,
    attempts INTEGER,
    error_class VARCHAR,
    error VARCHAR,
    first_failed_at TIMESTAMPTZ,
    last_failed_at TIMESTAMPTZ,
    next_attempt_at TIMESTAMPTZ,
    quarantined_at TIMESTAMPTZ,
    file_hash VARCHAR,
    size_bytes UBIGINT,
    mtime_ns BIGINT,
    ctime_ns BIGINT,
    tries INTEGER,
    processor_version INTEGER,
    root VARCHAR
);

-- What the tables and views of a processor were last made from.
CREATE TABLE IF NOT EXISTS session_processor_declarations (processor_name VARCHAR, digest VARCHAR);

-- What was forgotten, as digests of keys, which name nobody: what a pass had read before is not
-- written after it.
CREATE TABLE IF NOT EXISTS session_forgotten (key_digest VARCHAR, forgotten_at TIMESTAMPTZ);

-- What a derivation was last made from beside rows: a file, the version of a package, a day.
CREATE TABLE IF NOT EXISTS session_derivation_bases (derivation VARCHAR, basis VARCHAR);

-- Parts of roll-ups that commits have touched and no refresh has seen yet.
CREATE TABLE IF NOT EXISTS session_rollup_changes (rollup VARCHAR, part VARCHAR);

-- Per kind of detail: before which day it has gone and roll-ups are frozen, how much of it has, and
-- how many rows came for those days, or as copies of what they had counted, and were turned away.
CREATE TABLE IF NOT EXISTS session_retention (
    processor_name VARCHAR,
    kind VARCHAR,
    frozen_before DATE,
    freezes VARCHAR[],
    removed BIGINT,
    emptied BIGINT,
    turned_away BIGINT,
    moved_at TIMESTAMPTZ
);

-- Numbers for the names that frozen days have counted; `late`: that came for one and are in none.
CREATE TABLE IF NOT EXISTS session_retention_names (table_name VARCHAR, name UBIGINT, late BOOLEAN);
