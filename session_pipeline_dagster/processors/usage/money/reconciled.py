"""SQL that sets what was billed beside what the lines say, for each session and model.

What is a session's own bill was decided before (`baseline.py`) and is read from `usage_own_billed`;
the lines come from `usage_slots`, the rates from `model_prices`. Money stays DECIMAL throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from session_pipeline_dagster.processors.usage.money.baseline import (
    COUNTERS,
    OwnBilled,
    Unknown,
)
from session_pipeline_dagster.processors.usage.money.cost_states import LONG_CONTEXT

OWN_BILLED_COLUMNS = """session_id VARCHAR, username VARCHAR, project VARCHAR, model VARCHAR,
        unknown VARCHAR, unknown_model_cost BOOLEAN, last_day DATE, input_tokens BIGINT,
        output_tokens BIGINT, thinking_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_creation_5m_tokens BIGINT, cache_creation_1h_tokens BIGINT, cache_read_tokens BIGINT,
        web_search_requests BIGINT, cost DECIMAL(38,12)"""
"""Of `usage_own_billed`: a row for each session, person and model; without a model for a session
of which nothing is known, or for which nothing was billed."""

CONFLICT_TOKENS = 10
PERCENT = 1


@dataclass(frozen=True, slots=True)
class _Counter:
    """A counter of the view: its name, the column of its rate in `model_prices`."""

    name: str
    rate: str


_COUNTERS = (
    _Counter("input_tokens", "input"),
    _Counter("output_tokens", "output"),
    _Counter("cache_creation_5m_tokens", "cache_write_5m"),
    _Counter("cache_creation_1h_tokens", "cache_write_1h"),
    _Counter("cache_read_tokens", "cache_read"),
    _Counter("web_search_requests", "web_search"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def own_billed_rows(own: OwnBilled) -> Sequence[tuple[object, ...]]:
    """The rows of `usage_own_billed` for one session and person, in the order of its columns."""
    said = (None if own.unknown is None else own.unknown.value, own.unknown_model_cost)
    day = None if own.last_start_us is None else _day(own.last_start_us)
    whose = (own.session_id, own.username, own.project)
    if own.unknown or not own.models:
        return [(*whose, None, *said, day, *(None if own.unknown else 0 for _ in COUNTERS))]
    return [
        (*whose, model.model, *said, day, *(getattr(model, name) for name in COUNTERS))
        for model in own.models
    ]


def _day(us: int) -> date:
    return (_EPOCH + timedelta(microseconds=us)).date()


def _each(template: str) -> str:
    return ", ".join(template.format(name=c.name, rate=c.rate) for c in _COUNTERS)


def _beyond(name: str) -> str:
    """True where the lines count more than was billed, beyond the tolerance."""
    return f"""100 * (logged_{name} - billed_{name})
            > greatest({100 * CONFLICT_TOKENS}, {PERCENT} * logged_{name})"""


def _priced(count: str, rate: str) -> str:
    """Nothing costs nothing, at whatever rate."""
    return f"CASE WHEN {count} > 0 THEN {count} * {rate} ELSE 0 END"


def view(slots: str = "usage_slots") -> str:
    """SELECT of the view `usage_reconciled`.

    Args:
        slots: the table, or of it all rows of some sessions; others are then left out, too, if
            nothing is known of their bill.
    """
    unlogged_cost = " + ".join(_priced(f"unlogged_{c.name}", c.rate) for c in _COUNTERS)
    some_unlogged = " OR ".join(f"unlogged_{c.name} > 0" for c in _COUNTERS)
    # An old version bills cache writes without their split, which is no contradiction to lines.
    whole = ("input_tokens", "output_tokens", "cache_read_tokens", "web_search_requests")
    conflict = " OR ".join(
        (
            *(_beyond(name) for name in (*whole, "cache_creation_tokens")),
            f"""billed_cache_creation_1h_tokens > 0 AND (
                {_beyond("cache_creation_1h_tokens")} OR {_beyond("cache_creation_5m_tokens")})""",
        )
    )
    return f"""
        WITH others AS (
            -- Who holds a copy of a session, and none of its responses, has no bill of it.
            SELECT session_id, username FROM usage_own_billed
            SEMI JOIN {slots} USING (session_id)
            ANTI JOIN {slots} USING (session_id, username)
            GROUP BY ALL),
        own_bills AS (
            FROM usage_own_billed ANTI JOIN others USING (session_id, username)),
        billed_or_not AS (
            FROM own_bills
            UNION ALL BY NAME
            SELECT session_id, username, '{Unknown.NO_COST_STATE}' AS unknown,
                false AS unknown_model_cost
            FROM {slots} ANTI JOIN own_bills USING (session_id, username)
            GROUP BY session_id, username),
        lines AS (
            SELECT session_id, username,
                coalesce(CASE WHEN ends_with(lower(model), '{LONG_CONTEXT}')
                    THEN left(model, length(model) - {len(LONG_CONTEXT)}) ELSE model END, '')
                    AS model,
                max(day) AS last_day, min(project) AS project, min(provider) AS provider,
                sum(input_tokens)::BIGINT AS input_tokens,
                sum(output_tokens)::BIGINT AS output_tokens,
                sum(cache_creation_tokens)::BIGINT AS cache_creation_tokens,
                sum(cache_creation_1h_tokens)::BIGINT AS cache_creation_1h_tokens,
                sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
                sum(web_search_requests)::BIGINT AS web_search_requests,
                sum(partial_messages)::BIGINT AS partial_messages,
                sum(cost) AS cost, sum(unpriced_messages)::BIGINT AS unpriced_messages
            FROM {slots} GROUP BY ALL),
        heard AS (
            SELECT session_id, username, max(last_day) AS last_day, min(project) AS project,
                min(provider) AS provider
            FROM lines GROUP BY ALL),
        sessions AS (
            SELECT own.session_id, own.username, coalesce(heard.project, own.project) AS project,
                coalesce(heard.last_day, own.last_day) AS day, heard.provider, own.unknown,
                own.unknown_model_cost
            FROM (
                SELECT session_id, username, min(project) AS project, max(last_day) AS last_day,
                    min(unknown) AS unknown, bool_or(unknown_model_cost) AS unknown_model_cost
                FROM billed_or_not GROUP BY ALL
            ) AS own
            LEFT JOIN heard ON heard.session_id = own.session_id
                AND heard.username = own.username),
        known AS (
            SELECT * FROM own_bills WHERE unknown IS NULL AND model IS NOT NULL),
        beside AS (
            SELECT coalesce(billed.session_id, logged.session_id) AS session_id,
                coalesce(billed.username, logged.username) AS username,
                coalesce(billed.model, logged.model) AS model,
                logged.provider,
                coalesce(billed.input_tokens, 0) AS billed_input_tokens,
                coalesce(billed.output_tokens, 0) AS billed_output_tokens,
                coalesce(billed.cache_creation_tokens, 0) AS billed_cache_creation_tokens,
                coalesce(billed.cache_creation_5m_tokens, 0) AS billed_cache_creation_5m_tokens,
                coalesce(billed.cache_creation_1h_tokens, 0) AS billed_cache_creation_1h_tokens,
                coalesce(billed.cache_read_tokens, 0) AS billed_cache_read_tokens,
                coalesce(billed.web_search_requests, 0) AS billed_web_search_requests,
                coalesce(billed.cost, 0) AS billed_cost,
                coalesce(logged.input_tokens, 0) AS logged_input_tokens,
                coalesce(logged.output_tokens, 0) AS logged_output_tokens,
                coalesce(logged.cache_creation_tokens, 0) AS logged_cache_creation_tokens,
                coalesce(logged.cache_creation_tokens - logged.cache_creation_1h_tokens, 0)
                    AS logged_cache_creation_5m_tokens,
                coalesce(logged.cache_creation_1h_tokens, 0) AS logged_cache_creation_1h_tokens,
                coalesce(logged.cache_read_tokens, 0) AS logged_cache_read_tokens,
                coalesce(logged.web_search_requests, 0) AS logged_web_search_requests,
                CASE WHEN logged.model IS NULL THEN 0 ELSE logged.cost END AS logged_cost,
                coalesce(logged.unpriced_messages, 0) > 0 AS unpriced,
                coalesce(logged.partial_messages, 0) > 0 AS partial
            FROM known AS billed
            FULL JOIN (
                FROM lines ANTI JOIN (
                    FROM billed_or_not WHERE unknown IS NOT NULL
                ) AS others USING (session_id, username)
            ) AS logged ON logged.session_id = billed.session_id
                AND logged.username = billed.username AND logged.model = billed.model),
        missing AS (
            SELECT beside.*, sessions.project, sessions.day, sessions.unknown_model_cost,
                coalesce(beside.provider, sessions.provider,
                    (SELECT any_value(provider) FROM usage_pricing)) AS seller,
                greatest(0, billed_input_tokens - logged_input_tokens) AS unlogged_input_tokens,
                greatest(0, billed_output_tokens - logged_output_tokens) AS missing_output,
                greatest(0, billed_cache_creation_tokens - logged_cache_creation_tokens) AS written,
                greatest(0, billed_cache_read_tokens - logged_cache_read_tokens)
                    AS unlogged_cache_read_tokens,
                greatest(0, billed_web_search_requests - logged_web_search_requests)
                    AS unlogged_web_search_requests,
                CASE WHEN partial THEN missing_output ELSE 0 END AS completed_output_tokens,
                missing_output - completed_output_tokens AS unlogged_output_tokens,
                least(written, greatest(0, billed_cache_creation_1h_tokens
                    - logged_cache_creation_1h_tokens)) AS unlogged_cache_creation_1h_tokens,
                written - unlogged_cache_creation_1h_tokens AS unlogged_cache_creation_5m_tokens
            FROM beside
            JOIN sessions ON sessions.session_id = beside.session_id
                AND sessions.username = beside.username),
        wanted AS (SELECT DISTINCT seller, model, day FROM missing),
        rates AS (
            SELECT wanted.seller, wanted.model, wanted.day,
                {_each("arg_max({rate}, (valid_from, price_table)) AS {rate}")}
            FROM wanted
            JOIN (
                SELECT * REPLACE (coalesce(valid_from, DATE '0001-01-01') AS valid_from)
                FROM model_prices WHERE variant = 'standard' AND over_input = 0
            ) AS prices ON prices.provider = wanted.seller AND prices.model = wanted.model
                AND prices.valid_from <= wanted.day
                AND (prices.valid_to IS NULL OR wanted.day <= prices.valid_to)
            GROUP BY ALL),
        valued AS (
            SELECT missing.*, {unlogged_cost} AS unlogged_cost,
                {_priced("completed_output_tokens", "output")} AS completed_cost,
                CASE WHEN NOT unpriced
                    THEN logged_cost + unlogged_cost + completed_cost END AS expected
            FROM missing LEFT JOIN rates ON rates.seller = missing.seller
                AND rates.model = missing.model AND rates.day = missing.day),
        judged AS (
            SELECT session_id, username,
                CASE WHEN bool_or({conflict}) THEN 'conflict'
                    WHEN bool_or(unknown_model_cost OR expected IS NULL)
                        OR 100 * abs(sum(billed_cost) - sum(expected)) > {PERCENT} * sum(expected)
                        THEN 'contract'
                    WHEN bool_or({some_unlogged}) THEN 'unlogged'
                    ELSE 'ok' END AS status
            FROM valued GROUP BY ALL)
        SELECT valued.session_id, valued.username, project, nullif(model, '') AS model, day,
            {_each("billed_{name}")}, {_each("logged_{name}")}, {_each("unlogged_{name}")},
            billed_cost, logged_cost,
            CASE WHEN status IN ('ok', 'unlogged') THEN unlogged_cost END AS unlogged_cost,
            completed_output_tokens,
            CASE WHEN status IN ('ok', 'unlogged') THEN completed_cost END AS completed_cost,
            status, NULL::VARCHAR AS reason
        FROM valued JOIN judged ON judged.session_id = valued.session_id
            AND judged.username = valued.username
        UNION ALL
        SELECT sessions.session_id, sessions.username, any_value(sessions.project), NULL,
            any_value(day), {_each("NULL")},
            {_said()}, {_each("NULL")}, NULL, coalesce(sum(cost), CASE WHEN
                coalesce(sum(unpriced_messages), 0) = 0 THEN 0 END), NULL, NULL, NULL,
            'unknown', any_value(unknown)
        FROM sessions LEFT JOIN lines ON lines.session_id = sessions.session_id
            AND lines.username = sessions.username
        WHERE unknown IS NOT NULL
        GROUP BY sessions.session_id, sessions.username"""


def _said() -> str:
    """What the lines of a whole session say, in the order of the counters."""
    creation = "cache_creation_tokens - cache_creation_1h_tokens"
    return ", ".join(
        f"coalesce(sum({creation if c.rate == 'cache_write_5m' else c.name}), 0)::BIGINT"
        for c in _COUNTERS
    )
