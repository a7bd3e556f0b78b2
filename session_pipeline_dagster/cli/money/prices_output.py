"""What `session-pipeline prices` prints for people."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from rich.console import Console

from session_pipeline_dagster.cli.money.prices_data import columns
from session_pipeline_dagster.cli.tables import Cell, new_console, show_table
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage.money.amounts import exact, places_for, rounded
from session_pipeline_dagster.processors.usage.money.own_prices import OwnPrices
from session_pipeline_dagster.processors.usage.money.price_diff import Diff
from session_pipeline_dagster.processors.usage.money.price_explained import (
    ExplainedVariant,
    Explanation,
)
from session_pipeline_dagster.processors.usage.money.price_list import PriceList
from session_pipeline_dagster.processors.usage.money.rates import STANDARD, PriceRow

_RATES: Final = ("input", "output", "read", "write 5m", "write 1h", "search")
_AS_STANDARD: Final = "A variant without a line, fast or batch, is priced as standard (assumed)"
_UNITS: Final = "USD per million tokens, and per thousand searches"


def print_list(found: PriceList) -> None:
    """The list command's table."""
    console = new_console()
    if not found.rows and not found.unpriced:
        console.print("No model seen yet; `session-pipeline run` reads the sessions")
        return
    rows = [row for row in found.rows if not _is_as_standard(row, found.rows)]
    providers = {row.provider for row in rows}
    marked = any(row.source != "list" or row.assumed for row in rows)
    shown: list[Sequence[Cell]] = []
    last: tuple[str, str] | None = None
    for row in rows:
        if last != (last := (row.provider, row.model)):
            shown.append((_model(row, len(providers) > 1), *("",) * (len(_RATES) + marked)))
        shown.append((_when(row), *map(exact, columns(row.rates)), *_marks(row, marked)))
    names = ("model", *_RATES, *(("from",) if marked else ()))
    show_table(console, f"Prices, {_UNITS}", names, shown, right=_RATES)
    for one in found.in_force:
        _line(console, f"Table: {one.price_table}{_days(one.valid_from, one.valid_to)}")
    if len(rows) < len(found.rows):
        _line(console, _AS_STANDARD)
    if found.unpriced:
        named = ", ".join(f"{model} ({provider})" for provider, model in found.unpriced)
        _line(console, f"Without a price: {named}")


def print_explanation(found: Explanation, own: OwnPrices | None) -> None:
    """The explain command's story, and the rates that come out of it."""
    console = new_console()
    _line(console, f"{found.model} of {found.provider} on {found.day}")
    for step in _steps(found, own):
        _line(console, f"  {step}")
    every = [row for one in found.variants for row in one.rows]
    rows = [
        (row.variant, _band(row) or "any", *map(exact, columns(row.rates)), *_marks(row))
        for row in every
        if not _is_as_standard(row, every)
    ]
    if rows:
        names = ("variant", "total input", *_RATES, "from")
        console.print()
        show_table(console, f"{found.price_table}, {_UNITS}", names, rows, right=_RATES)
        if len(rows) < len(every):
            _line(console, _AS_STANDARD)


def print_diff(found: Diff) -> None:
    """The diff command's table."""
    console = new_console()
    _line(console, f"Before: {', then '.join(found.tables_before) or 'nothing'}")
    _line(console, f"After:  {', then '.join(found.tables_after)}")
    if found.lock_until:
        _line(console, f"Locked: days up to {found.lock_until} keep the prices that they have")
    if not found.changes:
        _line(console, "No cost changes")
        return
    places = places_for([amount for one in found.changes for amount in (one.before, one.after)])
    rows: list[Sequence[Cell]] = [
        (
            *(one.month, (one.model or "-", one.provider or "-"), one.messages),
            _cost(one.before, one.unpriced_before, places),
            _cost(one.after, one.unpriced_after, places),
            _signed(one.by, places),
        )
        for one in found.changes
    ]
    by = sum((one.by for one in found.changes), Decimal(0))
    rows.append(("Total", "", None, "", "", _signed(by, places)))
    names = ("month", "model", "messages", "before, USD", "after, USD", "change")
    show_table(console, "What the next run changes", names, rows, right=names[3:])


