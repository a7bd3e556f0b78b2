"""Usage by person, team and month: the golden figures, moves, gaps, leavers, and an oracle."""

import random
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from company_people import Oracle, database, fill, random_directory, random_usage
from lines import UsagePipeline, assistant, usage
from places import ROOT
from session_pipeline_dagster.settings import MoneySettings, PeopleSettings

EXAMPLES = ROOT / "examples" / "sessions"
HEAD = "folder,person,team,cost_center,from,to\n"
MOVED = (
    HEAD
    + "alice,Alice,data,CC1,,2026-05-10\nalice,Alice,platform,CC2,2026-05-11,\n"
    + "bob,Bob,platform,CC2,,\n"
)
_TEAMS = "SELECT team, sum(cost) FROM {} GROUP BY ALL ORDER BY ALL"
GOLDEN = [("data", Decimal("0.36414605")), ("platform", Decimal("0.86157825"))]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> UsagePipeline:
    pipeline = UsagePipeline(tmp_path_factory.mktemp("examples"), root=EXAMPLES)
    pipeline.run(people=directory(pipeline, MOVED))
    return pipeline


def directory(pipeline: UsagePipeline, text: str) -> PeopleSettings:
    path = pipeline.settings.folder / "people.csv"
    path.write_text(text, "utf-8")
    return PeopleSettings(directory=path)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["usage_person_daily", "usage_team_daily", "chargeback_monthly"])
def test_the_examples_cost_their_teams_what_was_computed_by_hand(examples, view: str) -> None:
    assert examples.select(_TEAMS.format(view)) == GOLDEN
    assert sum(cost for _, cost in GOLDEN) == Decimal("1.2257243")


@pytest.mark.slow
def test_every_view_adds_up_to_the_sums_of_days(examples) -> None:
    names = "messages input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens \
cache_creation_1h_tokens cache_read_tokens web_search_requests unpriced_messages cost".split()
    sums = ", ".join(f"sum({name})" for name in names)
    (whole,) = examples.select(f"SELECT {sums} FROM usage_daily")
    for view in ("usage_person_daily", "usage_team_daily"):
        assert examples.select(f"SELECT {sums} FROM {view}") == [whole]
    (partial,) = examples.select("SELECT sum(partial_messages) FROM usage_daily")
    assert examples.select("SELECT sum(partial_messages) FROM usage_person_daily") == [partial]


