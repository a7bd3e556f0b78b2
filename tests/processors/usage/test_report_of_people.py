"""What the report says of people: whom it names in each mode, and that no cell is of too few.

Files, names and teams are those of `crew.py`, and so is what they must have cost.
"""

import re
import shutil
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crew import LAST, Member, Response, crew, responses, spent, write_directory, write_sessions
from lines import UsagePipeline
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.report import Asked, Report
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.figure_sql import Scope
from session_pipeline_dagster.processors.usage.figures import Figures
from session_pipeline_dagster.processors.usage.report import digest_text, own_report, usage_report
from session_pipeline_dagster.processors.usage.summing import figures
from session_pipeline_dagster.settings import MoneySettings, PeopleMode, PeopleSettings, Settings
from session_pipeline_dagster.store.database import Store, open_store

pytestmark = pytest.mark.slow

TODAY = LAST + timedelta(days=1)
LEAST = 5
FEW = "(fewer than 5 people)"


@dataclass(frozen=True, slots=True)
class Place:
    """A database with the crew in it, and how people are shown there."""

    settings: Settings

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    def publish(self, report: Report | None = None) -> Published:
        report = report or usage_report(self.settings)
        processor = UsageProcessor().under(self.settings)
        return publish(processor, report, self.store, self.settings.reports, Asked(TODAY))

    def figures(self) -> Figures:
        people = self.settings.people
        answers = self.store.query(*usage_report(self.settings).selects(Asked(TODAY)))
        return figures([rows for _, rows in answers], Scope(people.mode, people.smallest_group))

    def digest(self) -> str:
        return digest_text(self.settings, TODAY, self.store.query)


@dataclass(frozen=True, slots=True)
class Crew:
    members: list[Member]
    responses: list[Response]
    pipeline: UsagePipeline
    directory: Path

    @property
    def names(self) -> set[str]:
        return {name for member in self.members for name in member.names}

    def shown(self, folder: Path, mode: PeopleMode, **changes: object) -> Place:
        """A copy of the database where people are shown so, after a pass."""
        folder.mkdir()
        people = PeopleSettings(self.directory, mode=mode, **changes)
        budgets = folder / "budgets.toml"
        budgets.write_text(BUDGETS)
        settings = replace(
            self.pipeline.settings,
            database=folder / "usage.duckdb",
            people=people,
            money=MoneySettings(budgets=budgets),
            user="zq03",
        )
        shutil.copy(self.pipeline.settings.database, settings.database)
        processor, store = UsageProcessor().under(settings), open_store(settings)
        store.prepare(processor)
        recompute(processor, store, settings)
        return Place(settings)


