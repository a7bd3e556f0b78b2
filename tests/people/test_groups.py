"""Small groups: what is merged, against the words of the rule and against a brute-force reader."""

import random
from collections import defaultdict
from collections.abc import Mapping

import pytest

from session_pipeline_dagster.people.groups import ROOT, Cell, labels
from solving import solved


def cells(**active: int) -> list[Cell]:
    return [Cell(team, people, people) for team, people in active.items()]


def test_a_cell_of_few_people_is_shown_as_its_parent_with_the_next_smallest() -> None:
    parents = {"data": "tech", "web": "tech", "ops": "tech"}
    assert labels(cells(data=2, web=9, ops=6), parents, 5) == {
        "data": "tech",
        "ops": "tech",
        "web": "web",
    }


def test_two_small_siblings_take_no_third_with_them() -> None:
    assert labels(cells(a=3, b=2, c=7), {}, 5) == {"a": ROOT, "b": ROOT, "c": "c"}


def test_what_is_too_small_at_the_root_takes_the_smallest_with_it() -> None:
    assert labels(cells(a=1, b=1, c=8, d=7), {}, 5) == {"a": ROOT, "b": ROOT, "d": ROOT, "c": "c"}


def test_an_organisation_of_few_is_shown_nowhere() -> None:
    assert labels(cells(a=2, b=2), {}, 5) == {"a": None, "b": None}


def test_a_person_in_two_teams_counts_once_where_they_come_together() -> None:
    two = [Cell("a", 3, 3), Cell("b", 3, 1)]
    assert labels(two, {}, 5) == {"a": None, "b": None}
    assert labels([Cell("a", 3, 3), Cell("b", 3, 2)], {}, 5) == {"a": ROOT, "b": ROOT}


def test_nothing_is_merged_where_every_cell_may_be_shown() -> None:
    assert labels(cells(a=1, b=2), {"a": "b"}, 1) == {"a": "a", "b": "b"}


def test_a_circle_of_parents_hangs_below_the_root() -> None:
    found = labels(cells(a=1, b=1, c=9, d=9), {"a": "b", "b": "a"}, 5)
    assert found["a"] == found["b"] == ROOT
    assert sorted(filter(None, (found["c"], found["d"]))) == [ROOT, "d"]


def test_a_deep_tree_is_no_matter() -> None:
    parents = {str(n): str(n + 1) for n in range(5000)}
    assert labels(cells(**{"0": 1, "4999": 9}), parents, 5)["0"] == "4999"


@pytest.mark.parametrize("seed", range(60))
def test_no_hidden_cell_follows_from_what_is_shown_of_days_and_of_the_month(seed: int) -> None:
    """30 teams of 1 to 12 people, some days: every shown sum as an equation over the true cells."""
    rng = random.Random(seed)  # noqa: S311  a test's
    sizes = {f"t{n}": rng.randint(1, 12) for n in range(30)}
    groups = [f"g{n}" for n in range(rng.randint(1, 6))]
    parents = {team: rng.choice([*groups, ROOT]) for team in sizes}
    parents |= {group: rng.choice([ROOT, *groups[:n]]) for n, group in enumerate(groups)}
    days: list[Mapping[str, str | None]] = []
    cell_of: dict[tuple[int, str], int] = {}
    rows: list[set[int]] = []
    month: dict[str, set[int]] = defaultdict(set)
    for day in range(4):
        active = {team: rng.randint(0, most) for team, most in sizes.items()}
        found = labels(cells(**active), parents, 5)
        days.append(found)
        assert {*found} == {team for team, people in active.items() if people}
        shown: dict[str, set[int]] = defaultdict(set)
        people: dict[str, int] = defaultdict(int)
        for team, label in found.items():
            cell_of[day, team] = len(cell_of)
            if label is not None:
                shown[label].add(cell_of[day, team])
                people[label] += active[team]
                month[label].add(cell_of[day, team])
        assert all(many >= 5 for many in people.values())
        for parent in {*parents.values()}:
            below = [t for t in found if parents[t] == parent]
            alone = [t for t in below if found[t] != t]
            leaves = all(above != parent for group, above in parents.items() if group in groups)
            assert len(alone) != 1 or len(below) == 1 or not leaves
        rows += shown.values()
    rows += month.values()
    hidden = {
        cell_of[day, team]
        for day, found in enumerate(days)
        for team, label in found.items()
        if label != team
    }
    assert hidden
    assert not hidden & solved(rows, len(cell_of))


def test_the_reader_of_sums_finds_what_one_sibling_alone_gives_away() -> None:
    """The solver is none that cannot find anything: a total beside its parts gives the last."""
    assert solved([{0, 1, 2}, {1}, {2}], 3) == {0, 1, 2}
    assert solved([{0, 1}, {2}], 3) == {2}
