"""docs/people.md: its files are read, its queries are run, over the example sessions."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from lines import UsagePipeline
from places import ROOT
from session_pipeline_dagster.people.directory import Directory, Membership, read_directory
from session_pipeline_dagster.people.rows import DirectoryError
from session_pipeline_dagster.processors.usage.people.projects import read_projects
from session_pipeline_dagster.settings import PeopleSettings

PAGE = (ROOT / "docs" / "people.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def said(found: Directory) -> list[dict[str, object]]:
    """What it says, whatever line says it."""
    names = [name for name in Membership.__slots__ if name != "line"]
    return [{name: getattr(one, name) for name in names} for one in found.memberships]


def test_the_directories_of_the_page_and_of_the_examples_say_the_same(tmp_path: Path) -> None:
    (csv,), (yaml,) = blocks("csv"), blocks("yaml")
    example = ROOT / "examples" / "people.csv"
    assert csv == example.read_text("utf-8")
    (tmp_path / "people.yaml").write_text(yaml)
    assert said(read_directory(tmp_path / "people.yaml")) == said(read_directory(example))


def test_the_mistake_of_the_page_is_said_in_these_words(tmp_path: Path) -> None:
    (csv,) = blocks("csv")
    file = tmp_path / "people.csv"
    file.write_text(csv.replace("2026-05-11", "2026-05-10"))
    with pytest.raises(DirectoryError) as error:
        read_directory(file)
    words = " ".join(blocks("text")[0].split())
    assert str(error.value).removeprefix(f"{tmp_path}/") == words


@pytest.mark.slow(seconds=3)
def test_the_queries_of_the_page_run_and_the_first_says_what_stands_below_it(tmp_path) -> None:
    (toml,) = blocks("toml")
    file = tmp_path / "projects.toml"
    file.write_text(toml)
    assert [group.name for group in read_projects(file)] == ["shop"]
    pipeline = UsagePipeline(tmp_path, root=ROOT / "examples" / "sessions")
    pipeline.run(people=PeopleSettings(ROOT / "examples" / "people.csv", file))
    first, *others = blocks("sql")
    shown = [line.split() for line in blocks("text")[1].splitlines()]
    assert pipeline.select(first) == [(team, Decimal(cost)) for team, cost in shown]
    assert len(others) == 3
    for sql in others:
        assert pipeline.select(sql), sql
    projects = pipeline.select("SELECT DISTINCT project FROM usage_person_daily ORDER BY ALL")
    assert projects == [("data-platform",), ("shop",)]
