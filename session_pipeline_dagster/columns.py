"""Rows of a processor -> Arrow, in the column types of its tables.

A value that does not fit its column is the processor's mistake and costs one file: `encode` says
which table and column. What the types are is said by the DDL and read by `store.py`.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.processor import Row


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
    return {name: _encode(name, found, schemas[name]) for name, found in rows.items() if found}


def _encode(name: str, rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pa.array(values, type=field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            # The value itself may be a secret; its type is enough to find the mistake.
            kinds = sorted({type(value).__name__ for value in values})
            raise ContractError(
                f"{name}.{field.name}: values of {', '.join(kinds)} do not fit {field.type}"
            ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def check_rows(
    rows: Mapping[str, Sequence[Row]], schemas: Mapping[str, pa.Schema], key: str
) -> None:
    """Check that all rows are rows of this file, as wide as their table.

    Raises:
        ContractError: an unknown table, or a row under another file's key.
    """
    for name, found in rows.items():
        schema = schemas.get(name)
        if schema is None:
            raise ContractError(f"rows for {name!r}, which is not one of its tables")
        widths, index = set(map(len, found)), schema.get_field_index("session_file")
        if found and widths != {len(schema)}:
            raise ContractError(
                f"{name}: rows of {sorted(widths)} values for {len(schema)} columns"
            )
        if {row[index] for row in found} - {key}:
            raise ContractError(f"{name}: session_file must be the session's key in every row")