BUDGETS = """[[budget]]
name = "All of us"
scope = "org"
period = "month"
amount = 100

[[budget]]
name = "Zora Quill00"
scope = "person:Zora Quill00"
period = "month"
amount = 1
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Crew:
    folder, members = tmp_path_factory.mktemp("crew"), crew()
    pipeline = UsagePipeline(folder)
    write_sessions(pipeline, members)
    pipeline.run()
    processor = UsageProcessor().under(pipeline.settings)
    pipeline.store.prepare(processor)
    recompute(processor, pipeline.store, pipeline.settings)
    directory = folder / "directory.csv"
    write_directory(directory, members)
    return Crew(members, responses(pipeline, members), pipeline, directory)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modes")


@pytest.fixture(scope="module")
def named(people: Crew, folder: Path) -> Place:
    return people.shown(folder / "named", PeopleMode.NAMED)


@pytest.fixture(scope="module")
def pseudonym(people: Crew, folder: Path) -> Place:
    return people.shown(folder / "pseudonym", PeopleMode.PSEUDONYM)


@pytest.fixture(scope="module")
def team(people: Crew, folder: Path) -> Place:
    return people.shown(folder / "team", PeopleMode.TEAM)


def money(found: Figures, kind: str) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    return {p.name: (p.last.cost, p.before.cost, p.whole.cost) for p in found.parts[kind]}


def held(made: Published, names: set[str]) -> set[str]:
    """The names that stand anywhere in the files, the numbers or the preview."""
    files = b"".join(path.read_bytes() for path in made.paths).decode("utf-8", "replace")
    text = f"{files} {made.numbers} {made.preview}".casefold()
    return {name for name in names if name.casefold() in text}


# --- the money ---


@pytest.mark.parametrize("kind", ["team", "person", "project", "model"])
def test_money_of_both_weeks_and_of_all_is_that_of_the_responses(
    people: Crew, named: Place, kind: str
) -> None:
    found, expected = named.figures(), spent(people.responses, kind)
    assert money(found, kind) == expected
    assert len(expected) > 2
    names = [part.name for part in found.parts[kind]]
    by_cost = sorted(expected, key=lambda name: -expected[name][2])
    assert names == (sorted(expected) if kind == "person" else by_cost), "people are not ranked"


def test_whoever_may_be_named_is_named(people: Crew, named: Place) -> None:
    found = held(named.publish(), people.names)
    assert {member.person for member in people.members} <= found


# --- nobody is named ---


def test_pseudonyms_stand_in_place_of_people_and_of_what_names_them(
    people: Crew, pseudonym: Place
) -> None:
    made = pseudonym.publish()
    assert held(made, people.names) == set()
    veil = veil_of(pseudonym.settings)
    page = made.paths[0].read_text("utf-8")
    assert all(veil.person(member.person) in page for member in people.members)
    found = pseudonym.figures()
    expected = spent(people.responses, "person")
    assert money(found, "person") == {veil.person(n): sums for n, sums in expected.items()}
    # What is called like somebody is one row, and so is a person's budget under their pseudonym.
    projects = spent(people.responses, "project")
    assert money(found, "project")["(not shown)"] == projects["zq00-notes"]
    assert "(not shown)" in {row.name for row in found.called["skill"]}
    assert veil.person("Zora Quill00") in {budget.name for budget in found.budgets}
    assert not found.parts["branch"]


def test_in_team_mode_the_page_holds_nobody_and_nothing_of_few(people: Crew, team: Place) -> None:
    made = team.publish()
    few = {"gamma", "duo-notes", "solo-notes", "only-mine", "p-"}
    assert held(made, people.names | few) & (people.names | few - {"p-"}) == set()
    assert not re.search(r"\bp-[a-z]{10}\b", made.paths[0].read_text("utf-8"))
    found = team.figures()
    assert not found.parts["person"]
    assert not found.parts["branch"]
    assert [budget.name for budget in found.budgets] == ["All of us"]
    assert FEW in made.paths[0].read_text("utf-8")


def test_no_cell_of_the_figures_is_of_fewer_people(people: Crew, team: Place) -> None:
    found = team.figures()
    rows = [*found.total.crowds]
    for kind in ("team", "project", "model"):
        rows += [crowd for part in found.parts[kind] for crowd in part.crowds]
    rows += [crowd for calls in found.called.values() for row in calls for crowd in row.crowds]
    assert len(rows) > 20
    assert all(not crowd or len(crowd) >= LEAST for crowd in rows)
    # What is merged is all of it: the rest is what is shown.
    for kind in ("project", "model"):
        assert sum(p.whole.cost for p in found.parts[kind]) == found.total.whole.cost
    assert {part.name for part in found.parts["project"]} == {"monolith", FEW}


def test_days_of_fewer_people_are_in_no_sum(people: Crew, team: Place) -> None:
    """Two people worked on the Saturday; on the Sunday eight, of whom two are of one team."""
    saturday = LAST - timedelta(days=1)
    found = team.figures()
    expected = sum(one.cost for one in people.responses if one.day != saturday)
    assert found.total.whole.cost == expected
    hours = sum(found.hours.values())
    assert 0 < hours <= found.total.whole.messages
    assert saturday not in {bar.start for bar in found.bars}
    assert (found.first, found.last) == (date(2026, 4, 27), LAST)


def test_a_least_number_holds_where_people_are_named_too(people: Crew, folder: Path) -> None:
    place = people.shown(folder / "least", PeopleMode.NAMED, min_group=LEAST)
    found = place.figures()
    assert "gamma" not in money(found, "team")
    assert {part.name for part in found.parts["project"]} == {"monolith", FEW}
    assert len(found.parts["person"]) == len(people.members)


def test_where_too_few_are_there_at_all_nothing_is_shown(people: Crew, folder: Path) -> None:
    place = people.shown(folder / "none", PeopleMode.TEAM, min_group=14)
    made = place.publish()
    assert set(made.numbers.values()) == {0}
    assert "on no day were at least 14 people active" in made.paths[0].read_text("utf-8")
    assert place.digest().endswith(
        "no day with usage of at least 14 people, nor in the week before"
    )


def test_a_mode_that_no_pass_knows_yet_shows_nothing(people: Crew, named: Place) -> None:
    """What is shown in place of people is made by a pass: until then there is nothing to show."""
    for mode in (PeopleMode.TEAM, PeopleMode.PSEUDONYM):
        later = Place(replace(named.settings, people=replace(named.settings.people, mode=mode)))
        assert held(later.publish(), people.names) == set()
    assert set(later.publish().numbers.values()) != {0}, "what names nobody may be shown"


# --- one's own page ---


def test_ones_own_page_is_of_oneself_alone(people: Crew, named: Place) -> None:
    made = named.publish(own_report(named.settings, "me"))
    mine = people.members[3]
    assert [path.name for path in made.paths] == ["usage-person.html"]
    assert mine.person in made.paths[0].read_text("utf-8")
    own = set(mine.names)
    assert held(made, people.names - own) == set()
    whole = spent(people.responses, "person")[mine.person]
    assert made.numbers["cost_usd"] == float(whole[2])
    assert made.numbers["cost_usd_last_7_days"] == float(whole[0])
    assert made.numbers["people"] == 1
    other = named.publish(own_report(named.settings, "Zora Quill05"))
    assert other.numbers["cost_usd"] == float(spent(people.responses, "person")["Zora Quill05"][2])


def test_in_team_mode_there_is_ones_own_page_alone_and_it_names_nobody(
    people: Crew, team: Place
) -> None:
    made = team.publish(own_report(team.settings, "me"))
    assert held(made, people.names) == set()
    assert "Your own usage" in made.paths[0].read_text("utf-8")
    assert made.numbers["cost_usd"] == float(spent(people.responses, "person")["Zora Quill03"][2])
    with pytest.raises(SettingsError, match="nobody is shown below teams"):
        own_report(team.settings, "Zora Quill05")


def test_where_there_are_pseudonyms_people_are_asked_for_by_them(
    people: Crew, pseudonym: Place
) -> None:
    name = veil_of(pseudonym.settings).person("Zora Quill05")
    made = pseudonym.publish(own_report(pseudonym.settings, name))
    assert held(made, people.names) == set()
    assert f"Usage of {name}" in made.paths[0].read_text("utf-8")
    assert made.numbers["cost_usd"] == float(spent(people.responses, "person")["Zora Quill05"][2])
    with pytest.raises(SettingsError, match="people are asked for by their pseudonym"):
        pseudonym.publish(own_report(pseudonym.settings, "Zora Quill05"))


def test_who_used_nothing_is_said_and_no_page_is_written(named: Place) -> None:
    page = named.settings.reports / "usage-person.html"
    page.unlink(missing_ok=True)
    with pytest.raises(SettingsError, match="no usage of a person or a folder of this name"):
        named.publish(own_report(named.settings, "' OR true --"))
    assert not page.exists()


# --- the digest ---


def test_the_digest_says_the_money_of_both_weeks_and_names_no_person(
    people: Crew, named: Place, team: Place, pseudonym: Place
) -> None:
    whole = [sum(sums) for sums in zip(*spent(people.responses, "team").values(), strict=True)]
    text = named.digest()
    assert text.startswith("Week to 17 May 26: ")
    assert f"{whole[0]:.4f} USD ({whole[1]:.4f} USD the week before" in text
    assert "Teams: alpha" in text
    assert "gamma" in text
    assert "Budgets: All of us" in text
    for place in (team, pseudonym):
        text = place.digest().casefold()
        assert not {name for name in people.names if name.casefold() in text}
    assert "gamma" not in team.digest()
    assert "13 people active" in team.digest()


def test_a_week_without_usage_is_told_as_that(named: Place) -> None:
    text = digest_text(named.settings, date(2026, 9, 7), named.store.query)
    assert text == "Week to 6 Sep 26: no usage to tell of, nor in the week before"


# --- on the command line ---


@pytest.fixture
def cli(people: Crew, named: Place, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("SESSION_DATA_DIR", str(people.pipeline.root))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(named.settings.database))
    monkeypatch.setenv("SESSION_PIPELINE_DIRECTORY", str(people.directory))
    monkeypatch.setenv("SESSION_USER", "zq03")
    return CliRunner()


def asked(cli: CliRunner, *options: str, code: int = 0) -> Result:
    found = cli.invoke(main, ["report", *options])
    assert found.exit_code == code, found.output
    return found


def test_the_command_makes_ones_own_page_and_prints_the_digest(
    cli: CliRunner, named: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = named.settings.reports / "usage-person.html"
    assert asked(cli, "--person", "me").output.splitlines()[0] == str(own)
    assert asked(cli, "--digest", "--week", "2026-05-13").stdout.rstrip() == named.digest()
    wrong = asked(cli, "--digest", "--person", "me", code=2)
    assert "--digest prints a text" in wrong.output
    assert "takes a day" in asked(cli, "--digest", "--week", "May", code=2).output
    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", "team")
    refused = asked(cli, "--person", "Zora Quill05", code=2)
    assert "nobody is shown below teams" in refused.output


def test_who_is_forgotten_loses_the_page_of_their_own_too(
    people: Crew, folder: Path, cli: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = people.shown(folder / "forgetting", PeopleMode.NAMED)
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(place.settings.database))
    monkeypatch.setenv("SESSION_DATA_DIR", str(tmp_path))
    asked(cli, "--person", "Zora Quill05")
    asked(cli)
    assert len(list(place.settings.reports.iterdir())) == 3
    gone = cli.invoke(main, ["forget", "--user", "zq05", "--yes"])
    assert gone.exit_code == 0, gone.output
    assert list(place.settings.reports.iterdir()) == []
