"""A processor on session files, for tests: alone in memory, or as the runner does it.

What a processor must hold to is in `contract.py`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import (
    Processor,
    ProcessorResult,
    Session,
    begin,
    derived_tables,
    extras,
    relations,
)
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.passes.work import check_result
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.files import (
    Content,
    SessionFile,
    SessionSource,
    Signature,
)
from session_pipeline_dagster.sources.keys import owner_of
from session_pipeline_dagster.sources.opening import open_source
from session_pipeline_dagster.sources.snapshot import complete_part, content_hash, read_snapshot
from session_pipeline_dagster.store.columns import check_rows, encode
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.declare import check_declarations
from session_pipeline_dagster.store.states import Failure, FileState
from session_pipeline_dagster.testing.builder import SessionBuilder
from session_pipeline_dagster.transcripts.claude_code import parse

if TYPE_CHECKING:
    import pyarrow

KEY = "alice/session.jsonl"
_WRITTEN = datetime(2026, 3, 11, 12, tzinfo=UTC)

Given = SessionBuilder | bytes | Path
"""A session: being built, as the bytes of a file, or the path of one."""
Placing = Callable[[Path, Settings], Settings]
"""The settings with a new database that is in the folder."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of a processor did, and what is in the database after it.

    Attributes:
        report: counts, and in `errors_detail` the files that failed: (session, error).
        rows: table, view or derived table -> its rows, sorted.
        states: session file -> its state row.
        failures: session file -> its failure row.
    """

    report: BatchReport
    rows: Mapping[str, Sequence[Row]]
    states: Mapping[str, FileState]
    failures: Mapping[str, Failure]


def in_a_file(folder: Path, settings: Settings) -> Settings:
    """The settings with a DuckDB file of the folder."""
    return replace(settings, database=folder / "sessions.duckdb")


class Pipeline:
    """A root of session files and a database in a folder, and the real runner over them.

    Args:
        folder: an empty folder; files go to `sessions/`, the database is `sessions.duckdb`.
        settings: what else is set; its roots and database are replaced.
        place: where the database is, if it is no file.
    """

    def __init__(
        self, folder: Path, settings: Settings | None = None, place: Placing = in_a_file
    ) -> None:
        self.root = folder / "sessions"
        self.root.mkdir(parents=True, exist_ok=True)
        self.settings = place(
            folder, replace(settings or Settings(workers=1), roots=(Root(self.root),))
        )
        self._writes = 0

    @property
    def source(self) -> SessionSource:
        """The session files."""
        return open_source(self.settings)

    @property
    def store(self) -> Store:
        """The database."""
        return open_store(self.settings)

    def write(self, key: str, session: SessionBuilder | bytes) -> Path:
        """Write or replace a session file, `<user>/...jsonl`; its path."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_of(session))
        # A file written within two seconds of its pass is looked at once more in the next one.
        self._writes += 1
        ns = int((_WRITTEN + timedelta(seconds=self._writes)).timestamp()) * 10**9
        os.utime(path, ns=(ns, ns))
        return path

    def run(self, processor: Processor, *, full_refresh: bool = False) -> Pass:
        """Process what is new or changed, and what is derived from it.

        Raises:
            ContractError: the processor's DDL or SQL is not valid.
            SettingsError: it cannot work as things are set.
        """
        options = Options(full_refresh=full_refresh)
        # One store for all of it: a lake is opened anew by each.
        store = self.store
        report = run_all(processor, self.source, store, self.settings, options)
        known = store.known(processor)
        names = relations(processor)
        answers = store.query(*(f"FROM {name} ORDER BY ALL" for name in names))
        rows = {name: rows for name, (_, rows) in zip(names, answers, strict=True)}
        return Pass(report, rows, known.states, known.failures)

    def query(self, sql: str) -> list[Row]:
        """The rows of a SELECT.

        Raises:
            ContractError: it is not valid.
        """
        return self.store.query(sql)[0][1]


def process_one(
    processor: Processor,
    session: Given,
    *,
    key: str | None = None,
    memo: str | None = None,
    settings: Settings | None = None,
) -> ProcessorResult:
    """What the processor makes of one session, checked against its tables; no store is involved.

    Args:
        session: a builder, the bytes of a file, or the path of one.
        key: `<user>/[<project>/]<file>.jsonl` (default: the path's folder and name).
        memo: what the processor left for the file last time.

    Raises:
        ContractError: the result does not fit the declarations.
        Whatever `process` raises, as it is.
    """
    made = session_of(session, key, memo)
    return checked(begin(processor, settings or Settings(), None), made, schemas_of(processor))


def session_of(given: Given, key: str | None = None, memo: str | None = None) -> Session:
    """The session as a processor gets it."""
    if isinstance(given, Path):
        content = read_snapshot(os.fspath(given), Settings().limits)
        key = key or f"{given.parent.name}/{given.name}"
    else:
        complete = complete_part(bytes_of(given))
        written = int(_WRITTEN.timestamp()) * 10**9
        signature = Signature(len(complete), written, written)
        content = Content(complete, content_hash(complete), signature)
    key = key or KEY
    file = SessionFile(key, *owner_of(key), path="", signature=content.signature)
    return Session.of(file, content, parse(content.complete), memo)


def checked(
    processor: Processor, session: Session, schemas: "Mapping[str, pyarrow.Schema]"
) -> ProcessorResult:
    """The processor's result for the session, if it fits its tables.

    Raises:
        ContractError: it does not.
        Whatever `process` raises, as it is.
    """
    result = processor.process(session)
    check_result(processor, result)
    for rows in (result.rows, session.notes.journal):
        check_rows(rows, schemas, session.key)
        encode(rows, schemas)
    return result


def schemas_of(processor: Processor) -> "dict[str, pyarrow.Schema]":
    """Table -> Arrow schema, from the declarations.

    Raises:
        ContractError: its DDL or SQL is not valid.
    """
    check_declarations(processor)
    with TemporaryDirectory() as folder:
        return open_store(Settings(database=Path(folder) / "declared.duckdb")).prepare(processor)


def table_names(processor: Processor) -> list[str]:
    """Its tables and derived tables: what must be the same however the files got there.

    Left out: journals, which are only ever added to, views, which hold nothing, and internal tables
    of a derivation, where it may keep when it did something.
    """
    internal = extras(processor).internal
    return [*processor.tables, *(t for t in derived_tables(processor) if t not in internal)]


def bytes_of(given: Given) -> bytes:
    """What the file of the session holds."""
    if isinstance(given, Path):
        return given.read_bytes()
    return given if isinstance(given, bytes) else given.content
