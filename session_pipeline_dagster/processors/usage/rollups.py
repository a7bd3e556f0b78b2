"""What the `usage` processor adds up per day, as SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.processors.usage import unique
from session_pipeline_dagster.processors.usage.money import reconciled
from session_pipeline_dagster.processors.usage.money.costing import USAGE_COSTS, priced
from session_pipeline_dagster.processors.usage.money.seat_sql import USAGE_SEATS
from session_pipeline_dagster.processors.usage.people import whose
from session_pipeline_dagster.processors.usage.unique import BLOCKS, EVENTS, MESSAGES
from session_pipeline_dagster.processors.usage.windows import USAGE_SKILL_WINDOW, USAGE_TOOL_DAILY
from session_pipeline_dagster.settings import PeopleSettings

_DAYS = "SELECT part::DATE FROM parts"
AT_LEAST = 0.05
"""From this share of responses without their last line on, a day's output is "at least"."""


PRICELESS = "(unpriced_messages - coalesce(unknown_input_messages, 0))"
"""SQL: responses that would have a cost if their model had a price."""
_SUMS = (
    "messages input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens "
    "cache_creation_1h_tokens cache_read_tokens web_search_requests partial_messages "
    "partial_output_tokens partial_characters final_characters unpriced_messages "
    "assumed_messages"
).split()
_ASKED = "username project agent model provider speed git_branch session_file".split()
_SLOT_US = 15 * 60 * 1_000_000
"""Every time zone's days, and every hour of theirs, are whole quarters of an hour."""
_EARLIER = 10**8 * _SLOT_US
"""Before every time that there is: whole division cuts towards zero."""

USAGE_SLOTS = Rollup(
    name="usage_slots",
    columns=f"""day DATE, slot TIMESTAMPTZ, username VARCHAR, project VARCHAR, repository VARCHAR,
        session_id VARCHAR, agent VARCHAR, model VARCHAR, provider VARCHAR, speed VARCHAR,
        git_branch VARCHAR, {", ".join(f"{name} BIGINT" for name in _SUMS)},
        cost DECIMAL(38, 12), unknown_input_messages BIGINT""",
    part="day",
    # Taking a copy away can move a response to another day.
    changed=f"SELECT DISTINCT day::VARCHAR FROM ({MESSAGES.touched()})",
    keeps=(MESSAGES.keeps,),
    reach=MESSAGES.reach,
    refresh=f"""
        SELECT day, to_timestamp(
                ((epoch_us(sent_at) + {_EARLIER}) // {_SLOT_US} * {_SLOT_US} - {_EARLIER})
                // {10**6}) AS slot,
            username, project, repository, origin, agent, model, provider, speed, git_branch,
            count(*), sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
            sum(cache_creation_tokens)::BIGINT, sum(cache_creation_5m_tokens)::BIGINT,
            sum(cache_creation_1h_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
            sum(web_search_requests)::BIGINT, count(*) FILTER (output_partial),
            coalesce(sum(output_tokens) FILTER (output_partial), 0)::BIGINT,
            coalesce(sum(output_characters) FILTER (output_partial), 0)::BIGINT,
            coalesce(sum(output_characters) FILTER (NOT output_partial), 0)::BIGINT,
            count(*) FILTER (cost IS NULL), count(*) FILTER (price_assumed), sum(cost),
            count(*) FILTER (input_tokens IS NULL)
        FROM ({priced(_ASKED, _DAYS, reached=True)}) AS responses
        LEFT JOIN (SELECT session_file, any_value(repository) AS repository FROM usage_sessions
            GROUP BY ALL) AS places USING (session_file)
        GROUP BY ALL""",
    description="""Add up any period: cost, tokens per quarter of an hour, session, model, branch.

What other sums are made from: every API response **once** over all files, with its cost at list
price. `slot` is where the quarter of an hour begins, `day` its UTC day. Days of another time zone
are whole slots, too. `session_id` is the session that made the call.

```sql
SELECT session_id, git_branch, sum(messages), sum(cost), sum(unpriced_messages)
FROM usage_slots GROUP BY ALL ORDER BY sum(cost) DESC LIMIT 20
```""",
    deps=("usage_messages", "usage_sessions", "model_prices"),
    feeds=("usage_daily", "usage_activity_daily", "budget_status", "shown"),
)

