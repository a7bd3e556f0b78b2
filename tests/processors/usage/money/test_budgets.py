"""budgets.toml and seats.toml: what is read, and each error with its line and what to do."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from company_people import database
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.budget_scopes import strangers
from session_pipeline_dagster.processors.usage.money.budgets import (
    Basis,
    Budget,
    Scope,
    ScopeKind,
    check_name,
    read_budgets,
)
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.processors.usage.money.seats import Seat, read_seats

BOB = """[[budget]]
name = "Bob"
scope = "person:bob"
period = "month"
amount = 0.50
"""
SEAT = """[[seat]]
person = "ann"
plan = "Max"
price = 100
from = 2026-03-10
"""


def budgets(folder: Path, text: str) -> tuple[Budget, ...]:
    path = folder / "budgets.toml"
    path.write_text(text, "utf-8")
    return read_budgets(path)


def seats(folder: Path, text: str) -> tuple[Seat, ...]:
    path = folder / "seats.toml"
    path.write_text(text, "utf-8")
    return read_seats(path)


def test_what_is_left_out_has_its_default(tmp_path) -> None:
    (found,) = budgets(tmp_path, BOB)
    assert found == Budget(
        "Bob", Scope(ScopeKind.PERSON, "bob"), Period.MONTH, Decimal("0.50"), line=1
    )
    assert (found.warn, found.basis, found.timezone) == ((80, 100), Basis.LIST, "UTC")


def test_all_of_it_is_read_in_the_order_of_the_file(tmp_path) -> None:
    found = budgets(
        tmp_path,
        BOB
        + """
[[budget]]
name = "Shop, all of it"
scope = "project:git@example.org:shop/Web"
period = "week"
amount = 1_000
warn = [50, 120]
basis = "list+unlogged"
timezone = "Europe/Berlin"

