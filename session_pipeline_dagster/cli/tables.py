"""Tables that show all of what is in them, however narrow the terminal is.

Rich cuts what does not fit. Here a table that does not fit moves together, then long texts fold and
millions are written as `1.2 M`; and where that is not enough, every row is a list of its own. In a
pipe or a file a table is as wide as it must be.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from session_pipeline_dagster.names import printable

_UNBOUNDED = 100_000
_NARROW = 80
_READABLE = 12
"""Characters of a text in a line, at least; less is a column of syllables."""
_MARGIN = 2
_UNITS = ("M", "G", "T", "P", "E")
_SHORTENED = 1_000_000
_ROUNDED_UP = 999.5

Cell = str | tuple[str, ...] | int | float | None
"""A tuple is lines below each other; in each, what controls a terminal is made harmless here."""


class _Console(Console):
    """A pipe that nobody reads any more is said by who ends the program."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def new_console() -> Console:
    """No markup: keys, tool names and errors come from strangers and may hold brackets."""
    console = _Console(markup=False, highlight=False)
    otherwise = _NARROW if console.is_terminal else _UNBOUNDED
    console.width = shutil.get_terminal_size((otherwise, 0)).columns
    return console


def show_table(
    console: Console,
    title: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    right: Sequence[str] = (),
) -> None:
    """Print a table.

    Args:
        right: columns to be set like numbers though they hold text.
    """
    # Of a plugin's PIVOT they may be anything.
    title, names, right = printable(title), [*map(printable, names)], [*map(printable, right)]
    numbers = [
        name in right or _are_numbers([row[place] for row in rows])
        for place, name in enumerate(names)
    ]
    for gap, short in ((3, False), (2, False), (2, True)):
        cells = [[_text(value, short=short) for value in row] for row in rows]
        widths = _widths(names, cells, numbers, console.width - _MARGIN, gap)
        if widths:
            console.print(_table(title, names, cells, _Layout(numbers, widths, gap)))
            return
    _print_each(console, title, names, rows)


@dataclass(frozen=True, slots=True)
class _Layout:
    numbers: Sequence[bool]
    widths: Sequence[int]
    gap: int


def _are_numbers(values: Sequence[Cell]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int | float) for value in there)


def _text(value: Cell, *, short: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, str | tuple):
        return "\n".join(map(printable, (value,) if isinstance(value, str) else value))
    if short and abs(value) >= _SHORTENED:
        return _short(value)
    return f"{value:,}"


def _short(number: float) -> str:
    """Three digits and a unit: `34.6 G`."""
    number /= _SHORTENED
    units = iter(_UNITS)
    unit = next(units)
    # What would be rounded to 1000 is one of the next unit.
    while abs(number) >= _ROUNDED_UP and (larger := next(units, "")):
        number, unit = number / 1000, larger
    return f"{number:.3g} {unit}" if abs(number) < _ROUNDED_UP else f"{number:,.0f} {unit}"


def _widths(
    names: Sequence[str],
    cells: Sequence[Sequence[str]],
    numbers: Sequence[bool],
    room: int,
    gap: int,
) -> list[int]:
    """The width of each column; none where they do not fit side by side."""
    words = [max(map(cell_len, name.split()), default=1) for name in names]
    longest = [
        max((cell_len(line) for row in cells for line in row[place].split("\n")), default=0)
        for place in range(len(names))
    ]
    room -= gap * (len(names) - 1)
    whole = [max(long, cell_len(name)) for name, long in zip(names, longest, strict=True)]
    if sum(whole) <= room:
        return whole
    natural = [
        max(long, word if number else cell_len(name))
        for name, word, long, number in zip(names, words, longest, numbers, strict=True)
    ]
    widths = list(natural)
    room -= sum(n for n, number in zip(natural, numbers, strict=True) if number)
    texts = sorted((place for place, n in enumerate(numbers) if not n), key=natural.__getitem__)
    for done, place in enumerate(texts):
        # What the shorter texts do not need is for the longer ones.
        share = room // (len(texts) - done)
        widths[place] = min(natural[place], share)
        room -= widths[place]
        if widths[place] < max(min(natural[place], _READABLE), words[place]):
            return []
    return widths if room >= 0 else []


def _table(
    title: str, names: Sequence[str], cells: Sequence[Sequence[str]], layout: _Layout
) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, layout.gap - 2),
    )
    for name, number, width in zip(names, layout.numbers, layout.widths, strict=True):
        table.add_column(name, justify="right" if number else "left", overflow="fold", width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_each(
    console: Console, title: str, names: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> None:
    """Every row as lines of its own, for a terminal that breaks them where it must."""
    console.print(Text(title, style="bold"))
    label = max(map(cell_len, names))
    for row in rows:
        console.print()
        for name, value in zip(names, row, strict=True):
            said = " ".join(_text(value, short=False).split("\n"))
            console.print(f" {name:<{label}}  {said}", soft_wrap=True)
    console.print()
