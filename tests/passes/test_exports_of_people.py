"""Exports where a directory says who is who, and where people are hidden."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from exported import bytes_of, document, rows, table
from helpers import EXAMPLES
from session_pipeline_dagster.passes.exports.copy import publish
from session_pipeline_dagster.passes.exports.export import Wanted, export
from session_pipeline_dagster.passes.exports.upkeep import hand_on
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_records import ExportFormat, ExportSettings
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings
from session_pipeline_dagster.testing import Pipeline, SessionBuilder
from session_pipeline_dagster.testing.pipeline import Placing

pytestmark = pytest.mark.slow(seconds=6)
DIRECTORY = """folder,person,team,cost_center,from,to
alice,Alice A,data,cc1,,2026-05-10
alice,Alice A,platform,cc2,2026-05-11,
bob,Bob B,platform,cc2,,
"""
DATA, PLATFORM = Decimal("0.36414605"), Decimal("0.86157825")
EVERY = frozenset(ExportFormat)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "people.csv").write_text(DIRECTORY)
    named = PeopleSettings(directory=folder / "people.csv")
    made = Pipeline(folder, Settings(workers=1, people=named))
    for path in EXAMPLES.rglob("*.jsonl"):
        made.write(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    made.run(UsageProcessor().under(made.settings))
    return made


@pytest.fixture
def shown(examples: Pipeline) -> Iterator[Callable[..., Pipeline]]:
    """The same database with people shown in another way."""
    settings = examples.settings

    def showing(**people: object) -> Pipeline:
        examples.settings = replace(settings, people=replace(settings.people, **people))
        return examples

    yield showing
    examples.settings = settings


def exported(pipeline: Pipeline, into: Path, formats: frozenset[ExportFormat] = EVERY) -> Path:
    usage = UsageProcessor().under(pipeline.settings)
    export(pipeline.store, usage, pipeline.settings, into, Wanted(formats))
    return into


def test_people_and_teams_are_those_of_the_directory(examples: Pipeline, tmp_path: Path) -> None:
    into = exported(examples, tmp_path / "out")
    teams = defaultdict(Decimal)
    for row in table(into / "focus.csv"):
        teams[row["x_Team"], row["x_CostCenter"]] += Decimal(row["ListCost"])
    assert teams == {("data", "cc1"): DATA, ("platform", "cc2"): PLATFORM}
    assert [*document(into / "daily.json")["projects"]] == ["Alice A", "Bob B"]
    people = {row[0] for row in rows(into, "usage_person_daily", "person")}
    assert people == {"Alice A", "Bob B"}
    found = table(into / "chargeback_monthly" / "part.csv")
    assert {row["team"]: Decimal(row["cost"]) for row in found} == {
        **{"data": DATA, "platform": PLATFORM}
    }


def test_of_pseudonyms_nothing_leads_back_to_a_name(
    shown: Callable[..., Pipeline], tmp_path: Path
) -> None:
    pipeline = shown(mode=PeopleMode.PSEUDONYM)
    into = exported(pipeline, tmp_path / "out")
    copy = tmp_path / "copy.duckdb"
    publish(pipeline.store, UsageProcessor().under(pipeline.settings), pipeline.settings, copy)
    for content in (bytes_of(into).lower(), copy.read_bytes().lower()):
        assert b"alice" not in content
        assert b"bob" not in content
    assert not (into / "session.json").exists()
    people = {row["SubAccountId"] for row in table(into / "focus.csv")}
    assert len(people) == 2
    assert all(name.startswith("p-") for name in people)
    assert {*document(into / "daily.json")["projects"]} == people
    assert {row[0] for row in rows(into, "usage_person_daily", "person")} == people


def test_where_nobody_is_shown_a_bill_has_teams(
    shown: Callable[..., Pipeline], tmp_path: Path
) -> None:
    pipeline = shown(mode=PeopleMode.TEAM, min_group=1)
    into = exported(pipeline, tmp_path / "out", EVERY - {ExportFormat.CCUSAGE})
    content = bytes_of(into).lower()
    assert b"alice" not in content
    assert b"bob" not in content
    assert not (into / "usage_person_daily").exists()
    teams, kinds = defaultdict(Decimal), set()
    for row in table(into / "focus.csv"):
        teams[row["SubAccountId"]] += Decimal(row["ListCost"])
        kinds.add((row["x_TokenKind"], row["x_Model"], row["PricingUnit"], row["ListUnitPrice"]))
        assert row["PricingQuantity"] == row["ListCost"]
    assert teams == {"data": DATA, "platform": PLATFORM}
    assert kinds == {("all", "", "US Dollars", "1")}


def test_small_teams_are_in_no_bill(shown: Callable[..., Pipeline], tmp_path: Path) -> None:
    pipeline = shown(mode=PeopleMode.TEAM)
    into = exported(pipeline, tmp_path / "out", EVERY - {ExportFormat.CCUSAGE})
    assert table(into / "focus.csv") == []
    assert b"platform" not in bytes_of(into)


@pytest.mark.everywhere
def test_small_teams_and_names_are_hidden_wherever_the_store_is(
    place: Placing, tmp_path: Path
) -> None:
    sizes = {"quokka": 6, "wombat": 5, "numbat": 2}
    names = {f"{team}-{'abcdef'[n]}zyxq": team for team, size in sizes.items() for n in range(size)}
    directory = tmp_path / "people.csv"
    directory.write_text(
        "folder,person,team\n" + "".join(f"{who},{who},of-{of}\n" for who, of in names.items())
    )
    pipeline = Pipeline(
        tmp_path / "data",
        Settings(
            workers=1,
            people=PeopleSettings(directory=directory, mode=PeopleMode.TEAM),
            exports=ExportSettings(folder=tmp_path / "out", formats=EVERY),
        ),
        place,
    )
    for who in names:
        session = SessionBuilder(f"s-{who}", cwd=f"/home/{who}/shop").prompt("x").response("y")
        pipeline.write(f"{who}/p/{who}.jsonl", session)
    usage = UsageProcessor().under(pipeline.settings)
    pipeline.run(usage)
    made = hand_on(pipeline.store, usage, pipeline.settings)
    # The small team takes the next smallest with it.
    teams = {(row[0], row[1]) for row in rows(tmp_path / "out", "usage_team_daily", "team, people")}
    assert teams == {("of-quokka", 6), ("(org)", 7)}
    (shared,) = made.copies
    with duckdb.connect(str(shared), read_only=True) as connection:
        found = connection.execute("SELECT team, people FROM usage_team_daily").fetchall()
    assert {*found} == teams
    for content in (bytes_of(tmp_path / "out").lower(), shared.read_bytes().lower()):
        assert b"zyxq" not in content, "no name"
        assert b"numbat" not in content
        assert b"wombat" not in content
