"""The contract of a processor, and the door through which every processor enters.

A processor turns one session into rows. It never sees a connection, a file or Dagster. What needs
the rows of *other* sessions is a view, a `Rollup` or a `Derivation` over the processor's tables.
`docs/processors.md` shows how to write one.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from typing import Protocol

from session_pipeline_dagster.derivation import Derivation, Row
from session_pipeline_dagster.errors import ContractError, failure_of
from session_pipeline_dagster.quality import Quality
from session_pipeline_dagster.reporting import Report
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.transcripts.records import Transcript

ENTRY_POINT_GROUP = "session_pipeline_dagster.processors"
AUTOMATIC, ON_REQUEST = "automatic", "on_request"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(slots=True)
class Notes:
    """What is kept of the work on a session even if the file fails.

    Attributes:
        journal: journal table -> rows to be added to it.
        counts: numbers for the report of the pass, which sums them over the files. In a run's
            metadata one that is named like ours (`items`) is `processor_items`.
    """

    journal: dict[str, list[Row]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        """Add a row to a journal."""
        self.journal.setdefault(table, []).append(row)

    def count(self, name: str, number: int = 1) -> None:
        """Add to a number of the report."""
        self.counts[name] = self.counts.get(name, 0) + number


@dataclass(frozen=True, slots=True)
class Session:
    """One session file as a processor sees it.

    Attributes:
        key: the file's key, `/`-separated, relative to its root.
        user: who the file belongs to.
        project: the project folder, as Claude Code names it; None where the layout has none.
        day: UTC day of the first timestamp, else of the file's mtime.
        file_hash: xxh3-128 of the bytes that were parsed, in hex.
        transcript: what the file says.
        memo: what this processor left for this file last time (small JSON), else None.
        notes: what is to be kept whatever becomes of the file.
    """

    key: str
    user: str
    project: str | None
    day: date
    file_hash: str
    transcript: Transcript
    memo: str | None = None
    notes: Notes = field(default_factory=Notes)

    @property
    def stem(self) -> str:
        """The file's name without its ending; for a main session file, the session's id."""
        return PurePosixPath(self.key.removesuffix(".gz")).stem


@dataclass(frozen=True, slots=True)
class ProcessorResult:
    """What a processor made of one session.

    Attributes:
        rows: table name -> rows. They replace the file's earlier rows in all tables, or are added
            to them where `append` is true.
        items: how many things were found, for the statistics.
        memo: small JSON kept in the file's state and handed back next time.
        append: keep the file's earlier rows.
    """

    rows: Mapping[str, Sequence[Row]]
    items: int
    memo: str | None = None
    append: bool = False


class Processor(Protocol):
    """Turns one session into rows.

    Attributes:
        name: unique; names the asset group, job, sensor, pool and state rows.
        version: a bump makes the rows of older versions outdated.
        cadence: how often its sensor looks.
        tables: table name -> column DDL; every table has a `session_file VARCHAR` column.
    """

    name: str
    version: int
    cadence: timedelta
    tables: Mapping[str, str]

    def process(self, session: Session) -> ProcessorResult:
        """Rows of one session.

        Raises:
            Permanent: these bytes will fail again.
            Retryable: try later, no attempt is burnt. Any other exception is one failed attempt.
            Deferred: not in this pass; the file stays pending and nothing is noted against it.
            SettingsError: no file can be processed as things are set: the pass ends.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table computed over all sessions, refreshed only for the parts that changed.

    Attributes:
        name: the table.
        columns: its column DDL.
        part: the column that says which part a row belongs to.
        changed: SELECT of the parts (one VARCHAR column) that the files in `batch(session_file)`
            touch. Runs in a commit, before the old rows go and after the new ones came.
        refresh: SELECT of the rows of the parts in `parts(part)`, in column order.
        description: Markdown for the catalog.
    """

    name: str
    columns: str
    part: str
    changed: str
    refresh: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A small table that `session-pipeline run` prints: a title and the SELECT behind it."""

    title: str
    sql: str


class Beginning(Protocol):
    """A processor whose passes have a state of their own (a client, a budget)."""

    def begin(self, settings: Settings, run_id: str | None) -> Processor:
        """The processor of one pass; called before a file is touched.

        Raises:
            SettingsError: it cannot work as things are set; the pass ends, says what to set.
        """
        ...


