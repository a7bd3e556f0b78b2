"""The derivation that keeps the price table: what models were seen, and what each costs when.

A new version of the price library, or another file of own prices, is another basis: the table is
made again, and the days of the models whose prices changed are costed again, from stored rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.rates import PriceRow, day_after
from session_pipeline_dagster.settings import MoneySettings

_SEEN = """SELECT provider, model FROM usage_messages WHERE model IS NOT NULL
            AND provider IS NOT NULL GROUP BY ALL"""
_NULL = "~"


def _key(*columns: str) -> str:
    return (
        "concat_ws('|', " + ", ".join(f"coalesce({c}::VARCHAR, '{_NULL}')" for c in columns) + ")"
    )


_PRICES = DerivedTable(
    """price_table VARCHAR, provider VARCHAR, model VARCHAR, price_model VARCHAR, variant VARCHAR,
        valid_from DATE, valid_to DATE, over_input BIGINT, upto_input BIGINT,
        input DECIMAL(18, 12), output DECIMAL(18, 12), cache_read DECIMAL(18, 12),
        cache_write_5m DECIMAL(18, 12), cache_write_1h DECIMAL(18, 12),
        web_search DECIMAL(18, 12), source VARCHAR, assumed BOOLEAN""",
    _key("provider", "model", "variant", "valid_from", "over_input"),
)
_PRICING = DerivedTable(
    """price_table VARCHAR, cost_mode VARCHAR, valid_from DATE, valid_to DATE, problem VARCHAR,
        provider VARCHAR""",
    _key("valid_from"),
)
_MODELS = DerivedTable("provider VARCHAR, model VARCHAR", _key("provider", "model"))


@dataclass(frozen=True, slots=True)
class Pricing:
    """Which table of prices holds on which days.

    Attributes:
        valid_from, valid_to: inclusive; None = open.
        problem: why the file of own prices is not in it; None where there is no problem.
        provider: who serves what does not say it.
    """

    price_table: str
    cost_mode: str
    valid_from: date | None
    valid_to: date | None
    problem: str | None = None
    provider: str | None = None


def price_derivation(money: MoneySettings) -> Derivation:
    """The price table under these settings."""
    return Derivation(
        name="model_prices",
        tables={"model_prices": _PRICES, "usage_pricing": _PRICING, "usage_models_seen": _MODELS},
        reads={
            "seen": _SEEN,
            "billed": "SELECT model FROM usage_billed_models WHERE model IS NOT NULL GROUP BY ALL",
            "prices": "FROM model_prices",
            "pricing": "FROM usage_pricing",
            "models": "FROM usage_models_seen",
            "used": """SELECT provider, model, day FROM usage_slots GROUP BY ALL""",
        },
        compute=partial(compute, money),
        changed="""SELECT 'models' FROM (
                SELECT provider, model FROM usage_messages SEMI JOIN batch USING (session_file)
                WHERE model IS NOT NULL GROUP BY ALL)
            ANTI JOIN usage_models_seen USING (provider, model)
            UNION SELECT 'billed' FROM (
                SELECT model FROM usage_billed_models SEMI JOIN batch USING (session_file)
                WHERE model IS NOT NULL GROUP BY ALL)
            ANTI JOIN usage_models_seen USING (model)""",
        deps=("usage_messages",),
        first=True,
        basis=partial(basis, money),
    )


def basis(money: MoneySettings) -> str:
    """Names what prices are made from: the library's version, the file's content, the mode."""
    from session_pipeline_dagster.processors.usage.money.listed import version  # noqa: PLC0415  a pass without work needs it no more than the library

    return f"{version()} {content_of(money.prices)} {money.mode.value} {money.provider}"


def content_of(file: Path | None) -> str:
    """Names a file and what it holds, or what is wrong with it."""
    if file is None:
        return "-"
    try:
        return f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}"
    except OSError as error:
        return f"{file} {type(error).__name__}"


@dataclass(frozen=True, slots=True)
class Made:
    """The tables as they are stored and as they would be now: prices, and what holds when."""

    before: Sequence[PriceRow]
    after: Sequence[PriceRow]
    stood: Sequence[Pricing]
    stands: Sequence[Pricing]
    lock_until: date | None = None

    def days_to_cost_again(self, used: Sequence[Row]) -> list[str]:
        """Which days of (provider, model, day) have another price."""
        return _to_cost_again(self.before, self.after, self.stood, self.stands, used)


def made_now(money: MoneySettings, rows: Mapping[str, Sequence[Row]]) -> Made:
    """The price table of the models that were seen; imports the library.

    Args:
        rows: those of the derivation's `reads`.

    Raises:
        SettingsError: the file of own prices cannot be used; says the line.
    """
    from session_pipeline_dagster.processors.usage.money import own_prices, price_table  # noqa: PLC0415  0.2 s that only a new model or another table pays

    before, stood = _stored(rows)
    own = own_prices.read_prices(money.prices) if money.prices else None
    until = own.lock_until if own else None
    after = price_table.frozen(before, price_table.price_rows(_seen(money, rows), own), until)
    now = _open(price_table.table_name(own), money)
    return Made(before, after, stood, _in_force(stood, now, until), until)


def _made_without_file(
    money: MoneySettings, rows: Mapping[str, Sequence[Row]], error: SettingsError
) -> Made:
    """What was good last stays; models that it did not know have their list price."""
    from session_pipeline_dagster.processors.usage.money import price_table  # noqa: PLC0415  as above

    before, stood = _stored(rows)
    known = {(row.provider, row.model) for row in before}
    after = [*before, *price_table.price_rows({*_seen(money, rows)} - known, None)]
    listed = _open(price_table.table_name(None), money)
    return Made(
        before, after, stood, [replace(one, problem=str(error)) for one in stood or [listed]]
    )


def compute(money: MoneySettings, inputs: Inputs) -> Changes:
    """The price table of the models that were seen."""
    seen = _seen(money, inputs.rows)
    try:
        made = made_now(money, inputs.rows)
    except SettingsError as error:
        made = _made_without_file(money, inputs.rows, error)
    days = made.days_to_cost_again(inputs.rows["used"])
    kept, had = {*made.after}, {*made.before}
    known_models = {*inputs.rows["models"]}
    return Changes(
        removed={
            "model_prices": [_price_key(row) for row in made.before if row not in kept],
            "usage_pricing": [_text_key(one.valid_from) for one in made.stood],
        },
        added={
            "model_prices": [astuple(row) for row in made.after if row not in had],
            "usage_pricing": [astuple(one) for one in made.stands],
            "usage_models_seen": sorted({*seen} - known_models),
        },
        notes={"usage_slots": days},
        numbers={
            "models_seen": len(seen),
            "models_priced": len({(row.provider, row.model) for row in made.after}),
            "days_to_cost_again": len(days),
        },
    )


def _stored(rows: Mapping[str, Sequence[Row]]) -> tuple[list[PriceRow], list[Pricing]]:
    prices = [PriceRow(*row) for row in rows["prices"]]  # ty: ignore[invalid-argument-type]
    pricing = [Pricing(*row) for row in rows["pricing"]]  # ty: ignore[invalid-argument-type]
    return prices, pricing


def _seen(money: MoneySettings, rows: Mapping[str, Sequence[Row]]) -> Sequence[tuple[str, str]]:
    return _pairs(rows["seen"], rows["billed"], money.provider)


def _pairs(seen: Sequence[Row], billed: Sequence[Row], provider: str) -> Sequence[tuple[str, str]]:
    """Provider and model of all that may have to be priced: what only a bill names was served by
    one of those who served the rest."""
    pairs = {(str(who), str(model)) for who, model in seen}
    providers = {who for who, _ in pairs} | {provider}
    return sorted(pairs | {(who, str(model)) for who in providers for (model,) in billed})


def _open(table: str, money: MoneySettings) -> Pricing:
    """A table that holds on all days."""
    return Pricing(table, money.mode.value, None, None, provider=money.provider)


def _in_force(stood: Sequence[Pricing], now: Pricing, until: date | None) -> list[Pricing]:
    """Which table holds when: days that are locked keep theirs."""
    if until is None or not stood:
        return [now]
    kept = [
        replace(one, valid_to=min(one.valid_to or until, until), problem=None)
        for one in stood
        if one.valid_from is None or one.valid_from <= until
    ]
    last = kept[-1]
    if (last.price_table, last.cost_mode) == (now.price_table, now.cost_mode):
        return [*kept[:-1], replace(last, valid_to=None)]
    return [*kept, replace(now, valid_from=day_after(until))]


def _to_cost_again(
    before: Sequence[PriceRow],
    after: Sequence[PriceRow],
    stood: Sequence[Pricing],
    stands: Sequence[Pricing],
    used: Sequence[Row],
) -> list[str]:
    """Days of the models whose price is another; all where the mode is."""

    def modes(rows: Sequence[Pricing]) -> list[tuple[object, ...]]:
        return [(one.cost_mode, one.valid_from, one.valid_to) for one in rows]

    one_mode = len({one.cost_mode for one in [*stood, *stands]}) <= 1
    had, has = ({replace(row, price_table="") for row in rows} for rows in (before, after))
    changed = {(row.provider, row.model) for row in had ^ has}
    everything = not one_mode and modes(stood) != modes(stands)
    return sorted({str(day) for who, model, day in used if everything or (who, model) in changed})


def _price_key(row: PriceRow) -> str:
    """As the key of the table in SQL."""
    return _text_key(row.provider, row.model, row.variant, row.valid_from, row.over_input)


def _text_key(*values: object) -> str:
    return "|".join(_NULL if value is None else str(value) for value in values)
