"""A small processor that has one of everything a store keeps: rows, a journal, a roll-up and a
derivation. What its tables must hold follows from the batches that were committed."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable, Inputs
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store.batch import Batch, Done
from session_pipeline_dagster.store.columns import Packed, encode, pack
from session_pipeline_dagster.store.database import Store

NOW = datetime(2025, 3, 2, tzinfo=UTC)
_CHANGED = """SELECT DISTINCT kind FROM tally_rows
    WHERE session_file IN (SELECT session_file FROM batch)"""


def _totals(inputs: Inputs) -> Changes:
    counted = Counter(str(row[0]) for row in inputs.rows["rows"])
    was = [str(row[0]) for row in inputs.rows["totals"]]
    return Changes({"tally_totals": was}, {"tally_totals": list(counted.items())})


class Tallies:
    """Rows (session_file, kind, n); sums by kind; a journal of what was ever taken."""

    name, version, cadence = "tally", 1, timedelta(seconds=60)
    tables = {"tally_rows": "session_file VARCHAR, kind VARCHAR, n BIGINT"}
    journals = {"tally_calls": "session_file VARCHAR, n BIGINT"}
    rollups = (
        Rollup(
            name="tally_sums",
            columns="kind VARCHAR, n BIGINT",
            part="kind",
            changed=_CHANGED,
            refresh="SELECT kind, sum(n)::BIGINT FROM tally_rows "
            "WHERE kind IN (SELECT part FROM parts) GROUP BY kind",
        ),
    )
    derivations = (
        Derivation(
            name="tally_counts",
            tables={"tally_totals": DerivedTable("kind VARCHAR, n BIGINT", "kind")},
            reads={
                "rows": "SELECT kind FROM tally_rows",
                "totals": "SELECT kind FROM tally_totals",
            },
            compute=_totals,
            changed=_CHANGED,
        ),
    )

    def process(self, session: Session) -> ProcessorResult:
        raise NotImplementedError


def _packed(table: str, rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> list[Packed]:
    return [pack(found) for found in encode({table: rows}, {table: schema}).values()]


_ROWS = pa.schema([("session_file", pa.string()), ("kind", pa.string()), ("n", pa.int64())])
_CALLS = pa.schema([("session_file", pa.string()), ("n", pa.int64())])


def batch(number: int, *keys: str) -> Batch:
    """Each file with two rows of that number, of kind `a` and `b`; one of it in the journal."""
    signature = Signature(number, number, number)
    return Batch(
        {"tally_rows": _packed("t", [(k, kind, number) for k in keys for kind in "ab"], _ROWS)},
        [Done(k, k[:1], date(2025, 3, 1), f"{number}", signature, NOW) for k in keys],
        journal={"tally_calls": _packed("t", [(k, number) for k in keys], _CALLS)},
    )


def held(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """What the store has of them."""
    selects = {
        "rows": "FROM tally_rows ORDER BY ALL",
        "calls": "FROM tally_calls ORDER BY ALL",
        "sums": "FROM tally_sums ORDER BY ALL",
        "totals": "FROM tally_totals ORDER BY ALL",
        "states": "SELECT session_file, file_hash FROM session_processor_state ORDER BY ALL",
    }
    answers = store.query(*selects.values())
    return {name: rows for name, (_, rows) in zip(selects, answers, strict=True)}


def wanted(latest: dict[str, int], calls: Sequence[tuple[str, int]]) -> dict[str, object]:
    """What it must have: file -> the number of its last batch; and the journal."""
    rows = sorted((key, kind, n) for key, n in latest.items() for kind in "ab")
    return {
        "rows": rows,
        "calls": sorted(calls),
        "sums": [(kind, sum(latest.values())) for kind in "ab"],
        "totals": [(kind, len(latest)) for kind in "ab"],
        "states": sorted((key, str(n)) for key, n in latest.items()),
    }


def settled(store: Store) -> None:
    """Compute what is derived."""
    store.refresh(*Tallies.rollups)
    for derivation in Tallies.derivations:
        store.derive(derivation)
