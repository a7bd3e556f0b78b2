"""Many state rows beside a listing, compared in the database: only what differs becomes records.

A row that somebody has to look at is read by `read.py` as ever, and `passes/plan.py: currency`
decides on it. This module only says of which files and rows nothing can follow: files that are
CURRENT, without a failure, and rows of files that are gone and noted. It may call one of those
different, never the other way round (docs/decisions/0035-looks-compared-in-the-database.md).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from session_pipeline_dagster.contract.processor import ON_REQUEST, UNPAID, Processor, extras
from session_pipeline_dagster.sources.files import SessionFile
from session_pipeline_dagster.store import write
from session_pipeline_dagster.store.harmless import harmless, is_lake
from session_pipeline_dagster.store.states import NOTHING, RACY_NS, Gone, Rest

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

MANY = 50_000
"""Rows from which on it is done here: below, importing Arrow costs more than making records."""
PART = 100_000
"""Files compared at a time: what DuckDB keeps of them stays below its memory limit, so nothing is
written to disk, which a process that only looks may not be able to."""
_SKEW = timedelta(minutes=1)
"""A time this close to now is not one to come."""
_ROUNDED = timedelta(seconds=1)
"""Times are compared as floats elsewhere; a little more is looked at there."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Files as they were found, and what is asked of the store beside them.

    Attributes:
        at: when it was looked; a file that was missed later than that is to be noted again.
        purge: rows of files that are gone since before then are asked for; None = they stay.
        keys: rows of these are read, whatever they say.
        formers: former key -> the key that the same file has now; both are read, where the store
            has a row of the former.
    """

    files: Sequence[SessionFile]
    at: datetime
    purge: datetime | None = None
    keys: Collection[str] = ()
    formers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs, and the rest in sums.

    Attributes:
        states: rows that are to be looked at. places: of the files in the listing that are.
    """

    states: list[tuple[Any, ...]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rest: Rest = NOTHING


def count(connection: "DuckDBPyConnection", processor: str) -> int:
    """How many files the store has a row of."""
    counted = "SELECT count(*) FROM session_processor_state WHERE processor_name = ?"
    return connection.execute(counted, [processor]).fetchall()[0][0]


# A failure says something of a file that looks current, so it is looked at whatever its row says.
_ASKED = """CREATE OR REPLACE TEMP TABLE asked AS
    SELECT session_file FROM session_processor_failures WHERE processor_name = $1
    UNION SELECT unnest(from_json($2, '["VARCHAR"]'))"""
_FORMER = """SELECT session_file FROM session_processor_state SEMI JOIN former USING (session_file)
    WHERE processor_name = ?"""

# `currency` as far as CURRENT goes; what is NULL is not quiet. A row without a file is quiet if its
# root is not in the listing, or if it is marked and stays; an absolute path may be that of any
# file. What differs stays a row, what is quiet becomes a count of those as new and of those older.
_COMPARE = f"""WITH kept AS (
    SELECT session_file, size_bytes, mtime_ns, ctime_ns, gone_at, left_out, root,
        coalesce(processor_version, $version) AS version,
        $on_request OR ($unpaid AND memo IS NOT NULL) AS stays,
        CASE WHEN signature_at BETWEEN $epoch AND $soon
            THEN epoch_us(signature_at) * 1000 END AS signed_ns
    FROM session_processor_state WHERE processor_name = $name {{bounds}}
), beside AS (
    SELECT session_file, place, version, coalesce(CASE
        WHEN version IS NULL OR session_file IN (FROM asked) THEN false
        WHEN place IS NOT NULL THEN
            (version >= $version OR (stays AND version > {write.OUTDATED}))
            AND offered.size = kept.size_bytes AND offered.mtime_ns = kept.mtime_ns
            AND offered.ctime_ns = kept.ctime_ns
            AND (signed_ns IS NULL
                OR kept.mtime_ns NOT BETWEEN signed_ns - {RACY_NS} AND signed_ns + {RACY_NS})
            AND gone_at IS NULL AND left_out IS NULL
        ELSE NOT starts_with(session_file, '/') AND (
            NOT coalesce(root IN (FROM roots), false)
            OR (gone_at <= $noted AND ($purge IS NULL OR gone_at > $purge)))
        END, false) AS quiet
    FROM kept FULL JOIN offered USING (session_file)
)
SELECT CASE WHEN NOT quiet THEN session_file END, CASE WHEN NOT quiet THEN place END,
    CASE WHEN quiet AND place IS NOT NULL THEN sign(version - $version) END, count(*)
FROM beside GROUP BY ALL"""
# A list as a parameter: a temporary table of each part would lie there until the transaction ends.
_THESE = """(SELECT unnest(from_json({}, '["VARCHAR"]')) AS session_file)"""
_READ = f"AND session_file IN {_THESE.format('$4')}"
_NEWEST = """SELECT epoch_us(greatest(
        max(processed_at) FILTER (processed_at BETWEEN $epoch AND $soon),
        max(signature_at) FILTER (signature_at BETWEEN $epoch AND $soon))),
    epoch_us(max(processed_at) FILTER (processed_at BETWEEN $epoch AND $now)),
    max(mtime_ns) FILTER (coalesce(processor_version, $version) >= $version
        AND size_bytes IS NOT NULL AND ctime_ns IS NOT NULL)
    FROM session_processor_state WHERE processor_name = $name"""
_DAYS = """SELECT DISTINCT session_day FROM session_processor_state
    WHERE processor_name = ? AND session_day BETWEEN '0001-01-01' AND '9999-12-31'"""
_GONE = f"""SELECT root, username, count(*), epoch_us(least(greatest(min(gone_at), $epoch), $soon))
    FROM session_processor_state ANTI JOIN {_THESE.format("$read")} USING (session_file)
    WHERE processor_name = $name AND gone_at IS NOT NULL {{bounds}} GROUP BY root, username"""


def compare(
    connection: "DuckDBPyConnection",
    processor: Processor,
    listing: Listing,
    epoch: datetime,
    soon: datetime,
    states: str,
) -> Compared:
    """What differs, and sums of the rest. To be called within a transaction, so that all of it is
    of one moment.

    Args:
        epoch, soon: what is written as earlier or later is of a clock that was wrong.
        states: selects state rows of $1 = the processor; $2 and $3 are `epoch` and `soon`.
    """
    name, version, again = processor.name, processor.version, extras(processor).reprocess
    _ask(connection, name, listing)
    roots = {file.root for file in listing.files}
    write.register(connection, "roots", [*filter(_is_storable, roots)])
    times = {"name": name, "epoch": epoch, "soon": soon}
    given = {
        "version": version,
        "on_request": again == ON_REQUEST,
        "unpaid": again == UNPAID,
        "noted": listing.at - _ROUNDED,
        "purge": listing.purge + _ROUNDED if listing.purge else None,
    }
    found, gone, versions = Compared(), list[Gone](), Counter[int]()
    spelt = _spelling(connection)
    for places, bounds, keys in _parts(listing.files):
        ends = {end: spelt(key) for end, key in keys.items()}
        with write.offered(connection, _arrow(listing.files, places)):
            sql = _COMPARE.format(bounds=bounds)
            rows = connection.execute(sql, {**times, **given, **ends}).fetchall()
        for _, place, newer, files in rows:
            if newer is not None:
                versions[newer] += files
            elif place is not None:
                found.places.append(place)
        read = _list(spelt(row[0]) for row in rows if row[0] is not None)
        del rows
        found.states.extend(
            connection.execute(f"{states} {_READ}", [*times.values(), read]).fetchall()
        )
        marked = connection.execute(_GONE.format(bounds=bounds), {**times, **ends, "read": read})
        gone += [Gone(*row) for row in marked.fetchall()]
    now = min(soon, listing.at + _SKEW)
    newest = connection.execute(_NEWEST, {**times, "version": version, "now": now}).fetchall()[0]
    rest = Rest(
        versions.total(),
        versions[-1],
        versions[1],
        changed_us=newest[0] or 0,
        processed_us=newest[1] or 0,
        newest_ns=newest[2],
        days=frozenset(row[0] for row in connection.execute(_DAYS, [name]).fetchall()),
        gone=gone,
    )
    found.places.sort()
    return replace(found, rest=rest)


def _ask(connection: "DuckDBPyConnection", processor: str, listing: Listing) -> None:
    """Make `asked(session_file)` of all that is to be read whatever it says."""
    keys = [key for key in listing.keys if _is_storable(key)]
    if listing.formers:
        write.register(connection, "former", [*filter(_is_storable, listing.formers)])
        for (former,) in connection.execute(_FORMER, [processor]).fetchall():
            keys += filter(_is_storable, (former, listing.formers[former]))
    connection.execute(_ASKED, [processor, _list(map(_spelling(connection), keys))])


def _spelling(connection: "DuckDBPyConnection") -> Callable[[str], str]:
    """How a key is written in the store: for a name that it takes for its own a lake would look for
    something else."""
    return harmless if is_lake(connection) else str


def _list(keys: Iterable[str]) -> str:
    """A list of keys as a parameter."""
    return msgspec.json.encode([*keys]).decode()


def _parts(
    files: Sequence[SessionFile],
) -> Iterator[tuple[Sequence[int], str, dict[str, str]]]:
    """Places of some files, and the range of keys that are theirs: all keys there can be are in the
    range of one part. The order of keys is that of their bytes, in Python and in the database."""
    order: Sequence[int] = range(len(files))
    if any(after.key < before.key for before, after in pairwise(files)):
        order = sorted(order, key=lambda place: files[place].key)
    bounds, ends, start = "", dict[str, str](), 0
    while True:
        end = start + PART
        while end < len(order) and not _is_storable(files[order[end]].key):
            end += 1
        if end >= len(order):
            yield order[start:], bounds, ends
            return
        high = files[order[end]].key
        yield order[start:end], f"{bounds} AND session_file < $high", {**ends, "high": high}
        bounds, ends, start = "AND session_file >= $low", {"low": high}, end


def _arrow(files: Sequence[SessionFile], places: Sequence[int]) -> "pyarrow.Table":
    """Keys and signatures of files; NULL is what the state table cannot hold."""
    import pyarrow as pa  # noqa: PLC0415  0.1 s that few files do not pay; see write.py

    these = [files[place] for place in places]
    signatures = [file.signature for file in these]

    def column(values: Sequence[str] | Sequence[int], kind: "pyarrow.DataType") -> "pyarrow.Array":
        try:
            return pa.array(values, kind)
        except (OverflowError, UnicodeEncodeError):
            return pa.array([_fitting(value, kind) for value in values], kind)

    return pa.table(
        {
            "place": pa.array(places, pa.int32()),
            "session_file": column([file.key for file in these], pa.string()),
            "size": column([one.size for one in signatures], pa.uint64()),
            "mtime_ns": column([one.mtime_ns for one in signatures], pa.int64()),
            "ctime_ns": column([one.ctime_ns for one in signatures], pa.int64()),
        }
    )


def _is_storable(text: str) -> bool:
    """Whether a database can hold it; a key that none can is in no row."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fitting(value: str | int, kind: "pyarrow.DataType") -> str | int | None:
    import pyarrow as pa  # noqa: PLC0415  see _arrow

    try:
        pa.scalar(value, kind)
    except (OverflowError, UnicodeEncodeError):
        return None
    return value
