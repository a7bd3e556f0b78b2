"""`session-pipeline prices` as a user meets it: the table, its reasons, what another changes."""

import json
import random
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from test_cli import Cli, assert_one_clear_line

from helpers import EXAMPLES
from lines import assistant, encode, usage
from places import ROOT
from session_pipeline_dagster.processors.usage.money.budgets import read_budgets
from session_pipeline_dagster.processors.usage.money.currencies import read_currency
from session_pipeline_dagster.processors.usage.money.seats import read_seats

pytestmark = pytest.mark.slow

MODELS = ("claude-sonnet-4-6", "claude-opus-4-8", "claude-haiku-4-5-20251001", "unheard-of")
KEYS = (
    *("price", "discount", "alias", "region", "lock", "model", "provider", "variant", "from", "to"),
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search"),
    *("percent", "aws", "google", "until"),
)
SETTING = "SESSION_PIPELINE_PRICES"
_COSTS = """SELECT provider, model, strftime(day, '%Y-%m') AS month, sum(messages)::BIGINT,
    sum(cost), sum(unpriced_messages)::BIGINT FROM usage_slots GROUP BY ALL"""
Costs = dict[tuple[str, str, str], tuple[Decimal | None, int]]


def exactly(text: str) -> dict:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


class Prices(Cli):
    """Runs the commands with a file of own prices, or none."""

    def own(self, text: str) -> None:
        path = self.folder / "prices.toml"
        path.write_text(text, "utf-8")
        self.env[SETTING] = str(path)

    def stored(self) -> Costs:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            rows = connection.execute(_COSTS).fetchall()
        return {row[:3]: row[4:] for row in rows}

    def asked(self, *words: object) -> dict:
        answer = self.on(self.folder / "sessions", "prices", *words, "--json")
        assert (answer.returncode, answer.stderr) == (0, "")
        return exactly(answer.stdout)

    def run(self) -> None:
        answer = self.on(self.folder / "sessions", "run", "--json")
        assert answer.returncode == 0, answer

    def changes(self) -> dict[tuple[str, str, str], dict]:
        rows = self.asked("diff")["rows"]
        return {(row["provider"], row["model"], row["month"]): row for row in rows}


@pytest.fixture
def cli(tmp_path: Path) -> Prices:
    """Responses of four models in two months, around a band, some batch or fast."""
    made, dice = Prices(tmp_path), random.Random(7)  # noqa: S311  not a secret
    lines = []
    for n in range(160):
        tokens = dice.choice((1_000, 199_999, 200_000, 200_001, 500_000))
        counts = usage(tokens, dice.randrange(5_000), dice.randrange(900), dice.randrange(10**5))
        counts |= {"speed": "fast"} if n % 7 == 0 else {}
        counts |= {"service_tier": "batch"} if n % 11 == 0 else {}
        at = f"2026-{dice.choice((2, 3)):02}-{dice.randrange(1, 29):02}T12:00:{n % 60:02}Z"
        lines.append(assistant(f"msg_{n}", counts, model=MODELS[n % 4], at=at, sessionId="s"))
    path = tmp_path / "sessions" / "alice" / "p" / "x.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode(*lines))
    made.run()
    return made


