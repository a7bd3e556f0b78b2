"""Roll-ups of tools by day, and of skills, MCP servers, subagents and commands by 7 and 30 days.

Both are made from `usage_calls`, so they stay right after its detail has gone.
"""

from session_pipeline_dagster.contract.rollup import Rollup

WIDTHS = (7, 30)
"""Days of a window, its last one included."""

USAGE_TOOL_DAILY = Rollup(
    name="usage_tool_daily",
    columns="""day DATE, event_type VARCHAR, name VARCHAR, calls BIGINT, errors BIGINT,
        rejections BIGINT, users BIGINT, sessions BIGINT""",
    part="day",
    changed="",
    refresh="""
        SELECT day, event_type, coalesce(tool_name, command_name) AS name, sum(calls)::BIGINT,
            sum(errors)::BIGINT, sum(rejections)::BIGINT, count(DISTINCT username),
            count(DISTINCT session_id)
        FROM usage_calls WHERE day IN (SELECT part::DATE FROM parts) GROUP BY ALL""",
    description="""See which tools fail: tools, commands and prompts per UTC day, what came of them.

`users` and `sessions` are distinct within the day and name, so do **not** add them up.

```sql
SELECT name, sum(calls) AS calls, sum(errors) / sum(calls) AS error_rate
FROM usage_tool_daily WHERE event_type = 'tool_use' GROUP BY ALL ORDER BY calls DESC LIMIT 20
```""",
    deps=("usage_calls",),
)

# Each person adds one to a window from the day of a call on until it has passed, or until the
# person's next call adds it anew: so people are counted by sums, and no day is read 30 times.
USAGE_SKILL_WINDOW = Rollup(
    name="usage_skill_window",
    columns="""day DATE, days INTEGER, kind VARCHAR, name VARCHAR, users BIGINT, calls BIGINT,
        errors BIGINT, rejections BIGINT""",
    part="day",
    changed="",
    spreads=f"""SELECT DISTINCT calls.day::VARCHAR FROM usage_calls AS calls, parts
        WHERE calls.day >= part::DATE AND calls.day < part::DATE + {max(WIDTHS)}""",
    refresh=f"""
        WITH asked AS (SELECT part::DATE AS day FROM parts),
        within AS (SELECT DISTINCT day - before AS day
            FROM asked, (SELECT unnest(range({max(WIDTHS)}))::INTEGER AS before)),
        named AS (
            SELECT day, username, CASE WHEN skill_name IS NOT NULL THEN 'skill'
                    WHEN mcp_server IS NOT NULL THEN 'mcp_server'
                    WHEN subagent_type IS NOT NULL THEN 'subagent' ELSE 'slash_command' END AS kind,
                coalesce(skill_name, mcp_server, subagent_type, command_name) AS name,
                sum(calls) AS calls, sum(errors) AS errors, sum(rejections) AS rejections
            FROM usage_calls SEMI JOIN within USING (day) GROUP BY ALL HAVING name IS NOT NULL),
        seen AS (
            SELECT days, named.*, lead(day) OVER (
                PARTITION BY days, kind, name, username ORDER BY day) AS again
            FROM named, (SELECT unnest({list(WIDTHS)})::INTEGER AS days)),
        steps AS (
            SELECT days, kind, name, day AS since, 1 AS users, calls, errors, rejections FROM seen
            UNION ALL SELECT days, kind, name, least(day + days, again), -1, 0, 0, 0 FROM seen
            UNION ALL SELECT days, kind, name, day + days, 0, -calls, -errors, -rejections
                FROM seen),
        sums AS (
            SELECT days, kind, name, since, sum(users) AS users, sum(calls) AS calls,
                sum(errors) AS errors, sum(rejections) AS rejections
            FROM steps GROUP BY ALL),
        running AS (
            SELECT days, kind, name, since, sum(users) OVER upto AS users, sum(calls) OVER upto
                AS calls, sum(errors) OVER upto AS errors, sum(rejections) OVER upto AS rejections
            FROM sums WINDOW upto AS (PARTITION BY days, kind, name ORDER BY since)),
        ends AS (
            SELECT DISTINCT usage_calls.day, names.*
            FROM usage_calls SEMI JOIN asked USING (day)
            CROSS JOIN (SELECT DISTINCT days, kind, name FROM sums) AS names)
        SELECT ends.day, ends.days, ends.kind, ends.name, users::BIGINT, calls::BIGINT,
            errors::BIGINT, rejections::BIGINT
        FROM ends ASOF JOIN running ON ends.days = running.days AND ends.kind = running.kind
            AND ends.name = running.name AND ends.day >= running.since
        WHERE users > 0""",
    description="""See which skills, MCP servers, subagents, commands were used in 7 and 30 days.

A row for each day that has any call, and each name in the days up to it. `users` are **distinct
people** over the whole window, which no sum of days can say.

```sql
SELECT kind, name, users, calls FROM usage_skill_window
WHERE days = 30 AND day = (SELECT max(day) FROM usage_skill_window) ORDER BY users DESC, calls DESC
```""",
    deps=("usage_calls",),
)
