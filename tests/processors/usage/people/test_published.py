"""What may leave: no cell of few people follows from all published tables together."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from company_people import START, Used, database, fill
from session_pipeline_dagster.contract.derivation import Inputs
from session_pipeline_dagster.contract.quality import Data
from session_pipeline_dagster.people.directory import Directory, directory_of
from session_pipeline_dagster.people.rows import Row
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.exports import prometheus
from session_pipeline_dagster.processors.usage.people.published import published
from session_pipeline_dagster.processors.usage.people.shown import TABLES, shown_derivation
from session_pipeline_dagster.settings import MoneySettings, PeopleMode, PeopleSettings, Settings
from session_pipeline_dagster.store.write import insert_rows
from solving import solved

LEAST = 5
Published = Mapping[str, Sequence[tuple[object, ...]]]


def company(rng: random.Random) -> tuple[Directory, list[Used]]:
    """30 teams of 1 to 12 people in some groups, over two months; who is new is in no team."""
    groups = [f"g{n}" for n in range(rng.randint(1, 5))]
    rows, people = [], ["new1", "new2"]
    for team in range(30):
        parent = rng.choice([*groups, ""])
        for member in range(rng.randint(1, 12)):
            people.append(f"t{team}m{member}")
            given = {"folder": people[-1], "person": people[-1], "team": f"t{team}"}
            rows.append(Row("f", len(rows) + 2, given | ({"parent": parent} if parent else {})))
    days = [START + timedelta(n) for n in (0, 1, 12, 30)]
    used = [
        Used(day, who, "-p", "shop", f"s{n}", 1, Decimal(rng.randint(1, 10**9)).scaleb(-6))
        for n, (day, who) in enumerate((day, who) for day in days for who in people)
        if rng.random() < (0.04 if day == days[-1] else 0.6)
    ]
    return directory_of(rows), used


def shown(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Published:
    """All that is published, with what is derived for it."""
    days = "SELECT DISTINCT day, username, project FROM usage_slots"
    connection.execute(f"INSERT INTO usage_daily BY NAME {days}")
    derivation = shown_derivation(settings)
    rows = {name: connection.execute(sql).fetchall() for name, sql in derivation.reads.items()}
    changes = derivation.compute(Inputs(frozenset(), rows, None))
    for table in TABLES:
        insert_rows(connection, table, changes.added[table])
    return {one.name: connection.execute(one.select).fetchall() for one in published(settings)}


def settings(folder: Path, mode: PeopleMode, least: int | None = None) -> Settings:
    people = PeopleSettings(mode=mode, min_group=least)
    return Settings(database=folder / "x.duckdb", people=people)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("mode", [PeopleMode.TEAM, PeopleMode.PSEUDONYM])
def test_no_cell_of_few_people_follows_from_all_tables(
    tmp_path: Path, seed: int, mode: PeopleMode
) -> None:
    rng = random.Random(seed)  # noqa: S311  made-up people
    directory, used = company(rng)
    connection = database()
    fill(connection, directory, used)
    found = shown(connection, settings(tmp_path, mode, LEAST))
    active: dict[tuple[object, str], set[str]] = defaultdict(set)
    cost: dict[tuple[object, str], Decimal] = defaultdict(Decimal)
    teams = {m.folder: m.team or "" for m in directory.memberships}
    for one in used:
        cell = (one.day, teams.get(one.folder, "(unassigned)"))
        active[cell].add(one.folder)
        cost[cell] += one.cost or Decimal(0)
    small = [cell for cell, people in active.items() if len(people) < LEAST]
    assert small
    assert all(row[4] >= LEAST for row in found["usage_team_daily"])
    # Every shown sum, and every sum and difference of two of them.
    sums = [Fraction(row[-2]) for row in found["usage_team_daily"]]
    sums += [Fraction(row[3]) for row in found["chargeback_monthly"] if row[3]]
    known = {*sums}
    known |= {abs(a - b) for a in sums for b in sums}
    known |= {a + b for a in sums for b in sums}
    for first, last in pairwise(sorted(sums)):
        known.add(last - first)
    assert not {Fraction(cost[cell]) for cell in small} & known
    if mode is PeopleMode.PSEUDONYM:
        assert {row[2] for row in found["usage_person_daily"]} == {None}


def test_what_is_shown_nowhere_on_a_day_is_the_organisations_in_the_month(tmp_path: Path) -> None:
    """If it is of enough people over the month; else it is nobody's."""
    connection = database()
    used = [
        Used(START + timedelta(day), f"u{day}{n}", None, None, "s", 1, Decimal(1))
        for day in (0, 1, 2)
        for n in range(2)
    ]
    used += [Used(START + timedelta(30), "u99", None, None, "s", 1, Decimal(7))]
    fill(connection, Directory(), used)
    found = shown(connection, settings(tmp_path, PeopleMode.TEAM))
    assert found["usage_team_daily"] == []
    assert [row[:4] for row in found["chargeback_monthly"]] == [
        (START.replace(day=1), None, "(org)", Decimal(6))
    ]