USAGE_DAILY = Rollup(
    name="usage_daily",
    columns="""day DATE, username VARCHAR, project VARCHAR, model VARCHAR, messages BIGINT,
        input_tokens BIGINT, output_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_read_tokens BIGINT, partial_messages BIGINT, cache_creation_5m_tokens BIGINT,
        cache_creation_1h_tokens BIGINT, web_search_requests BIGINT, sessions BIGINT,
        partial_output_tokens BIGINT, partial_characters BIGINT, final_characters BIGINT,
        agent VARCHAR, provider VARCHAR, speed VARCHAR, cost DECIMAL(38, 12),
        unpriced_messages BIGINT, assumed_messages BIGINT, unknown_input_messages BIGINT""",
    part="day",
    changed="",
    refresh=f"""
        SELECT day, username, project, model, sum(messages)::BIGINT,
            sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
            sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
            sum(partial_messages)::BIGINT, sum(cache_creation_5m_tokens)::BIGINT,
            sum(cache_creation_1h_tokens)::BIGINT, sum(web_search_requests)::BIGINT,
            count(DISTINCT session_id), sum(partial_output_tokens)::BIGINT,
            sum(partial_characters)::BIGINT, sum(final_characters)::BIGINT,
            agent, provider, speed, sum(cost), sum(unpriced_messages)::BIGINT,
            sum(assumed_messages)::BIGINT, sum(unknown_input_messages)::BIGINT
        FROM usage_slots WHERE day IN ({_DAYS})
        GROUP BY day, username, project, model, agent, provider, speed""",
    description="""See what was spent: tokens, messages and cost per UTC day, user, project, model.

"Plots" below, in Metadata, draws cost, messages and users over time; "Checks" has budgets, jumps of
cost and what has no price. As a page for the morning it is `usage_report`.

Every API response is counted **once** over all files: these are the numbers that are true.
`partial_messages` had no final line when the session ended: their output is a lower bound. Where
they are more than 5 % of a day, read its output as "at least"; `usage_daily_estimated` has an
estimate beside it.

`cost` is in USD at API list price, **not an invoice** (docs/money.md). It leaves out
`unpriced_messages`, whose model has no known price, or of which nobody says what went in
(`unknown_input_messages`): where there are any, it is NULL or "at least".

```sql
SELECT day, username, sum(messages), sum(output_tokens), sum(cost), sum(unpriced_messages)
FROM usage_daily GROUP BY ALL ORDER BY day DESC, username
```""",
    deps=("usage_slots",),
)

_CALLED_AS = ("skill_name", "subagent_type", "mcp_server")
_CALLS = (
    *("username", "project", "occurred_at", "event_type", "tool_name", "command_name"),
    *_CALLED_AS,
)

USAGE_CALLS = Rollup(
    name="usage_calls",
    columns="""day DATE, username VARCHAR, project VARCHAR, session_id VARCHAR, event_type VARCHAR,
        tool_name VARCHAR, command_name VARCHAR, calls BIGINT, errors BIGINT, rejections BIGINT,
        skill_name VARCHAR, subagent_type VARCHAR, mcp_server VARCHAR""",
    part="day",
    changed=f"""SELECT DISTINCT day::VARCHAR FROM ({EVENTS.touched()} UNION ALL {
        EVENTS.touched(
            '''SELECT hash(tool_use_id) >> 16 AS hashed FROM usage_tool_results
                SEMI JOIN batch USING (session_file)'''
        )
    })""",
    keeps=(EVENTS.keeps,),
    reach=EVENTS.reach,
    refresh=f"""
        SELECT {EVENTS.day} AS day, username, project, origin, event_type, tool_name, command_name,
            count(*), count(*) FILTER (outcome = 'error'), count(*) FILTER (outcome = 'rejected'),
            {", ".join(_CALLED_AS)}
        FROM ({unique.events(_CALLS, _DAYS, reached=True)}) WHERE {EVENTS.day} IN ({_DAYS})
        GROUP BY ALL""",
    description="""Count calls and prompts per UTC day, session, kind and name.

Every tool call, subagent, MCP call, slash command and prompt is counted **once** over all files.
What matters most: `calls`, `errors`, and the name in `tool_name` or `command_name`.

```sql
SELECT tool_name, sum(calls) AS calls, sum(errors) AS errors
FROM usage_calls WHERE event_type = 'tool_use' GROUP BY ALL ORDER BY calls DESC
```""",
    deps=("usage_events",),
    feeds=("usage_activity_daily", "usage_tool_daily", "usage_skill_window"),
)

