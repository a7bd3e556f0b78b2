"""The contract of a derivation: tables computed in Python over the rows of all sessions.

What SQL can say is a view or a `Rollup`. A derivation reads, computes while no connection is held,
and its changes are written in one transaction, unless what it read has changed meanwhile: then it
is computed again. So `compute` must be a function of what it is given.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from session_pipeline_dagster.guests import hosting
from session_pipeline_dagster.sources.snapshot import content_hash

Row = tuple[object, ...]
"""One row: a value for every column of the table's DDL, in its order. A TIMESTAMPTZ is an aware
datetime or an int of microseconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """A table that only its derivation writes.

    Attributes:
        columns: its column DDL.
        key: SQL over its columns that names a row; VARCHAR.
    """

    columns: str
    key: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a computation is given.

    Attributes:
        parts: what commits and other derivations have noted since the last time.
        rows: the rows of each SELECT in `reads`, all as of one moment.
        now: UTC.
    """

    parts: frozenset[str]
    rows: Mapping[str, Sequence[Row]]
    now: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What a computation makes of the tables.

    Attributes:
        removed: table -> keys of the rows that go; a row that changes is removed and added.
        added: table -> rows, in column order.
        notes: roll-up or derivation -> parts it is to look at next time. A derivation's own notes
            are used up by its computation; name here those that are still to be done.
        numbers: for the metadata and the report.
    """

    removed: Mapping[str, Collection[str]] = field(default_factory=dict)
    added: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    notes: Mapping[str, Collection[str]] = field(default_factory=dict)
    numbers: Mapping[str, int | float] = field(default_factory=dict)


Compute = Callable[[Inputs], Changes]


@dataclass(frozen=True, slots=True)
class Derivation:
    """Tables computed from the rows of all sessions, when commits have touched them.

    Attributes:
        name: names its step and its notes.
        tables: table name -> columns and key.
        reads: name -> SELECT whose rows `compute` needs; those of its own tables too.
        compute: called without a connection; again, if what it was given has changed since.
        changed: SELECT of the parts (one VARCHAR column) that the files in `batch(session_file)`
            touch, run in a commit like that of a `Rollup`. Empty: only other derivations note.
        deps: tables that it reads, for the lineage.
        first: it is computed before the roll-ups, which read its tables.
        basis: names what else it is computed from (a file, a package, a day), quickly and without
            raising; where that is another than last time, it is computed again.
        journals: journal tables of the processor that it may add rows to.
        quick: `compute` waits for nobody and takes no longer than a commit, so the database may
            stay open meanwhile: a pass in the foreground opens it once, not for every step.
    """

    name: str
    tables: Mapping[str, DerivedTable]
    reads: Mapping[str, str]
    compute: Compute
    changed: str = ""
    deps: Sequence[str] = ()
    journals: Sequence[str] = ()
    first: bool = False
    basis: Callable[[], str] | None = None
    quick: bool = False


def basis_of(derivation: Derivation) -> str | None:
    """What it is computed from beside rows; None where there is nothing."""
    if derivation.basis is None:
        return None
    with hosting(f"derivation {derivation.name!r}: its basis"):
        basis = derivation.basis()
        if not isinstance(basis, str):
            raise TypeError
    return f"{basis} {content_hash(repr(sorted(derivation.reads.items())).encode())}"
