"""Budgets of a team or cost center in which the directory has nobody: nothing is spent of them.

Of persons and projects nothing is said: those come when they come.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from session_pipeline_dagster.people.directory import UNASSIGNED
from session_pipeline_dagster.processors.usage.money.budgets import Budget, ScopeKind
from session_pipeline_dagster.processors.usage.money.toml_file import nearest, shown

_COLUMNS = {ScopeKind.TEAM: "team", ScopeKind.COST_CENTER: "cost_center"}


def strangers(
    file: Path,
    budgets: Sequence[Budget],
    select: Callable[[str], Sequence[Sequence[object]]],
    *,
    hides: bool,
) -> list[str]:
    """A sentence for each such budget, with file and line.

    Args:
        hides: whether something of people is hidden; then no other team or cost center is named.
    """
    asked = [budget for budget in budgets if budget.scope.kind in _COLUMNS]
    if not asked:
        return []
    # Of any day: who has left was charged to it once.
    known = {
        kind: {str(name) for (name,) in select(f"SELECT DISTINCT {column} FROM people")} - {"None"}
        for kind, column in _COLUMNS.items()
    }
    above = {str(team) for (team,) in select("SELECT team FROM org_units")}
    if not any(known.values()):
        return [
            f"{file}:{budget.line}: {budget.scope} has nobody in it: there is no directory "
            "(SESSION_PIPELINE_DIRECTORY), or no run has taken it"
            for budget in asked
        ]
    found = []
    for budget in asked:
        kind, name = budget.scope.kind, budget.scope.name
        names = known[kind]
        if name in names or (kind is ScopeKind.TEAM and name == UNASSIGNED):
            continue
        what = f"{file}:{budget.line}: the directory has nobody in {_said(kind)} {shown(name)}"
        if kind is ScopeKind.TEAM and name in above:
            what += ", which is only above others; a budget is of a team's own people"
        elif not hides:
            what += nearest(name, names)
        found.append(what)
    return found


def _said(kind: ScopeKind) -> str:
    return kind.replace("_", " ")
