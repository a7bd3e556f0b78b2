"""What `session-pipeline prices` prints for programs. USD per million tokens and per thousand
searches, as in a `prices.toml`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

from session_pipeline_dagster.cli.ending import error_json
from session_pipeline_dagster.cli.money.document import document
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.amounts import per_million, per_thousand

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.own_prices import OwnPrices
    from session_pipeline_dagster.processors.usage.money.price_diff import Diff
    from session_pipeline_dagster.processors.usage.money.price_explained import (
        ExplainedVariant,
        Explanation,
    )
    from session_pipeline_dagster.processors.usage.money.price_list import PriceList
    from session_pipeline_dagster.processors.usage.money.rates import PriceRow, Rates


def list_json(found: "PriceList", problem: str | None) -> str:
    """The list command's document; with a problem, the table is the last good one."""
    hint = "Change the line that the message names."
    return document(
        {
            **({"error": error_json(SettingsError.__name__, problem, hint)} if problem else {}),
            "price_tables": [asdict(one) for one in found.in_force],
            "prices": [
                {"provider": row.provider, "model": row.model, **_priced(row)} for row in found.rows
            ],
            "unpriced_models": [
                {"provider": provider, "model": model} for provider, model in found.unpriced
            ],
            "problem": problem,
        }
    )


def explain_json(found: "Explanation", own: "OwnPrices | None") -> str:
    """The explain command's document."""
    return document(
        {
            "provider": found.provider,
            "model": found.model,
            "day": found.day,
            "price_table": found.price_table,
            "names": found.names,
            "tried": [{"provider": place, "model": name} for place, name in found.tried],
            "listed_model": found.listed_model,
            "region": found.region,
            "locked_until": own.lock_until if own else None,
            "is_priced": found.is_priced,
            "variants": [_variant(one) for one in found.variants],
        }
    )


def diff_json(found: "Diff") -> str:
    """The diff command's document."""
    return document(
        {
            "price_tables_before": found.tables_before,
            "price_tables_after": found.tables_after,
            "locked_until": found.lock_until,
            "rows": [asdict(one) for one in found.changes],
            "difference": sum((one.by for one in found.changes), Decimal(0)),
        }
    )


def _variant(one: "ExplainedVariant") -> Mapping[str, object]:
    return {
        "variant": one.variant,
        "own_price": {"file": one.own.file, "line": one.own.line} if one.own else None,
        "discount": (
            {"percent": one.discount.percent, "line": one.discount.line} if one.discount else None
        ),
        "prices": [_priced(row) for row in one.rows],
    }


def _priced(row: "PriceRow") -> dict[str, object]:
    return {
        "price_model": row.price_model,
        "variant": row.variant,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "over_input": row.over_input,
        "upto_input": row.upto_input,
        **_rates(row.rates),
        "source": row.source,
        "assumed": row.assumed,
        "price_table": row.price_table,
    }


def _rates(rates: "Rates") -> Mapping[str, Decimal]:
    tokens = asdict(rates)
    search = per_thousand(tokens.pop("web_search"))
    return {name: per_million(rate) for name, rate in tokens.items()} | {"web_search": search}


def columns(rates: "Rates") -> Sequence[Decimal]:
    """The six prices in the order of the document."""
    return list(_rates(rates).values())
