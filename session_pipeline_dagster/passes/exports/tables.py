"""Published tables as files: Parquet or CSV, one a day, and only where its rows have changed."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from session_pipeline_dagster.names import cell
from session_pipeline_dagster.passes.exports.folder import Notes, remove, replacing
from session_pipeline_dagster.processors.usage.money.amounts import exact
from session_pipeline_dagster.processors.usage.people.published import Published
from session_pipeline_dagster.setting_records import ExportFormat
from session_pipeline_dagster.sources.snapshot import content_hash
from session_pipeline_dagster.store.handing_out import Reading

if TYPE_CHECKING:
    import pyarrow

_DAY = "day"
_NO_DAY = "__HIVE_DEFAULT_PARTITION__"
"""What hive calls a part whose column is NULL."""
_PART_OF = "part of"
_AT_ONCE = 100_000
"""Rows of a row group of Parquet."""


@dataclass(slots=True)
class Counts:
    """What was done.

    Attributes:
        written: files that are new or other than before. `kept`: files that are as they were.
        removed: files whose rows are gone.
    """

    written: int = 0
    kept: int = 0
    removed: int = 0
    rows: int = 0
    bytes: int = 0

    def add(self, other: "Counts") -> None:
        """Take in what was done elsewhere."""
        self.written += other.written
        self.kept += other.kept
        self.removed += other.removed
        self.rows += other.rows
        self.bytes += other.bytes


@dataclass(frozen=True, slots=True)
class Days:
    """Which days are asked for; both ends belong to them, None is open."""

    since: date | None = None
    until: date | None = None

    def __contains__(self, day: str) -> bool:
        if day == _NO_DAY:
            return self.since is None and self.until is None
        after = self.since is None or day >= self.since.isoformat()
        return after and (self.until is None or day <= self.until.isoformat())


def export_table(
    reading: Reading, table: Published, kind: ExportFormat, folder: Path, days: Days, notes: Notes
) -> Counts:
    """Write a table's files that are not as its rows are, and delete those that have none.

    Raises:
        ContractError: its SELECT is not valid. OSError: a file cannot be written.
    """
    names = reading.columns(table.select)
    by_day = _DAY in names
    parted = f"coalesce({_DAY}::VARCHAR, '{_NO_DAY}')" if by_day else "''"
    # Another column makes another file.
    digest = content_hash(" ".join(names).encode())
    found = reading.rows(
        f"""SELECT {parted}, count(*), concat_ws(' ', '{digest}', count(*),
            sum(hash(row_of_it)::HUGEINT)) FROM ({table.select}) AS row_of_it GROUP BY 1"""
    )
    if not by_day and not found:
        found = [("", 0, digest)]
    wanted = {day: (rows, prints) for day, rows, prints in found if not by_day or day in days}
    paths = {day: _path(table.name, day, kind) for day in wanted}
    changed = [day for day in wanted if not _is_there(folder, paths[day], notes, wanted[day][1])]
    counts = Counts(kept=len(wanted) - len(changed))
    for day, path in _write(reading, table, parted, kind, folder, paths, changed):
        size = (folder / path).stat().st_size
        notes.parts[path] = (wanted[day][1], size)
        counts.written += 1
        counts.rows += wanted[day][0]
        counts.bytes += size
    gone = [
        path
        for path in folder.glob(f"{table.name}/day=*/part.{kind.value}")
        if (day := path.parent.name.removeprefix("day=")) in days and day not in wanted
    ]
    remove(folder, gone)
    counts.removed = len(gone)
    for path in gone:
        notes.parts.pop(path.relative_to(folder).as_posix(), None)
    return counts


def _path(table: str, day: str, kind: ExportFormat) -> str:
    return f"{table}/{f'day={day}/' if day else ''}part.{kind.value}"


def _is_there(folder: Path, path: str, notes: Notes, content: str) -> bool:
    known = notes.parts.get(path)
    try:
        return known == (content, (folder / path).stat().st_size)
    except FileNotFoundError:
        return False


def _write(
    reading: Reading,
    table: Published,
    parted: str,
    kind: ExportFormat,
    folder: Path,
    paths: Mapping[str, str],
    changed: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Write the changed days in their order, each in the order of its rows; says which is done."""
    import pyarrow as pa  # noqa: PLC0415  takes 30 ms to load

    if not changed:
        return
    select = f"""SELECT {parted} AS "{_PART_OF}", row_of_it.* FROM ({table.select}) AS row_of_it
        WHERE {parted} IN (SELECT part FROM changed_parts) ORDER BY ALL"""
    beside = {"changed_parts": pa.table({"part": pa.array(changed, pa.string())})}
    batches = reading.batches(select, beside)
    hidden = [_PART_OF, *([_DAY] if kind is ExportFormat.PARQUET and paths.keys() != {""} else [])]
    columns = [name for name in batches.schema.names if name not in hidden]
    schema = pa.schema([batches.schema.field(name) for name in columns])
    rest = _by_part(batches)
    upcoming = next(rest, None)
    for day in sorted(changed):
        with replacing(folder / paths[day]) as fresh, _WRITERS[kind](fresh, schema) as writer:
            while upcoming is not None and upcoming[0] == day:
                writer.write(upcoming[1].select(columns))
                upcoming = next(rest, None)
        yield day, paths[day]


def _by_part(
    batches: "pyarrow.RecordBatchReader",
) -> "Iterator[tuple[str, pyarrow.RecordBatch]]":
    """The rows, so that no batch has those of two parts."""
    for batch in batches:
        begin = 0
        for day, rows in groupby(batch.column(0).to_pylist()):
            count = sum(1 for _ in rows)
            yield day, batch.slice(begin, count)
            begin += count


class _Writer(Protocol):
    """Writes batches of one schema to a file."""

    def __init__(self, path: Path, schema: "pyarrow.Schema") -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, batch: "pyarrow.RecordBatch") -> None:
        """Add rows."""


class _Parquet:
    def __init__(self, path: Path, schema: "pyarrow.Schema") -> None:
        from pyarrow import parquet  # noqa: PLC0415  as above

        self._file: parquet.ParquetWriter = parquet.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._waiting: list[pyarrow.RecordBatch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, batch: "pyarrow.RecordBatch") -> None:
        self._waiting.append(batch)
        if sum(batch.num_rows for batch in self._waiting) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415  as above

        self._file.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting.clear()


class _CSV:
    """As RFC 4180 has it. Names are as people are shown them, and no formulas."""

    def __init__(self, path: Path, schema: "pyarrow.Schema") -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\r\n")
        self._rows.writerow(schema.names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, batch: "pyarrow.RecordBatch") -> None:
        columns = [map(csv_cell, column.to_pylist()) for column in batch.columns]
        self._rows.writerows(zip(*columns, strict=True))


_WRITERS: Mapping[ExportFormat, type[_Writer]] = {
    ExportFormat.PARQUET: _Parquet,
    ExportFormat.CSV: _CSV,
}


def csv_cell(value: object) -> str:
    """A value as it stands in CSV: amounts with all their digits, what is unknown as nothing."""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
