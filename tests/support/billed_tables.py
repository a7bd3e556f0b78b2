"""The tables that `usage_reconciled` reads, in a DuckDB of their own, with a few list prices."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa

from session_pipeline_dagster.processors.usage.money.baseline import OwnBilled
from session_pipeline_dagster.processors.usage.money.reconciled import (
    OWN_BILLED_COLUMNS,
    own_billed_rows,
    view,
)

SLOTS = """day DATE, slot TIMESTAMPTZ, username VARCHAR, project VARCHAR, repository VARCHAR,
    session_id VARCHAR, agent VARCHAR, model VARCHAR, provider VARCHAR, speed VARCHAR,
    git_branch VARCHAR, messages BIGINT, input_tokens BIGINT, output_tokens BIGINT,
    cache_creation_tokens BIGINT, cache_creation_5m_tokens BIGINT, cache_creation_1h_tokens BIGINT,
    cache_read_tokens BIGINT, web_search_requests BIGINT, partial_messages BIGINT,
    partial_output_tokens BIGINT, cost DECIMAL(38,12), unpriced_messages BIGINT,
    assumed_messages BIGINT"""
PRICES = """price_table VARCHAR, provider VARCHAR, model VARCHAR, price_model VARCHAR,
    variant VARCHAR, valid_from DATE, valid_to DATE, over_input BIGINT, upto_input BIGINT,
    input DECIMAL(18,12), output DECIMAL(18,12), cache_read DECIMAL(18,12),
    cache_write_5m DECIMAL(18,12), cache_write_1h DECIMAL(18,12), web_search DECIMAL(18,12),
    source VARCHAR, assumed BOOLEAN"""


def price(model: str, per_million: Iterable[str], **given: object) -> tuple[object, ...]:
    """A row of `model_prices`: input, output, read, 5m, 1h in USD per million; search 0.01."""
    rates = [Decimal(rate) / 10**6 for rate in per_million]
    row = {
        "price_table": "list 1", "provider": "anthropic", "model": model, "price_model": model,
        "variant": "standard", "valid_from": None, "valid_to": None, "over_input": 0,
        "upto_input": None, **given,
    }  # fmt: skip
    return (*row.values(), *rates, Decimal("0.01"), "list", False)


OPUS = price("claude-opus-5-5", ("4", "20", "0.20", "5", "8"))


def store(prices: Iterable[tuple[object, ...]] = (OPUS,)) -> duckdb.DuckDBPyConnection:
    """An empty store with the view over it."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE usage_own_billed({OWN_BILLED_COLUMNS})")
    connection.execute(f"CREATE TABLE usage_slots({SLOTS})")
    connection.execute(f"CREATE TABLE model_prices({PRICES})")
    connection.execute("CREATE TABLE usage_pricing AS SELECT 'anthropic' AS provider")
    connection.execute(f"CREATE VIEW usage_reconciled AS {view()}")
    insert(connection, "model_prices", prices)
    return connection


def insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[tuple[object, ...]]
) -> None:
    """Adds rows, all columns in their order."""
    rows = list(rows)
    if rows:
        columns = {f"c{at}": pa.array(values) for at, values in enumerate(zip(*rows, strict=True))}
        connection.register("added", pa.table(columns))
        connection.execute(f"INSERT INTO {table} SELECT * FROM added")
        connection.unregister("added")


def write(connection: duckdb.DuckDBPyConnection, own: Iterable[OwnBilled]) -> None:
    """Adds what was billed for sessions."""
    insert(connection, "usage_own_billed", [row for one in own for row in own_billed_rows(one)])


def slot(session: str, model: str | None, counts: Iterable[int], **given: object) -> tuple:
    """A row of `usage_slots`: input, output, 5m, 1h, read, searches."""
    fresh, out, short, long, read, searches = counts
    row = {
        "day": date(2026, 11, 23), "slot": None, "username": "dev", "project": "work",
        "repository": None, "session_id": session, "agent": None, "model": model,
        "provider": "anthropic", "speed": None, "git_branch": None, "messages": 1,
        "input_tokens": fresh, "output_tokens": out, "cache_creation_tokens": short + long,
        "cache_creation_5m_tokens": short, "cache_creation_1h_tokens": long,
        "cache_read_tokens": read, "web_search_requests": searches, "partial_messages": 0,
        "partial_output_tokens": 0, "cost": None, "unpriced_messages": 0, "assumed_messages": 0,
    }  # fmt: skip
    return tuple((row | given).values())


def reconciled(connection: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """The rows of the view, in order of session, person and model."""
    found = connection.execute(
        "SELECT * FROM usage_reconciled ORDER BY session_id, username, model"
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
