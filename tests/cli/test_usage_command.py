"""`session-pipeline usage` as a user meets it: sums, days of a zone, marks, JSON and CSV."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from test_cli import OURS, PROGRAM, Cli, assert_one_clear_line

from copilot import Session
from example_numbers import MESSAGES
from helpers import EXAMPLES
from lines import assistant, encode, usage
from places import DATA
from session_pipeline_dagster.processors.usage.money.breakdown import KEYS

pytestmark = pytest.mark.slow

ALICE, BOB = Decimal("0.59211205"), Decimal("0.63361225")
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe")
COUNTERS = (
    *("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens"),
    *("messages", "cost", "unpriced_messages", "unknown_input_messages"),
)
FORMULA, QUOTED, BROKEN = "=cmd|' C calc'!A0", 'a,"b', 'mod\nel,"x\x1b[31m'


def exactly(text: str) -> dict:
    return json.loads(text, parse_float=Decimal)


class Usage(Cli):
    """Runs the command on a database that was filled."""

    def asked(self, *words: object, **env: object) -> dict:
        answer = self.on(EXAMPLES, "usage", *words, "--json", **env)
        assert (answer.returncode, answer.stderr) == (0, "")
        return exactly(answer.stdout)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Usage:
    made = Usage(tmp_path_factory.mktemp("examples"))
    assert made.on(EXAMPLES, "run", "--json").returncode == 0
    return made


def write(root: Path, user: str, name: str, *lines: dict) -> None:
    path = root / user / "p" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(*lines))


def response(number: int, at: str, **more: object) -> dict:
    given = {"model": "claude-sonnet-4-6"} | more
    return assistant(f"msg_{number}", usage(1000, 100), at=at, sessionId=f"s{number}", **given)


@pytest.fixture
def cli(tmp_path: Path) -> Usage:
    return Usage(tmp_path)


def filled(cli: Usage, root: Path, **env: object) -> None:
    assert cli.on(root, "run", "--json", **env).returncode == 0


def test_the_examples_cost_what_they_cost(examples: Usage) -> None:
    found = examples.asked()
    assert found["by"] == ["user"]
    assert {row["user"]: row["cost"] for row in found["rows"]} == {"alice": ALICE, "bob": BOB}
    assert found["totals"]["cost"] == ALICE + BOB
    assert found["totals"]["messages"] == MESSAGES
    assert found["price_table"].startswith("genai-prices ")
    assert found["price_tables"] == [found["price_table"]]
    assert [row["user"] for row in found["rows"]] == ["bob", "alice"], "the dearest first"
    keys = {"user", *COUNTERS, "at_least"}
    assert all(set(row) == keys for row in found["rows"])


def test_costs_are_numbers_with_all_their_digits(examples: Usage) -> None:
    text = examples.on(EXAMPLES, "usage", "--json").stdout
    assert '"cost": 0.59211205,' in text
    assert '"cost": 1.2257243,' in text


@pytest.mark.parametrize("zone", ZONES)
def test_the_rows_of_every_key_add_up_to_the_total(examples: Usage, zone: str) -> None:
    whole = examples.asked()["totals"]
    combined = ("day,model", "month,user,provider", "week,session", "Cost-Center")
    for by in (*KEYS, *combined):
        found = examples.asked("--by", by, "--timezone", zone)
        assert found["totals"] == whole, by
        for counter in COUNTERS:
            assert sum(row[counter] for row in found["rows"]) == whole[counter], (by, counter)
        names = [tuple(row[key] for key in found["by"]) for row in found["rows"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("zone", [*ZONES, "Asia/Beirut", "America/Havana", "Pacific/Apia"])
def test_days_weeks_and_months_are_those_of_the_zone(cli: Usage, tmp_path: Path, zone: str) -> None:
    """Beside Python's own calendar, around days of 23, 23.5, 24.5 and 25 hours."""
    root, number = tmp_path / "sessions", 0
    expected: dict[str, dict[str, int]] = {unit: defaultdict(int) for unit in ("day", "month")}
    lines = []
    turns = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01")
    for day in turns:
        for hour in range(24):
            for minute in (0, 15, 29, 30, 44, 59):
                number += 1
                at = datetime.fromisoformat(f"{day}T{hour:02}:{minute:02}:07+00:00")
                lines.append(response(number, at.isoformat().replace("+00:00", "Z")))
                local = at.astimezone(ZoneInfo(zone)).date()
                expected["day"][local.isoformat()] += 1
                expected["month"][local.isoformat()[:7]] += 1
    write(root, "alice", "x", *lines)
    filled(cli, root)
    for unit, counts in expected.items():
        rows = cli.asked("--by", unit, "--timezone", zone)["rows"]
        assert {row[unit]: row["messages"] for row in rows} == counts
        assert [row[unit] for row in rows] == sorted(counts), "in the order of time"
    since, until = sorted(expected["day"])[1], sorted(expected["day"])[-2]
    found = cli.asked("--by", "day", "--since", since, "--until", until, "--timezone", zone)
    kept = {day: n for day, n in expected["day"].items() if since <= day <= until}
    assert {row["day"]: row["messages"] for row in found["rows"]} == kept


