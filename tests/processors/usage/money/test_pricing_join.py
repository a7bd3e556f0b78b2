"""How prices are joined: a join that compares every response with every price takes minutes."""

from pathlib import Path

from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile


def test_no_response_is_compared_with_every_price(tmp_path: Path) -> None:
    store = Store(DuckDBFile(tmp_path / "prices.duckdb"))
    store.prepare(UsageProcessor())
    ((_, rows),) = store.query("EXPLAIN (FORMAT json) SELECT sum(cost) FROM usage_costs")
    plan = str(rows)
    assert "HASH_JOIN" in plan
    assert "BLOCKWISE" not in plan
