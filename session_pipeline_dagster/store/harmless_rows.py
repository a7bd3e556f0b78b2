"""Rows of Arrow as a lake takes their text, and back; see `harmless.py`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from session_pipeline_dagster.store.harmless import FOUND, GIVEN, PARTS, WRITTEN


@dataclass(frozen=True, slots=True)
class _Change:
    """What is looked for in a text, and what is put in place of what."""

    found: str
    parts: tuple[tuple[str, str], ...]


_HARMLESS, _GIVEN = _Change(FOUND, PARTS), _Change(WRITTEN, GIVEN)


def harmless_rows(rows: pa.Table | pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The rows as a lake takes them."""
    return _changed(rows, _HARMLESS)


def rows_as_given(rows: pa.Table | pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Rows of a lake with their names in braces as they were given to it."""
    return _changed(rows, _GIVEN)


def _changed(rows: pa.Table | pa.RecordBatchReader, change: _Change) -> pa.RecordBatchReader:
    reader = rows.to_reader() if isinstance(rows, pa.Table) else rows

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [_column(column, change) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=reader.schema)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _column(column: pa.Array, change: _Change) -> pa.Array:
    if not _is_text(column.type) or not _has(column, change.found):
        return column
    if pa.types.is_nested(column.type):
        values = [_value(value, change) for value in column.to_pylist()]
        return pa.array(values, type=column.type)
    for pattern, instead in change.parts:
        column = compute.call_function(
            "replace_substring_regex", [column], compute.ReplaceSubstringOptions(pattern, instead)
        )
    return column


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_is_text(kind.field(n).type) for n in range(kind.num_fields))
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _has(column: pa.Array, found: str) -> bool:
    if pa.types.is_map(column.type):
        return _has(column.keys, found) or _has(column.items, found)
    if pa.types.is_struct(column.type):
        return any(_has(field, found) for field in column.flatten())
    if pa.types.is_nested(column.type):
        return _has(column.flatten(), found)
    if not _is_text(column.type):
        return False
    has = compute.call_function(
        "match_substring_regex", [column], compute.MatchSubstringOptions(found)
    )
    return bool(compute.call_function("any", [has]).as_py())


def _value(value: object, change: _Change) -> object:
    if isinstance(value, str):
        for pattern, instead in change.parts:
            value = re.sub(pattern, instead, value)
        return value
    if isinstance(value, dict):
        return {key: _value(found, change) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_value(found, change) for found in value)
    return value
