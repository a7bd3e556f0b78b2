"""The contract of a roll-up: a table computed in SQL over the rows of all sessions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table computed over all sessions, refreshed only for the parts that changed.

    Attributes:
        name: the table.
        columns: its column DDL.
        part: the column that says which part a row belongs to.
        changed: SELECT of the parts (one VARCHAR column) that the files in `batch(session_file)`
            touch. Runs in a commit, before the old rows go and after the new ones came.
        refresh: SELECT of the rows of the parts in `parts(part)`, in column order.
        description: Markdown for the catalog.
    """

    name: str
    columns: str
    part: str
    changed: str
    refresh: str
    description: str = ""
