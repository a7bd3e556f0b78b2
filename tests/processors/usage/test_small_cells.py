"""Cells of a day of too few people: what is shown says nothing of fewer than that."""

import random
from collections import defaultdict
from collections.abc import Iterator

import duckdb
import pytest

from session_pipeline_dagster.processors.usage.small_cells import (
    FEW,
    NOWHERE,
    SHOWN,
    small_cells,
    told,
)

LEAST = 5
Used = tuple[int, str | None, str]
"""Day, what, who."""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        made.execute("CREATE TABLE used (day INTEGER, what VARCHAR, person VARCHAR)")
        yield made


def split(
    connection: duckdb.DuckDBPyConnection, used: list[Used], least: int = LEAST
) -> dict[tuple[int, str | None], int]:
    connection.execute("DELETE FROM used")
    if used:
        connection.executemany("INSERT INTO used VALUES (?, ?, ?)", used)
    rows = connection.execute(small_cells("used", ["what"], least)).fetchall()
    assert len(rows) == len({(day, what) for day, what, _ in used}), "each cell once"
    return {(day, what): how for day, what, how in rows}


def of(what: str | None, many: int, first: int = 0, day: int = 1) -> list[Used]:
    return [(day, what, f"u{n}") for n in range(first, first + many)]


def test_cells_of_enough_people_are_shown(connection: duckdb.DuckDBPyConnection) -> None:
    assert split(connection, [*of("a", 5), *of(None, 6)]) == {(1, "a"): SHOWN, (1, None): SHOWN}


def test_two_small_cells_that_are_enough_together_hide_no_other(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = split(connection, [*of("a", 4), *of("b", 9), *of("c", 3, 50)])
    assert found == {(1, "a"): FEW, (1, "b"): SHOWN, (1, "c"): FEW}


def test_a_small_cell_alone_takes_the_next_smallest_with_it(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Else it would follow from the total."""
    found = split(connection, [*of(None, 4), *of("b", 9), *of("c", 6)])
    assert found == {(1, None): FEW, (1, "b"): SHOWN, (1, "c"): FEW}


def test_small_cells_of_the_same_few_take_a_larger_one_with_them(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = split(connection, [*of("a", 2), *of("b", 2), *of("c", 7), *of("d", 8)])
    assert found == {(1, "a"): FEW, (1, "b"): FEW, (1, "c"): FEW, (1, "d"): SHOWN}


def test_each_day_is_judged_by_itself(connection: duckdb.DuckDBPyConnection) -> None:
    found = split(connection, [*of("a", 6), *of("b", 7), *of("a", 1, day=2), *of("b", 8, day=2)])
    assert found == {(1, "a"): SHOWN, (1, "b"): SHOWN, (2, "a"): FEW, (2, "b"): FEW}


def test_too_few_altogether_are_shown_nowhere(connection: duckdb.DuckDBPyConnection) -> None:
    found = split(connection, [*of("a", 2), *of("b", 3)])
    assert found == {(1, "a"): NOWHERE, (1, "b"): NOWHERE}
    assert connection.execute(told("used", ["what"], LEAST)).fetchall() == []


def test_one_is_enough_where_nothing_is_set(connection: duckdb.DuckDBPyConnection) -> None:
    assert split(connection, of("a", 1), least=1) == {(1, "a"): SHOWN}


def test_rows_stand_beside_how_they_are_told_each_once(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    split(connection, [*of(None, 5), *of(None, 5), *of("b", 6)])
    rows = connection.execute(told("used", ["what"], LEAST)).fetchall()
    assert len(rows) == 16
    assert {row[-1] for row in rows} == {SHOWN}


def test_whatever_the_crowds_no_cell_that_shows_or_follows_is_of_few(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Those together are the total without what is shown: they must be of enough too."""
    rng = random.Random(7)  # noqa: S311  to be made again
    used = []
    for day in range(1500):
        people = rng.randint(1, 14)
        for what in range(rng.randint(1, 7)):
            some = rng.sample(range(people), rng.randint(0, people))
            used += [(day, f"w{what}", f"u{one}") for one in some]
    found = split(connection, used)
    crowds: dict[tuple[int, str | None], set[str]] = defaultdict(set)
    for day, what, who in used:
        crowds[day, what].add(who)
    hidden = 0
    for day in {day for day, _ in found}:
        ways: dict[int, list[set[str]]] = defaultdict(list)
        for (of_day, what), how in found.items():
            if of_day == day:
                ways[how].append(crowds[day, what])
        assert all(len(crowd) >= LEAST for crowd in ways[SHOWN])
        if ways[NOWHERE]:
            assert len(set().union(*ways[NOWHERE])) < LEAST
            assert {*ways} <= {SHOWN, NOWHERE}
            assert not ways[SHOWN]
        if ways[FEW]:
            hidden += 1
            assert len(set().union(*ways[FEW])) >= LEAST
            # A cell alone is one that there is no other beside.
            assert len(ways[FEW]) > 1
            largest = max(map(len, ways[FEW]))
            assert all(len(crowd) >= largest for crowd in ways[SHOWN]), "the smallest go"
    assert hidden > 400