def test_days_do_not_depend_on_the_zone_of_the_process(examples: Usage) -> None:
    by = ("--by", "day", "--timezone", "Asia/Kolkata")
    assert examples.asked(*by, TZ="America/Los_Angeles") == examples.asked(*by, TZ="Asia/Tokyo")


def test_a_week_begins_on_monday_or_on_sunday(cli: Usage, tmp_path: Path) -> None:
    days = ("2026-05-09", "2026-05-10", "2026-05-11", "2026-05-17")  # Saturday, Sunday, Monday
    lines = [response(n, f"{day}T12:00:00Z") for n, day in enumerate(days)]
    write(tmp_path / "sessions", "alice", "x", *lines)
    filled(cli, tmp_path / "sessions")

    def weeks(*more: str) -> dict[str, int]:
        rows = cli.asked("--by", "week", *more)["rows"]
        return {row["week"]: row["messages"] for row in rows}

    assert weeks() == {"2026-05-04": 2, "2026-05-11": 2}
    assert weeks("--week-start", "sunday") == {"2026-05-03": 1, "2026-05-10": 2, "2026-05-17": 1}


def test_a_line_of_another_century_is_counted_like_any_other(cli: Usage, tmp_path: Path) -> None:
    days = ("0001-01-01", "1970-01-01", "2026-05-09", "9999-12-31")
    lines = [response(n, f"{day}T12:00:00Z") for n, day in enumerate(days)]
    write(tmp_path / "sessions", "alice", "x", *lines)
    filled(cli, tmp_path / "sessions")
    whole = cli.asked()["totals"]["messages"]
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        for unit in ("day", "week", "month"):
            rows = cli.asked("--by", unit, "--timezone", zone, "--week-start", "sunday")["rows"]
            assert sum(row["messages"] for row in rows) == whole
    assert cli.asked("--until", "9999-12-31", "--since", "0001-01-01")["rows"]


def test_what_has_no_price_is_named_and_never_nothing(cli: Usage, tmp_path: Path) -> None:
    at = "2026-05-04T12:00:00Z"
    lines = [response(n, at, model="unheard-of") for n in range(12)]
    write(tmp_path / "sessions", "alice", "x", *lines, response(99, at))
    write(tmp_path / "sessions", "bob", "x", response(100, at, model="unheard-of"))
    ran = cli.on(tmp_path / "sessions", "run")
    assert "Without a price, so in no cost: unheard-of (13 messages)" in ran.stdout
    found = cli.asked()
    alice, bob = sorted(found["rows"], key=lambda row: row["user"])
    assert (alice["cost"], alice["unpriced_messages"]) == (Decimal("0.0045"), 12)
    assert (bob["cost"], bob["unpriced_messages"]) == (None, 1)
    assert found["unpriced_models"] == [
        {"provider": "anthropic", "model": "unheard-of", "messages": 13}
    ]
    shown = cli.on(EXAMPLES, "usage").stdout
    assert "+ 12 unpriced" in shown
    assert " 1 unpriced" in shown
    assert "Unpriced: unheard-of (13 messages)" in shown
    rows = list(csv.DictReader(io.StringIO(cli.on(EXAMPLES, "usage", "--csv").stdout)))
    assert [(row["user"], row["cost"]) for row in rows] == [("alice", "0.0045"), ("bob", "")]