def a_file(dice: random.Random) -> str:
    """Own prices of all kinds that fit each other."""
    parts = []
    for model in dice.sample(["claude-opus-4-8", "claude-s*", "claude-haiku-*"], 2):
        start = f'from = "2026-0{dice.choice((2, 3))}-{dice.randrange(10, 28)}"'
        rates = f"input = {dice.randrange(1, 999) / 100}\ncache_read = 0.000001"
        parts.append(f'[[price]]\nmodel = "{model}"\n{rates}\n{dice.choice(("", start))}')
    if dice.random() < 0.5:
        parts.append('[alias]\n"unheard-of" = "claude-sonnet-4-5"')
    if dice.random() < 0.7:
        percent = dice.choice(("7.5", "33.333333", "100"))
        parts.append(f'[[discount]]\npercent = {percent}\nfrom = "2026-02-1{dice.randrange(9)}"')
    if dice.random() < 0.5:
        parts.append(f'[lock]\nuntil = "2026-0{dice.choice((2, 3))}-1{dice.randrange(9)}"')
    return "\n\n".join(parts) + "\n"


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("seed", range(4))
def test_what_a_diff_says_is_what_the_next_run_stores(cli: Prices, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  not a secret
    for _ in range(2):
        cli.own(a_file(dice))
        before, file = cli.stored(), cli.database.read_bytes()
        changes = cli.changes()
        assert cli.database.read_bytes() == file, "a diff writes nothing"
        assert changes
        cli.run()
        after = cli.stored()
        assert {key for key in after if after[key] != before[key]} == set(changes)
        for key, row in changes.items():
            assert (row["before"], row["unpriced_before"]) == before[key]
            assert (row["after"], row["unpriced_after"]) == after[key]
        assert cli.changes() == {}


def test_a_diff_knows_another_cost_mode(cli: Prices) -> None:
    cli.env["SESSION_PIPELINE_COST_MODE"] = "display"
    changes = cli.changes()
    assert changes
    assert {row["after"] for row in changes.values()} == {None}
    cli.run()
    assert {cost for cost, _ in cli.stored().values()} == {None}


def test_a_diff_shows_tables_months_and_the_lock(cli: Prices) -> None:
    cli.own(
        '[[price]]\nmodel = "*"\ninput = 1\noutput = 2\ncache_read = 0\ncache_write_5m = 0\n'
        'cache_write_1h = 0\n\n[lock]\nuntil = "2026-02-28"\n'
    )
    found = cli.asked("diff")
    assert found["locked_until"] == "2026-02-28"
    # A model that never had a price gets one for locked days, too.
    assert {row["month"] for row in found["rows"] if row["model"] != "unheard-of"} == {"2026-03"}
    assert found["price_tables_after"][0] == found["price_tables_before"][0]
    assert "prices.toml#" in found["price_tables_after"][1]
    shown = cli.on(EXAMPLES, "prices", "diff").stdout
    assert "Locked: days up to 2026-02-28 keep the prices that they have" in shown
    assert "unpriced" in shown
    assert f"{sum(row['after'] - (row['before'] or 0) for row in found['rows']):,.2f}" in shown


def test_a_diff_of_the_same_table_says_so(cli: Prices) -> None:
    assert "No cost changes" in cli.on(EXAMPLES, "prices", "diff").stdout
    assert cli.asked("diff")["rows"] == []


def test_the_list_is_the_stored_table_per_million(cli: Prices) -> None:
    found = cli.asked("list")
    by_model = defaultdict(list)
    for row in found["prices"]:
        by_model[row["model"]].append(row)
    assert set(by_model) == set(MODELS) - {"unheard-of"}
    assert found["unpriced_models"] == [{"provider": "anthropic", "model": "unheard-of"}]
    standard = [row for row in by_model["claude-opus-4-8"] if row["variant"] == "standard"]
    assert [(row["input"], row["output"], row["cache_write_1h"]) for row in standard] == [
        (5, 25, 10)
    ]
    bands = [
        (row["over_input"], row["input"], row["output"])
        for row in by_model["claude-sonnet-4-6"]
        if row["variant"] == "standard" and row["valid_to"] == "2026-03-12"
    ]
    assert bands == [(0, 3, 15), (200_000, 6, Decimal("22.5"))]
    shown = cli.on(EXAMPLES, "prices", "list").stdout
    assert "Without a price: unheard-of (anthropic)" in shown
    assert "22.5" in shown


@pytest.mark.parametrize("columns", [80, 120])
def test_models_are_whole_in_a_terminal(cli: Prices, columns: int) -> None:
    for words in ("list", "diff", "explain claude-sonnet-4-6 2026-03-12"):
        shown = cli.on(EXAMPLES, "prices", *words.split(), COLUMNS=columns).stdout
        table = [line for line in shown.splitlines() if "  " in line.strip()]
        assert max(map(len, table), default=0) <= columns
        assert "…" not in shown
    shown = cli.on(EXAMPLES, "prices", "list", COLUMNS=columns).stdout
    assert all(model in shown for model in MODELS)


def test_a_bad_file_is_one_line_with_its_line(cli: Prices) -> None:
    cli.own('[[price]]\nmodel = "claude-*"\ninput = 1\n')
    cli.run()
    good = cli.asked("list")
    cli.own('[[price]]\nmodel = "claude-*"\ninput = -1\n')
    for words in (("diff",), ("explain", "claude-opus-4-8"), ("explain", "x", "2026-03-01")):
        assert_one_clear_line(cli.on(EXAMPLES, "prices", *words), 2, "prices.toml:3:", "input")
    for _ in range(2):
        answer = cli.on(EXAMPLES, "prices", "list", "--json")
        assert answer.returncode == 2
        assert "prices.toml:3:" in answer.stderr
        document = exactly(answer.stdout)
        assert document["prices"] == good["prices"], "the last good table"
        assert "prices.toml:3:" in document["problem"]
        assert document["error"]["message"] == document["problem"]
        ran = cli.on(cli.folder / "sessions", "run")
        assert ran.returncode == 0
    (line,) = [x for x in ran.stdout.splitlines() if x.startswith("Own prices are not in use")]
    assert "prices.toml:3:" in line
    assert "Own prices are not in use" in cli.on(EXAMPLES, "usage").stdout


def test_explain_tells_how_a_price_is_found(cli: Prices) -> None:
    cli.own(
        '[[price]]\nmodel = "claude-opus-*"\nfrom = "2026-03-01"\ninput = 2\n\n'
        '[[discount]]\npercent = 10\n\n[alias]\nours = "claude-opus-4-8"\n\n'
        '[lock]\nuntil = "2026-02-10"\n'
    )
    found = cli.asked("explain", "ours[1m]", "2026-03-02")
    assert found["names"] == ["ours", "claude-opus-4-8"]
    assert found["listed_model"] == "claude-opus-4-8"
    standard = found["variants"][0]
    assert standard["own_price"]["line"] == 1
    assert (standard["prices"][0]["input"], standard["prices"][0]["output"]) == (2, 25)
    assert found["price_table"].split("#")[0].endswith("+ prices.toml")
    (discounted, *_) = cli.asked("explain", "claude-opus-4-8", "2026-02-01")["variants"]
    assert discounted["discount"] == {"percent": 10, "line": 6}
    assert discounted["prices"][0]["input"] == Decimal("4.5")
    shown = cli.on(EXAMPLES, "prices", "explain", "ours[1m]", "2026-02-02").stdout
    for words in ("alias: ours stands for claude-opus-4-8", "10 % off", "locked until 2026-02-10"):
        assert words in shown
    unknown = cli.on(EXAMPLES, "prices", "explain", "unheard-of").stdout
    assert "does not know unheard-of of anthropic" in unknown
    assert cli.asked("explain", "unheard-of")["is_priced"] is False


def test_explain_needs_no_database(tmp_path: Path) -> None:
    made = Prices(tmp_path)
    answer = made.on(EXAMPLES, "prices", "explain", "claude-opus-4-8", "2026-05-12")
    assert (answer.returncode, answer.stderr) == (0, "")
    bedrock = made.on(
        EXAMPLES, "prices", "explain", "claude-opus-5-5", "2026-05-12", "--provider", "aws"
    )
    assert "regional endpoint" in bedrock.stdout
    assert not made.database.exists()


def test_a_name_does_not_act(cli: Prices) -> None:
    shown = cli.on(EXAMPLES, "prices", "explain", "mod\x1b[31m\nel").stdout
    assert "\x1b" not in shown
    assert "mod\ufffd[31m\ufffdel" in shown


def test_without_a_database_it_says_so(tmp_path: Path) -> None:
    for words in ("list", "diff"):
        answer = Prices(tmp_path).on(EXAMPLES, "prices", words)
        assert_one_clear_line(answer, 2, "no database", "session-pipeline run")
    answer = Prices(tmp_path).on(EXAMPLES, "prices", "explain", "x", "yesterday")
    assert_one_clear_line(answer, 2, "DAY", "2026-10-31")


def test_the_example_of_the_page_is_a_file_with_every_key(cli: Prices) -> None:
    page = (ROOT / "docs" / "money.md").read_text("utf-8")
    text, budgets, seats, rates = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for name, other in (("budgets", budgets), ("seats", seats), ("rates", rates)):
        (cli.folder / f"{name}.toml").write_text(other, "utf-8")
    assert [budget.amount for budget in read_budgets(cli.folder / "budgets.toml")] == [2000]
    assert [seat.plan for seat in read_seats(cli.folder / "seats.toml")] == ["max"]
    assert read_currency(cli.folder / "rates.toml", "EUR").code == "EUR"
    cli.own(text)
    assert cli.asked("diff")["locked_until"] == "2026-10-31"
    assert {key for key in KEYS if not re.search(rf"^\W*{key}\b", text, re.MULTILINE)} == set()
