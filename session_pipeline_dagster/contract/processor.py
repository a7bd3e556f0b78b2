"""The contract of a processor: what it is given, what it returns, what it may declare.

A processor turns one session into rows. It never sees a connection, a file or Dagster. What needs
the rows of *other* sessions is a view, a `Rollup` or a `Derivation` over the processor's tables.
`docs/processors.md` shows how to write one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

import msgspec

from session_pipeline_dagster.contract.derivation import Derivation, Row
from session_pipeline_dagster.contract.quality import Quality
from session_pipeline_dagster.contract.report import Report
from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.guests import hosting
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Content, SessionFile, session_day
from session_pipeline_dagster.sources.packed import plain_name
from session_pipeline_dagster.transcripts.records import Transcript

AUTOMATIC, ON_REQUEST, UNPAID = "automatic", "on_request", "unpaid"


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

    @classmethod
    def of(
        cls, file: SessionFile, content: Content, transcript: Transcript, memo: str | None = None
    ) -> "Session":
        """The session that a file holds, as it was read and parsed."""
        return cls(
            key=file.key,
            user=file.user,
            project=file.project,
            day=session_day(content),
            file_hash=content.file_hash,
            transcript=transcript,
            memo=memo,
        )

    @property
    def stem(self) -> str:
        """The file's name without its ending; for a main session file, the session's id."""
        name = plain_name(self.key).rpartition("/")[2]
        stem, _, ending = name.rpartition(".")
        return stem if stem and ending else name


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
class Summary:
    """A small table that `session-pipeline run` prints: a title and the SELECT behind it."""

    title: str
    sql: str


class Configurable(Protocol):
    """A processor that declares something else as things are set."""

    def under(self, settings: Settings) -> Processor:
        """The processor as things are set; called at every start, so it has to be quick."""
        ...


class Beginning(Protocol):
    """A processor whose passes have a state of their own (a client, a budget)."""

    def begin(self, settings: Settings, run_id: str | None) -> Processor:
        """The processor of one pass; called before a file is touched.

        Raises:
            SettingsError: it cannot work as things are set; the pass ends, says what to set.
        """
        ...


class Extras(msgspec.Struct, frozen=True):
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
        retention: what of its tables goes when it is old, if that is set.
        threads: sessions worked on at once, for a processor that waits for others; 0 = one
            after the other, a large backlog in a few processes.
        needs_consent: it reads what people said; files that are private (`passes/consent.py`) are
            not there for it.
        metered: its passes cost money; under a limit per run its sensor keeps to its cadence.
        reprocess: what a new `version` means for files that have not changed: AUTOMATIC = all are
            processed again, ON_REQUEST = only when someone asks (it may cost money), UNPAID = all
            but those with a memo (what was paid for is in it).
    """

    description: str = ""
    descriptions: Mapping[str, str] = msgspec.field(default_factory=dict)
    views: Mapping[str, str] = msgspec.field(default_factory=dict)
    rollups: Sequence[Rollup] = ()
    derivations: Sequence[Derivation] = ()
    summaries: Sequence[Summary] = ()
    owners: Sequence[str] = ()
    internal: Sequence[str] = ()
    journals: Mapping[str, str] = msgspec.field(default_factory=dict)
    quality: Sequence[Quality] = ()
    reports: Sequence[Report] = ()
    retention: Sequence[Retention] = ()
    threads: int = 0
    needs_consent: bool = False
    metered: bool = False
    reprocess: str = AUTOMATIC


_ABSENT: Any = object()


def extras(processor: Processor) -> Extras:
    """The optional declarations of a processor; empty where it makes none."""
    # Each is asked for once: it may be a property that reads a file.
    made = ((name, getattr(processor, name, _ABSENT)) for name in Extras.__struct_fields__)
    return Extras(**{name: value for name, value in made if value is not _ABSENT})


def asset_tables(processor: Processor) -> list[str]:
    """Names of the tables that are assets, journals last."""
    more = extras(processor)
    return [table for table in (*processor.tables, *more.journals) if table not in more.internal]


def under(processor: Processor, settings: Settings) -> Processor:
    """The processor as things are set: what its `under` returns, else itself.

    Raises:
        ContractError: it raised, or returned no processor.
    """
    method = getattr(processor, "under", None)
    if not callable(method):
        return processor
    with hosting(f"processor {processor.name!r}: under(settings)"):
        found = method(settings)
    if getattr(found, "name", None) != processor.name:
        raise ContractError(f"processor {processor.name!r}: under returned another one")
    return found


def begin(processor: Processor, settings: Settings, run_id: str | None) -> Processor:
    """The processor of one pass: what its `begin` returns, else itself.

    Raises:
        SettingsError: it cannot work as things are set.
        ContractError: its beginning raised something else.
    """
    start = getattr(processor, "begin", None)
    if not callable(start):
        return processor
    with hosting(f"processor {processor.name!r}: its beginning"):
        begun = start(settings, run_id)
    if not callable(getattr(begun, "process", None)):
        kind = type(begun).__name__
        raise ContractError(f"processor {processor.name!r}: begin returned {kind}, not a processor")
    return begun


def relations(processor: Processor) -> list[str]:
    """Names of every table and view the processor owns."""
    more = extras(processor)
    return [*processor.tables, *more.journals, *more.views, *derived_tables(processor)]


def derived_tables(processor: Processor) -> dict[str, str]:
    """Its tables that are computed from others -> their column DDL."""
    more = extras(processor)
    found = {rollup.name: rollup.columns for rollup in more.rollups}
    found |= {kept.name: kept.columns for rollup in more.rollups for kept in rollup.keeps}
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
