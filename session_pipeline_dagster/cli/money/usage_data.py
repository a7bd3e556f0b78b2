"""What `session-pipeline usage` prints for programs: JSON and CSV, with the same columns."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Final

from session_pipeline_dagster.cli.money.document import document
from session_pipeline_dagster.names import cell
from session_pipeline_dagster.processors.usage.money.amounts import exact
from session_pipeline_dagster.processors.usage.money.breakdown import Row, Sums, Usage

_SUMS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_tokens",
    "cache_read_tokens",
    "messages",
    "cost",
    "unpriced_messages",
    "at_least",
    "unknown_input_messages",
)


def usage_json(found: Usage, shown: Sequence[Row]) -> str:
    """The JSON document: names as they are stored, costs with all their digits."""
    by = found.asked.by
    tables = list(dict.fromkeys(one.price_table for one in found.in_force))
    problems = [one.problem for one in found.in_force if one.problem]
    return document(
        {
            "by": by,
            "rows": [{**dict(zip(by, row.keys, strict=True)), **_sums(row.sums)} for row in shown],
            "totals": _sums(found.totals),
            "currency": found.asked.currency.code,
            "price_table": tables[-1] if tables else None,
            "price_tables": tables,
            "unpriced_models": [asdict(one) for one in found.unpriced],
            "problem": problems[-1] if problems else None,
            "billed_beyond_lines": asdict(found.beyond),
            "hidden": found.hidden,
        }
    )


def usage_csv(found: Usage, shown: Sequence[Row]) -> str:
    """CSV as RFC 4180 has it. Names are as people are shown them, and no formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*found.asked.by, *_SUMS])
    for row in shown:
        names = (cell(key or "") for key in row.keys)
        writer.writerow([*names, *map(_cell, _sums(row.sums).values())])
    return text.getvalue()


def _sums(sums: Sums) -> Mapping[str, object]:
    return {name: getattr(sums, name) for name in _SUMS}


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return exact(value)
    return "" if value is None else str(value).lower()