def test_output_is_at_least_from_more_than_one_in_twenty_on(cli: Usage, tmp_path: Path) -> None:
    def lines(first: int, many: int) -> list[dict]:
        at = "2026-05-04T12:00:00Z"
        cut = [response(first, at, stop=None)]
        return [*cut, *(response(first + n, at) for n in range(1, many))]

    write(tmp_path / "sessions", "alice", "x", *lines(0, 20))
    write(tmp_path / "sessions", "bob", "x", *lines(100, 19))
    filled(cli, tmp_path / "sessions")
    assert {row["user"]: row["at_least"] for row in cli.asked()["rows"]} == {
        "alice": False,
        "bob": True,
    }
    (line,) = [x for x in cli.on(EXAMPLES, "usage").stdout.splitlines() if "bob" in x]
    assert line.count("≥ ") == 2


def test_hostile_names_are_shown_and_no_formulas(cli: Usage, tmp_path: Path) -> None:
    at = "2026-05-04T12:00:00Z"
    write(tmp_path / "sessions", FORMULA, "x", response(1, at, model=BROKEN))
    write(tmp_path / "sessions", QUOTED, "x", response(2, at, model="@SUM(1)"))
    write(tmp_path / "sessions", "-1+1", "x", response(3, at, model="\t=1\xeb"))
    filled(cli, tmp_path / "sessions")
    found = cli.asked("--by", "user,model")
    assert {row["user"] for row in found["rows"]} == {FORMULA, QUOTED, "-1+1"}
    assert {row["model"] for row in found["rows"]} >= {BROKEN, "@SUM(1)"}
    raw = cli.on(EXAMPLES, "usage", "--by", "user,model", "--json").stdout
    assert "\x1b" not in raw
    assert raw.isascii(), "whatever the terminal or the pipe can show"
    text = subprocess.run(
        [PROGRAM, "usage", "--by", "user", "--by", "model", "--csv", "--database", cli.database],
        env=cli.env,
        capture_output=True,
        check=True,
    ).stdout
    assert b"\x1b" not in text
    assert text.count(b"\r\n") == text.count(b"\n") == 4
    rows = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert {len(row) for row in rows} == {11}
    assert {row[0] for row in rows[1:]} == {f"'{FORMULA}", QUOTED, "'-1+1"}
    assert all(not cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row)
    assert "'@SUM(1)" in {row[1] for row in rows}
    shown = cli.on(EXAMPLES, "usage", "--by", "user,model").stdout
    assert "\x1b" not in shown
    assert FORMULA in shown