def _steps(found: Explanation, own: OwnPrices | None) -> Iterator[str]:
    """How the price is found, in the order in which it is looked for."""
    if found.names[0] != found.model:
        yield f"name: {found.names[0]}, for [1m] costs nothing by itself"
    for name, target in zip(found.names, found.names[1:], strict=False):
        yield f"alias: {name} stands for {target}"
    standard = next(one for one in found.variants if one.variant == STANDARD)
    yield _own_step(standard, own)
    asked = ", then ".join(f"{name} of {place}" for place, name in found.tried)
    if found.listed_model is None:
        yield f"list price: none, the library does not know {asked}"
    else:
        region = f", {found.region} endpoint" if found.region else ""
        yield f"list price: that of {found.listed_model}{region} (asked for: {asked})"
    for one in found.variants:
        if one.own and one.own != standard.own:
            yield f"{one.variant}: own price of line {one.own.line}"
        if one.discount:
            percent = f"{exact(one.discount.percent)} %"
            yield f"{one.variant}: {percent} off by the discount of line {one.discount.line}"
    if own and own.lock_until and found.day <= own.lock_until:
        yield (
            f"locked until {own.lock_until}: responses of this day keep the price that they had, "
            "which `session-pipeline prices list` shows"
        )
    if not found.is_priced:
        yield "so it has no price: its responses are counted as unpriced, and never guessed"


def _own_step(standard: ExplainedVariant, own: OwnPrices | None) -> str:
    if own is None:
        return "own prices: no file (SESSION_PIPELINE_PRICES)"
    price = standard.own
    if price is None:
        return f"own prices: none of {own.name} holds"
    kind = "pattern" if price.is_glob else "name"
    return f"own prices: {price.file}:{price.line} holds, by its {kind} {price.model}"


def _is_as_standard(row: PriceRow, rows: Sequence[PriceRow]) -> bool:
    """Whether it only repeats a line of standard, for want of a price of its own."""
    return (
        row.assumed
        and row.variant != STANDARD
        and any(
            (one.provider, one.model, one.over_input, one.rates)
            == (row.provider, row.model, row.over_input, row.rates)
            for one in rows
            if one.variant == STANDARD
        )
    )


def _model(row: PriceRow, named: bool) -> Cell:
    """The name as lines have it, and below it the model that is priced, and the provider."""
    priced = () if row.price_model == row.model else (f"as {row.price_model}",)
    return row.model, *priced, *((f"of {row.provider}",) if named else ())


def _when(row: PriceRow) -> Cell:
    """Variant, days and band, set in below the model."""
    band = _band(row)
    when = f"  {row.variant}{_days(row.valid_from, row.valid_to)}"
    return (when, f"  {band} in") if band else when


def _days(first: date | None, last: date | None) -> str:
    since = f" from {first}" if first else ""
    return f"{since} to {last}" if last else since


def _band(row: PriceRow) -> str:
    if row.over_input:
        return f"over {row.over_input:,}"
    return "" if row.upto_input is None else f"up to {row.upto_input:,}"


def _marks(row: PriceRow, marked: bool = True) -> tuple[Cell, ...]:
    """Where a price is from, as one cell; none where that is the same everywhere."""
    return ((row.source, "assumed") if row.assumed else row.source,) if marked else ()


def _cost(cost: Decimal | None, unpriced: int, places: int) -> Cell:
    missing = f"{unpriced:,} unpriced"
    if cost is None:
        return missing
    return (rounded(cost, places), f"+ {missing}") if unpriced else rounded(cost, places)


def _signed(amount: Decimal, places: int) -> str:
    sign = "+" if amount > 0 else "-" if amount < 0 else ""
    return f"{sign}{rounded(abs(amount), places)}"


def _line(console: Console, text: str) -> None:
    console.print(printable(text), soft_wrap=True)
