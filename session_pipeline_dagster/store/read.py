"""What the store knows of one processor's files, read in one short look inside a connection."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import (
    ON_REQUEST,
    UNPAID,
    Processor,
    derived_names,
    extras,
)
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store import compare, derive, write
from session_pipeline_dagster.store.compare import Listing
from session_pipeline_dagster.store.declare import REFUSED, RELATIONS, in_words
from session_pipeline_dagster.store.harmless import as_given, is_lake
from session_pipeline_dagster.store.states import (
    LONGEST_WAIT,
    NOTHING,
    Failure,
    FileState,
    Known,
    LineCounts,
    OddLines,
    Rest,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


Answer = tuple[list[str], list[tuple[object, ...]]]
"""Column names and rows."""


def _bounded(column: str) -> str:
    """A time, but not before $2, nor after $3."""
    return f"CASE WHEN {column} IS NOT NULL THEN least(greatest({column}, $2), $3) END"


# $2 is the epoch, $3 soon, $4 the end of the longest wait. A time that no rule can have written is
# of a clock that was wrong: it is no time at all, or nothing waits for it.
_STATES = f"""SELECT session_file,
    CASE WHEN session_day BETWEEN '0001-01-01' AND '9999-12-31' THEN session_day END,
    CASE WHEN processed_at BETWEEN $2 AND $3 THEN epoch_us(processed_at) END,
    file_hash, size_bytes, mtime_ns, ctime_ns,
    CASE WHEN signature_at BETWEEN $2 AND $3 THEN epoch_us(signature_at) END,
    processor_version, memo, epoch_us({_bounded("gone_at")}),
    CASE WHEN gone_at IS NOT NULL THEN username END, root, left_out, readers
    FROM session_processor_state WHERE processor_name = $1"""
_FAILURES = f"""SELECT session_file, attempts, error_class, error,
    {_bounded("first_failed_at")}, {_bounded("last_failed_at")},
    CASE WHEN last_failed_at <= $3 AND next_attempt_at <= $4 THEN greatest(next_attempt_at, $2) END,
    {_bounded("quarantined_at")}, file_hash, size_bytes, mtime_ns, ctime_ns, tries,
    processor_version, root FROM session_processor_failures WHERE processor_name = $1"""
_LINES = f"""SELECT least(coalesce(sum(lines), 0), {2**63 - 1})::BIGINT,
    least(coalesce(sum(unreadable_lines), 0), {2**63 - 1})::BIGINT,
    least(coalesce(sum(unknown_lines), 0), {2**63 - 1})::BIGINT FROM session_processor_state
    WHERE processor_name = ? AND mtime_ns >= ? AND gone_at IS NULL"""
_ODD = """SELECT session_file, lines, unreadable_lines, unknown_lines, readers
    FROM session_processor_state
    WHERE processor_name = ? AND mtime_ns >= ? AND gone_at IS NULL
    AND (unreadable_lines > 0 OR unknown_lines > 0)"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SKEW = timedelta(minutes=1)
"""Whoever writes may have looked at the clock a little later than whoever reads."""
_CHANGES = "SELECT DISTINCT rollup FROM session_rollup_changes"
_NEWER = """SELECT count(*) > 0 FROM session_processor_state
    WHERE processor_name = ? AND processor_version > ?"""
_DIGEST = "SELECT digest FROM session_processor_declarations WHERE processor_name = ?"


@dataclass(frozen=True, slots=True)
class Raw:
    """What was read, as rows; `newer`: a newer version of the processor has processed any file."""

    states: list[tuple[Any, ...]]
    failures: list[tuple[Any, ...]]
    stale: list[tuple[Any, ...]]
    made: list[tuple[Any, ...]]
    newer: bool
    counts: tuple[Any, ...]
    odd: list[tuple[Any, ...]]
    rest: Rest = NOTHING
    places: list[int] | None = None


def read_rows(
    connection: "DuckDBPyConnection",
    processor: Processor,
    lines_since: datetime | None,
    now: datetime,
    listing: Listing | None = None,
) -> Raw:
    """Everything of a processor at one moment, as rows: making records of them needs no connection.

    Args:
        listing: of many files only those rows are read that differ from it; see `compare.py`.
    """
    name, times = processor.name, (_EPOCH, now + _SKEW)
    longest = now + _SKEW + LONGEST_WAIT
    counts: list[tuple[Any, ...]] = [(0, 0, 0)]
    odd: list[tuple[Any, ...]] = []
    connection.begin()
    if lines_since is not None:
        since = [name, int(lines_since.timestamp()) * 10**9]
        counts = connection.execute(_LINES, since).fetchall()
        odd = connection.execute(_ODD, since).fetchall()
    kept, rest, places = compare.count(connection, name), NOTHING, None
    if listing is None or kept < compare.MANY:
        states = connection.execute(_STATES, [name, *times]).fetchall()
    else:
        found = compare.compare(connection, processor, listing, *times, _STATES)
        states, places, rest = found.states, found.places, found.rest
    failures = connection.execute(_FAILURES, [name, *times, longest]).fetchall()
    if is_lake(connection):
        states, failures, odd = map(_as_given, (states, failures, odd))
    rows = Raw(
        states,
        failures,
        _stale(connection, processor, any_states=bool(kept)),
        digests(connection, name),
        is_newer(connection, processor),
        counts[0],
        odd,
        rest,
        places,
    )
    connection.rollback()
    return rows