def test_what_is_shown_on_no_day_is_nobodys_until_the_month_is_over(tmp_path: Path) -> None:
    """The file of today less that of yesterday would be what few people did today."""
    today = datetime.now(UTC).date()
    last_month = today.replace(day=1) - timedelta(days=1)
    connection = database()
    used = [
        Used(day, f"{when}{n}", None, None, "s", 1, Decimal(1))
        for when, day in (("a", last_month), ("b", last_month - timedelta(days=1)))
        for n in range(3)
    ]
    used += [Used(today, f"c{n}", None, None, "s", 1, Decimal(1)) for n in range(4)]
    used += [Used(today.replace(day=1), f"d{n}", None, None, "s", 1, Decimal(1)) for n in range(4)]
    if today.day == 1:
        used = used[:-4]
    fill(connection, Directory(), used)
    found = shown(connection, settings(tmp_path, PeopleMode.TEAM))
    assert found["usage_team_daily"] == []
    assert [row[:4] for row in found["chargeback_monthly"]] == [
        (last_month.replace(day=1), None, "(org)", Decimal(6))
    ]


@pytest.mark.parametrize("mode", [PeopleMode.TEAM, PeopleMode.NAMED])
def test_no_hidden_cell_follows_from_spans_of_days_and_what_is_shown_of_each(
    tmp_path: Path, mode: PeopleMode
) -> None:
    """Each cell costs another power of two, so a shown sum says which cells are in it."""
    rng = random.Random(7)  # noqa: S311  made-up people
    sizes = {"a": 2, "b": 3, "c": 6, "d": 7}
    people = [(f"{team}{n}", team) for team, size in sizes.items() for n in range(size)]
    rows = [Row("f", n, {"folder": who, "team": team}) for n, (who, team) in enumerate(people, 2)]
    today, cells, used = date(2026, 5, 31), [], []
    # On some days only a team of two works, on others everybody; some are in one span alone.
    for age in (0, 1, 3, 6, 8, 20, 29, 40, 70):
        few = age in (3, 20, 40)
        for team in ["a"] if few else sizes:
            working = [who for who, of in people if of == team and (few or rng.random() < 0.9)]
            for n, who in enumerate(working):
                cost = Decimal(0 if n else 2 ** len(cells))
                day = today - timedelta(age)
                used.append(Used(day, who, None, None, f"s{age}{who}", 1, cost))
            if working:
                cells.append((age, team))
    connection = database()
    fill(connection, directory_of(rows), used)
    given = settings(tmp_path, mode, LEAST)
    found = shown(connection, given)
    connection.execute("DELETE FROM usage_daily")
    connection.execute(
        """INSERT INTO usage_daily BY NAME SELECT day, username, model, provider, messages,
        unpriced_messages, cost, input_tokens, output_tokens, cache_creation_tokens,
        cache_read_tokens FROM usage_slots"""
    )
    spans, whole = (
        connection.execute(sql).fetchall()
        for sql in reversed(prometheus.selects(today.isoformat(), given.people)[:2])
    )
    assert [row[0] for row in spans] == [1, 7, 30]
    sums = [int(row[-2]) for row in found["usage_team_daily"]]
    sums += [int(row[3]) for row in found["chargeback_monthly"]]
    sums += [int(row[1]) for row in (*spans, *((None, row[7]) for row in whole))]
    equations = [{n for n in range(len(cells)) if one >> n & 1} for one in sums]
    hidden = {n for n, (age, team) in enumerate(cells) if age in (3, 20, 40) or team in ("a", "b")}
    known = solved(equations, len(cells))
    assert not hidden & known, [cells[n] for n in hidden & known]
    assert known, "large teams are shown, day by day"