[[budget]]
name = "us"
scope = "org"
period = "day"
amount = 12.5
""",
    )
    assert [budget.name for budget in found] == ["Bob", "Shop, all of it", "us"]
    assert found[1] == Budget(
        *("Shop, all of it", Scope(ScopeKind.PROJECT, "git@example.org:shop/Web"), Period.WEEK),
        *(Decimal(1000), (50, 120), Basis.UNLOGGED, "Europe/Berlin", 7),
    )
    assert str(found[1].scope) == "project:git@example.org:shop/Web"
    assert found[2].scope == Scope(ScopeKind.ORG)


def test_a_file_without_a_budget_has_none(tmp_path) -> None:
    assert budgets(tmp_path, "# none yet\n") == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "Bob"', 'nme = "Bob"', 2, "is name meant?"),
        ('name = "Bob"', "", 1, "name is missing"),
        ('name = "Bob"', 'name = " "', 2, "it takes one line of text"),
        ('name = "Bob"', f'name = "{"x" * 61}"', 2, "longer than 60 characters"),
        (
            '"person:bob"',
            '"people:bob"',
            3,
            "it takes org, or person:, team:",
        ),
        (
            '"person:bob"',
            '"person:"',
            3,
            "it takes org, or person:, team:",
        ),
        (
            '"person:bob"',
            '"person"',
            3,
            "it takes org, or person:, team:",
        ),
        (
            '"person:bob"',
            '"org:us"',
            3,
            "it takes org, or person:, team:",
        ),
        ('"person:bob"', '"team:"', 3, "it takes org, or person:, team:"),
        ('"month"', '"year"', 4, "it takes day, week or month"),
        ("0.50", "0", 5, "it takes USD from 0.000001"),
        ("0.50", "-1", 5, "it takes a number from 0"),
        ("0.50", '"0.50"', 5, "it takes a number from 0"),
        ("0.50", "0.0000001", 5, "with six decimals at most"),
        ("0.50", "1e13", 5, "it takes USD from 0.000001"),
        ("0.50", "0.50\nwarn = []", 6, "warn is empty"),
        ("0.50", "0.50\nwarn = [100, 80]", 6, "percents that rise, each once"),
        ("0.50", "0.50\nwarn = [80, 80]", 6, "percents that rise, each once"),
        ("0.50", "0.50\nwarn = [0, 80]", 6, "whole percents from 1 to 1000"),
        ("0.50", "0.50\nwarn = [80.5]", 6, "whole percents from 1 to 1000"),
        ("0.50", "0.50\nwarn = [1001]", 6, "whole percents from 1 to 1000"),
        ("0.50", "0.50\nwarn = 80", 6, "it takes a list of numbers"),
        ("0.50", '0.50\nbasis = "invoice"', 6, "it takes list, list+unlogged or seat"),
        ("0.50", '0.50\ntimezone = "Berlin"', 6, "it takes a name such as Europe/Berlin"),
        ("0.50", '0.50\ntimezone = "../UTC"', 6, "it takes a name such as Europe/Berlin"),
        ("0.50", "0.50\nwarm = [80]", 6, "is warn meant?"),
        ('"month"', '"week"\nbasis = "seat"', 1, "seats are paid by the month"),
        ('"person:bob"', '"project:p"\nbasis = "seat"', 4, "a seat is of a person"),
        ("[[budget]]", "[budget]", 1, "write [[budget]] in two brackets"),
        ("[[budget]]", "[[budgets]]", 1, "is budget meant?"),
    ],
)
def test_an_error_names_file_and_line_and_what_to_do(
    tmp_path, old: str, new: str, line: int, said: str
) -> None:
    assert old in BOB
    with pytest.raises(SettingsError) as error:
        budgets(tmp_path, BOB.replace(old, new))
    assert str(error.value).startswith(f"{tmp_path}/budgets.toml:{line}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Bob", "line 1 has a budget of this name"),
        ("bob!", 'this budget and "Bob" of line 1 would both be the check budget_bob'),
    ],
)
def test_two_budgets_are_two_checks(tmp_path, name: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        budgets(tmp_path, BOB + BOB.replace("Bob", name))
    assert f"budgets.toml:7: {said}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("Bob", r"budget_bob"),
        ("  Büro & Küche / 2026 ", r"budget_buro_kuche_2026"),
        ("__", r"budget_[0-9a-f]{8}"),
        ("予算", r"budget_[0-9a-f]{8}"),
    ],
)
def test_a_check_is_named_in_plain_letters(name: str, check: str) -> None:
    budget = Budget(name, Scope(ScopeKind.ORG), Period.MONTH, Decimal(1))
    assert re.fullmatch(check, check_name(budget))


def test_names_without_a_plain_letter_are_told_apart(tmp_path) -> None:
    first, second = budgets(tmp_path, BOB.replace("Bob", "予算") + BOB.replace("Bob", "預算"))
    assert check_name(first) != check_name(second)


def test_seats_are_read_and_may_follow_each_other_by_months(tmp_path) -> None:
    found = seats(
        tmp_path,
        SEAT
        + 'to = "2026-04-30"\n'
        + SEAT.replace("2026-03-10", "2026-05-01")
        + SEAT.replace("Max", "Pro").replace("100", "17.50"),
    )
    assert found == (
        Seat("ann", "Max", Decimal(100), date(2026, 3, 10), date(2026, 4, 30), 1),
        Seat("ann", "Max", Decimal(100), date(2026, 5, 1), None, 7),
        Seat("ann", "Pro", Decimal("17.50"), date(2026, 3, 10), None, 12),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('person = "ann"', "", 1, "person is missing"),
        ('person = "ann"', 'person = "ann"\nteam = "web"', 3, "not of both"),
        ("100", "-1", 4, "it takes a number from 0"),
        ("100", "0.0000001", 4, "with six decimals at most"),
        ("from = 2026-03-10", "", 1, "from is missing"),
        ("2026-03-10", "2026-03-10\nto = 2026-03-09", 6, "before from, 2026-03-10"),
        ("2026-03-10", '"March"', 5, "it takes a day such as"),
        ("plan", "plann", 3, "is plan meant?"),
        ("[[seat]]", "[[seats]]", 1, "is seat meant?"),
    ],
)
def test_an_error_in_seats_names_file_and_line(
    tmp_path, old: str, new: str, line: int, said: str
) -> None:
    assert old in SEAT
    with pytest.raises(SettingsError) as error:
        seats(tmp_path, SEAT.replace(old, new, 1))
    assert str(error.value).startswith(f"{tmp_path}/seats.toml:{line}: ")
    assert said in str(error.value)


def test_a_budget_may_be_of_a_team_or_a_cost_center_and_a_seat_of_a_team(tmp_path) -> None:
    (team,) = budgets(tmp_path, BOB.replace("person:bob", "team:Ku\u0308che : 2"))
    (center,) = budgets(tmp_path, BOB.replace("person:bob", "cost_center:4711"))
    assert team.scope == Scope(ScopeKind.TEAM, "Küche : 2")
    assert center.scope == Scope(ScopeKind.COST_CENTER, "4711")
    (seat,) = seats(tmp_path, SEAT.replace('person = "ann"', 'team = "Ku\u0308che"'))
    assert (seat.person, seat.team, seat.price) == (None, "Küche", 100)


NOBODY = {
    "team:dta": 'nobody in team "dta"; nearest is "data"',
    "team:quite another": 'nobody in team "quite another"',
    "team:tech": 'nobody in team "tech", which is only above others; a budget is of a team\'s own',
    "cost_center:4712": 'nobody in cost center "4712"; nearest is "4711"',
}
SOMEBODY = ("team:data", "team:(unassigned)", "cost_center:4711")
NOT_ASKED = ("org", "person:nobody", "project:none")


def test_a_budget_of_a_team_that_nobody_is_in_is_said(tmp_path) -> None:
    connection = database()

    def said(scope: str, *, hides: bool = False) -> list[str]:
        given = budgets(tmp_path, BOB.replace("person:bob", scope))
        return strangers(
            tmp_path / "budgets.toml",
            given,
            lambda sql: connection.execute(sql).fetchall(),
            hides=hides,
        )

    for scope in (*NOBODY, *SOMEBODY, *NOT_ASKED):
        there = ["no directory" in line for line in said(scope)]
        assert there == [True] * (scope not in NOT_ASKED), scope
    connection.execute(
        """INSERT INTO people VALUES ('ann', 'Ann', NULL, 'data', '4711', NULL, NULL),
            ('bob', 'Bob', NULL, NULL, NULL, NULL, NULL)"""
    )
    connection.execute("INSERT INTO org_units VALUES ('data', 'tech', '4711'), ('tech', '', NULL)")
    for scope in (*SOMEBODY, *NOT_ASKED):
        assert said(scope) == [], scope
    for scope, words in NOBODY.items():
        (line,) = said(scope)
        assert line.startswith(f"{tmp_path / 'budgets.toml'}:1: the directory has {words}"), scope
    # Where something of people is hidden, no other team is named.
    assert "data" not in said("team:dta", hides=True)[0].partition(".toml")[2]


def test_one_seat_after_the_other_in_a_month_would_be_paid_twice(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"toml:11: .* months are paid whole"):
        seats(tmp_path, SEAT + "to = 2026-03-15\n" + SEAT.replace("03-10", "03-16"))


@pytest.mark.parametrize("first", ["2026-03-31", "2026-01-01", "2027-01-01"])
def test_the_same_plan_twice_in_a_month_is_refused(tmp_path, first: str) -> None:
    with pytest.raises(SettingsError) as error:
        seats(tmp_path, SEAT + SEAT.replace("2026-03-10", first))
    assert (
        'seats.toml:10: "ann" has the plan "Max" in a month of this seat already, by line 1'
        in str(error.value)
    )


def test_a_price_of_nothing_is_a_price(tmp_path) -> None:
    assert seats(tmp_path, SEAT.replace("100", "0"))[0].price == 0
