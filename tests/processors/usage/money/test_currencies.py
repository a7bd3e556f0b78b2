"""Costs in another currency: each day by its own rate, and no day by a guess."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from lines import UsagePipeline, assistant, usage
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.currencies import Currency, read_currency

TWO = """
[[rate]]
currency = "EUR"
per_usd = 0.5
from = 2026-03-11
[[rate]]
currency = "EUR"
per_usd = 0.92
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "rates.toml"
    file.write_text(text, "utf-8")
    return file


def test_a_rate_holds_until_the_next_one_begins(tmp_path: Path) -> None:
    found = read_currency(written(tmp_path, TWO), "EUR")
    assert found.spans() == [
        (date.min, date(2026, 3, 10), Decimal("0.92")),
        (date(2026, 3, 11), date.max, Decimal("0.5")),
    ]
    assert Currency().spans() == [(date.min, date.max, Decimal(1))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[rate]]\ncurrency = "eur"\nper_usd = 1', "rates.toml:2: currency is "),
        ('[[rate]]\ncurrency = "EUR"\nper_usd = 0', "rates.toml:3: per_usd is 0"),
        ('[[rate]]\ncurrency = "EUR"\nper_usd = "1"', "rates.toml:3: per_usd is "),
        ('[[rate]]\ncurrency = "EUR"\nrate = 1', "rates.toml:3: "),
        (TWO + '[[rate]]\ncurrency = "EUR"\nper_usd = 2', "rates.toml:9: EUR has another rate"),
        ('[[rate]]\ncurrency = "EUR"', "rates.toml:1: per_usd is missing"),
        ('[[rate]]\ncurrency = "CHF"\nper_usd = 1', "has no rate of .EUR.; it has: CHF"),
        ("", "it has: none"),
    ],
)
def test_a_mistake_in_the_file_says_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_currency(written(tmp_path, text), "EUR")


def shown(pipeline: UsagePipeline, *options: str, **environ: str) -> str:
    database = str(pipeline.settings.database)
    command = ["usage", "--database", database, "--sessions", str(pipeline.root), *options]
    return CliRunner().invoke(main, command, env=environ).output


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    """A million tokens of input on each of two days, at 5 USD."""
    made = UsagePipeline(tmp_path)
    made.write(
        "alice/p/s.jsonl",
        assistant("msg_1", usage(10**6), at="2026-03-10T23:59:59Z"),
        assistant("msg_2", usage(10**6), at="2026-03-11T00:00:00Z"),
    )
    made.run()
    return made


def test_every_response_is_shown_by_the_rate_of_its_day(pipeline, tmp_path: Path) -> None:
    rates = {"SESSION_PIPELINE_CURRENCY_RATES": str(written(tmp_path, TWO))}
    found = shown(pipeline, "--currency", "EUR", "--json", **rates)
    assert '"cost": 7.1' in found
    assert '"currency": "EUR"' in found
    assert "Cost (EUR)" in shown(pipeline, "--currency", "EUR", **rates)
    assert '"cost": 10' in shown(pipeline, "--json", **rates)


def test_a_day_before_the_first_rate_is_an_error(pipeline, tmp_path: Path) -> None:
    late = written(tmp_path, TWO.split("[[rate]]")[1].join(["[[rate]]", ""]))
    rates = {"SESSION_PIPELINE_CURRENCY_RATES": str(late)}
    assert "before the first rate of EUR" in shown(pipeline, "--currency", "EUR", **rates)
    since = shown(pipeline, "--currency", "EUR", "--since", "2026-03-11", "--json", **rates)
    assert '"cost": 2.5' in since


def test_without_a_file_there_is_no_other_currency(pipeline) -> None:
    assert "names no file" in shown(pipeline, "--currency", "EUR")
    assert "Cost (USD)" in shown(pipeline, "--currency", "USD")
