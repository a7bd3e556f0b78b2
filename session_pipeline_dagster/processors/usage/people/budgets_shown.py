"""Which budgets may be shown, in which periods, and what they are called: a SELECT for each."""

from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage.money.budgets import Basis, Budget
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.processors.usage.quoting import quoted
from session_pipeline_dagster.settings import PeopleMode, Settings

_DAYS = {Period.DAY: 2, Period.WEEK: 8, Period.MONTH: 32}
"""How far the days of a period reach beyond its first one, in any time zone."""


def shown_budget(budget: Budget, settings: Settings) -> str | None:
    """SELECT of the rows of `budget_status` that may be shown; None: none may.

    None of a person is shown under its name, nor at all where nobody is. Where small groups are
    merged, only sums that are the shown days added up: of the organisation without a day that is
    shown nowhere, of a team that is merged on no day, and that no other is merged into; list prices
    of UTC days, for seats, bills and other days would be set off against these.
    """
    people, scope, name = settings.people, budget.scope, quoted(budget.name)
    # A model may be one person's, or be called like somebody.
    rows = f"""SELECT * REPLACE (
            if(unpriced_models = '', '', '{HIDDEN}') AS unpriced_models)
        FROM budget_status WHERE budget = {name}"""
    if scope.kind == "person" and people.mode is not PeopleMode.NAMED:
        if people.mode is PeopleMode.TEAM:
            return None
        shown = quoted(veil_of(settings).person(budget.name))
        return f"SELECT * REPLACE ({shown} AS budget) FROM ({rows})"
    if people.smallest_group <= 1 or scope.kind == "person":
        return rows
    plain = budget.basis is Basis.LIST and budget.timezone == "UTC"
    if scope.kind not in ("org", "team") or not plain:
        return None
    team = quoted(scope.name)
    apart = f"label IS DISTINCT FROM team AND {team} IN (team, label)"
    return f"""{rows} AND NOT EXISTS (SELECT 1 FROM cells_shown
        WHERE {"label IS NULL" if scope.kind == "org" else apart} AND day >= period_start - 1
        AND day <= period_start + {_DAYS[budget.period]})"""
