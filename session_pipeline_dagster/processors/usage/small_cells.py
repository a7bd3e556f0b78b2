"""Which rows of a table of sums are of too few people, and what goes with them: pure.

Teams of a day are merged before (`people/groups.py`); this is for everything that is added up from
them by something else: projects, models, tools, hours.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Crowd = frozenset[int]
"""Who is in a cell, by numbers that tell people apart and name nobody."""
Crowds = Sequence[Crowd]
"""The crowds of a row: one for each of its cells that is shown by itself, as a week is."""


def apart(
    rows: Sequence[T], crowds: Callable[[T], Crowds], least: int
) -> tuple[Sequence[T], Sequence[T]]:
    """The rows that may be shown, in their order, and those that are shown together.

    A row is of too few where any of its cells is: of somebody, but of fewer than `least`. One alone
    would follow from the sum of all, so the next smallest goes with it, and further ones until
    those together are enough. They may still be too few where no row is left to go with them;
    `enough` says it.
    """
    if least <= 1:
        return rows, ()
    small = [row for row in rows if not enough([row], crowds, least)]
    # The smallest last, so that it is the next to go.
    large = sorted(
        (row for row in rows if enough([row], crowds, least)),
        key=lambda row: len(frozenset().union(*crowds(row))),
        reverse=True,
    )
    while small and large and (len(small) == 1 or not enough(small, crowds, least)):
        small.append(large.pop())
    kept = {id(row) for row in large}
    return [row for row in rows if id(row) in kept], small


def enough(rows: Sequence[T], crowds: Callable[[T], Crowds], least: int) -> bool:
    """Whether these rows together may be shown: each of their cells is of nobody, or of enough."""
    cells = zip(*map(crowds, rows), strict=True)
    return all(not (people := frozenset().union(*cell)) or len(people) >= least for cell in cells)
