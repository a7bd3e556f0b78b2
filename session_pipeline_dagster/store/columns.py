"""Rows of a processor -> Arrow, in the column types of its tables.

A value that does not fit its column is the processor's mistake and costs one file: `encode` says
which table and column. What the types are is said by the DDL and read by `write.py`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.errors import ContractError, is_stop


def encode(
    rows: Mapping[str, Sequence[Row]], schemas: Mapping[str, pa.Schema]
) -> dict[str, pa.Table]:
    """Table name -> Arrow table; tables without rows are left out.

    Args:
        rows: of the right width, as `check_rows` makes sure.
        schemas: a schema for every table in `rows`.

    Raises:
        ContractError: a value of the wrong type.
    """
    return {name: encode_table(name, found, schemas[name]) for name, found in rows.items() if found}


def encode_table(name: str, rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """The rows of one table, at least one; see `encode`."""
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pa.array(values, type=field.type))
        except BaseException as error:
            # A value may run code of its own here, as a time zone does.
            if is_stop(error):
                raise
            # The value itself may be a secret; its type is enough to find the mistake.
            kinds = sorted({type(value).__name__ for value in values})
            raise ContractError(
                f"{name}.{field.name}: values of {', '.join(kinds)} do not fit {field.type}"
            ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


@dataclass(frozen=True, slots=True)
class Packed:
    """Some rows of one table as a compressed Arrow stream: a third of the memory while they wait.

    LZ4, because packing then costs a worker no more than it saves on the way to the writer.
    """

    rows: int
    stream: bytes


def pack(rows: pa.Table) -> Packed:
    """The same rows, compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
        stream.write_table(rows)
    return Packed(len(rows), sink.getvalue().to_pybytes())


def unpack(parts: Sequence[Packed]) -> pa.RecordBatchReader:
    """The rows of all parts of one table, to be read once; a part is uncompressed in its turn.

    Args:
        parts: at least one, of one schema.
    """
    streams = map(_stream, parts)
    first = next(streams)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from first
        for stream in streams:
            yield from stream

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _stream(part: Packed) -> pa.RecordBatchReader:
    return pa.ipc.open_stream(part.stream, options=pa.ipc.IpcReadOptions(use_threads=False))


def keys_of(parts: Sequence[Packed]) -> set[str]:
    """The files that any of the rows is of."""
    return {key for part in parts for key in _stream(part).read_all()["session_file"].to_pylist()}


def of_files(parts: Sequence[Packed], keys: Collection[str]) -> list[Packed]:
    """The rows of these files only."""
    return _where(parts, lambda key: key in keys)


def not_of_files(parts: Sequence[Packed], is_left_out: Callable[[str], bool]) -> list[Packed]:
    """The rows of all other files."""
    return _where(parts, lambda key: not is_left_out(key))


def _where(parts: Sequence[Packed], is_kept: Callable[[str], bool]) -> list[Packed]:
    kept = []
    for part in parts:
        rows = _stream(part).read_all()
        which = [is_kept(key) for key in rows["session_file"].to_pylist()]
        kept.append(pack(rows.filter(pa.array(which, pa.bool_()))))
    return kept


def check_rows(
    rows: Mapping[str, Sequence[Row]], schemas: Mapping[str, pa.Schema], key: str
) -> None:
    """Check that all rows are rows of this file, as wide as their table.

    Raises:
        ContractError: an unknown table, no list, or a row under another file's key.
    """
    for name, found in rows.items():
        schema = schemas.get(name)
        if schema is None:
            raise ContractError(f"rows for {name!r}, which is not one of its tables")
        if not isinstance(found, Collection):
            # What can be read only once would be gone when it is to be written.
            raise ContractError(f"{name}: rows must be a list, not {type(found).__name__}")
        if not len(found):
            continue
        widths, index = set(map(len, found)), schema.get_field_index("session_file")
        if widths != {len(schema)}:
            wrong = ", ".join(map(str, sorted(widths - {len(schema)})))
            takes = f"it takes {len(schema)}: {', '.join(schema.names)}"
            raise ContractError(f"{name}: a row of {wrong} values; {takes}")
        if {row[index] for row in found} - {key}:
            raise ContractError(f"{name}: session_file must be the session's key in every row")
