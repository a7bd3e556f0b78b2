"""The derivation that keeps the price table: what models were seen, and what each costs when.

A new version of the price library, or another file of own prices, is another basis: the table is
made again, and the days of the models whose prices changed are costed again, from stored rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster import given_files
from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.cost_states import plain
from session_pipeline_dagster.processors.usage.money.library_version import version
from session_pipeline_dagster.settings import MoneySettings

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.own_prices import OwnPrices
    from session_pipeline_dagster.processors.usage.money.rates import PriceRow

_SEEN = """SELECT provider, model FROM usage_messages WHERE model IS NOT NULL
            AND provider IS NOT NULL GROUP BY ALL
        UNION SELECT provider, model FROM usage_slots WHERE model IS NOT NULL AND day < (
            SELECT frozen_before FROM session_retention
            WHERE processor_name = 'usage' AND kind = 'messages')"""
"""What was seen; of days whose responses are gone, in what is kept of them: bills are compared."""
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
        provider VARCHAR, own VARCHAR""",
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
        own: what the file of own prices held.
    """

    price_table: str
    cost_mode: str
    valid_from: date | None
    valid_to: date | None
    problem: str | None = None
    provider: str | None = None
    own: str | None = None


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
            ANTI JOIN usage_models_seen USING (model)
            UNION SELECT 'gone' FROM batch ANTI JOIN usage_sessions USING (session_file)""",
        deps=("usage_messages",),
        first=True,
        basis=partial(basis, money),
        quick=True,
    )


def basis(money: MoneySettings) -> str:
    """Names what prices are made from: the library's version, the file's content, the mode."""
    return f"{version()} {content_of(money.prices)} {money.mode.value} {money.provider}"


def content_of(file: Path | None) -> str:
    """Names a file and what it holds, or what is wrong with it."""
    if file is None:
        return "-"
    import hashlib  # noqa: PLC0415  who has no file needs no OpenSSL

    try:
        return f"{file} {hashlib.sha256(given_files.content_of(file)).hexdigest()}"
    except (OSError, ValueError) as error:
        return f"{file} {type(error).__name__}"


@dataclass(frozen=True, slots=True)
class Made:
    """The tables as they are stored and as they would be now: prices, and what holds when.

    Attributes:
        problem: what of the own prices is not in them, with file and line.
    """

    before: Sequence["PriceRow"]
    after: Sequence["PriceRow"]
    stood: Sequence[Pricing]
    stands: Sequence[Pricing]
    lock_until: date | None = None
    problem: str | None = None

    def days_to_cost_again(self, used: Sequence[Row]) -> list[str]:
        """Which days of (provider, model, day) have another price."""
        return _to_cost_again(self.before, self.after, self.stood, self.stands, used)


def made_now(money: MoneySettings, rows: Mapping[str, Sequence[Row]]) -> Made:
    """The price table of the models that were seen; imports the library.

    What own prices say of one model may make no sense only beside it (two patterns that it
    matches): that costs this model, which keeps its last good prices or has list prices.

    Args:
        rows: those of the derivation's `reads`.
    """
    from session_pipeline_dagster.processors.usage.money import own_prices, price_table  # noqa: PLC0415  0.2 s that only a new model or another table pays

    before, stood = _stored(rows)
    seen = _seen(money, rows)
    try:
        own = own_prices.read_prices(money.prices) if money.prices else None
    except SettingsError as error:
        # What was good last stays; models that it did not know have their list price.
        known = {(row.provider, row.model) for row in before}
        after = [*before, *price_table.price_rows({*seen} - known, None)]
        stands = stood or [_open(None, money)]
        said = [replace(one, problem=str(error)) for one in stands]
        return Made(before, after, stood, said, problem=str(error))
    until = own.lock_until if own else None
    now = _open(own, money)
    stands = _in_force(stood, now, until)
    models = {*rows["models"]}
    late = [pair for pair in seen if pair not in models]
    if stood and replace(stood[-1], valid_from=None) == now:
        # The same table: only what is new has to be looked up.
        made, problem = _rows_of_each(late, before, own)
        after = [*before, *_as_locked(made, late, stands)]
    else:
        made, problem = _rows_of_each(seen, before, own)
        fresh = {*late}
        of_late = [row for row in made if (row.provider, row.model) in fresh]
        others = [row for row in made if (row.provider, row.model) not in fresh]
        after = price_table.frozen(before, others, until)
        after += _as_locked(of_late, late, stands)
    if problem:
        stands = [*stands[:-1], replace(stands[-1], problem=problem)]
    return Made(before, after, stood, stands, until, problem)


