"""What commands, checks, metadata and metrics say where small groups are merged, of a crew of three
teams: nothing of the two people who alone were at work on a Saturday, and nothing of one's model.

Files, names and teams are those of `crew.py`.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crew import LAST, crew, write_directory, write_sessions
from lines import UsagePipeline, assistant, encode, usage, user
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.quality import Data, Measured
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store.database import open_store

pytestmark = pytest.mark.slow(seconds=8)

SATURDAY = LAST - timedelta(days=1)
MODEL = "ft-zq00-llm"
"""Of one person, on the Saturday alone, without a price, and called like them."""
BUDGETS = """[[budget]]
name = "all"
scope = "org"
period = "month"
amount = 1
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, members = tmp_path_factory.mktemp("crew"), crew()
    pipeline = UsagePipeline(folder)
    write_sessions(pipeline, members)
    at = f"{SATURDAY}T23:11:00.000Z"
    where = {"sessionId": "odd", "cwd": "/home/zq00/monolith"}
    lines = user(at=at, **where), assistant("m", usage(111, 222), model=MODEL, at=at, **where)
    pipeline.write_bytes("zq00/-home-zq00-monolith/odd.jsonl", encode(*lines))
    write_directory(folder / "people.csv", members)
    (folder / "budgets.toml").write_text(BUDGETS)
    return folder


