"""SQL that prices responses: a join with the price table, exact to the last digit.

A rate is DECIMAL USD per token, and a count is a whole number: nothing here is ever divided, for
that would make floating point of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from session_pipeline_dagster.processors.usage import unique
from session_pipeline_dagster.processors.usage.unique import MESSAGES
from session_pipeline_dagster.transcripts.records import INPUT_OF_PROCESS

_MONEY = "DECIMAL(38, 12)"
_FOR_5M = "cache_creation_tokens - cache_creation_1h_tokens"
# A sum of many requests says nothing of how long one of them was: it has the lowest band.
_TOTAL = f"""CASE WHEN input_basis = '{INPUT_OF_PROCESS}' THEN 0
                ELSE input_tokens + cache_creation_tokens + cache_read_tokens END"""
_VARIANT = """CASE WHEN service_tier = 'batch' THEN 'batch' WHEN speed = 'fast' THEN 'fast'
                ELSE 'standard' END"""
# Ends that are open are filled in: a join that had to ask with OR would compare every response with
# every price.
_RATES = f"""SELECT *, coalesce(valid_from, DATE '0001-01-01') AS first_day,
                    coalesce(valid_to, DATE '9999-12-31') AS last_day,
                    CASE WHEN over_input > 0 THEN over_input ELSE -1 END AS above,
                    coalesce(upto_input, {2**63 - 1}) AS upto
                FROM {{prices}}"""
NEEDS = ("provider", "model", "sent_at", "speed", "service_tier")
"""What a response must have to be priced, beside its counters."""


def _part(tokens: str, rate: str) -> str:
    return f"(({tokens}) * {rate})::{_MONEY}"


PARTS = {
    "cost_input": _part("input_tokens", "input"),
    "cost_output": _part("output_tokens", "output"),
    # A total without its parts is for five minutes.
    "cost_cache_write": _part(_FOR_5M, "cache_write_5m")
    + " + "
    + _part("cache_creation_1h_tokens", "cache_write_1h"),
    "cost_cache_read": _part("cache_read_tokens", "cache_read"),
    "cost_search": _part("web_search_requests", "web_search"),
}


@dataclass(frozen=True, slots=True)
class PriceTables:
    """The names of two tables shaped as these: what models cost, and what holds on which days."""

    prices: str = "model_prices"
    pricing: str = "usage_pricing"


STORED = PriceTables()


def priced(
    columns: Sequence[str],
    days: str | None = None,
    tables: PriceTables = STORED,
    *,
    reached: bool = False,
) -> str:
    """SELECT of one row per API response with what it costs: `unique.messages` and day, table of
    prices, model and variant of the price, the parts of the cost, `cost`, its basis, and whether
    another variant's price stands in.

    Args:
        columns: as those of `unique.messages`; `NEEDS` come too.
        days: SELECT of the days whose responses are wanted; None = all.
        tables: what to price with.
        reached: as that of `unique.whose`.
    """
    wanted = list(dict.fromkeys((*columns, *NEEDS)))
    # Last of all: before the join it makes DuckDB expect few responses, hold them all, and look up
    # prices in these.
    within = f"WHERE day IN ({days})" if days else ""
    parts = ",\n            ".join(
        f"CASE WHEN is_calculated THEN {sql} END AS {name}" for name, sql in PARTS.items()
    )
    calculated = " + ".join(PARTS)
    return f"""
        WITH responses AS (
            SELECT *, {MESSAGES.day} AS day, {_TOTAL} AS total, {_VARIANT} AS wanted
            FROM ({unique.messages(wanted, days, reached=reached)})),
        with_rates AS (
            SELECT responses.*, rates.price_model, rates.variant, rates.input, rates.output,
                rates.cache_read, rates.cache_write_5m, rates.cache_write_1h, rates.web_search,
                rates.source, coalesce(rates.price_table, in_force.price_table) AS price_table,
                coalesce(rates.assumed, false) OR (wanted = 'batch' AND speed = 'fast')
                    OR coalesce(input_basis = '{INPUT_OF_PROCESS}', false) AS assumed,
                coalesce(in_force.cost_mode, 'calculate') AS mode,
                CASE WHEN mode <> 'calculate' THEN recorded_cost END AS recorded,
                rates.input IS NOT NULL AND recorded IS NULL AND mode <> 'display' AS is_calculated
            FROM responses
            LEFT JOIN ({_RATES.format(prices=tables.prices)}) AS rates
                ON responses.provider = rates.provider AND responses.model = rates.model
                AND responses.wanted = rates.variant
                AND responses.day >= rates.first_day AND responses.day <= rates.last_day
                AND responses.total > rates.above AND responses.total <= rates.upto
            LEFT JOIN {tables.pricing} AS in_force
                ON responses.day >= coalesce(in_force.valid_from, DATE '0001-01-01')
                AND responses.day <= coalesce(in_force.valid_to, DATE '9999-12-31')),
        with_parts AS (
            SELECT *, {parts}
            FROM with_rates)
        SELECT * EXCLUDE (wanted, is_calculated, recorded, mode, total, source),
            CASE WHEN is_calculated THEN ({calculated})::{_MONEY}
                ELSE recorded::{_MONEY} END AS cost,
            CASE WHEN recorded IS NOT NULL THEN 'recorded' WHEN is_calculated THEN source
                ELSE 'unpriced' END AS cost_basis,
            is_calculated AND assumed AS price_assumed
        FROM with_parts {within}"""


USAGE_COSTS = f"""SELECT message_key, provider, price_table, price_model, variant,
        {", ".join(PARTS)}, cost, cost_basis, price_assumed, origin AS session_id, username,
        project, model, sent_at, day
        FROM ({priced(("username", "project"))})"""
