"""Which budgets may be shown, in which periods, and what they are called: a SELECT for each."""

from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage.money.budget_sql import quoted
from session_pipeline_dagster.processors.usage.money.budgets import Budget
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.settings import PeopleMode, Settings

_DAYS = {Period.DAY: 2, Period.WEEK: 8, Period.MONTH: 32}
"""How far the days of a period reach beyond its first one, in any time zone."""


def shown_budget(budget: Budget, settings: Settings) -> str | None:
    """SELECT of the rows of `budget_status` that may be shown; None: none may.

    None of a person is shown under its name, nor at all where nobody is; where small groups are
    merged, none of a part of the organisation that holds a merged cell.
    """
    people, scope, name = settings.people, budget.scope, quoted(budget.name)
    rows = f"FROM budget_status WHERE budget = {name}"
    if scope.kind == "person" and people.mode is not PeopleMode.NAMED:
        if people.mode is PeopleMode.TEAM:
            return None
        shown = quoted(veil_of(settings).person(budget.name))
        return f"SELECT * REPLACE ({shown} AS budget) {rows}"
    if people.smallest_group <= 1 or scope.kind in ("org", "person"):
        return rows
    if scope.kind != "team":
        return None
    return f"""{rows} AND NOT EXISTS (SELECT 1 FROM cells_shown WHERE team = {quoted(scope.name)}
        AND label IS DISTINCT FROM team AND day >= period_start - 1
        AND day <= period_start + {_DAYS[budget.period]})"""