@pytest.fixture(scope="module")
def environment(place: Path) -> dict[str, str]:
    return {
        "SESSION_DATA_DIR": str(place / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(place / "usage.duckdb"),
        "SESSION_PIPELINE_DIRECTORY": str(place / "people.csv"),
        "SESSION_PIPELINE_BUDGETS": str(place / "budgets.toml"),
        "SESSION_PIPELINE_REPORT_DIR": str(place / "reports"),
        "COLUMNS": "160",
    }


Said = Callable[..., Result]


@pytest.fixture(scope="module")
def said(environment: dict[str, str]) -> Said:
    def asked(*words: str, mode: str = "team", code: int = 0) -> Result:
        given = environment | {"SESSION_PIPELINE_PEOPLE": mode}
        found = CliRunner().invoke(main, words, env=given)
        assert found.exit_code == code, found.output
        return found

    assert "(org)" in asked("run").output
    return asked


@pytest.fixture
def measured(environment: dict[str, str], said: Said) -> Callable[..., Measured]:
    """What a check finds of the data."""

    def found(name: str, mode: str = "team", **more: str) -> Measured:
        said("usage", "--by", "day", mode=mode)
        settings = read_settings(environment | {"SESSION_PIPELINE_PEOPLE": mode} | more)
        store = open_store(settings, looking=True)
        (rule,) = (r for r in UsageProcessor().under(settings).quality if r.name == name)
        return rule.measure(Data(lambda sql: store.query(sql)[0][1], lambda _: None))

    return found


def rows(found: Result) -> Sequence[dict[str, object]]:
    return json.loads(found.stdout, parse_float=Decimal)["rows"]


def test_the_days_of_few_are_in_no_answer_of_usage(said: Said) -> None:
    days = {row["day"] for row in rows(said("usage", "--by", "day", "--json"))}
    assert str(LAST) in days
    assert str(SATURDAY) not in days
    totals = {
        json.loads(said("usage", "--by", key, "--json").stdout)["totals"]["messages"]
        for key in ("team", "project", "model", "agent", "month", "repository", "cost-center")
    }
    assert len(totals) == 1, "each way to tell it apart adds up to the same"
    one_day = ("--since", str(SATURDAY), "--until", str(SATURDAY))
    assert "Nothing can be shown: fewer than 5" in said("usage", "--by", "model", *one_day).output


def test_a_model_is_told_apart_on_the_days_on_which_enough_people_had_it(said: Said) -> None:
    """What a longer span has more is what enough people did on a day."""
    models = {row["model"]: row for row in rows(said("usage", "--by", "model", "--json"))}
    assert {*models} == {"claude-opus-4-5", "(fewer than 5 people)"}
    spans = [("--until", str(LAST)), ("--until", str(LAST - timedelta(days=3)))]
    first, second = (
        {
            row["model"]: row["messages"]
            for row in rows(said("usage", "--by", "model", "--json", *s))
        }
        for s in spans
    )
    # All 13 on the Friday; of the eight on the Sunday one alone had it, so it is not told apart.
    assert {name: first[name] - second[name] for name in second} == {
        "claude-opus-4-5": 13,
        "(fewer than 5 people)": 15,
    }


def test_a_model_that_is_called_like_somebody_is_named_by_no_command(said: Said) -> None:
    for mode in ("team", "pseudonym"):
        for words in (
            ["usage", "--by", "model"],
            ["usage", "--by", "model", "--json"],
            ["usage", "--by", "team", "--csv"],
            ["prices", "list"],
            ["prices", "list", "--json"],
            ["budget"],
            ["budget", "--json"],
            ["run", "--full-refresh"],
        ):
            assert MODEL not in said(*words, mode=mode).output, (mode, words)
        assert MODEL not in said("health", mode=mode, code=1).output, mode
    assert MODEL in said("prices", "list", mode="named").output


def test_a_model_that_is_called_like_somebody_is_in_no_export(said: Said, tmp_path: Path) -> None:
    formats = ("--format", "csv", "--format", "focus", "--format", "prometheus")
    for mode, more in (("team", ()), ("pseudonym", ("--format", "ccusage"))):
        said("export", str(tmp_path / mode), *formats, *more, mode=mode)
        for path in (tmp_path / mode).rglob("*"):
            assert not path.is_file() or MODEL.encode() not in path.read_bytes(), path.name
    assert "(not shown)" in (tmp_path / "pseudonym" / "focus_left_out.csv").read_text()


def test_a_budget_is_shown_without_the_periods_of_few(said: Said) -> None:
    """The month less its shown days would be the Saturday."""
    found = json.loads(said("budget", "--json").stdout)["budgets"]
    assert [(one["name"], len(one["periods"])) for one in found] == [("all", 1)]
    assert found[0]["sentence"] == "a period of it is of fewer people than may be shown"
    assert "2026-05" not in said("budget").output
    (everything,) = json.loads(said("budget", "--json", mode="pseudonym").stdout)["budgets"]
    assert len(everything["periods"]) == 2
    assert {one["unpriced_models"] for one in everything["periods"]} == {"", "(not shown)"}


def test_another_price_is_not_compared_by_model(said: Said) -> None:
    found = said("prices", "diff", code=2)
    assert "would tell models of fewer than 5 people apart" in found.output
    said("prices", "diff", mode="pseudonym")


def test_a_pass_prints_no_tools_of_few_people(said: Said) -> None:
    assert "mcp__only-mine__run" not in said("run").output
    assert "Bash" not in said("run").output
    assert "Bash" in said("run", mode="pseudonym").output


def test_checks_say_nothing_of_a_model_of_few(measured: Callable[..., Measured]) -> None:
    found = measured("unpriced_models")
    assert (found.violations, found.numbers, [*found.listed]) == (1, {"unpriced_messages": 0}, [])
    assert found.said.startswith("models of fewer than 5 people a day have no price")
    assert MODEL not in found.said
    shown = measured("unpriced_models", "pseudonym")
    assert shown.numbers["unpriced_messages"] == 1
    assert shown.listed[0]["model"] == "(not shown)"
    assert shown.listed[0]["last_day"] == str(SATURDAY)
    assert MODEL in measured("unpriced_models", "named").said


def test_what_is_plotted_is_what_may_be_shown(said: Said, environment: dict[str, str]) -> None:
    """The last day of all usage would be one person's, when one person is at work first."""
    numbers: dict[str, dict[str, object]] = {}
    for mode in ("team", "named"):
        whole = json.loads(said("usage", "--by", "day", "--json", mode=mode).stdout)["totals"]
        settings = read_settings(environment | {"SESSION_PIPELINE_PEOPLE": mode})
        rollups = UsageProcessor().under(settings).rollups
        (sql,) = (one.numbers for one in rollups if one.name == "usage_daily")
        ((names, ((*values,),)),) = open_store(settings, looking=True).query(sql)
        numbers[mode] = dict(zip(names, values, strict=True))
        assert numbers[mode]["messages"] == whole["messages"]
    assert numbers["named"]["messages"] == 292
    assert numbers["team"]["messages"] == 285


def test_the_newest_response_is_told_by_its_day(said: Said, tmp_path: Path) -> None:
    when = {}
    for mode in ("named", "pseudonym", "team"):
        said("export", str(tmp_path / mode), "--format", "prometheus", mode=mode)
        (line,) = (
            line
            for line in (tmp_path / mode / "metrics.prom").read_text().splitlines()
            if line.startswith("session_pipeline_newest_response_timestamp_seconds ")
        )
        when[mode] = datetime.fromtimestamp(float(line.split()[1]), UTC)
    assert when["named"].date() == LAST
    assert when["named"].hour > 0
    assert (
        when["pseudonym"] == when["team"] == datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC)
    )
