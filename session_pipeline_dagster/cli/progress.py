"""What a terminal shows while work goes on, so that it is never silent: a name, a bar, the time.

Nothing in a pipe, and nothing is imported to draw with there.
"""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec

from session_pipeline_dagster.names import printable


class Showing(msgspec.Struct, frozen=True):
    """How work says where it is.

    Attributes:
        advance: called with (files worked on, files to work on).
        phase: called with the name of what begins, of which nobody knows how long it takes.
    """

    advance: Callable[[int, int], None]
    phase: Callable[[str], None]


@contextmanager
def showing(name: str, *, hidden: bool = False) -> Generator[Showing]:
    """Show what goes on, where someone sees it."""
    if hidden or sys.stderr is None or not sys.stderr.isatty():
        yield Showing(lambda _done, _total: None, lambda _name: None)
        return
    from rich.console import Console  # noqa: PLC0415  only for terminals
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(name), total=None)

        def phase(what: str) -> None:
            bar.reset(task, total=None, description=printable(f"{name}: {what}"))

        yield Showing(lambda done, total: bar.update(task, completed=done, total=total), phase)
