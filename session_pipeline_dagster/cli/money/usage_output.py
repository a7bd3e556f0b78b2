"""What `session-pipeline usage` prints for people: a table, and what its numbers mean."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console

from session_pipeline_dagster.cli.tables import Cell, new_console, show_table
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage.money.amounts import places_for, rounded
from session_pipeline_dagster.processors.usage.money.breakdown import (
    UNITS,
    Asked,
    Beyond,
    InForce,
    Row,
    Sums,
    Usage,
)

_NUMBERS: Final = ("Input", "Output", "Cache write", "Cache read", "Messages")
_LEFT_OUT: Final = ((), ("Cache write", "Cache read"), ("Cache write", "Cache read", "Input"))
_GAP: Final = 2
_NAMED: Final = 5
_SAID: Final = {
    "calculate": "API list price, not an invoice",
    "auto": "What lines recorded, else API list price; not an invoice",
    "display": "What lines recorded, not an invoice",
}


def print_usage(found: Usage, shown: Sequence[Row]) -> None:
    """The command's table, its total, and below it where the prices are from."""
    console = new_console()
    if not found.rows:
        is_all = found.asked.since is None and found.asked.until is None
        if found.hidden:
            least = found.asked.people.smallest_group
            console.print(
                f"Nothing can be shown: fewer than {least} people used anything "
                "(SESSION_PIPELINE_MIN_GROUP)"
            )
        elif is_all:
            console.print("No usage yet; `session-pipeline run` reads the sessions")
        else:
            console.print("No usage on these days")
        return
    places = places_for([*(row.sums.cost for row in found.rows), found.totals.cost])
    numbers = (*_NUMBERS, f"Cost ({found.asked.currency.code})")
    names = (*(key.replace("_", " ").capitalize() for key in found.asked.by), *numbers)
    rows = [(*_keys(row, found.asked), *_numbers(row.sums, places)) for row in shown]
    blank = ("",) * (len(found.asked.by) - 1)
    rows.append(("Total", *blank, *_numbers(found.totals, places)))
    kept = _that_fit(console, names, rows)
    cut = [[row[place] for place in kept] for row in rows]
    show_table(console, _title(found.asked), [names[place] for place in kept], cut, right=numbers)
    if left_out := [name.lower() for place, name in enumerate(names) if place not in kept]:
        _line(console, f"No room for {', '.join(left_out)}: a wider terminal or --csv has them")
    for note in _notes(found, len(found.rows) - len(shown)):
        _line(console, note)


def _keys(row: Row, asked: Asked) -> Iterator[Cell]:
    """The names of a row; below a session whose it is, and where it was."""
    for key, name in zip(asked.by, row.keys, strict=True):
        beside = ", ".join(one for one in row.beside if one) if key == "session" else ""
        yield (name or "-", beside) if beside else name or "-"


def _that_fit(
    console: Console, names: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> Sequence[int]:
    """Which columns to show, so that names and ids are whole; all where that does not help."""
    every = range(len(names))
    for without in _LEFT_OUT:
        kept = [place for place in every if names[place] not in without]
        if sum(_width(names[place], [row[place] for row in rows]) for place in kept) <= (
            console.width
        ):
            return kept
    return every


def _width(name: str, cells: Sequence[Cell]) -> int:
    """What a column takes beside others, at least."""
    lines = [line for cell in cells for line in (cell if isinstance(cell, tuple) else (cell,))]
    texts = [f"{line:,}" if isinstance(line, int) else str(line) for line in lines]
    words = name.split() if name in _NUMBERS or name.startswith("Cost (") else [name]
    return max(map(cell_len, map(printable, (*texts, *words)))) + _GAP


def _title(asked: Asked) -> str:
    since = f", from {asked.since}" if asked.since else ""
    until = f", until {asked.until}" if asked.until else ""
    has_days = since or until or any(key in UNITS for key in asked.by)
    zone = f", days of {asked.zone.key}" if has_days else ""
    return f"Usage by {', '.join(asked.by)}{since}{until}{zone}"


def _numbers(sums: Sums, places: int) -> tuple[Cell, ...]:
    mark = "≥ " if sums.at_least else ""
    return (
        _input(sums, sums.input_tokens),
        f"{mark}{sums.output_tokens:,}" if mark else sums.output_tokens,
        _input(sums, sums.cache_creation_tokens),
        _input(sums, sums.cache_read_tokens),
        sums.messages,
        _cost(sums, mark, places),
    )


def _input(sums: Sums, tokens: int | None) -> Cell:
    """What is known of what went in; a 0 would say that nothing did."""
    if tokens is None:
        return "unknown"
    return f"≥ {tokens:,}" if sums.unknown_input_messages else tokens


def _cost(sums: Sums, mark: str, places: int) -> Cell:
    unknown = sums.unknown_input_messages
    missing = {"unpriced": sums.unpriced_messages - unknown, "of unknown input": unknown}
    said = [f"{number:,} {what}" for what, number in missing.items() if number > 0]
    if sums.cost is None:
        return tuple(said) if said[1:] else said[0]
    cost = f"{mark}{rounded(sums.cost, places)}"
    return (cost, *(f"+ {one}" for one in said)) if said else cost


def _notes(found: Usage, more: int) -> Iterator[str]:
    """One line each: what is not shown, what costs are, and what is not in them."""
    if more:
        yield f"{more:,} more rows, which are in the total"
    yield f"{_said(found.in_force)}; prices: {_tables(found.in_force)}"
    if unknown := found.totals.unknown_input_messages:
        yield (
            f"Input unknown of {unknown:,} messages, so their cost, too: their session was killed, "
            "or has not ended"
        )
    if found.unpriced:
        named = [
            f"{one.model or 'no model named'} ({one.messages:,} messages)"
            for one in found.unpriced[:_NAMED]
        ]
        others = len(found.unpriced) - len(named)
        yield f"Unpriced: {', '.join(named)}{f' and {others:,} more' if others else ''}"
    if any(row.sums.at_least for row in found.rows):
        yield "≥ At least: over 5 % of the messages end before their last line"
    yield from _beyond(found.beyond)
    for problem in dict.fromkeys(one.problem for one in found.in_force if one.problem):
        yield f"Own prices are not in use: {problem}"


def _beyond(found: Beyond) -> Iterator[str]:
    """What Claude Code says was billed and the table above does not have."""
    if found.unlogged_cost:
        share = 100 * found.unlogged_cost / found.billed_cost
        yield (
            f"+ {share:.1f} % billed without a line (compaction, titles, searches): "
            f"{rounded(found.unlogged_cost, 4)} USD of {found.sessions:,} sessions whose bill is "
            "known"
        )
    if found.completed_output_tokens:
        yield (
            f"+ {found.completed_output_tokens:,} output tokens "
            f"({rounded(found.completed_cost, 4)} USD) of responses whose last line is missing, as "
            "they were billed"
        )


def _said(in_force: Sequence[InForce]) -> str:
    modes = dict.fromkeys(one.cost_mode for one in in_force) or {"calculate": None}
    return "; ".join(_SAID[mode] for mode in modes)


def _tables(in_force: Sequence[InForce]) -> str:
    """`a up to 2026-10-31, then b`."""
    said = [
        f"{one.price_table} up to {one.valid_to}" if one.valid_to else one.price_table
        for one in in_force
    ]
    return ", then ".join(said) or "none yet"


def _line(console: Console, text: str) -> None:
    console.print(printable(text), soft_wrap=True)
