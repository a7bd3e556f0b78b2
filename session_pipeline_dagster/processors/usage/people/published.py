"""Which rows may leave, and what of them: the SELECTs behind every export, page and shared file.

What is shown in place of people, projects and small teams stands in the tables of `shown.py`. Where
something is hidden, what has no row there is left out: it came after these were made.
"""

from dataclasses import dataclass

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.groups import ROOT
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.processors.usage.money.budgeting import budgets_of
from session_pipeline_dagster.processors.usage.people import whose
from session_pipeline_dagster.processors.usage.people.budgets_shown import shown_budget
from session_pipeline_dagster.settings import PeopleMode, Settings

_TOKENS = (
    "messages input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens "
    "cache_creation_1h_tokens cache_read_tokens web_search_requests"
).split()
_PERSON = (*_TOKENS, "partial_messages", "unpriced_messages", "unknown_input_messages")
_TEAM = (*_TOKENS, "unpriced_messages", "unknown_input_messages")
_ACTIVITY = ("sessions", "prompts", "tool_calls", "tool_errors", "tool_rejections")


@dataclass(frozen=True, slots=True)
class Published:
    """A table as it may leave: its SELECT, of the columns in their order, and what it means."""

    name: str
    select: str
    description: str


def published(settings: Settings) -> tuple[Published, ...]:
    """The tables that may leave as things are set.

    Raises:
        SettingsError: the file of budgets cannot be used.
    """
    people = settings.people
    merged = people.smallest_group > 1
    teams = _merged_teams() if merged else "FROM usage_team_daily"
    months = _merged_months(people.smallest_group) if merged else "FROM chargeback_monthly"
    persons = Published(
        "usage_person_daily",
        _persons(settings),
        "Tokens and cost per UTC day, person, project and model.",
    )
    return (
        *([] if people.mode is PeopleMode.TEAM else [persons]),
        Published("usage_team_daily", teams, "Tokens and cost per UTC day and team."),
        Published("usage_activity_daily", _activity(settings), "Prompts, tools, time per UTC day."),
        Published("chargeback_monthly", months, "What teams cost per month."),
        Published("budget_status", _budgets(settings), "How budgets stand in each period."),
    )


def _persons(settings: Settings) -> str:
    people = settings.people
    if not people.hides:
        return "FROM usage_person_daily"
    # A person beside a team would tell which small team a merged cell holds.
    team = "team, cost_center" if people.smallest_group <= 1 else _NO_TEAM
    person, project, model, joined = "person", "project", "model", ""
    if people.mode is not PeopleMode.NAMED:
        person, project = "people_shown.shown", "projects_shown.shown"
        model = f"if(days.model IS NULL, NULL, coalesce(models.shown, '{HIDDEN}'))"
        joined = """JOIN people_shown USING (person)
            LEFT JOIN projects_shown ON projects_shown.project = days.project
            LEFT JOIN projects_shown AS models ON models.project = days.model"""
    return f"""SELECT day, {person} AS person, {team}, {project} AS project,
            {model} AS model, agent, provider,
            {whose.sums(_PERSON)}, sum(cost) AS cost
        FROM usage_person_daily AS days {joined} GROUP BY ALL"""


_NO_BILLS = "NULL::DECIMAL(38, 12) AS unlogged_cost"
"""Where small groups are merged: few people have bills, also in a large team."""
_NO_TEAM = "NULL::VARCHAR AS team, NULL::VARCHAR AS cost_center"


def _merged_teams() -> str:
    # Who is in two teams that are shown as one is one person.
    return f"""SELECT day, label AS team, any_value(cells_shown.cost_center) AS cost_center,
            coalesce(any_value(counted.people), 0) AS people,
            sum(cells_shown.active)::BIGINT AS active_people,
            {whose.sums(_TEAM)}, sum(cost) AS cost, {_NO_BILLS}
        FROM (SELECT day, team, {whose.sums(_TEAM)}, sum(cost) AS cost
            FROM usage_team_daily GROUP BY day, team) AS days
        JOIN cells_shown USING (day, team)
        LEFT JOIN (SELECT day, label, count(DISTINCT person) AS people
            FROM ({whose.members("cells_shown")}) JOIN cells_shown USING (day, team)
            GROUP BY day, label) AS counted USING (day, label)
        WHERE label IS NOT NULL GROUP BY day, label"""


