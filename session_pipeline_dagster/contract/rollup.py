"""The contract of a roll-up: a table computed in SQL over the rows of all sessions."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table computed over all sessions, refreshed only for the parts that changed.

    Attributes:
        name: the table.
        columns: its column DDL.
        part: the column that says which part a row belongs to.
        changed: SELECT of the parts (one VARCHAR column) that the files in `batch(session_file)`
            touch. Runs in a commit, before the old rows go and after the new ones came. Empty: only
            what feeds it notes.
        refresh: SELECT of the rows of the parts in `parts(part)`, in column order.
        description: Markdown for the catalog.
        deps: tables and roll-ups that it reads; of roll-ups and derivations, those declared before
            it are up to date when it is refreshed. Empty: the processor's tables.
        numbers: SELECT of one row: what is shown beside it, and plotted; the columns are the names.
        feeds: roll-ups and derivations for which the same parts are noted when it is refreshed.
    """

    name: str
    columns: str
    part: str
    changed: str
    refresh: str
    description: str = ""
    deps: Sequence[str] = ()
    feeds: Sequence[str] = ()
    numbers: str = ""
