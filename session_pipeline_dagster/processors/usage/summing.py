"""What the SELECTs of `figure_sql.py` answered, as figures."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from session_pipeline_dagster.people.projects import HIDDEN, NamesOfPeople
from session_pipeline_dagster.processors.usage.figure_sql import CALLED, Scope
from session_pipeline_dagster.processors.usage.figures import (
    Bar,
    BudgetNow,
    Called,
    Figures,
    Part,
    Sums,
    add,
)
from session_pipeline_dagster.processors.usage.small_cells import Crowd, few

NAMELESS = "(none)"
KINDS = ("team", "project", "model", "agent", "person", "branch")
"""What money is asked by. Persons and branches are in the order of their names."""
_BY_NAME = frozenset({"person", "branch"})
_SPANS = 3
Answers = Sequence[Sequence[Any]]
"""The rows of each SELECT; their types are those of the SELECTs."""
_T = TypeVar("_T", Part, Called)


def figures(answers: Answers, scope: Scope, unread: Mapping[str, int] | None = None) -> Figures:
    """The records of what the SELECTs answered.

    Args:
        unread: files that no reader claims, by agent. Nobody knows of how many people they are, so
            they are not shown where that counts.
    """
    period, by_day, bars, by_slot, calls, paid, bills, estimated, budgets, names, who = answers
    ((first, last, unit, undated),) = period
    called_like = NamesOfPeople.of(str(name) for (name,) in names)

    def shown(name: object) -> str:
        """A name that people chose, where it names nobody, or may."""
        text = NAMELESS if name in (None, "") else str(name)
        if scope.merges and text == few(scope.least):
            return text
        return HIDDEN if scope.hides and called_like.stand_in(text) else text

    slots = defaultdict(list)
    for kind, *row in by_slot:
        slots[kind].append(row)
    parts = _parts([*by_day, *(("branch", *row) for row in slots["branch"])], shown)
    total = _total(parts["team"])
    (responses,) = [row[3] for row in paid if row[0] == "response"]
    paid = [row for row in paid if row[0] != "response"]
    (sessions,) = [row[2] for row in slots["session"]]
    ((billed, unlogged),) = bills
    return Figures(
        scope,
        first,
        last,
        str(unit),
        total,
        {kind: _few_last(_sorted(kind, parts[kind]), scope) for kind in KINDS},
        [
            Bar(start, str(team), shown(model), shown(agent), Sums(*sums))
            for start, team, model, agent, *sums in bars
        ],
        _hours(slots["hour"]),
        sessions,
        {kind: _few_last(rows, scope) for kind, rows in _called(calls, paid, shown).items()},
        [BudgetNow(*row) for row in budgets],
        estimated[0][0],
        undated,
        billed,
        unlogged,
        # What has just come may be one person's.
        0 if scope.merges else responses - total.whole.messages,
        ", ".join(str(name) for (name,) in who),
        {} if scope.merges else unread or {},
    )


def _parts(rows: Iterable[Any], shown: Callable[[object], str]) -> Mapping[str, list[Part]]:
    """Of every kind; names that are shown alike are one."""
    sums: dict[tuple[str, str], list[list[Sums]]] = {}
    crowds: dict[tuple[str, str], list[set[int]]] = {}
    for kind, name, span, *counts, crowd in rows:
        key = (kind, str(name) if kind in ("team", "person") else shown(name))
        sums.setdefault(key, [[] for _ in range(_SPANS)])[span].append(Sums(*counts))
        crowds.setdefault(key, [set() for _ in range(_SPANS)])[span].update(crowd)
    found: dict[str, list[Part]] = {kind: [] for kind in KINDS}
    for (kind, name), spans in sums.items():
        each = [*map(frozenset, crowds[kind, name])]
        found[kind].append(Part(name, [*map(add, spans)], each))
    return found


def _total(teams: Sequence[Part]) -> Part:
    nothing = Part("", [Sums()] * _SPANS, [frozenset()] * _SPANS)
    return replace(parts_together([nothing, *teams], "total"), few=False)


def _sorted(kind: str, parts: Iterable[Part]) -> list[Part]:
    if kind in _BY_NAME:
        return sorted(parts, key=lambda part: (part.name.casefold(), part.name))
    return sorted(parts, key=lambda part: (-part.whole.cost, -part.whole.messages, part.name))


def _called(
    calls: Iterable[Any], paid: Iterable[Any], shown: Callable[[object], str]
) -> Mapping[str, list[Called]]:
    counts: dict[str, dict[str, list[tuple[int, int]]]] = {kind: {} for kind in CALLED}
    sums: dict[tuple[str, str], list[list[Sums]]] = {}
    crowds: dict[tuple[str, str], list[set[int]]] = {}
    for kind, name, number, errors, crowd in calls:
        counts[kind].setdefault(shown(name), []).append((number, errors))
        crowds.setdefault((kind, shown(name)), [set() for _ in range(_SPANS + 1)])[0].update(crowd)
    for kind, name, span, messages, unpriced, cost, crowd in paid:
        key = (kind, shown(name))
        counts[kind].setdefault(key[1], [])
        crowds.setdefault(key, [set() for _ in range(_SPANS + 1)])[span + 1].update(crowd)
        found = Sums(messages=messages, unpriced=unpriced, cost=cost)
        sums.setdefault(key, [[] for _ in range(_SPANS)])[span].append(found)
    return {
        kind: sorted(
            (
                Called(
                    name,
                    sum(number for number, _ in rows),
                    sum(errors for _, errors in rows),
                    [*map(add, sums[kind, name])] if (kind, name) in sums else None,
                    [*map(frozenset, crowds[kind, name])],
                )
                for name, rows in named.items()
            ),
            key=lambda one: (-one.cost.cost, -one.calls, one.name),
        )
        for kind, named in counts.items()
    }


def _hours(rows: Iterable[Any]) -> Mapping[tuple[int, int], int]:
    """Responses by weekday and hour."""
    hours = {}
    for name, _, messages, *_ in rows:
        day, hour = str(name).split()
        hours[int(day), int(hour)] = messages
    return hours


def _few_last(rows: Sequence[_T], scope: Scope) -> Sequence[_T]:
    """The rows, and last the one of those that are shown together."""
    if not scope.merges:
        return rows
    name = few(scope.least)
    own = [row for row in rows if row.name != name]
    return [*own, *(replace(row, few=True) for row in rows if row.name == name)]


def parts_together(parts: Sequence[Part], name: str) -> Part:
    spans = [add(cell) for cell in zip(*(part.spans for part in parts), strict=True)]
    return Part(name, spans, _everybody(part.crowds for part in parts), few=True)


def calls_together(rows: Sequence[Called], name: str) -> Called:
    paid = [row.paid for row in rows if row.paid is not None]
    return Called(
        name,
        sum(row.calls for row in rows),
        sum(row.errors for row in rows),
        [add(cell) for cell in zip(*paid, strict=True)] if paid else None,
        _everybody(row.crowds for row in rows),
        few=True,
    )


def _everybody(rows: Iterable[Sequence[Crowd]]) -> Sequence[Crowd]:
    return [frozenset[int]().union(*cell) for cell in zip(*rows, strict=True)]
