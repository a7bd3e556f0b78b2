"""The contract of retention: which detail goes when it is old, and what is kept of it.

Roll-ups stay and detail goes. A day whose detail has gone is **frozen**: its parts of the roll-ups
are never made again, and rows that come for it later are turned away in the commit that would have
written them, and counted. So nothing that is read late, again or by another version can make what
is kept smaller, or add to it twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """What of one table goes once it is older than `SESSION_PIPELINE_RETENTION_DAYS` says.

    Attributes:
        kind: what that setting calls it; all tables of one kind have one horizon.
        table: a table of the processor.
        at: SQL over its rows, the TIMESTAMPTZ that says how old one is. Where it is NULL, it stays.
        freezes: roll-ups made from these rows, their parts UTC days written as DATE; so is the
            part of their whereabouts, in a column of the same name. The `reach` of the first is
            that of `counted`.
        name: SQL over its rows, VARCHAR: what is the same in every copy of a thing. A copy of what
            a frozen day has counted is turned away whatever its own day is. Empty: rows of other
            days are no copies.
        counted: SELECT of the names (one column) that count on the days in `parts(part)`. Empty:
            all that are there.
        empties: VARCHAR columns that are emptied; the rows stay, and no roll-up is frozen.
        unless: SQL over its rows, true where they keep what `empties` names. `{table}` is what they
            are called.
    """

    kind: str
    table: str
    at: str
    freezes: Sequence[str] = ()
    name: str = ""
    counted: str = ""
    empties: Sequence[str] = ()
    unless: str = ""
