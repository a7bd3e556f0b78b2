"""`session-pipeline budget`, and what `usage` and the report say of bills."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

from helpers import EXAMPLES
from places import DATA

pytestmark = pytest.mark.slow

BOB = '[[budget]]\nname = "bob"\nscope = "person:bob"\nperiod = "month"\namount = 0.50\n'
BILLED = DATA / "golden" / "real" / "2.1.330" / "projects"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def set_budgets(cli: Cli, text: str) -> None:
    file = cli.folder / "budgets.toml"
    file.write_text(text, "utf-8")
    cli.env["SESSION_PIPELINE_BUDGETS"] = str(file)


def test_a_budget_says_how_it_stands_and_what_its_periods_were(cli: Cli) -> None:
    set_budgets(cli, BOB)
    cli.on(EXAMPLES, "run")
    answer = cli.on(EXAMPLES, "budget")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "bob: 2026-05: 0.63 of 0.50 USD (126.7 %), API list price" in answer.stdout
    found = cli.on(EXAMPLES, "budget", "--json").stdout
    (budget,) = json.loads(found, parse_float=Decimal)["budgets"]
    assert (budget["name"], budget["scope"], budget["status"]) == ("bob", "person:bob", "warning")
    (period,) = budget["periods"]
    assert period["spent"] == Decimal("0.63361225")
    assert (period["level"], period["threshold"]) == ("over", 100)


def test_run_says_in_a_line_which_budgets_are_not_kept(cli: Cli) -> None:
    set_budgets(cli, BOB)
    said = cli.on(EXAMPLES, "run").stdout.splitlines()
    assert "Budgets: bob 126.7 % (over, from 2026-05-01)" in said
    assert any(line.startswith("usage: 1 budget, 3 families billed, 7 models") for line in said)


def test_without_budgets_it_says_so_and_a_mistake_is_one_line(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    assert "No budgets" in cli.on(EXAMPLES, "budget").stdout
    set_budgets(cli, BOB.replace("0.50", "-1"))
    assert_one_clear_line(cli.on(EXAMPLES, "budget"), 2, "budgets.toml:5", "amount")


def test_what_was_billed_without_a_line_is_said_by_usage_and_the_report(cli: Cli) -> None:
    cli.env |= {"SESSION_LAYOUT": "projects", "SESSION_USER": "dev"}
    cli.on(BILLED, "run")
    shown = cli.on(BILLED, "usage").stdout
    assert "+ 15.6 % billed without a line (compaction, titles, searches): 0.0191 USD of 4" in shown
    beyond = json.loads(cli.on(BILLED, "usage", "--json").stdout)["billed_beyond_lines"]
    assert (beyond["billed_cost"], beyond["unlogged_cost"]) == (0.122304, 0.01908)
    page = cli.on(BILLED, "report").stdout.splitlines()[0]
    assert "<dd>+ 15.6 %</dd>" in Path(page).read_text("utf-8")