def test_json_and_csv_have_the_same_numbers(examples: Usage) -> None:
    text = examples.on(EXAMPLES, "usage", "--by", "day,model", "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    found = examples.asked("--by", "day,model")["rows"]
    assert list(rows[0]) == list(found[0])
    said = {True: "true", False: "false"}
    assert rows == [
        {k: said[v] if isinstance(v, bool) else str(v) for k, v in row.items()} for row in found
    ]


def test_top_shows_the_dearest_and_totals_stay_whole(examples: Usage) -> None:
    whole = examples.asked("--by", "day")
    cut = examples.asked("--by", "day", "--top", 2)
    dearest = sorted((row["cost"] for row in whole["rows"]), reverse=True)[:2]
    assert sorted((row["cost"] for row in cut["rows"]), reverse=True) == dearest
    assert [row["day"] for row in cut["rows"]] == sorted(row["day"] for row in cut["rows"])
    assert cut["totals"] == whole["totals"]
    assert (
        "4 more rows, which are in the total"
        in examples.on(EXAMPLES, "usage", "--by", "day", "--top", 2).stdout
    )


def test_the_table_says_what_its_money_is(examples: Usage) -> None:
    shown = examples.on(EXAMPLES, "usage").stdout
    assert "API list price, not an invoice; prices: genai-prices" in shown
    total = next(line for line in shown.splitlines() if line.strip().startswith("Total"))
    assert "1.2257" in total


@pytest.mark.parametrize("columns", [80, 120])
def test_a_session_is_whole_with_who_had_it(examples: Usage, columns: int) -> None:
    shown = examples.on(EXAMPLES, "usage", "--by", "session", COLUMNS=columns).stdout
    assert max(map(len, shown.splitlines())) <= columns
    for row in examples.asked("--by", "session")["rows"]:
        assert row["session"] in shown
    assert "alice, -home-alice-shop-analytics" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "user,colour"), ("'colour'", "user, person, team, cost_center, project")),
        (("--since", "2026-05-05", "--until", "2026-05-04"), ("--since", "after", "--until")),
        (("--since", "yesterday"), ("--since", "2026-10-31")),
        (("--timezone", "Mars/Base"), ("--timezone", "time zone")),
        (("--timezone", "../../etc/passwd"), ("--timezone", "time zone")),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_one_line(examples: Usage, words: tuple, said: tuple) -> None:
    assert_one_clear_line(examples.on(EXAMPLES, "usage", *words), 2, *said)


def test_without_a_database_it_says_so(cli: Usage) -> None:
    assert_one_clear_line(cli.on(EXAMPLES, "usage"), 2, "no database", "session-pipeline run")
    assert not cli.database.exists()


def test_of_days_without_usage_it_says_so(examples: Usage) -> None:
    found = examples.asked("--since", "2030-01-01")
    assert (found["rows"], found["totals"]["cost"]) == ([], 0)
    assert (
        "No usage on these days" in examples.on(EXAMPLES, "usage", "--since", "2030-01-01").stdout
    )


@pytest.mark.parametrize("words", ["usage", "status", "prices list", "usage --json"])
def test_looking_never_loads_the_price_library(examples: Usage, words: str) -> None:
    code = (
        "import sys; from session_pipeline_dagster.cli import main; sys.argv = ['x', "
        f"*{words.split()!r}, '--sessions', {str(EXAMPLES)!r}, '--database', "
        f"{str(examples.database)!r}]\ntry: main()\nexcept SystemExit as e: code = e.code\n"
        "print(code, 'genai_prices' in sys.modules, file=sys.stderr)"
    )
    env = {k: v for k, v in examples.env.items() if not k.startswith(OURS)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )
    assert ran.stderr.splitlines()[-1] == "0 False"


