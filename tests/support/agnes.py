"""Databases as the web app Agnes keeps them, made for tests: its schemas 28, 29 and the newest.

Only the tables and columns that are taken over, and a few beside them that are not.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

SCHEMAS = (28, 29, 121)
AT = datetime(2026, 4, 1, 12, tzinfo=UTC)
"""When everything in them was written."""

_COMMON = """
CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TIMESTAMP);
CREATE TABLE users (id VARCHAR PRIMARY KEY, email VARCHAR);
CREATE TABLE knowledge_contradictions (
    id VARCHAR PRIMARY KEY, item_a_id VARCHAR NOT NULL, item_b_id VARCHAR NOT NULL,
    explanation TEXT, severity VARCHAR, suggested_resolution TEXT, resolved BOOLEAN DEFAULT FALSE,
    resolved_by VARCHAR, resolved_at TIMESTAMP, resolution VARCHAR,
    detected_at TIMESTAMP DEFAULT current_timestamp);
CREATE TABLE verification_evidence (
    id VARCHAR PRIMARY KEY, item_id VARCHAR NOT NULL, source_user VARCHAR, source_ref VARCHAR,
    detection_type VARCHAR, user_quote TEXT, created_at TIMESTAMP DEFAULT current_timestamp);
CREATE INDEX by_item ON verification_evidence(item_id);
"""
_ITEMS = """
CREATE TABLE knowledge_items (
    id VARCHAR PRIMARY KEY, title VARCHAR NOT NULL, content TEXT, category VARCHAR, tags JSON,
    status VARCHAR DEFAULT 'pending', contributors JSON, source_user VARCHAR, audience VARCHAR,
    confidence DOUBLE, {domain} entities JSON, source_type VARCHAR DEFAULT 'claude_local_md',
    source_ref VARCHAR, valid_from TIMESTAMP, valid_until TIMESTAMP, supersedes VARCHAR,
    sensitivity VARCHAR DEFAULT 'internal', is_personal BOOLEAN DEFAULT FALSE, {required}
    created_at TIMESTAMP DEFAULT current_timestamp, updated_at TIMESTAMP);
"""
_OLD_STATE = """
CREATE TABLE session_extraction_state (
    session_file VARCHAR PRIMARY KEY, username VARCHAR NOT NULL, processed_at TIMESTAMP,
    items_extracted INTEGER DEFAULT 0, file_hash VARCHAR);
"""
_STATE = """
CREATE TABLE session_processor_state (
    processor_name VARCHAR NOT NULL, session_file VARCHAR NOT NULL, username VARCHAR NOT NULL,
    processed_at TIMESTAMP, items_extracted INTEGER DEFAULT 0, file_hash VARCHAR,
    PRIMARY KEY (processor_name, session_file));
"""
_DOMAINS = """
CREATE TABLE memory_domains (id VARCHAR PRIMARY KEY, slug VARCHAR UNIQUE NOT NULL, name VARCHAR);
CREATE TABLE knowledge_item_domains (
    item_id VARCHAR NOT NULL REFERENCES knowledge_items(id),
    domain_id VARCHAR NOT NULL REFERENCES memory_domains(id), PRIMARY KEY (item_id, domain_id));
INSERT INTO memory_domains VALUES ('md_finance', 'finance', 'Finance'), ('md_own', 'own', 'Own');
"""


def item_id(title: str, content: str) -> str:
    """As Agnes names a fact."""
    return "kv_" + hashlib.sha256(f"{title}:{content}".encode()).hexdigest()[:12]


class Agnes:
    """One database that is being filled."""

    def __init__(self, path: Path, schema: int) -> None:
        self.path, self.schema = path, schema
        self._open: duckdb.DuckDBPyConnection | None = None
        newest = schema >= SCHEMAS[-1]
        domain = "" if newest else "domain VARCHAR,"
        required = "is_required BOOLEAN DEFAULT FALSE," if newest else ""
        ddl = _COMMON + _ITEMS.format(domain=domain, required=required)
        ddl += _OLD_STATE if schema == SCHEMAS[0] else _STATE
        ddl += _DOMAINS if newest else ""
        self.write(ddl)
        self.write("INSERT INTO schema_version VALUES (?, ?)", schema, AT.replace(tzinfo=None))

    def write(self, sql: str, *values: object) -> None:
        self._open = self._open or duckdb.connect(str(self.path))
        self._open.execute(sql, [*values] or None)

    def close(self) -> None:
        """Before anyone else opens it."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def state(self, key: str, file: Path | None, user: str = "", processor: str = "verification",
              at: datetime = AT) -> None:  # fmt: skip
        """A session that was read, with the bytes that its file has now."""
        md5 = hashlib.md5(file.read_bytes()).hexdigest() if file else None  # noqa: S324  as it does
        row = [key, user or key.split("/")[0], at.replace(tzinfo=None), 1, md5]
        if self.schema == SCHEMAS[0]:
            self.write("INSERT INTO session_extraction_state VALUES (?, ?, ?, ?, ?)", *row)
        else:
            sql = "INSERT INTO session_processor_state VALUES (?, ?, ?, ?, ?, ?)"
            self.write(sql, processor, *row)

    def item(self, title: str, content: str, status: str = "pending", user: str = "alice",
             stem: str = "one", domain: str | None = "finance", days: int = 0, **more: object,
             ) -> str:  # fmt: skip
        """A fact; its id."""
        key = str(more.pop("id", item_id(title, content)))
        at = (AT + timedelta(days=days)).replace(tzinfo=None)
        values = {
            "id": key, "title": title, "content": content, "category": "business_logic",
            "tags": json.dumps(["Churn"]), "entities": json.dumps(["Churn", "CRM"]),
            "status": status, "source_user": user, "confidence": 0.9,
            "source_type": "user_verification", "source_ref": f"session-{stem}-{user}",
            "created_at": at, "updated_at": at, **more,
        }  # fmt: skip
        if self.schema < SCHEMAS[-1]:
            values["domain"] = domain
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.write(f"INSERT INTO knowledge_items ({names}) VALUES ({marks})", *values.values())
        if self.schema >= SCHEMAS[-1] and domain:
            self.write("INSERT INTO knowledge_item_domains VALUES (?, ?)", key, f"md_{domain}")
        return key

    def evidence(self, item: str, user: str = "alice", stem: str = "one",
                 kind: str = "correction", quote: str = "wrong", days: int = 0) -> str:  # fmt: skip
        """A line that supports a fact; its id."""
        key = f"ev_{hashlib.sha256(f'{item}{user}{stem}{quote}'.encode()).hexdigest()[:12]}"
        at = (AT + timedelta(days=days)).replace(tzinfo=None)
        row = [key, item, user, f"session-{stem}-{user}", kind, quote, at]
        self.write("INSERT INTO verification_evidence VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        return key

    def contradiction(self, a: str, b: str, **more: object) -> None:
        """Two facts that cannot both be true."""
        values = {"id": f"kc_{a[3:]}{b[3:]}", "item_a_id": a, "item_b_id": b,
                  "explanation": "monthly against weekly", "severity": "hard",
                  "detected_at": AT.replace(tzinfo=None), **more}  # fmt: skip
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT INTO knowledge_contradictions ({names}) VALUES ({marks})"
        self.write(sql, *values.values())