USAGE_ACTIVITY_DAILY = Rollup(
    name="usage_activity_daily",
    columns="""day DATE, username VARCHAR, project VARCHAR, sessions BIGINT, prompts BIGINT,
        tool_calls BIGINT, tool_errors BIGINT, tool_rejections BIGINT, active_seconds DOUBLE""",
    part="day",
    changed=f"SELECT DISTINCT day::VARCHAR FROM ({BLOCKS.touched()})",
    keeps=(BLOCKS.keeps,),
    reach=BLOCKS.reach,
    # Where stretches overlap, the time belongs to the one that was begun first.
    refresh=f"""
        WITH named AS (
            SELECT day, username, project, session_id, event_type, calls, errors, rejections
            FROM usage_calls WHERE day IN ({_DAYS})
            UNION ALL
            SELECT day, username, project, session_id, 'response', 0, 0, 0
            FROM usage_slots WHERE day IN ({_DAYS})),
        counts AS (
            SELECT day, username, project, count(DISTINCT session_id) AS sessions,
                sum(calls) FILTER (event_type = 'prompt') AS prompts,
                sum(calls) FILTER (event_type = 'tool_use') AS tool_calls,
                sum(errors) AS tool_errors, sum(rejections) AS tool_rejections
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
    description="""See what was done per UTC day, user and project: sessions, prompts, tools, time.

Everything is counted **once** over all files. `active_seconds` is the time between lines without
pauses over 10 minutes, and what several sessions share counts once; where two projects overlap, it
belongs to the one begun first. A session stands in every day and project it has something in, so
do not add `sessions` up.

```sql
SELECT username, sum(prompts) AS prompts, sum(active_seconds) / 3600 AS hours
FROM usage_activity_daily GROUP BY ALL ORDER BY hours DESC
```""",
    deps=("usage_calls", "usage_sessions", "usage_slots"),
    feeds=("shown",),
)

ROLLUPS = (
    *(USAGE_SLOTS, USAGE_DAILY, USAGE_CALLS, USAGE_ACTIVITY_DAILY),
    *(USAGE_TOOL_DAILY, USAGE_SKILL_WINDOW),
)


def rollups_shown(people: PeopleSettings) -> Sequence[Rollup]:
    """The roll-ups; what is plotted of them is what may be shown."""
    shown = "usage_daily"
    if people.smallest_group > 1:
        # What has no cell yet came after these were made.
        used = whose.with_people("usage_daily AS used")
        shown = f"(SELECT used.* FROM {used} {whose.SHOWN_CELLS})"
    numbers = f"""WITH shown AS MATERIALIZED (FROM {shown})
        SELECT sum(cost) AS cost_usd, sum(unpriced_messages)::BIGINT AS unpriced_messages,
            sum(cost) FILTER (day = last) AS cost_usd_last_day,
            sum(cost) FILTER (day > last - 7) AS cost_usd_last_7_days,
            sum(messages)::BIGINT AS messages, count(DISTINCT username) AS users
        FROM shown, (SELECT max(day) AS last FROM shown)"""
    return [replace(one, numbers=numbers) if one is USAGE_DAILY else one for one in ROLLUPS]


_RATE = """sum(output_tokens - partial_output_tokens) / nullif(sum(final_characters), 0)"""

VIEWS: Mapping[str, str] = {
    **unique.VIEWS,
    "usage_costs": USAGE_COSTS,
    "usage_reconciled": reconciled.view(),
    "usage_seats": USAGE_SEATS,
    **whose.VIEWS,
    "usage_daily_estimated": f"""
        WITH rates AS (SELECT model, {_RATE} AS rate FROM usage_daily GROUP BY model),
        -- Other agents count other things as output: reasoning, calls, titles.
        overall AS (SELECT agent, {_RATE} AS rate FROM usage_daily GROUP BY agent)
        SELECT usage_daily.*, output_tokens - coalesce(partial_output_tokens, 0) + greatest(
                coalesce(partial_output_tokens, 0),
                coalesce(round(partial_characters * coalesce(rates.rate, overall.rate)), 0)
            )::BIGINT AS output_estimate,
            partial_messages > {AT_LEAST} * messages AS at_least
        FROM usage_daily LEFT JOIN rates ON usage_daily.model IS NOT DISTINCT FROM rates.model
        LEFT JOIN overall ON usage_daily.agent IS NOT DISTINCT FROM overall.agent""",
}
