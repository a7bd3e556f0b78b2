"""What the `usage` processor adds up per day, as SQL, and the tables that `run` prints."""

from collections.abc import Mapping

from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.processors.usage import unique
from session_pipeline_dagster.processors.usage.unique import BLOCKS, EVENTS, MESSAGES, Thing

_DAYS = "SELECT part::DATE FROM parts"
AT_LEAST = 0.05
"""From this share of responses without their last line on, a day's output is "at least"."""


def _touched(thing: Thing) -> str:
    """Days of everything that shares a name with a row of the batch: taking a copy away can move a
    response to another day."""
    return f"""SELECT {thing.day} AS day FROM {thing.table} WHERE {thing.key} IN (
            SELECT {thing.key} FROM {thing.table} SEMI JOIN batch USING (session_file))"""


USAGE_DAILY = Rollup(
    name="usage_daily",
    columns="""day DATE, username VARCHAR, project VARCHAR, model VARCHAR, messages BIGINT,
        input_tokens BIGINT, output_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_read_tokens BIGINT, partial_messages BIGINT, cache_creation_5m_tokens BIGINT,
        cache_creation_1h_tokens BIGINT, web_search_requests BIGINT, sessions BIGINT,
        partial_output_tokens BIGINT, partial_characters BIGINT, final_characters BIGINT""",
    part="day",
    changed=f"SELECT DISTINCT day::VARCHAR FROM ({_touched(MESSAGES)})",
    refresh=f"""
        SELECT {MESSAGES.day} AS day, username, project, model, count(*),
            sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
            sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
            count(*) FILTER (output_partial), sum(cache_creation_5m_tokens)::BIGINT,
            sum(cache_creation_1h_tokens)::BIGINT, sum(web_search_requests)::BIGINT,
            count(DISTINCT origin),
            coalesce(sum(output_tokens) FILTER (output_partial), 0)::BIGINT,
            coalesce(sum(output_characters) FILTER (output_partial), 0)::BIGINT,
            coalesce(sum(output_characters) FILTER (NOT output_partial), 0)::BIGINT
        FROM ({unique.messages(("username", "project", "model", "sent_at"), _DAYS)})
        WHERE {MESSAGES.day} IN ({_DAYS})
        GROUP BY ALL""",
    description="""Tokens and messages per UTC day, user, project and model.

Every API response is counted **once** over all files: these are the numbers that are true.
`partial_messages` had no final line when the session ended: their output is a lower bound. Where
they are more than 5 % of a day, read its output as "at least"; `usage_daily_estimated` has an
estimate beside it.

```sql
SELECT day, username, sum(messages), sum(output_tokens)
FROM usage_daily GROUP BY ALL ORDER BY day DESC, username
```""",
)

_CALLS = ("username", "project", "occurred_at", "event_type")

