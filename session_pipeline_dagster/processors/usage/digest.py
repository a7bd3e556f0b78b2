"""The weekly digest: what a week cost, in a few lines that name no person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage.figures import BudgetNow, Figures, Part, Sums
from session_pipeline_dagster.processors.usage.rollups import AT_LEAST
from session_pipeline_dagster.processors.usage.wording import (
    change,
    label,
    many,
    money,
    percent,
    usd,
)

_MOST_TEAMS, _MOST_NEWS = 8, 3
_NEWS = Decimal("0.1")
"""What grew or shrank by at least this share of the larger of both weeks stands out."""
_SHARE = 0.05
_KINDS = {"team": "team", "project": "project", "model": "model"}


@dataclass(frozen=True, slots=True)
class _News:
    """A part of the money that is much another one than the week before."""

    kind: str
    part: Part

    @property
    def by(self) -> Decimal:
        return self.part.last.cost - self.part.before.cost


def digest(found: Figures) -> str:
    """The text, in lines."""
    return "\n".join(_lines(found))


def _lines(found: Figures) -> Iterator[str]:
    last, before = found.total.last, found.total.before
    said = change(last, before)
    week = f"Week to {label(found.last, 'week')}" if found.last else "Week"
    if not found.total.whole.messages:
        nothing = "no usage to tell of"
        if found.scope.merges:
            nothing = f"no day with usage of at least {found.scope.least} people"
        yield f"{week}: {nothing}, nor in the week before"
        return
    yield (
        f"{week}: {_usd(found.total.last)} ({_usd(before)} the week before"
        f"{f', {said}' if said else ''}), at API list price"
    )
    people = len(found.total.crowds[2])
    yield f"{many(people, 'person', 'people')} active, {many(last.messages, 'message')}"
    teams = [part for part in found.parts["team"] if part.last.messages or part.before.messages]
    if len(teams) > 1:
        teams.sort(key=lambda part: (-part.last.cost, part.name))
        shown = [_team(part) for part in teams[:_MOST_TEAMS]]
        rest = len(teams) - len(shown)
        yield f"Teams: {'; '.join([*shown, *([f'{rest} more'] if rest else [])])}"
    if found.budgets:
        yield f"Budgets: {'; '.join(map(_budget, found.budgets))}"
    for one in _news(found):
        yield (
            f"Stands out: {one.kind} {printable(one.part.name)}, {_usd(one.part.last)} after "
            f"{_usd(one.part.before)}"
        )
    if last.unpriced > last.unknown:
        priceless = many(last.unpriced - last.unknown, "message")
        yield f"{priceless} without a known price: their cost is left out"
    if last.unknown:
        yield f"{many(last.unknown, 'message')} of unknown input: their cost is left out"
    if last.partial_share > AT_LEAST:
        yield f"{percent(last.partial_share)} of the messages have partial output"
    share = found.unlogged_share
    if share is not None and share > _SHARE:
        yield f"{percent(share)} of the known bills of both weeks was billed without a line"


def _usd(sums: Sums) -> str:
    said = money(sums)
    return (
        "nothing"
        if said == "–"
        else said
        if said in ("unpriced", "input unknown")
        else f"{said} USD"
    )


def _team(part: Part) -> str:
    said = change(part.last, part.before)
    return f"{printable(part.name)} {_usd(part.last)}{f' ({said})' if said else ''}"


def _budget(budget: BudgetNow) -> str:
    level = "" if budget.level == "ok" else f", {budget.level}"
    return (
        f"{printable(budget.name)} {budget.percent:.0f} % of {usd(budget.amount)} USD "
        f"(from {label(budget.start, 'week')}{level})"
    )


def _news(found: Figures) -> Sequence[_News]:
    """What differs most, where it is much of the whole."""
    whole = max(found.total.last.cost, found.total.before.cost)
    each = [
        _News(word, part)
        for kind, word in _KINDS.items()
        for part in found.parts[kind]
        # Of one row that is everything the first line speaks.
        if len(found.parts[kind]) > 1 and not part.few
    ]
    # After a week with nothing, everything is new.
    compared = found.total.last.cost and found.total.before.cost
    much = [one for one in each if compared and abs(one.by) >= _NEWS * whole]
    return sorted(much, key=lambda one: (-abs(one.by), one.kind, one.part.name))[:_MOST_NEWS]
