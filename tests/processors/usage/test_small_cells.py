"""Rows of too few people: what is shown says nothing of fewer than that."""

import random
from collections.abc import Sequence

from session_pipeline_dagster.processors.usage.small_cells import Crowd, apart, enough

LEAST = 5
Row = tuple[str, Sequence[Crowd]]


def crowd(*numbers: int) -> Crowd:
    return frozenset(numbers)


def crowds(row: Row) -> Sequence[Crowd]:
    return row[1]


def names(rows: Sequence[Row]) -> list[str]:
    return [name for name, _ in rows]


def split(*rows: Row, least: int = LEAST) -> tuple[list[str], list[str]]:
    shown, together = apart(rows, crowds, least)
    return names(shown), sorted(names(together))


def of(many: int, first: int = 0) -> Crowd:
    return crowd(*range(first, first + many))


def test_rows_of_enough_people_are_shown_in_their_order() -> None:
    assert split(("b", [of(5)]), ("a", [of(6)])) == (["b", "a"], [])


def test_two_small_rows_that_are_enough_together_hide_no_other() -> None:
    assert split(("a", [of(4)]), ("b", [of(9)]), ("c", [of(3, 50)])) == (["b"], ["a", "c"])


def test_a_small_row_alone_takes_the_next_smallest_with_it() -> None:
    """Else it would follow from the total."""
    rows = ("a", [of(4)]), ("b", [of(9)]), ("c", [of(6)])
    assert split(*rows) == (["b"], ["a", "c"])


def test_small_rows_of_the_same_few_take_a_larger_one_with_them() -> None:
    rows = ("a", [of(2)]), ("b", [of(2)]), ("c", [of(7)]), ("d", [of(8)])
    assert split(*rows) == (["d"], ["a", "b", "c"])


def test_a_row_is_small_if_any_of_its_weeks_is_and_a_week_of_nobody_is_none() -> None:
    rows = ("a", [of(9), of(1)]), ("b", [of(9), of(9)]), ("c", [of(9), crowd()])
    assert split(*rows, ("d", [of(9), of(6)])) == (["b", "c"], ["a", "d"])


def test_one_is_enough_where_nothing_is_set() -> None:
    assert split(("a", [of(1)]), ("b", [of(9)]), least=1) == (["a", "b"], [])


def test_too_few_altogether_are_said_to_be_too_few() -> None:
    rows = [("a", [of(2)]), ("b", [of(3)])]
    shown, together = apart(rows, crowds, LEAST)
    assert (shown, names(together)) == ([], ["a", "b"])
    assert not enough(together, crowds, LEAST)


def test_whatever_the_crowds_no_cell_that_shows_or_follows_is_of_few() -> None:
    """The row of those together is the total without what is shown: it must be of enough too."""
    rng = random.Random(7)  # noqa: S311  to be made again
    hidden = alone = 0
    for _ in range(3000):
        people, spans = rng.randint(1, 14), rng.randint(1, 3)
        rows = [
            (
                str(n),
                [crowd(*rng.sample(range(people), rng.randint(0, people))) for _ in range(spans)],
            )
            for n in range(rng.randint(1, 7))
        ]
        whole = [frozenset().union(*cell) for cell in zip(*map(crowds, rows), strict=True)]
        shown, together = apart(rows, crowds, LEAST)
        assert sorted(names(shown) + names(together)) == sorted(names(rows))
        for row in shown:
            assert all(len(cell) == 0 or len(cell) >= LEAST for cell in row[1])
        if not together:
            continue
        hidden += 1
        alone += len(together) == 1
        # One row alone only where there is no other, and too few only where nothing is shown.
        assert len(together) > 1 or len(rows) == 1
        if all(len(cell) == 0 or len(cell) >= LEAST for cell in whole):
            assert enough(together, crowds, LEAST)
        else:
            assert enough(together, crowds, LEAST) or not shown
    assert hidden > 1000
    assert alone
