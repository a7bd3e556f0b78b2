"""Taking over what another program knows of sessions: what is there, which files it is of, written
in one transaction."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from session_pipeline_dagster.contract.derivation import Changes, Inputs
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import Permanent, Retryable
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.processors.verification.takeover import agnes as agnes
from session_pipeline_dagster.processors.verification.takeover.taking import (
    NAME,
    Takeover,
    derivation,
)
from session_pipeline_dagster.processors.verification.takeover.told import (
    File,
    is_unchanged,
    key_below,
)
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import SessionFile, SessionSource, session_day
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.foreign import read_foreign

TABLES = (
    "session_processor_state",
    "verifications",
    "knowledge_items",
    "verification_evidence",
    "knowledge_contradictions",
)
"""What rows are counted of."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What came of it.

    Attributes:
        counts: what was found, taken, and left out and why -> how many.
        before, after: table -> rows; `after` as `before` where nothing was written.
    """

    counts: Mapping[str, int]
    before: Mapping[str, int]
    after: Mapping[str, int]


def take_over(
    path: Path,
    processor: Processor,
    source: SessionSource,
    store: Store,
    settings: Settings,
    *,
    prefix: str,
    dry_run: bool,
) -> TakenOver:
    """Take over a database of Agnes, which is only read.

    Args:
        prefix: what keys of the root begin with that its sessions are below.

    Raises:
        SettingsError: it is of a schema that is not known.
        StoreError: it or the database cannot be used; SourceUnavailable: nor a root.
    """
    original = agnes.parsed(read_foreign(path, agnes.asked))
    key = partial(key_below, prefix)
    there = {file.key: file for file in source.scan().files}
    files = {
        state.session_file: _file(source, state, key(state.session_file), there)
        for state in original.states
        if state.processor == NAME
    }
    clean = partial(redact, personal=settings.personal)
    now = datetime.now(UTC)
    taking = Takeover(original, files, key, clean, int(now.timestamp() * 1e6))
    counts: dict[str, int] = {}

    def compute(inputs: Inputs) -> Changes:
        taken = taking.compute(inputs)
        counts.clear()
        counts.update(taken.counts)
        return taken.changes

    wanted = derivation(compute)
    if dry_run:
        reads = wanted.reads
        if store.place.missing:
            compute(Inputs(frozenset(), {name: [] for name in reads}, now))
            before = dict.fromkeys(TABLES, 0)
        else:
            store.ready(processor)
            answers = store.query(*reads.values())
            found = {name: rows for name, (_, rows) in zip(reads, answers, strict=True)}
            compute(Inputs(frozenset(), found, now))
            before = store.row_counts(TABLES)
        return TakenOver(counts, before, before)
    store.prepare(processor)
    before = store.row_counts(TABLES)
    store.derive(wanted, compute)
    return TakenOver(counts, before, store.row_counts(TABLES))


def _file(
    source: SessionSource, state: agnes.State, key: str, there: Mapping[str, SessionFile]
) -> File:
    """Its bytes are read once: if they are those that were processed, they are signed."""
    found = there.get(key)
    if found is None:
        return File(key)
    taken = datetime.now(UTC)
    try:
        content = source.read(found)
    except (OSError, Permanent, Retryable):
        # The next pass says what is wrong with it.
        return File(key, found.root)
    md5 = hashlib.md5(content.complete, usedforsecurity=False).hexdigest()
    s = content.signature
    same = is_unchanged(state, md5, s.mtime_ns, whole=content.size == s.size)
    if not same:
        return File(key, found.root, changed=same is False)
    signed = int(taken.timestamp() * 1e6)
    return File(key, found.root, s, content.file_hash, session_day(content), signed)
