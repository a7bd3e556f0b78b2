"""All that is shown of a company together: nothing of few people follows, whatever is set off."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money import breakdown
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings
from veiled_company import Office, Reader, company, hidden

LEAST = 5
TEAM = PeopleSettings(mode=PeopleMode.TEAM)


@pytest.mark.slow(seconds=40)
def test_nothing_of_few_people_follows_from_all_answers_files_and_pages(tmp_path: Path) -> None:
    """30 teams in groups, over weeks, people who move, projects and models of one person, a day of
    one: every sum of `usage`, of the files and of pages and digests of many days is an equation."""
    made = company(random.Random(1))  # noqa: S311  made-up people
    office = Office(made, Settings(database=tmp_path / "x.duckdb", people=TEAM), tmp_path)
    sums = office.sums()
    small = hidden(made.cells, LEAST)
    assert len(small) > 700
    assert len({one.cells for one in sums}) > 100, "something is shown"
    reader = Reader((one.cells for one in sums), len(made.cells))
    assert [name for name, cells in small.items() if reader.knows(cells)] == []
    # And no sum is of fewer people itself.
    for one in sums:
        people = {made.cells[n].person for n in one.cells}
        assert not people or len(people) >= LEAST, one.where


def test_the_reader_finds_what_a_longer_span_gives_away() -> None:
    """The reader is none that cannot find anything."""
    one, all_but_one, whole = frozenset({3}), frozenset({0, 1, 2}), frozenset({0, 1, 2, 3})
    reader = Reader([whole, all_but_one], 4)
    assert reader.knows(one)
    assert reader.rank == 2
    assert not reader.knows({1, 2})
    assert not Reader([whole, frozenset({2, 3, 4})], 5).knows({2, 3})
    assert Reader([frozenset({0, 1}), frozenset({1, 2}), frozenset({0, 2})], 3).knows({1})


@pytest.mark.parametrize(
    ("by", "agent"),
    [
        (("team",), "codex"),
        (("project",), "codex"),
        (("team", "day"), "codex"),
        (("team", "project"), None),
        (("project", "model"), None),
        (("cost_center", "agent"), None),
    ],
)
def test_usage_is_told_apart_one_way_at_a_time(by: tuple[str, ...], agent: str | None) -> None:
    """A team's usage of one agent may be one person's, and so may be a project's of a team."""
    asked = breakdown.Asked(by, people=TEAM, agent=agent)
    with pytest.raises(SettingsError, match="would tell groups of fewer than 5 people apart"):
        breakdown.check(asked)
    breakdown.check(replace(asked, people=PeopleSettings(mode=PeopleMode.TEAM, min_group=1)))


def test_agent_provider_and_model_are_one_way_and_so_are_days_of_an_agent() -> None:
    for by in (("agent", "model"), ("provider", "model", "week"), ("project", "month"), ("day",)):
        breakdown.check(breakdown.Asked(by, people=TEAM))
    breakdown.check(breakdown.Asked(("model", "day"), people=TEAM, agent="codex"))
    breakdown.check(breakdown.Asked(("week",), people=TEAM, agent="codex"))


def test_people_who_are_shown_one_by_one_are_asked_for_with_an_agent_too() -> None:
    some = PeopleSettings(mode=PeopleMode.PSEUDONYM, min_group=5)
    breakdown.check(breakdown.Asked(("person",), people=some, agent="codex"))


def test_days_of_another_zone_are_refused_where_groups_are_merged() -> None:
    asked = breakdown.Asked(("day",), date(2026, 5, 1), zone=ZoneInfo("Asia/Kolkata"), people=TEAM)
    with pytest.raises(SettingsError, match="these are of UTC"):
        breakdown.check(asked)