def test_the_usage_of_one_agent_is_asked_for_by_its_name(cli: Usage, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    write(root, "alice", "s", response(1, "2026-11-20T09:00:00Z"))
    shutil.copytree(DATA / "codex" / "fork", root / "bob")
    assert cli.on(root, "run", "--json").returncode == 0
    by_agent = exactly(cli.on(root, "usage", "--by", "agent,user", "--json").stdout)
    assert {(row["agent"], row["user"]): row["messages"] for row in by_agent["rows"]} == {
        ("codex", "bob"): 3,
        ("claude-code", "alice"): 1,
    }
    codex = exactly(cli.on(root, "usage", "--agent", "codex", "--json").stdout)
    assert [row["user"] for row in codex["rows"]] == ["bob"]
    assert codex["totals"]["cost"] == Decimal("0.01236")
    nobody = exactly(cli.on(root, "usage", "--agent", "it's", "--json").stdout)
    assert nobody["rows"] == []


def test_input_that_nobody_knows_is_said_and_is_no_0(cli: Usage, tmp_path: Path) -> None:
    root = tmp_path / "copilot"
    killed = Session(1).starts().asks().says(100)
    resumed = Session(2).starts().says(50).resumes().says(40).ends(sonnet=(2_000, 40, 0, 1_500))
    for user, session in (("alice", killed), ("bob", resumed)):
        file = root / user / session.key
        file.parent.mkdir(parents=True)
        file.write_bytes(session.content)
    said = "2 messages of sessions that were killed or have not ended"
    assert f"Of unknown input, so in no cost: {said}" in cli.on(root, "run").stdout
    asked = exactly(cli.on(root, "usage", "--json").stdout)
    counts = {
        row["user"]: (row["input_tokens"], row["cost"], row["unknown_input_messages"])
        for row in asked["rows"]
    }
    assert counts == {"alice": (None, None, 1), "bob": (500, Decimal("0.00255"), 1)}
    assert (asked["totals"]["input_tokens"], asked["unpriced_models"]) == (500, [])
    shown = cli.on(root, "usage").stdout
    alice = next(line for line in shown.splitlines() if "alice" in line)
    assert alice.split() == ["alice", *"unknown 100 unknown unknown 1 1 of unknown input".split()]
    assert "≥ 500" in shown
    assert "Input unknown of 2 messages, so their cost, too" in shown
    assert "Unpriced" not in shown


def test_where_all_is_of_too_few_people_every_command_says_so(cli: Usage) -> None:
    hides = {"SESSION_PIPELINE_PEOPLE": "team"}
    ran = cli.on(EXAMPLES, "run", **hides).stdout
    assert "Not shown: usage, for on no day at least 5 people used anything" in ran
    found = cli.asked(**hides)
    assert (found["rows"], found["hidden"]) == ([], True)
    assert "fewer than 5 people" in cli.on(EXAMPLES, "usage", **hides).stdout
    other = cli.on(EXAMPLES, "report", "--person", "alice", **hides)
    assert_one_clear_line(other, 2, "`session-pipeline report --person me` is one's own page")


def test_a_directory_that_is_new_or_not_there_is_said(cli: Usage, tmp_path: Path) -> None:
    filled(cli, EXAMPLES)
    people = {"SESSION_PIPELINE_DIRECTORY": str(EXAMPLES.parent / "people.csv")}
    asked = ("usage", "--by", "team")
    assert "changed since the last run" in cli.on(EXAMPLES, *asked, **people).stderr
    # What has nothing to do with it is answered without it.
    assert cli.on(EXAMPLES, "usage", "--by", "user,project", **people).stderr == ""
    names = ("SESSION_PIPELINE_DIRECTORY", "SESSION_PIPELINE_CURRENCY_RATES")
    gone = dict.fromkeys(names, str(tmp_path / "none"))
    for words in (asked, ("run",)):
        said = cli.on(EXAMPLES, *words, **gone).stderr
        for name in names:
            assert f"{name} names a file that is not there" in said
    filled(cli, EXAMPLES, **people)
    assert cli.on(EXAMPLES, *asked, **people).stderr == ""
    # What was good last stays, so nothing else shows that a later one has a mistake.
    (tmp_path / "people.csv").write_text("folder,from\nalice,May\n")
    wrong = {"SESSION_PIPELINE_DIRECTORY": str(tmp_path / "people.csv")}
    for words in (("run",), asked):
        answer = cli.on(EXAMPLES, *words, **wrong)
        assert answer.returncode == 0
        assert "the directory cannot be used, and what was good last stays" in answer.stderr
        assert "alice" not in answer.stderr
    assert "platform" in cli.on(EXAMPLES, *asked, **wrong).stdout
    assert cli.on(EXAMPLES, "usage", "--by", "user,project", **wrong).stderr == ""