def _as_given(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows, their keys as the files are called."""
    for place, row in enumerate(rows):
        if (key := as_given(row[0])) != row[0]:
            rows[place] = (key, *row[1:])
    return rows


def known(processor: Processor, rows: Raw) -> Known:
    """The records of what `read_rows` read; the rows of states are used up on the way."""
    again, odd = extras(processor).reprocess, rows.odd
    return Known(
        states={row[0]: _state(row, processor.version, again) for row in _used_up(rows.states)},
        failures={
            row[0]: Failure(*row[:9], _signature(*row[9:12]), row[12] or 0, row[13] or 0, row[14])
            for row in rows.failures
        },
        stale_rollups=sorted(_fed({row[0] for row in rows.stale}, processor)),
        # What a newer version has declared is not declared anew: it would do the same in its turn.
        prepared=rows.made == [(write.declaration_digest(processor),)] or rows.newer,
        lines=LineCounts(
            *rows.counts, [OddLines(row[0], *(n or 0 for n in row[1:4]), row[4]) for row in odd]
        ),
        rest=rows.rest,
        places=rows.places,
    )


def _stale(
    connection: "DuckDBPyConnection", processor: Processor, *, any_states: bool
) -> list[tuple[Any, ...]]:
    """Names of what is derived and waits: something noted it, or it has another basis. Before any
    file was processed there is nothing to derive from."""
    found = connection.execute(_CHANGES).fetchall()
    derivations = extras(processor).derivations if any_states else ()
    return found + [(d.name,) for d in derivations if derive.is_of_another_basis(connection, d)]


def _fed(stale: set[str], processor: Processor) -> set[str]:
    """Those of the processor's, and what they note in their turn."""
    more = extras(processor)
    rollups = more.rollups
    first = {t for d in more.derivations if d.first and d.name in stale for t in d.tables}
    stale |= {rollup.name for rollup in rollups if first & {*rollup.deps}}
    for _ in rollups:
        stale |= {fed for rollup in rollups if rollup.name in stale for fed in rollup.feeds}
    return stale & {*derived_names(processor)}


def _used_up(rows: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Each row in turn, and nothing left: 100,000 rows need not lie beside their records."""
    rows.reverse()
    while rows:
        yield rows.pop()


def digests(connection: "DuckDBPyConnection", processor: str) -> list[tuple[Any, ...]]:
    """What the processor's relations were last made from; a row or none."""
    return connection.execute(_DIGEST, [processor]).fetchall()


def is_newer(connection: "DuckDBPyConnection", processor: Processor) -> bool:
    """Whether a newer version of the processor has processed any file that it knows."""
    given = [processor.name, processor.version]
    return connection.execute(_NEWER, given).fetchall()[0][0]


def _state(row: tuple[Any, ...], current: int, again: str) -> FileState:
    """A row of _STATES. One without a version was imported or written by hand: it is of any."""
    version = current if row[8] is None else row[8]
    # Rows of an older version that are redone on request only, unless they are marked outdated.
    asked = again == ON_REQUEST or (again == UNPAID and row[9] is not None)
    kept = asked and write.OUTDATED < version < current
    signature = _signature(*row[4:7])
    return FileState(
        session_file=row[0],
        session_day=row[1],
        processed_us=row[2],
        file_hash=row[3],
        signature=signature,
        signed_us=row[7],
        processor_version=version,
        memo=row[9],
        gone_us=row[10],
        user=row[11],
        kept=kept,
        root=row[12],
        left_out=row[13],
        readers=row[14],
    )


def _signature(size: int | None, mtime: int | None, ctime: int | None) -> Signature | None:
    if size is None or mtime is None or ctime is None:
        return None
    return Signature(size, mtime, ctime)


def row_counts(connection: "DuckDBPyConnection", relations: Iterable[str]) -> dict[str, int]:
    """Rows per table or view; 0 where it does not exist yet."""
    existing = {row[0] for row in connection.execute(RELATIONS).fetchall()}
    return {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
        if name in existing
        else 0
        for name in relations
    }


def answers(
    connection: "DuckDBPyConnection",
    selects: Sequence[str],
    beside: Mapping[str, tuple[str, Sequence[Row]]],
) -> list[Answer]:
    """See `Store.query`."""
    found = []
    connection.begin()
    for name, (columns, rows) in beside.items():
        connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
        write.insert_rows(connection, name, rows)
    for sql in selects:
        try:
            result = connection.execute(sql)
        except REFUSED as error:
            raise ContractError(f"a query failed: {in_words(error)}") from None
        names = [column[0] for column in result.description or ()]
        found.append((names, result.fetchall()))
    connection.rollback()
    return found
