"""Which rows are spent of a budget: one SELECT for each, and its rows as spendings."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from session_pipeline_dagster.processors.usage.money.budget_status import Spending
from session_pipeline_dagster.processors.usage.money.budgets import Basis, Budget, Scope, ScopeKind
from session_pipeline_dagster.processors.usage.money.seat_sql import SEATS
from session_pipeline_dagster.processors.usage.people.whose import (
    COST_CENTER,
    PERSON,
    TEAM,
    with_people,
)
from session_pipeline_dagster.processors.usage.quoting import quoted

_DAYS = "day BETWEEN DATE '1970-01-02' AND DATE '9998-12-01'"
"""What a calendar in Python can take, time zones included."""

_WITHOUT_SEAT = f"""(SELECT *, {PERSON} AS whose FROM {with_people("usage_slots")}) AS used
            ANTI JOIN (SELECT DISTINCT person AS holder, month FROM ({SEATS})) AS had
            ON had.holder = used.whose AND had.month = date_trunc('month', day)"""
"""By the UTC month, as `usage_seats` has it. As EXISTS it takes four times as long."""

_NAMED = """model || CASE WHEN unpriced_messages = unknown_input_messages
                THEN ' (input unknown)' ELSE '' END"""
COLUMNS = ("at_us", "cost", "unpriced_messages", "unpriced_models", "fixed")
"""Of the SELECT: microseconds since 1970-01-01 UTC, USD or NULL, how many, which, a seat or not."""


def spendings_sql(budget: Budget) -> str:
    """SELECT of what was spent in the budget's scope: a row for each UTC day, or for each quarter
    of an hour where its periods begin in another zone. Columns are `COLUMNS`.

    Reads `usage_slots` and `people`; with the basis `list+unlogged` also `usage_reconciled`, with
    `seat` also `seats` and `usage_seats`.
    """
    where = f"{_DAYS} AND {_scope(budget.scope)}"
    if budget.basis is Basis.SEAT:
        return f"{_slots(budget, where, _WITHOUT_SEAT)} UNION ALL {_seats(budget)}"
    if budget.basis is Basis.UNLOGGED:
        return f"{_slots(budget, where)} UNION ALL {_unlogged(budget)}"
    return _slots(budget, where)


def spendings(rows: Iterable[Sequence[object]]) -> list[Spending]:
    """The rows of such a SELECT."""
    return [
        Spending(
            datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(str(at_us))),
            None if cost is None else Decimal(str(cost)),
            int(str(unpriced)),
            tuple(map(str, models)) if isinstance(models, list) else (),
            fixed is True,
        )
        for at_us, cost, unpriced, models, fixed in rows
    ]


def _scope(scope: Scope) -> str:
    name = quoted(scope.name)
    if scope.kind is ScopeKind.PERSON:
        return f"(username = {name} OR person = {name})"
    if scope.kind is ScopeKind.TEAM:
        return f"{TEAM} = {name}"
    if scope.kind is ScopeKind.COST_CENTER:
        return f"{COST_CENTER} = {name}"
    if scope.kind is ScopeKind.PROJECT:
        return f"(repository = {name} OR project = {name})"
    return "true"


def _of_the_scope(scope: Scope, table: str) -> str:
    """The table, with what the directory says where the scope asks for it."""
    return table if scope.kind in (ScopeKind.ORG, ScopeKind.PROJECT) else with_people(table)


def _slots(budget: Budget, where: str, table: str = "") -> str:
    table = table or _of_the_scope(budget.scope, "usage_slots")
    at = "day::TIMESTAMP" if budget.timezone == "UTC" else "slot"
    return f"""
        SELECT epoch_us({at}) AS at_us, sum(cost)::DECIMAL(38,12) AS cost,
            sum(unpriced_messages)::BIGINT AS unpriced_messages,
            coalesce(list(DISTINCT {_NAMED} ORDER BY {_NAMED})
                FILTER (unpriced_messages > 0 AND model IS NOT NULL), []) AS unpriced_models,
            false AS fixed
        FROM {table} WHERE {where} GROUP BY {at}"""


def _unlogged(budget: Budget) -> str:
    """What was billed beyond the lines, where that is known; it has a day, so it counts at noon."""
    scope = _scope(budget.scope)
    if budget.scope.kind is ScopeKind.PROJECT:
        name = quoted(budget.scope.name)
        scope = f"""(project = {name} OR session_id IN (
            SELECT session_id FROM usage_slots WHERE repository = {name}))"""
    return f"""
        SELECT epoch_us(day::TIMESTAMP + INTERVAL 12 HOUR), sum(unlogged_cost)::DECIMAL(38,12), 0,
            [], false
        FROM {_of_the_scope(budget.scope, "usage_reconciled")}
        WHERE unlogged_cost IS NOT NULL AND {_DAYS} AND {scope} GROUP BY day"""


def _seats(budget: Budget) -> str:
    """In the middle of the month, which is in that month in every time zone."""
    where, name = "true", quoted(budget.scope.name)
    if budget.scope.kind is ScopeKind.PERSON:
        where = f"(person = {name} OR person IN (SELECT person FROM people WHERE folder = {name}))"
    elif budget.scope.kind is not ScopeKind.ORG:
        where = _scope(budget.scope)
    return f"""
        SELECT epoch_us(month::TIMESTAMP + INTERVAL 14 DAY), sum(seat_cost)::DECIMAL(38,12), 0, [],
            true
        FROM usage_seats WHERE {where} GROUP BY month"""