def test_who_is_in_two_teams_that_are_shown_as_one_is_one_person(tmp_path: Path) -> None:
    connection = database()
    people = [("ann", "a"), ("ann", "b"), ("bob", "a"), ("cy", "b"), ("dan", "b"), ("ann", "c")]
    people += [(f"c{n}", "c") for n in range(5)]
    rows = [
        Row("f", line, {"folder": f"{who}-{team}", "person": who, "team": team})
        for line, (who, team) in enumerate(people, 2)
    ]
    folders = [f"{who}-{team}" for who, team in people if who != "dan"] + ["new"]
    used = [Used(START, folder, None, None, "s", 1, Decimal(1)) for folder in folders]
    fill(connection, directory_of(rows), used)
    found = shown(connection, settings(tmp_path, PeopleMode.TEAM, 4))
    # Of a and b: Ann, Bob, Cy, Dan, who did nothing; and who is in no team.
    assert [row[1:5] for row in sorted(found["usage_team_daily"], key=repr)] == [
        ("(org)", None, 5, 4),
        ("c", None, 6, 6),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", PeopleMode)
def test_all_that_is_published_adds_up_to_what_there_is(tmp_path: Path, mode: PeopleMode) -> None:
    rng = random.Random(4)  # noqa: S311  made-up people
    directory, used = company(rng)
    connection = database()
    fill(connection, directory, used)
    found = shown(connection, settings(tmp_path, mode, 1))
    whole = sum((one.cost or Decimal(0) for one in used), Decimal(0))
    for name, column in {"usage_team_daily": -2, "chargeback_monthly": 3}.items():
        assert sum(row[column] for row in found[name]) == whole, name
    if mode is PeopleMode.TEAM:
        assert "usage_person_daily" not in found
    else:
        assert sum(row[-1] for row in found["usage_person_daily"]) == whole


@pytest.mark.parametrize(("mode", "least"), [(PeopleMode.PSEUDONYM, None), (PeopleMode.NAMED, 5)])
def test_a_persons_day_has_the_same_columns_whoever_is_hidden(
    tmp_path: Path, mode: PeopleMode, least: int | None
) -> None:
    with database() as connection:
        asked = [
            one.select
            for given in (settings(tmp_path, PeopleMode.NAMED), settings(tmp_path, mode, least))
            for one in published(given)
            if one.name == "usage_person_daily"
        ]
        named, hidden = (
            [(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE {sql}").fetchall()]
            for sql in asked
        )
    assert hidden == named


def test_pseudonyms_are_the_same_in_every_table_and_name_nobody(tmp_path: Path) -> None:
    connection = database()
    directory = directory_of([Row("f", 2, {"folder": "alice", "person": "Alice", "team": "data"})])
    used = [
        Used(START, "alice", "-home-alice-x", name, "s", 1, Decimal(1))
        for name in ("shop", "alice", "alice-notes", None)
    ]
    fill(connection, directory, used)
    connection.execute(
        "INSERT INTO usage_activity_daily SELECT day, username, project, 1, 1, 1, 0, 0, 1.0 "
        "FROM usage_slots"
    )
    found = shown(connection, settings(tmp_path, PeopleMode.PSEUDONYM))
    (person,) = {row[1] for row in found["usage_person_daily"]}
    assert {row[1] for row in found["usage_activity_daily"]} == {person}
    assert person.startswith("p-")
    projects = sorted(row[4] for row in found["usage_person_daily"])
    assert projects == ["(not shown)", "shop"]
    assert "alice" not in repr(found).lower()


def test_budgets_of_people_and_of_small_teams_are_not_handed_on(tmp_path: Path) -> None:
    connection = database()
    people = [("big", n) for n in range(6)] + [("small", n) for n in range(2)]
    directory = directory_of(
        [
            Row("f", line, {"folder": f"{team}{n}", "person": f"{team}{n}", "team": team})
            for line, (team, n) in enumerate(people, 2)
        ]
    )
    used = [Used(START, f"{team}{n}", None, None, "s", 1, Decimal(1)) for team, n in people]
    fill(connection, directory, used)
    names = {"all": "org", "hers": "person:big1", "b": "team:big", "s": "team:small"}
    text = "".join(
        f'[[budget]]\nname = "{name}"\nscope = "{scope}"\nperiod = "month"\namount = 1\n'
        for name, scope in names.items()
    )
    (tmp_path / "budgets.toml").write_text(text)
    for name in names:
        connection.execute(
            "INSERT INTO budget_status BY NAME SELECT ?::DATE AS period_start, ? AS budget",
            [START.replace(day=1), name],
        )
    for mode, least, expected in (
        (PeopleMode.NAMED, None, {*names}),
        (PeopleMode.TEAM, 1, {"all", "b", "s"}),
        (PeopleMode.TEAM, 2, {"all", "b", "s"}),
        (PeopleMode.TEAM, 3, {"all"}),
    ):
        given = settings(tmp_path, mode, least)
        money = MoneySettings(budgets=tmp_path / "budgets.toml")
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
        found = shown(
            connection, Settings(database=given.database, people=given.people, money=money)
        )
        assert {row[1] for row in found["budget_status"]} == expected, (mode, least)


def test_the_check_of_a_small_teams_budget_says_nothing_of_it(tmp_path: Path) -> None:
    connection = database()
    directory = directory_of([Row("f", 2, {"folder": "a", "person": "a", "team": "small"})])
    fill(connection, directory, [Used(START, "a", None, None, "s", 1, Decimal(3))])
    text = '[[budget]]\nname = "s"\nscope = "team:small"\nperiod = "month"\namount = 1\n'
    (tmp_path / "budgets.toml").write_text(text)
    connection.execute(
        "INSERT INTO budget_status BY NAME SELECT ?::DATE AS period_start, 's' AS budget",
        [START.replace(day=1)],
    )
    money = MoneySettings(budgets=tmp_path / "budgets.toml")
    for mode, seen in ((PeopleMode.NAMED, True), (PeopleMode.TEAM, False)):
        given = Settings(database=tmp_path / "x", money=money, people=PeopleSettings(mode=mode))
        shown(connection, given)
        (rule,) = (r for r in UsageProcessor(settings=given).quality if r.name == "budget_s")
        found = rule.measure(Data(lambda sql: connection.execute(sql).fetchall(), lambda _: None))
        assert bool(found.numbers) == seen, mode
        assert ("not shown" in found.said) != seen


def test_a_pass_need_not_open_the_database_for_each_step_where_nobody_is_hidden() -> None:
    """A derivation that is not quick would cost every pass a second: tests, and all who run it."""
    named, by_team = (
        Settings(people=PeopleSettings(mode=mode)) for mode in (PeopleMode.NAMED, PeopleMode.TEAM)
    )
    derivations = UsageProcessor(settings=named).derivations
    assert [one.name for one in derivations if not one.quick] == []
    assert not shown_derivation(by_team).quick
