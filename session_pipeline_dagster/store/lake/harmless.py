"""Rows of Arrow as a lake takes their text; see `text.py`."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from session_pipeline_dagster.store.lake.text import FOUND, PARTS, harmless


def harmless_rows(rows: pa.Table | pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The rows as a lake takes them."""
    reader = rows.to_reader() if isinstance(rows, pa.Table) else rows

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [_column(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=reader.schema)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _column(column: pa.Array) -> pa.Array:
    if not _is_text(column.type) or not _has(column):
        return column
    if pa.types.is_nested(column.type):
        return pa.array([_value(value) for value in column.to_pylist()], type=column.type)
    for pattern, instead in PARTS:
        how = pc.ReplaceSubstringOptions(pattern, instead)
        column = pc.call_function("replace_substring_regex", [column], how)
    return column


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_is_text(kind.field(n).type) for n in range(kind.num_fields))
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _has(column: pa.Array) -> bool:
    if pa.types.is_map(column.type):
        return _has(column.keys) or _has(column.items)
    if pa.types.is_struct(column.type):
        return any(_has(field) for field in column.flatten())
    if pa.types.is_nested(column.type):
        return _has(column.flatten())
    if not _is_text(column.type):
        return False
    found = pc.call_function("match_substring_regex", [column], pc.MatchSubstringOptions(FOUND))
    return bool(pc.call_function("any", [found]).as_py())


def _value(value: object) -> object:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, dict):
        return {key: _value(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_value(found) for found in value)
    return value
