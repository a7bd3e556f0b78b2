"""SQL that says whose a row of usage is on its day; the views of people, teams, cost centers.

A period of the table `people` names a folder on the days from `valid_from` to `valid_to`, both
inclusive; periods of a folder do not overlap, so a row of usage meets one at most. They are views:
another directory is other answers at once, for all days.
"""

from collections.abc import Mapping
from typing import Final

from session_pipeline_dagster.people.directory import UNASSIGNED
from session_pipeline_dagster.processors.usage.money import reconciled

FIRST: Final = "coalesce(valid_from, '-infinity'::DATE)"
LAST: Final = "coalesce(valid_to, 'infinity'::DATE)"
PERSON: Final = "coalesce(person, username)"
TEAM: Final = f"coalesce(team, '{UNASSIGNED}')"
COST_CENTER: Final = "cost_center"


def with_people(table: str) -> str:
    """A table with `day` and `username`, and beside each row what `people` says of it: NULL where
    nobody names the folder on that day."""
    return f"""{table} LEFT JOIN people ON folder = username
            AND day >= {FIRST} AND day <= {LAST}"""


SHOWN_CELLS: Final = f"""JOIN (SELECT day AS of_day, team AS of_team, label AS shown_team,
                cost_center AS shown_center FROM cells_shown WHERE label IS NOT NULL)
            ON of_day = day AND of_team = {TEAM}"""
"""Beside `with_people`, where small groups are merged: without what is shown on no day."""

_TOKENS = (
    "input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens "
    "cache_creation_1h_tokens cache_read_tokens web_search_requests"
).split()
_OF_A_PERSON = (
    "messages",
    *_TOKENS,
    "partial_messages",
    "unpriced_messages",
    "unknown_input_messages",
)
_OF_A_TEAM = ("messages", *_TOKENS, "unpriced_messages", "unknown_input_messages")


def sums(names: tuple[str, ...]) -> str:
    """SQL that adds up columns under their names."""
    return ", ".join(f"sum({name})::BIGINT AS {name}" for name in names)


# First by what slots call things: their names are looked up once for many rows.
USAGE_PERSON_DAILY: Final = f"""
    SELECT used.day, {PERSON} AS person, {TEAM} AS team, {COST_CENTER},
        coalesce(usage_projects.name, used.repository, used.project) AS project,
        model, agent, provider, {sums(_OF_A_PERSON)}, sum(cost)::DECIMAL(38,12) AS cost
    FROM {
    with_people(
        f'''(
        SELECT day, username, project, repository, model, agent, provider,
            {sums(_OF_A_PERSON)}, sum(cost) AS cost
        FROM usage_slots GROUP BY ALL) AS used'''
    )
}
    LEFT JOIN usage_projects ON usage_projects.project IS NOT DISTINCT FROM used.project
        AND usage_projects.repository IS NOT DISTINCT FROM used.repository
    GROUP BY ALL"""

_BILLED = """(FROM usage_slots SEMI JOIN (
                SELECT session_id FROM usage_own_billed WHERE unknown IS NULL
            ) USING (session_id))"""
"""All slots of the sessions whose bill somebody knows: to look at no others takes half the time."""

_NOTHING = ", ".join(f"0 AS {name}" for name in _OF_A_TEAM)
_SPENT = f"""(
        SELECT day, username, {sums(_OF_A_TEAM)}, sum(cost) AS cost,
            NULL::DECIMAL(38,12) AS unlogged_cost
        FROM usage_slots GROUP BY day, username
        UNION ALL
        SELECT day, username, {_NOTHING}, NULL, sum(unlogged_cost) AS unlogged_cost
        FROM ({reconciled.view(_BILLED)})
        WHERE unlogged_cost IS NOT NULL GROUP BY day, username
    ) AS spent"""
"""Of each folder and day: what it used, and in a row of its own what was billed without a line."""
_COST: Final = "coalesce(sum(cost), CASE WHEN sum(messages) = 0 THEN 0 END)::DECIMAL(38,12)"
"""Nothing costs nothing; what has no price costs nobody knows what."""


def members(teams: str) -> str:
    """SELECT of who is in each of these teams on its day: day, team, person, each once.

    Args:
        teams: a table with `day` and `team`. `(unassigned)` has who used something, too.
    """
    return f"""SELECT day, {teams}.team, person
        FROM {teams} JOIN people ON coalesce(people.team, '{UNASSIGNED}') = {teams}.team
            AND day >= {FIRST} AND day <= {LAST}
        UNION
        SELECT day, '{UNASSIGNED}', username
        FROM usage_slots ANTI JOIN people ON folder = username
            AND day >= {FIRST} AND day <= {LAST}"""


USAGE_TEAM_DAILY: Final = f"""
    WITH teams AS (
        SELECT day, {TEAM} AS team, {COST_CENTER},
            count(DISTINCT {PERSON}) FILTER (messages > 0) AS active_people,
            {sums(_OF_A_TEAM)}, {_COST} AS cost,
            sum(unlogged_cost)::DECIMAL(38,12) AS unlogged_cost
        FROM {with_people(_SPENT)} GROUP BY ALL),
    members AS ({members("teams")}),
    counted AS (SELECT day, team, count(*) AS people FROM members GROUP BY day, team)
    SELECT teams.day, teams.team, cost_center, coalesce(people, 0) AS people, active_people,
        {", ".join(_OF_A_TEAM)}, cost, unlogged_cost
    FROM teams LEFT JOIN counted ON counted.day = teams.day AND counted.team = teams.team"""

CHARGEBACK_MONTHLY: Final = f"""
    WITH paid AS (
        SELECT date_trunc('month', day)::DATE AS month, {TEAM} AS team, {COST_CENTER},
            messages, cost, unlogged_cost, NULL::DECIMAL(38,12) AS seat_cost
        FROM {with_people(_SPENT)}
        UNION ALL
        SELECT month, team, cost_center, 0, NULL, NULL, seat_cost FROM usage_seats),
    months AS (
        SELECT month, string_agg(DISTINCT price_table, ', ' ORDER BY price_table) AS price_table
        FROM (SELECT DISTINCT month FROM paid) JOIN usage_pricing
            ON {FIRST} <= last_day(month) AND {LAST} >= month
        GROUP BY month)
    SELECT paid.month, cost_center, team, {_COST} AS cost,
        sum(unlogged_cost)::DECIMAL(38,12) AS unlogged_cost,
        coalesce(sum(seat_cost), 0)::DECIMAL(38,12) AS seat_cost, price_table
    FROM paid LEFT JOIN months ON months.month = paid.month
    GROUP BY paid.month, cost_center, team, price_table"""

VIEWS: Mapping[str, str] = {
    "usage_person_daily": USAGE_PERSON_DAILY,
    "usage_team_daily": USAGE_TEAM_DAILY,
    "chargeback_monthly": CHARGEBACK_MONTHLY,
}