def _as_locked(
    rows: Sequence["PriceRow"], pairs: Sequence[tuple[str, str]], stands: Sequence[Pricing]
) -> Sequence["PriceRow"]:
    """The rows of models that come late: on locked days by the own prices of those days."""
    from session_pipeline_dagster.processors.usage.money import own_prices, price_table, toml_file  # noqa: PLC0415  as above

    for span in reversed([one for one in stands if one.valid_to is not None]):
        own = None
        if span.own is not None:
            own = own_prices.own_prices(toml_file.parse("prices.toml", span.own.encode()))
        then, _ = _rows_of_each(pairs, (), own)
        rows = price_table.frozen(then, rows, span.valid_to)
    return rows


def _rows_of_each(
    seen: Sequence[tuple[str, str]], before: Sequence["PriceRow"], own: "OwnPrices | None"
) -> tuple[list["PriceRow"], str | None]:
    """The rows of all models, and what is wrong with the own prices of one, if it is."""
    from session_pipeline_dagster.processors.usage.money import price_table  # noqa: PLC0415  as above

    try:
        return price_table.price_rows(seen, own), None
    except SettingsError as error:
        problem = str(error)
    rows: list[PriceRow] = []
    for pair in seen:
        try:
            rows += price_table.price_rows([pair], own)
        except SettingsError:
            good = [row for row in before if (row.provider, row.model) == pair]
            rows += good or price_table.price_rows([pair], None)
    return rows, problem


def compute(money: MoneySettings, inputs: Inputs) -> Changes:
    """The price table of the models that were seen."""
    seen = _seen(money, inputs.rows)
    made = made_now(money, inputs.rows)
    days = made.days_to_cost_again(inputs.rows["used"])
    there = {*seen}
    # Nothing is kept of a model that nobody has any more.
    after = [row for row in made.after if (row.provider, row.model) in there]
    kept, had = {*after}, {*made.before}
    known_models = {*inputs.rows["models"]}
    return Changes(
        removed={
            "model_prices": [_price_key(row) for row in made.before if row not in kept],
            "usage_pricing": [_text_key(one.valid_from) for one in made.stood],
            "usage_models_seen": [_text_key(*pair) for pair in known_models - there],
        },
        added={
            "model_prices": [astuple(row) for row in after if row not in had],
            "usage_pricing": [astuple(one) for one in made.stands],
            "usage_models_seen": sorted(there - known_models),
        },
        notes={"usage_slots": days},
        numbers={
            "models_seen": len(seen),
            "models_priced": len({(row.provider, row.model) for row in after}),
            "days_to_cost_again": len(days),
        },
    )


def _stored(rows: Mapping[str, Sequence[Row]]) -> tuple[list["PriceRow"], list[Pricing]]:
    from session_pipeline_dagster.processors.usage.money.rates import PriceRow  # noqa: PLC0415  as above

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
    pairs |= {(who, str(model)) for who in providers for (model,) in billed}
    # What was billed is compared without the mark of a long context.
    return sorted(pairs | {(who, plain(model)) for who, model in pairs})


def _open(own: "OwnPrices | None", money: MoneySettings) -> Pricing:
    """The table of these own prices, as it holds on all days."""
    from session_pipeline_dagster.processors.usage.money.price_table import table_name  # noqa: PLC0415  as above

    text, mode = own.text if own else None, money.mode.value
    return Pricing(table_name(own), mode, None, None, provider=money.provider, own=text)


def _in_force(stood: Sequence[Pricing], now: Pricing, until: date | None) -> list[Pricing]:
    """Which table holds when: days that are locked keep theirs."""
    from session_pipeline_dagster.processors.usage.money.rates import day_after  # noqa: PLC0415  as above

    if until is None or not stood:
        return [now]
    kept = [
        replace(one, valid_to=min(one.valid_to or until, until), problem=None)
        for one in stood
        if one.valid_from is None or one.valid_from <= until
    ]
    last = kept[-1]
    if replace(last, valid_from=None, valid_to=None) == now:
        return [*kept[:-1], replace(last, valid_to=None)]
    first = day_after(until)
    return kept if first is None else [*kept, replace(now, valid_from=first)]


def _to_cost_again(
    before: Sequence["PriceRow"],
    after: Sequence["PriceRow"],
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


def _price_key(row: "PriceRow") -> str:
    """As the key of the table in SQL."""
    return _text_key(row.provider, row.model, row.variant, row.valid_from, row.over_input)


def _text_key(*values: object) -> str:
    return "|".join(_NULL if value is None else str(value) for value in values)