USAGE_ACTIVITY_DAILY = Rollup(
    name="usage_activity_daily",
    columns="""day DATE, username VARCHAR, project VARCHAR, sessions BIGINT, prompts BIGINT,
        tool_calls BIGINT, tool_errors BIGINT, tool_rejections BIGINT, active_seconds DOUBLE""",
    part="day",
    changed=f"""SELECT DISTINCT day::VARCHAR FROM (
        {_touched(MESSAGES)} UNION ALL {_touched(EVENTS)} UNION ALL {_touched(BLOCKS)}
        UNION ALL SELECT {EVENTS.day} FROM usage_events WHERE event_key IN (
            SELECT tool_use_id FROM usage_tool_results SEMI JOIN batch USING (session_file)))""",
    # Where stretches overlap, the time belongs to the one that was begun first.
    refresh=f"""
        WITH named AS (
            SELECT {EVENTS.day} AS day, username, project, origin, event_type,
                coalesce(outcome, '') AS came
            FROM ({unique.events(_CALLS, _DAYS)}) WHERE {EVENTS.day} IN ({_DAYS})
            UNION ALL
            SELECT {MESSAGES.day}, username, project, origin, 'response', ''
            FROM ({unique.messages(("username", "project", "sent_at"), _DAYS)})
            WHERE {MESSAGES.day} IN ({_DAYS})),
        counts AS (
            SELECT day, username, project, count(DISTINCT origin) AS sessions,
                count(*) FILTER (event_type = 'prompt') AS prompts,
                count(*) FILTER (event_type = 'tool_use') AS tool_calls,
                count(*) FILTER (came = 'error') AS tool_errors,
                count(*) FILTER (came = 'rejected') AS tool_rejections
            FROM named GROUP BY ALL),
        ends AS (
            SELECT day, username, project, epoch_us(started_at) AS began,
                epoch_us(ended_at) AS ended, max(epoch_us(ended_at)) OVER (
                    PARTITION BY username, day ORDER BY started_at, session_file
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM ({unique.blocks(_DAYS)})),
        times AS (
            SELECT day, username, project,
                sum(greatest(0, ended - greatest(began, coalesce(before, began)))) / 1e6 AS active
            FROM ends GROUP BY ALL)
        SELECT coalesce(counts.day, times.day), coalesce(counts.username, times.username),
            coalesce(counts.project, times.project), coalesce(sessions, 0), coalesce(prompts, 0),
            coalesce(tool_calls, 0), coalesce(tool_errors, 0), coalesce(tool_rejections, 0),
            coalesce(active, 0)
        FROM counts FULL JOIN times ON counts.day = times.day
            AND counts.username = times.username
            AND counts.project IS NOT DISTINCT FROM times.project""",
    description="""What people did per UTC day, user and project: sessions, prompts, tools, time.

Everything is counted **once** over all files. `active_seconds` is the time between lines without
pauses over 10 minutes, and what several sessions share counts once; where two projects overlap, it
belongs to the one begun first. A session stands in every day and project it has something in, so
do not add `sessions` up.

```sql
SELECT username, sum(prompts) AS prompts, sum(active_seconds) / 3600 AS hours
FROM usage_activity_daily GROUP BY ALL ORDER BY hours DESC
```""",
)

ROLLUPS = (USAGE_DAILY, USAGE_ACTIVITY_DAILY)

_RATE = """sum(output_tokens - partial_output_tokens) / nullif(sum(final_characters), 0)"""

VIEWS: Mapping[str, str] = {
    **unique.VIEWS,
    "usage_daily_estimated": f"""
        WITH rates AS (SELECT model, {_RATE} AS rate FROM usage_daily GROUP BY model),
        overall AS (SELECT {_RATE} AS rate FROM usage_daily)
        SELECT usage_daily.*, output_tokens - coalesce(partial_output_tokens, 0) + greatest(
                coalesce(partial_output_tokens, 0),
                coalesce(round(partial_characters * coalesce(rates.rate, overall.rate)), 0)
            )::BIGINT AS output_estimate,
            partial_messages > {AT_LEAST} * messages AS at_least
        FROM usage_daily LEFT JOIN rates ON usage_daily.model IS NOT DISTINCT FROM rates.model
        CROSS JOIN overall""",
}

# Printed after every pass.
SUMMARIES = (
    Summary(
        "Usage",
        f"""SELECT username AS user, any_value(had.sessions) AS sessions, sum(messages) AS messages,
            sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(cache_creation_tokens) AS "cache write", sum(cache_read_tokens) AS "cache read",
            sum(partial_messages) AS partial,
            CASE WHEN sum(partial_messages) > {AT_LEAST} * sum(messages)
                THEN sum(output_estimate) END AS "at least, about"
        FROM usage_daily_estimated JOIN (
            SELECT username, count(DISTINCT session_id) AS sessions FROM usage_sessions
            GROUP BY username
        ) AS had USING (username)
        GROUP BY username ORDER BY output DESC, user""",
    ),
    Summary(
        "Tools",
        """SELECT coalesce(tool_name, '/' || command_name) AS tool, event_type AS kind,
            count(*) AS calls, count(*) FILTER (is_error) AS errors,
            count(*) FILTER (outcome = 'rejected') AS rejected,
            count(DISTINCT username) AS users
        FROM usage_events_unique WHERE event_type <> 'prompt'
        GROUP BY ALL ORDER BY calls DESC, tool LIMIT 15""",
    ),
)