@pytest.mark.slow
def test_clones_of_one_repository_are_one_project(examples) -> None:
    found = examples.select(
        "SELECT project, list(DISTINCT person ORDER BY person) FROM usage_person_daily "
        "GROUP BY ALL ORDER BY ALL"
    )
    assert found == [
        ("data-platform", ["Alice"]), ("invoice-export", ["Bob"]),
        ("shop-analytics", ["Alice", "Bob"]),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_was_billed_without_a_line_stands_on_the_last_day_of_its_session(examples) -> None:
    found = examples.select(
        "SELECT day, team, unlogged_cost FROM usage_team_daily "
        "WHERE unlogged_cost IS NOT NULL ORDER BY day"
    )
    assert found == examples.select(
        "SELECT day, 'platform', sum(unlogged_cost) FROM usage_reconciled "
        "WHERE unlogged_cost IS NOT NULL GROUP BY ALL ORDER BY day"
    )
    assert found


# --- how a change of the file reaches what is computed from it -----------------------------------


def said(at: str, who: str, number: int, **more: object) -> dict[str, object]:
    return assistant(f"msg_{who}_{number}", usage(1000), at=f"{at}T12:00:00.000Z", **more)


def teams(pipeline: UsagePipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        "SELECT day::VARCHAR, person, team, messages FROM usage_person_daily ORDER BY ALL"
    )


def test_another_directory_is_other_answers_and_a_bad_one_changes_nothing(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    pipeline.write("ann/p/s.jsonl", said("2026-05-10", "ann", 1), said("2026-05-11", "ann", 2))
    pipeline.run()
    nobody = [(f"2026-05-{day}", "ann", "(unassigned)", 1) for day in (10, 11)]
    assert teams(pipeline) == nobody
    people = directory(pipeline, HEAD + "ann,Ann,data,,,2026-05-10\nann,Ann,web,,2026-05-11,\n")
    pipeline.run(people=people)
    moved = [("2026-05-10", "Ann", "data", 1), ("2026-05-11", "Ann", "web", 1)]
    assert teams(pipeline) == moved
    directory(pipeline, HEAD + "ann,Ann,data,,,2026-05-10\nann,Ann,web,,2026-05-10,\n")
    pipeline.run(people=people)
    assert teams(pipeline) == moved
    pipeline.settings.folder.joinpath("people.csv").unlink()
    pipeline.run(people=people)
    assert teams(pipeline) == moved
    # A response that comes late, of a day before the move, is the first team's.
    pipeline.write("ann/p/late.jsonl", said("2026-05-09", "ann", 3, sessionId="late"))
    pipeline.run(people=people)
    assert teams(pipeline) == [("2026-05-09", "Ann", "data", 1), *moved]
    assert pipeline.select("SELECT team FROM org_units ORDER BY ALL") == [("data",), ("web",)]
    pipeline.run()
    assert [row[2] for row in teams(pipeline)] == ["(unassigned)"] * 3
    assert pipeline.select("SELECT (SELECT count(*) FROM people), count(*) FROM org_units") == [
        (0, 0)
    ]


def test_an_unchanged_directory_is_not_read_again(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    pipeline.write("ann/p/s.jsonl", said("2026-05-10", "ann", 1))
    people = directory(pipeline, HEAD + "ann,Ann,data,,,\n")
    assert "people" in pipeline.run(people=people).derived_seconds
    assert "people" not in pipeline.run(people=people).derived_seconds
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE people SET team = 'x'")
    pipeline.run(people=people)
    assert teams(pipeline)[0][2] == "x"
    people.directory.write_text(HEAD + "ann,Ann,data,,,\n\n")
    pipeline.run(people=people)
    assert teams(pipeline)[0][2] == "data"


# --- exactness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_views_say_what_going_through_all_rows_says(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  made-up people
    found, used = random_directory(rng), random_usage(rng)
    connection, oracle = database(), Oracle(found, used)
    fill(connection, found, used)
    rows = connection.execute(
        "SELECT day, person, team, cost_center, project, messages, unpriced_messages, cost "
        "FROM usage_person_daily"
    ).fetchall()
    assert {row[:5]: row[5:] for row in rows} == {
        key: (one.messages, one.unpriced, one.cost) for key, one in oracle.persons().items()
    }
    assert len(rows) == len(oracle.persons())
    rows = connection.execute(
        "SELECT day, team, cost_center, messages, unpriced_messages, cost, people, active_people "
        "FROM usage_team_daily"
    ).fetchall()
    assert sorted(map(repr, rows)) == sorted(
        repr((*key, one.messages, one.unpriced, one.cost, members, active))
        for key, (one, members, active) in oracle.teams().items()
    )
    rows = connection.execute(
        "SELECT month, cost_center, team, coalesce(cost, 0), seat_cost FROM chargeback_monthly"
    ).fetchall()
    assert {row[:3]: row[3] for row in rows} == dict(oracle.months())
    assert len(rows) == len(oracle.months())


def test_a_day_that_no_period_covers_is_nobodys(tmp_path) -> None:
    """Before the first, in a gap, after the last; and a period that is still to come."""
    connection = database()
    connection.execute(
        """INSERT INTO people BY NAME VALUES
        ('ann', 'Ann', 'data', DATE '2026-05-02', DATE '2026-05-03'),
        ('ann', 'Ann', 'web', DATE '2026-05-05', DATE '2026-05-05'),
        ('ann', 'Ann', 'ops', DATE '2999-01-01', NULL)""".replace(
            "BY NAME", "(folder, person, team, valid_from, valid_to)"
        )
    )
    for day in range(1, 7):
        connection.execute(
            "INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, 'ann' AS username, "
            "1 AS messages, 1 AS cost",
            [date(2026, 5, day)],
        )
    found = connection.execute("SELECT person, team FROM usage_person_daily ORDER BY day")
    assert found.fetchall() == [
        ("ann", "(unassigned)"), ("Ann", "data"), ("Ann", "data"), ("ann", "(unassigned)"),
        ("Ann", "web"), ("ann", "(unassigned)"),
    ]  # fmt: skip


def test_days_of_no_calendar_stop_nothing() -> None:
    connection = database()
    connection.execute("INSERT INTO people (folder, person, team) VALUES ('ann', 'Ann', 'data')")
    connection.execute(
        """INSERT INTO usage_slots BY NAME SELECT day, 'ann' AS username, 1 AS messages, 1 AS cost
        FROM (VALUES (DATE '290000-01-01'), (DATE '0001-01-01'), (DATE '4000-01-01 (BC)'))
        AS d(day)"""
    )
    for view in ("usage_person_daily", "usage_team_daily", "chargeback_monthly"):
        assert connection.execute(
            f"SELECT count(*) FROM {view} WHERE team = 'data'"
        ).fetchall() == [(3,)]


def test_a_month_names_the_tables_its_prices_are_from(tmp_path) -> None:
    connection = database()
    connection.execute(
        """INSERT INTO usage_pricing (price_table, valid_from, valid_to) VALUES
        ('a', NULL, DATE '2026-05-10'), ('b', DATE '2026-05-11', NULL)"""
    )
    for month in (4, 5, 6):
        connection.execute(
            "INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, 'ann' AS username, "
            "1 AS messages",
            [date(2026, month, 7)],
        )
    found = connection.execute(
        "SELECT month::VARCHAR, price_table, cost FROM chargeback_monthly ORDER BY month"
    )
    assert found.fetchall() == [
        ("2026-04-01", "a", None), ("2026-05-01", "a, b", None), ("2026-06-01", "b", None)
    ]  # fmt: skip


@pytest.mark.slow
def test_seats_are_paid_by_the_first_team_of_the_month(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    for who in ("ann", "ann-ci", "bob", "eve"):
        pipeline.write(
            f"{who}/p/s.jsonl",
            *(said(day, who, n) for n, day in enumerate(("2026-05-03", "2026-06-03"))),
        )
    text = HEAD + (
        "ann,Ann,data,C1,,2026-05-10\nann,Ann,web,C2,2026-05-11,\n"
        "ann-ci,Ann,web,C2,2026-05-20,\nbob,Bob,web,C2,2026-05-15,\n"
    )
    seats = Path(tmp_path / "seats.toml")
    seats.write_text(
        '[[seat]]\nperson = "ann"\nplan = "Max"\nprice = 100\nfrom = 2026-05-31\n'
        '[[seat]]\nteam = "web"\nplan = "Team"\nprice = 25\nfrom = 2026-05-01\n'
        '[[seat]]\nperson = "Bob"\nplan = "Team"\nprice = 20\nfrom = 2026-06-01\n'
        '[[seat]]\nperson = "eve"\nplan = "Max"\nprice = 7\nfrom = 2026-06-01\n'
    )
    pipeline.run(MoneySettings(seats=seats), directory(pipeline, text))
    found = pipeline.select(
        "SELECT month::VARCHAR, person, plan, seat_cost::INT, team, cost_center FROM usage_seats "
        "ORDER BY ALL"
    )
    assert found == [
        # Ann is in data first; Bob comes in the middle of the month, and is in no other team.
        ("2026-05-01", "Ann", "Max", 100, "data", "C1"),
        ("2026-05-01", "Bob", "Team", 25, "web", "C2"),
        ("2026-06-01", "Ann", "Max", 100, "web", "C2"),
        ("2026-06-01", "Ann", "Team", 25, "web", "C2"),
        ("2026-06-01", "Bob", "Team", 20, "web", "C2"),
        ("2026-06-01", "eve", "Max", 7, "(unassigned)", None),
    ]
    assert pipeline.select(
        "SELECT month::VARCHAR, cost_center, team, seat_cost::INT FROM chargeback_monthly "
        "ORDER BY ALL"
    ) == [
        ("2026-05-01", "C1", "data", 100), ("2026-05-01", "C2", "web", 25),
        ("2026-05-01", None, "(unassigned)", 0), ("2026-06-01", "C2", "web", 145),
        ("2026-06-01", None, "(unassigned)", 7),
    ]  # fmt: skip
    # What was used is the person's in all folders, and stands at one seat of theirs.
    ((ours, all_of_it),) = pipeline.select(
        "SELECT (SELECT sum(api_equivalent) FROM usage_seats WHERE month = DATE '2026-06-01'), "
        "sum(cost) FROM usage_slots WHERE day = DATE '2026-06-03'"
    )
    assert ours == all_of_it
