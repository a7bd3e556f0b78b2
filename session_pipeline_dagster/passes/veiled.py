"""What a pass found and did, as it may be shown where people are hidden.

Put nothing here that decides what a name looks like: that is `people/veil.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.people.pseudonyms import Kind
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.people.words import meant
from session_pipeline_dagster.sources.files import LeftOut, Scan, SessionSource
from session_pipeline_dagster.sources.packed import plain_name
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Failure

_FILES = """SELECT session_file FROM session_processor_state
    UNION SELECT session_file FROM session_processor_failures"""
_USERS = "SELECT DISTINCT username FROM session_processor_state"
_PEOPLE = "SELECT DISTINCT folder, person, email FROM people"


def failures_shown(veil: Veil, failures: Iterable[Failure]) -> list[Failure]:
    """The failures, of files as they are shown."""
    if not veil.hides:
        return [*failures]
    return [
        msgspec.structs.replace(f, session_file=veil.file(key), error=veil.said(f.error, [key]))
        for f in failures
        if (key := f.session_file)
    ]


def report_shown(veil: Veil, report: BatchReport) -> BatchReport:
    """What a pass did, with the files that it names as they are shown, and what its summaries have
    in columns that name people."""
    if not veil.hides:
        return report
    return replace(
        report,
        errors_detail=_shown(veil, report.errors_detail),
        given_up=_shown(veil, report.given_up),
        summaries=[
            (title, names, [_row_shown(veil, names, row) for row in rows])
            for title, names, rows in report.summaries
        ],
    )


def _row_shown(veil: Veil, names: Sequence[str], row: Row) -> Row:
    pairs = zip(names, row, strict=True)
    return tuple(veil.column(name, x) if isinstance(x, str) else x for name, x in pairs)


def _shown(veil: Veil, named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(veil.file(key), veil.said(error, [key])) for key, error in named]


def plugins_shown(veil: Veil, registry: Registry) -> Registry:
    """The processors that loaded, and why others did not: the path of an installation may name
    whose it is."""
    if not veil.hides:
        return registry
    failed = [
        msgspec.structs.replace(failed, error=veil.said(failed.error, ()))
        for failed in registry.failed
    ]
    return msgspec.structs.replace(registry, failed=tuple(failed))


def scan_shown(veil: Veil, scan: Scan) -> Scan:
    """A scan, with what is left out as it is shown."""
    if not veil.hides:
        return scan
    left_out = [
        LeftOut(veil.file(left.key), veil.said(left.reason, [left.key]), left.documents)
        for left in scan.left_out
    ]
    return replace(scan, left_out=left_out)


@dataclass(frozen=True, slots=True)
class Known:
    """Every name there is: in the database, and on disk as far as one could look."""

    persons: frozenset[str]
    files: frozenset[str]

    @property
    def sessions(self) -> frozenset[str]:
        """Files, and the ids of their sessions, after which they are called."""
        return self.files.union(
            plain_name(key.rpartition("/")[2]).removesuffix(".jsonl") for key in self.files
        )


def names_known(store: Store, source: SessionSource) -> Known:
    """Every name there is.

    Raises:
        StoreError: the database could not be used.
    """
    try:
        there = source.scan().files
    except SourceUnavailable:
        # What it held may be what is asked for.
        there = ()
    rows = _rows(store)
    files = {file.key for file in there}.union(str(key) for (key,) in rows[_FILES])
    persons = {file.user for file in there}.union(
        str(name) for select in (_USERS, _PEOPLE) for row in rows[select] for name in row if name
    )
    return Known(frozenset(persons), frozenset(files))


def _rows(store: Store) -> Mapping[str, Sequence[Row]]:
    if store.place.missing:
        return {_FILES: (), _USERS: (), _PEOPLE: ()}
    # The directory is a table only where there is one.
    wanted = [_FILES, _USERS, *([_PEOPLE] if store.row_counts(["people"])["people"] else [])]
    answers = store.query(*wanted)
    return {_PEOPLE: ()} | {sql: rows for sql, (_, rows) in zip(wanted, answers, strict=True)}


def users_meant(veil: Veil, words: Sequence[str], store: Store, source: SessionSource) -> list[str]:
    """The users that are meant, each called by name or as it was shown.

    Raises:
        StoreError: the database could not be used, where there is a word to lead back.
    """
    return meant(veil, Kind.PERSON, words, lambda: names_known(store, source).persons)


def folders_of(person: str, store: Store) -> list[str]:
    """The folders that the directory says are the person's.

    Raises:
        StoreError: the database could not be used.
    """
    return sorted({str(row[0]) for row in _rows(store)[_PEOPLE] if row[1] == person})


def files_meant(veil: Veil, words: Sequence[str], store: Store, source: SessionSource) -> list[str]:
    """The session files that are meant, each called by its key or as it was shown; as
    `users_meant`."""
    return meant(veil, Kind.FILE, words, lambda: names_known(store, source).files)
