"""A reader who sets shown sums off against each other: what follows from them."""

from collections.abc import Sequence
from fractions import Fraction


def solved(sums: Sequence[set[int]], many: int) -> set[int]:
    """The unknowns that a set of sums determines: Gauss over fractions."""
    rows = [[Fraction(int(n in members)) for n in range(many)] for members in sums]
    at, pivots = 0, []
    for column in range(many):
        found = next((n for n in range(at, len(rows)) if rows[n][column]), None)
        if found is None:
            continue
        rows[at], rows[found] = rows[found], rows[at]
        rows[at] = [value / rows[at][column] for value in rows[at]]
        for n, row in enumerate(rows):
            if n != at and row[column]:
                factor = row[column]
                rows[n] = [a - factor * b for a, b in zip(row, rows[at], strict=True)]
        pivots.append(column)
        at += 1
    return {c for n, c in enumerate(pivots) if sum(map(bool, rows[n])) == 1}