@dataclass(frozen=True, slots=True)
class Extras:
    """What a processor may declare beyond the contract, by attributes of the same names.

    Attributes:
        description: Markdown for the catalog.
        descriptions: table, view or column (`table.column`, or `*.column` wherever it stands)
            -> Markdown.
        views: view name -> SELECT.
        rollups: derived tables, by SQL.
        derivations: derived tables, by Python; in the order in which they are computed.
        summaries: what the command line prints after a run.
        owners: owners as Dagster writes them (`team:data`, `a@example.org`).
        internal: tables that only the views read; they are no assets of their own.
        journals: table -> column DDL like `tables`, but rows are only ever added: those that
            `Session.notes` collects, also of files that fail.
        quality: rules that the rows must keep; each becomes an asset check.
        reports: files for people, rendered from its tables; each becomes an asset.
        threads: sessions worked on at once, for a processor that waits for others; 0 = one
            after the other, a large backlog in a few processes.
        metered: its passes cost money; under a limit per run its sensor keeps to its cadence.
        reprocess: what a new `version` means for files that have not changed: AUTOMATIC = all are
            processed again, ON_REQUEST = only when someone asks (it may cost money).
    """

    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    rollups: Sequence[Rollup] = ()
    derivations: Sequence[Derivation] = ()
    summaries: Sequence[Summary] = ()
    owners: Sequence[str] = ()
    internal: Sequence[str] = ()
    journals: Mapping[str, str] = field(default_factory=dict)
    quality: Sequence[Quality] = ()
    reports: Sequence[Report] = ()
    threads: int = 0
    metered: bool = False
    reprocess: str = AUTOMATIC


def extras(processor: Processor) -> Extras:
    """The optional declarations of a processor; empty where it makes none."""
    names = (field.name for field in fields(Extras))
    return Extras(**{n: getattr(processor, n) for n in names if hasattr(processor, n)})


