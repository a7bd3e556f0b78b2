"""`session-pipeline budget`: how every budget stands, now and in the periods before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.money.document import document
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.shown import bring_up
from session_pipeline_dagster.processors.usage.money.budgeting import (
    Select,
    budgets_of,
    judged,
    strangers_of,
)
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.budget_status import BudgetStatus
    from session_pipeline_dagster.processors.usage.money.budgets import Budget
    from session_pipeline_dagster.processors.usage.money.verdict import Verdict

_FEW = 6


@click.command("budget", help="How budgets stand: this period and the last ones.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, as_json: bool) -> int:
    """Compute it from the sums that are kept, by the file as it is now; nothing is written."""
    settings, now = context.settings, datetime.now(UTC)
    given = budgets_of(settings.money)
    store, usage = open_store(settings, looking=True), context.registry.get("usage")
    bring_up(usage, store, settings)

    def select(sql: str) -> Sequence[Sequence[object]]:
        return store.query(sql)[0][1]

    # Opening the database costs more than a look.
    with store.held():
        store.ready(usage)
        budgets = _shown(given, context, select)
        hides = settings.people.hides
        found = [_judged(one, shown, select, now, settings) for one, shown in budgets]
        wrong = strangers_of(settings.money, given, select, hides=hides)
    for line in wrong:
        say(f"session-pipeline: {line}", err=True)
    if as_json:
        click.echo(document({"budgets": [_values(*one) for one in found]}))
        return 0
    if not budgets:
        if given:
            say(
                "No budget of the file may be shown: see SESSION_PIPELINE_PEOPLE and "
                "SESSION_PIPELINE_MIN_GROUP"
            )
        else:
            say("No budgets: SESSION_PIPELINE_BUDGETS names no file, or it has none")
        return 0
    from session_pipeline_dagster.cli.tables import new_console, show_table  # noqa: PLC0415  what draws costs a quarter of a small pass

    console = new_console()
    for budget, said, _ in found:
        line = printable(f"{said.status:8} {budget.name}: {said.sentence}")
        console.print(line, soft_wrap=True, markup=False)
    rows = [
        (budget.name, str(row.period_start), f"{row.spent:,.4f}", f"{row.percent:.1f} %", row.level)
        for budget, _, periods in found
        for row in reversed(periods[-_FEW:])
    ]
    names = ("budget", "from", "spent, USD", "of it", "level")
    show_table(console, "Periods", names, rows, right=("spent, USD", "of it"))
    return 0


def _judged(
    budget: "Budget", shown: "Budget", select: Select, now: datetime, settings: Settings
) -> "tuple[Budget, Verdict, Sequence[BudgetStatus]]":
    """A budget as it may be shown, what is said of it, and its periods that may be shown. Where one
    may not, the sentence may be of that."""
    hides = settings.people.hides
    said, periods = judged(budget, select, now, hides=hides)
    if not hides:
        return shown, said, periods
    from session_pipeline_dagster.processors.usage.people.budgets_shown import shown_budget  # noqa: PLC0415  only where there are budgets

    rows = shown_budget(budget, settings) or "FROM budget_status WHERE false"
    told = {start for (start,) in select(f"SELECT period_start FROM ({rows})")}
    kept = [one for one in periods if one.period_start in told]
    if len(kept) < len(periods):
        what = "a period of it is of fewer people than may be shown"
        said = replace(said, status="unknown", sentence=what)
    return shown, said, kept


def _shown(
    budgets: "Sequence[Budget]", context: Context, select: Select
) -> "list[tuple[Budget, Budget]]":
    """The budgets that may be shown, each with its name and scope as these may be."""
    if not context.settings.people.hides:
        return [(budget, budget) for budget in budgets]
    from session_pipeline_dagster.processors.usage.people.published import published  # noqa: PLC0415  only where something is hidden

    (sql,) = (one.select for one in published(context.settings) if one.name == "budget_status")
    names = {name for (name,) in select(f"SELECT DISTINCT budget FROM ({sql})")}
    found = []
    for budget in budgets:
        shown = budget
        if budget.scope.kind == "person":
            scope = replace(budget.scope, name=context.veil.person(budget.scope.name))
            shown = replace(budget, name=context.veil.person(budget.name), scope=scope)
        if shown.name in names:
            found.append((budget, shown))
    return found


def _values(
    budget: "Budget", said: "Verdict", periods: "Sequence[BudgetStatus]"
) -> dict[str, object]:
    return {
        "name": budget.name,
        "scope": str(budget.scope),
        "period": str(budget.period),
        "amount": budget.amount,
        "warn": list(budget.warn),
        "basis": str(budget.basis),
        "timezone": budget.timezone,
        "status": said.status,
        "sentence": said.sentence,
        "periods": [
            {
                "period_start": row.period_start,
                "spent": row.spent,
                "forecast": row.forecast,
                "percent": row.percent,
                "level": str(row.level),
                "threshold": row.threshold,
                "unpriced_messages": row.unpriced_messages,
                "unpriced_models": row.unpriced_models,
            }
            for row in periods
        ],
    }
