"""The bill of days whose responses are gone: FOCUS' rows from the sums of `usage_slots`.

A slot whose tokens at one price of its day are what it cost, to the last digit, has the rows that
its responses had. Of any other slot the kinds cannot be told apart: it is one row of all of them.
"""

from datetime import date
from typing import Final

from session_pipeline_dagster.processors.usage.exports.focus import (
    ALL,
    OF_SUMS,
    WHOSE,
    Names,
    by_kind,
)
from session_pipeline_dagster.processors.usage.money.costing import PARTS
from session_pipeline_dagster.processors.usage.people.whose import FIRST, LAST, PERSON, with_people

FROZEN: Final = """SELECT max(frozen_before) FROM session_retention
    WHERE processor_name = 'usage' AND kind = 'messages'"""
"""SELECT of the first day whose responses are there; NULL: those of all days are."""
_PRICED: Final = "SELECT n FROM priced"


def charges(first: date, last: date, names: Names) -> str:
    """SELECT of the charges of some days, in the order of the file."""
    return f"""
        WITH slots AS MATERIALIZED (
            SELECT row_number() OVER () AS n, * FROM ({_slots(first, last, names)})),
        priced AS MATERIALIZED (
            SELECT slots.*, price_model, variant, price_table, input, output, cache_read,
                cache_write_5m, cache_write_1h, web_search
            FROM slots JOIN (SELECT provider AS whose_price, model AS of_model, * EXCLUDE (
                    provider, model) FROM model_prices) AS prices
                ON whose_price = provider AND of_model = model
                AND variant = if(speed = 'fast', 'fast', 'standard')
                AND day >= {FIRST} AND day <= {LAST}
            WHERE unpriced_messages = 0 AND cost = {" + ".join(PARTS.values())}
            QUALIFY row_number() OVER (PARTITION BY n ORDER BY over_input NULLS FIRST) = 1),
        {by_kind("FROM priced")},
        sums AS (FROM by_kind UNION ALL
            SELECT {WHOSE}, provider, model, NULL, NULL, NULL, '{ALL}', NULL,
                sum(messages - unpriced_messages)::BIGINT, sum(cost)::DECIMAL(38, 12)
            FROM slots WHERE cost IS NOT NULL AND n NOT IN ({_PRICED}) GROUP BY ALL)
        {OF_SUMS}"""


def left_out(first: date, last: date, names: Names) -> str:
    """SELECT of `focus.LEFT_OUT`; which tokens were without a price is known where all were."""
    tokens = ", ".join(
        f"if(sum(messages) = sum(unpriced_messages), sum({name}), NULL)::BIGINT"
        for name in (
            *("input_tokens", "output_tokens", "cache_creation_tokens"),
            "cache_read_tokens",
        )
    )
    return f"""SELECT day, whose, called, provider, model, sum(unpriced_messages)::BIGINT, {tokens}
        FROM ({_slots(first, last, names)}) WHERE unpriced_messages > 0
        GROUP BY ALL ORDER BY ALL"""


def _slots(first: date, last: date, names: Names) -> str:
    """SELECT of the slots of some days, and whose they are as it is shown."""
    used = f"""(SELECT slots.* EXCLUDE (project),
                coalesce(usage_projects.name, slots.repository, slots.project) AS project
            FROM usage_slots AS slots LEFT JOIN usage_projects
                ON usage_projects.project IS NOT DISTINCT FROM slots.project
                AND usage_projects.repository IS NOT DISTINCT FROM slots.repository
            WHERE day BETWEEN DATE '{first}' AND DATE '{last}') AS used"""
    return f"""SELECT used.*, {PERSON} AS whose, {names.team}, ({names.project}) AS called
        FROM {with_people(used)}"""