def _merged_months(least: int) -> str:
    """The shown days added up. What is shown on no day is the organisation's, if the month is over
    and it is of enough people; so is what belongs to teams without a shown day.

    In a month that goes on, it would grow by what few people did since the file of before.
    """
    return f"""WITH shown AS (
            SELECT date_trunc('month', day)::DATE AS month, cost_center, team, cost, unlogged_cost
            FROM ({_merged_teams()})),
        rest AS (
            SELECT date_trunc('month', day)::DATE AS month, sum(cost) AS cost, {_NO_BILLS}
            FROM usage_team_daily JOIN cells_shown USING (day, team)
            WHERE label IS NULL GROUP BY ALL),
        crowds AS (
            SELECT date_trunc('month', day)::DATE AS month, count(DISTINCT person) AS many
            FROM usage_person_daily JOIN cells_shown USING (day, team)
            WHERE label IS NULL GROUP BY ALL),
        least AS (SELECT month FROM crowds WHERE many >= {least}
            AND last_day(month) < current_date),
        costs AS (
            SELECT month, cost_center, team, cost, unlogged_cost, NULL AS seat_cost FROM shown
            UNION ALL
            SELECT month, NULL, '{ROOT}', cost, unlogged_cost, NULL FROM rest SEMI JOIN least
                USING (month)
            UNION ALL
            SELECT month, if(there, cost_center, NULL), if(there, team, '{ROOT}'), NULL, NULL,
                seat_cost
            FROM (SELECT month, cost_center, team, seat_cost, (month, team) IN (
                    SELECT (month, team) FROM shown) AS there
                FROM chargeback_monthly WHERE seat_cost > 0)),
        tables AS (SELECT month, any_value(price_table) AS price_table FROM chargeback_monthly
            GROUP BY month)
        SELECT month, cost_center, team, sum(cost) AS cost, sum(unlogged_cost) AS unlogged_cost,
            coalesce(sum(seat_cost), 0) AS seat_cost, any_value(price_table) AS price_table
        FROM costs LEFT JOIN tables USING (month) GROUP BY month, cost_center, team"""


def _activity(settings: Settings) -> str:
    people = settings.people
    own = f"""SELECT day, {whose.PERSON} AS person, {whose.TEAM} AS team, {", ".join(_ACTIVITY)},
            active_seconds
        FROM {whose.with_people("usage_activity_daily")}"""
    sums = f"{whose.sums(_ACTIVITY)}, sum(active_seconds) AS active_seconds"
    if people.mode is PeopleMode.TEAM:
        if people.smallest_group <= 1:
            return f"SELECT day, team, {sums} FROM ({own}) GROUP BY ALL"
        return f"""SELECT day, label AS team, {sums} FROM ({own}) JOIN cells_shown USING (day, team)
            WHERE label IS NOT NULL GROUP BY ALL"""
    if people.mode is PeopleMode.NAMED:
        return f"SELECT day, person, {sums} FROM ({own}) GROUP BY ALL"
    return f"""SELECT day, shown AS person, {sums} FROM ({own}) JOIN people_shown USING (person)
        GROUP BY ALL"""


def _budgets(settings: Settings) -> str:
    """Budgets as they stand, and as they may be shown."""
    people = settings.people
    if not people.hides:
        return "FROM budget_status"
    try:
        budgets = budgets_of(settings.money)
    except SettingsError:
        # Whose they are is not known; the check of the file says what is wrong with it.
        budgets = ()
    shown = [part for budget in budgets if (part := shown_budget(budget, settings))]
    return " UNION ALL ".join(shown) or "FROM budget_status WHERE false"
