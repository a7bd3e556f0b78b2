"""The contract of a roll-up: a table computed in SQL over the rows of all sessions."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A table of the parts in which a name was ever found: whoever asks who shares names with some
    rows need not read all rows.

    Every commit adds to it; a row says no more than that there may be something. Only what is
    purged or forgotten leaves it. It is empty while all parts are noted because of a new
    declaration: `changed` names the parts of the batch's own rows without it.

    Attributes:
        name: the table.
        columns: its column DDL; `hashed`, what is made of a name, and the part.
        of: SELECT of the rows of the files in `batch(session_file)`, its columns
            those of the table.
    """

    name: str
    columns: str
    of: str


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
        keeps: tables of whereabouts that `changed` and `reach` ask; it owns them.
        reach: SELECT of the parts (one column) that `refresh` has to read for those in
            `parts(part)`. It finds them in `reach(part)`, the first and the last of them in the
            variables `first_part` and `last_part`: a range of constants lets DuckDB leave out what
            is stored elsewhere. Empty: there are none of these.
        spreads: SELECT of the parts (one VARCHAR column) that hang on those in `parts(part)` as
            well, and are made again with them: a window of days that a changed day is in. Empty:
            each part hangs on itself.
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
    keeps: Sequence[Whereabouts] = ()
    reach: str = ""
    spreads: str = ""
