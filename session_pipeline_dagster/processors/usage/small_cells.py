"""Which cells of a day are of too few people, and what goes with them: SQL.

Teams of a day are merged before (`people/groups.py`); this is for everything else that a day's
usage is told apart by: projects, models, tools, hours. What a cell is hangs on its day alone, never
on what is asked, so that two answers cannot be set off against each other.
"""

from collections.abc import Sequence

Crowd = frozenset[int]
"""Who is in a cell, by numbers that tell people apart and name nobody."""
SHOWN, FEW, NOWHERE = range(3)
"""By itself; together with others of its day; not at all, for all of that day is of too few."""


def few(least: int) -> str:
    """What cells of too few people are called together."""
    return f"(fewer than {least} people)"


def small_cells(rows: str, columns: Sequence[str], least: int) -> str:
    """SELECT of each cell of each day: `day`, the columns, and as `told` how it may be shown.

    Cells of fewer than `least` people are shown together. One alone would follow from the sum of
    all, so the next smallest goes with it, and further ones until those together are enough.

    Args:
        rows: what a SELECT can be FROM, with `day`, `person` and these columns.
    """
    names = ", ".join(columns)
    order = f"ORDER BY size, {names}"
    return f"""SELECT day, {names},
            CASE WHEN few = 0 THEN {SHOWN} WHEN everybody < {least} THEN {NOWHERE}
                WHEN place <= greatest(few, 2) OR coalesce(crowd, 0) < {least} THEN {FEW}
                ELSE {SHOWN} END AS told
        FROM (
            SELECT day, {names},
                count(*) FILTER (size < {least}) OVER (PARTITION BY day) AS few,
                sum(own) OVER (PARTITION BY day) AS everybody,
                row_number() OVER (PARTITION BY day {order}) AS place,
                sum(own) OVER (PARTITION BY day {order}
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS crowd
            FROM (
                -- Each person counts once, in the smallest cell that they are in.
                SELECT day, {names}, size, count(*) FILTER (nth = 1) AS own
                FROM (SELECT *, row_number() OVER (PARTITION BY day, person {order}) AS nth
                    FROM (SELECT *, count(*) OVER (PARTITION BY day, {names}) AS size
                        FROM (SELECT DISTINCT day, person, {names} FROM {rows})))
                GROUP BY day, {names}, size))"""


def told(rows: str, columns: Sequence[str], least: int) -> str:
    """SELECT of the rows that may be shown, by themselves or not, and beside each its `told`."""
    same = " AND ".join(f"rows_of.{name} IS NOT DISTINCT FROM cell_{name}" for name in columns)
    cells = ", ".join(f"{name} AS cell_{name}" for name in columns)
    return f"""SELECT rows_of.*, told FROM {rows} AS rows_of
        JOIN (SELECT day AS cell_day, {cells}, told
            FROM ({small_cells(rows, columns, least)}) WHERE told <> {NOWHERE})
            ON cell_day = rows_of.day AND {same}"""
