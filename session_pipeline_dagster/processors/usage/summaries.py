"""The tables that `run` prints of usage, as people may be shown."""

from collections.abc import Sequence

from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.processors.usage.rollups import AT_LEAST
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings


def summaries(settings: Settings) -> Sequence[Summary]:
    """What is printed after every pass. A column that is called `user` is shown as people are."""
    people = settings.people
    usage, budgets, few = _BY_USER, "budget_status", ()
    if people.hides:
        from session_pipeline_dagster.processors.usage.people.published import published  # noqa: PLC0415  only where something is hidden

        selects = {one.name: f"({one.select})" for one in published(settings)}
        budgets = selects["budget_status"]
        if people.mode is PeopleMode.TEAM:
            usage = _by_team(selects["usage_team_daily"])
            few = (_few(selects["usage_team_daily"], people.smallest_group),)
    # Of days, teams and tools together: where small groups are merged, the page has these.
    unknown, tools = ((), ()) if people.smallest_group > 1 else ((_UNKNOWN,), (_TOOLS,))
    return (
        *few,
        usage,
        _unpriced(people),
        *unknown,
        _OWN_PRICES,
        _budgets(budgets),
        *tools,
    )


def _few(teams: str, least: int) -> Summary:
    # An empty table would say that nobody did anything.
    return Summary(
        "Not shown",
        f"""SELECT 'usage, for on no day at least {least} people used anything '
                '(SESSION_PIPELINE_MIN_GROUP)' AS said
            WHERE EXISTS (FROM usage_daily) AND NOT EXISTS (FROM {teams})""",
    )


def _by_team(teams: str) -> Summary:
    return Summary(
        "Usage",
        f"""SELECT team, sum(messages)::BIGINT AS messages, sum(input_tokens)::BIGINT AS input,
            sum(output_tokens)::BIGINT AS output,
            sum(cache_creation_tokens)::BIGINT AS "cache write",
            sum(cache_read_tokens)::BIGINT AS "cache read", sum(cost) AS "cost, USD"
        FROM {teams} GROUP BY team ORDER BY team""",
    )


def _unpriced(people: PeopleSettings) -> Summary:
    from session_pipeline_dagster.processors.usage.people.answered import unpriced  # noqa: PLC0415  only for who asks

    # Lines, and only where there is something to say.
    return Summary(
        "Without a price, so in no cost",
        f"""SELECT string_agg(said, ', ' ORDER BY messages DESC, said) AS models FROM (
            SELECT sum(messages) AS messages, format('{{}} ({{}} messages)',
                coalesce(named, 'no model named'), sum(messages)) AS said
            FROM ({unpriced(people)}) GROUP BY named)
        HAVING count(*) > 0""",
    )


_UNKNOWN = Summary(
    "Of unknown input, so in no cost",
    """SELECT format('{} messages of sessions that were killed or have not ended',
            sum(unknown_input_messages)) AS said
        FROM usage_daily WHERE unknown_input_messages > 0 HAVING count(*) > 0""",
)


def _budgets(table: str) -> Summary:
    return Summary(
        "Budgets",
        f"""SELECT string_agg(budget || ' ' || percent::DECIMAL(18, 1) || ' % (' || level ||
                ', from ' || period_start || ')', '; ' ORDER BY budget) AS said
            FROM (FROM {table} QUALIFY row_number() OVER (
                PARTITION BY budget ORDER BY period_start DESC) = 1)
            WHERE level <> 'ok' HAVING count(*) > 0""",
    )


_TOOLS = Summary(
    "Tools",
    """SELECT coalesce(tool_name, '/' || command_name) AS tool, event_type AS kind,
            sum(calls)::BIGINT AS calls, sum(errors)::BIGINT AS errors,
            sum(rejections)::BIGINT AS rejected, count(DISTINCT username) AS users
        FROM usage_calls WHERE event_type <> 'prompt'
        GROUP BY ALL ORDER BY calls DESC, tool LIMIT 15""",
)


_BY_USER = Summary(
    "Usage",
    f"""SELECT username AS user, any_value(had.sessions) AS sessions, sum(messages) AS messages,
            sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(cache_creation_tokens) AS "cache write", sum(cache_read_tokens) AS "cache read",
            CASE WHEN sum(partial_messages) > {AT_LEAST} * sum(messages)
                THEN sum(output_estimate) END AS "at least, about",
            sum(cost) AS "cost, USD"
        FROM usage_daily_estimated JOIN (
            SELECT username, count(DISTINCT session_id) AS sessions FROM usage_sessions
            GROUP BY username
        ) AS had USING (username)
        GROUP BY username ORDER BY output DESC, user""",
)
_OWN_PRICES = Summary(
    "Own prices are not in use",
    "SELECT any_value(problem) AS problem FROM usage_pricing HAVING count(problem) > 0",
)