@dataclass(frozen=True, slots=True)
class FailedPlugin:
    """A plugin that could not be loaded: it is named, never silently left out."""

    name: str
    target: str
    error: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The processors that loaded and the plugins that did not."""

    processors: Sequence[Processor]
    failed: Sequence[FailedPlugin] = ()

    def get(self, name: str) -> Processor:
        """The processor of that name.

        Raises:
            ContractError: unknown; the message lists the known ones.
        """
        for processor in self.processors:
            if processor.name == name:
                return processor
        for failed in self.failed:
            if failed.name == name:
                raise ContractError(f"processor {name!r} could not be loaded: {failed.error}")
        known = ", ".join(p.name for p in self.processors) or "none"
        raise ContractError(f"unknown processor {name!r}; known: {known}")


def load_processors(entries: Iterable[EntryPoint] | None = None) -> Registry:
    """Every processor behind the entry-point group, built-in ones first.

    A plugin that fails to import, breaks the contract or takes a name or table that is taken is
    listed in `failed`, and the others go on.
    """
    found = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries
    ours = __name__.partition(".")[0]
    ordered = sorted(found, key=lambda e: (not e.value.startswith(f"{ours}."), e.name, e.value))
    loaded: list[Processor] = []
    failed: list[FailedPlugin] = []
    for entry in ordered:
        if error := failure_of(partial(_load, entry, loaded)):
            failed.append(FailedPlugin(entry.name, entry.value, error))
    return Registry(tuple(loaded), tuple(failed))


def _load(entry: EntryPoint, loaded: list[Processor]) -> None:
    processor = entry.load()()
    check_contract(processor, loaded)
    loaded.append(processor)


def check_contract(processor: Processor, loaded: Sequence[Processor] = ()) -> None:
    """Check what can be checked without a session.

    Raises:
        ContractError: says which attribute of which processor to change.
    """
    name = getattr(processor, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ContractError(f"{type(processor).__name__}.name must match {_NAME.pattern}")
    if any(p.name == name for p in loaded):
        raise ContractError(f"processor {name!r} is already loaded; choose another name")
    version = getattr(processor, "version", None)
    if not isinstance(version, int) or version < 1:
        raise ContractError(f"processor {name!r}: version must be an int of at least 1")
    cadence = getattr(processor, "cadence", None)
    if not isinstance(cadence, timedelta) or cadence <= timedelta(0):
        raise ContractError(f"processor {name!r}: cadence must be a positive timedelta")
    if extras(processor).reprocess not in (AUTOMATIC, ON_REQUEST):
        raise ContractError(f"processor {name!r}: reprocess is {AUTOMATIC!r} or {ON_REQUEST!r}")
    if not callable(getattr(processor, "process", None)):
        raise ContractError(f"processor {name!r}: process(session) is missing")
    _check_tables(processor, loaded)


def _check_tables(processor: Processor, loaded: Sequence[Processor]) -> None:
    name, tables = processor.name, getattr(processor, "tables", None)
    if not isinstance(tables, Mapping) or not tables:
        raise ContractError(f"processor {name!r}: tables must name at least one table")
    reports = {report.name for p in loaded for report in extras(p).reports}
    taken = reports | {n for p in loaded for n in relations(p)}
    if name in reports or _generated(name) & {n for p in loaded for n in _generated(p.name)}:
        raise ContractError(f"processor {name!r}: jobs of another would have that name")
    for table in relations(processor):
        if not _NAME.fullmatch(table) or table.startswith(("session_", "duckdb_", "sqlite_")):
            raise ContractError(
                f"processor {name!r}: {table!r} cannot name a table; see {_NAME.pattern}"
            )
        if table in taken:
            raise ContractError(
                f"processor {name!r}: table {table!r} belongs to another processor; rename it"
            )
    steps = [n for p in (processor, *loaded) for n in (p.name, *derived_names(p))]
    for derived in derived_names(processor):
        if not _NAME.fullmatch(derived) or steps.count(derived) > 1:
            raise ContractError(f"processor {name!r}: {derived!r} cannot name what is derived")
    _check_reports(processor, loaded, {*relations(processor), *taken, *steps})
    for table, columns in {**tables, **extras(processor).journals}.items():
        if not re.search(r"(?:^|,)\s*session_file\s+VARCHAR\b", columns, re.IGNORECASE):
            raise ContractError(f"processor {name!r}: table {table!r} needs session_file VARCHAR")


def _check_reports(
    processor: Processor, loaded: Sequence[Processor], taken: Collection[str]
) -> None:
    """Two assets of one name would end the whole location; two files, overwrite each other."""
    own = extras(processor).reports
    everyones = [r for p in (processor, *loaded) for r in extras(p).reports]
    names, files = [r.name for r in everyones], [f for r in everyones for f in r.files]
    taken = {*taken, *(n for p in (processor, *loaded) for n in _generated(p.name))}
    for name in (report.name for report in own):
        ours = name.startswith("session_")
        if not _NAME.fullmatch(name) or ours or name in taken or names.count(name) > 1:
            raise ContractError(f"processor {processor.name!r}: {name!r} cannot name a report")
    for report in own:
        if report.trigger not in report.deps or not {*report.deps} <= {*relations(processor)}:
            raise ContractError(
                f"report {report.name!r}: deps must be tables of {processor.name!r}, "
                "and trigger one of them"
            )
        if not report.files:
            raise ContractError(f"report {report.name!r} declares no file")
    for file in (file for report in own for file in report.files):
        if PurePosixPath(file).name != file or not file.strip(".") or files.count(file) > 1:
            raise ContractError(f"processor {processor.name!r}: {file!r} cannot name a file")


def _generated(name: str) -> set[str]:
    """What Dagster's side makes of a processor's name; see `defs/names.py`."""
    ends = ("_job", "_sensor", "_health", "_health_job", "_report_sensor")
    return {name + end for end in ends}


def asset_tables(processor: Processor) -> list[str]:
    """Names of the tables that are assets, journals last."""
    more = extras(processor)
    return [table for table in (*processor.tables, *more.journals) if table not in more.internal]


def begin(processor: Processor, settings: Settings, run_id: str | None) -> Processor:
    """The processor of one pass: what its `begin` returns, else itself.

    Raises:
        SettingsError: it cannot work as things are set.
    """
    start = getattr(processor, "begin", None)
    return start(settings, run_id) if callable(start) else processor


def relations(processor: Processor) -> list[str]:
    """Names of every table and view the processor owns."""
    more = extras(processor)
    return [*processor.tables, *more.journals, *more.views, *derived_tables(processor)]


def derived_tables(processor: Processor) -> dict[str, str]:
    """Its tables that are computed from others -> their column DDL."""
    more = extras(processor)
    found = {rollup.name: rollup.columns for rollup in more.rollups}
    return found | {name: t.columns for d in more.derivations for name, t in d.tables.items()}


def derivation_tables(processor: Processor, derivation: Derivation) -> list[str]:
    """Names of a derivation's tables that are assets."""
    internal = extras(processor).internal
    return [table for table in derivation.tables if table not in internal]


def derived_assets(processor: Processor, name: str) -> list[str]:
    """Names of the assets that a roll-up or derivation of this name makes."""
    for derivation in extras(processor).derivations:
        if derivation.name == name:
            return derivation_tables(processor, derivation)
    return [name]


def derived_names(processor: Processor) -> list[str]:
    """Names of its roll-ups and derivations: what can be stale."""
    more = extras(processor)
    return [found.name for found in (*more.rollups, *more.derivations)]
