"""What is behind `Store.derive`: read, compute, and write if what was read still holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Compute,
    Derivation,
    Inputs,
    basis_of,
)
from session_pipeline_dagster.errors import ContractError, StoreBusy
from session_pipeline_dagster.guests import hosting
from session_pipeline_dagster.store.write import insert_rows, register

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PARTS = "SELECT DISTINCT part FROM session_rollup_changes WHERE rollup = ?"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """What a computation is given, and a fingerprint of each thing it was read from."""

    inputs: Inputs
    prints: Mapping[str, object]


_T = TypeVar("_T")


class Doing(Protocol):
    """What is done with a connection, and what comes of it; done again if its line breaks."""

    def __call__(self, work: "Callable[[DuckDBPyConnection], _T]", /) -> _T: ...


def derive(seen: Doing, done: Doing, derivation: Derivation, compute: Compute | None) -> Changes:
    """See `Store.derive`.

    Args:
        seen: with a connection that reads. done: with one in a transaction.
    """

    def read(connection: "DuckDBPyConnection") -> Reading | None:
        if compute is None and not is_stale(connection, derivation):
            return None
        return _read(connection, derivation)

    for _ in range(_TRIES):
        reading = seen(read)
        if reading is None:
            return Changes()
        # As it was before: what changes meanwhile is another basis next time.
        basis = None if compute else basis_of(derivation)
        changes = compute(reading.inputs) if compute else _computed(derivation, reading.inputs)
        if done(_Writing(derivation, reading, changes, basis)):
            return changes
    raise StoreBusy(f"{derivation.name!r}: others keep writing to what it reads; try again")


@dataclass(frozen=True, slots=True)
class _Writing:
    """What a derivation writes, if what it read still holds; whether it did."""

    derivation: Derivation
    reading: Reading
    changes: Changes
    basis: str | None

    def __call__(self, connection: "DuckDBPyConnection") -> bool:
        if _fingerprints(connection, self.derivation) != self.reading.prints:
            return False
        _write(connection, self.derivation, self.changes)
        if self.basis is not None:
            _note_basis(connection, self.derivation, self.basis)
        return True


def _computed(derivation: Derivation, inputs: Inputs) -> Changes:
    """What the derivation makes of its inputs, if it is something that can be written."""
    with hosting(f"derivation {derivation.name!r}"):
        changes = derivation.compute(inputs)
        return Changes(
            {table: list(map(_text, keys)) for table, keys in changes.removed.items()},
            {table: [tuple(row) for row in rows] for table, rows in changes.added.items()},
            {name: list(map(_text, parts)) for name, parts in changes.notes.items()},
            dict(map(_number, changes.numbers.items())),
        )


def _number(named: tuple[str, int | float]) -> tuple[str, int | float]:
    name, number = named
    return name, number if isinstance(number, float) else int(number)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _read(connection: "DuckDBPyConnection", derivation: Derivation) -> Reading:
    """Everything the derivation reads, as of one moment."""
    connection.begin()
    parts = frozenset(row[0] for row in connection.execute(_PARTS, [derivation.name]).fetchall())
    rows = {name: connection.execute(sql).fetchall() for name, sql in derivation.reads.items()}
    prints = _fingerprints(connection, derivation)
    connection.rollback()
    return Reading(Inputs(parts, rows, datetime.now(UTC)), prints)


def _has_parts(connection: "DuckDBPyConnection", derivation: Derivation) -> bool:
    """Whether anything waits for the derivation."""
    return bool(connection.execute(f"{_PARTS} LIMIT 1", [derivation.name]).fetchall())


def is_stale(connection: "DuckDBPyConnection", derivation: Derivation) -> bool:
    """Whether it is to be computed again."""
    return _has_parts(connection, derivation) or is_of_another_basis(connection, derivation)


def is_of_another_basis(connection: "DuckDBPyConnection", derivation: Derivation) -> bool:
    """Whether it was last computed from something else."""
    basis = basis_of(derivation)
    if basis is None:
        return False
    found = connection.execute(
        "SELECT basis FROM session_derivation_bases WHERE derivation = ?", [derivation.name]
    ).fetchall()
    return found != [(basis,)]


def _note_basis(connection: "DuckDBPyConnection", derivation: Derivation, basis: str) -> None:
    name = derivation.name
    connection.execute("DELETE FROM session_derivation_bases WHERE derivation = ?", [name])
    connection.execute("INSERT INTO session_derivation_bases VALUES (?, ?)", [name, basis])


def _fingerprints(connection: "DuckDBPyConnection", derivation: Derivation) -> Mapping[str, object]:
    """A number for each SELECT that changes when its rows do, whatever their order."""
    return {
        name: connection.execute(
            f"SELECT count(*), sum(hash(r)::HUGEINT) FROM ({sql}) AS r"
        ).fetchall()[0]
        for name, sql in derivation.reads.items()
    }


def _write(connection: "DuckDBPyConnection", derivation: Derivation, changes: Changes) -> None:
    """Apply the changes and use up the derivation's notes."""
    for table, keys in changes.removed.items():
        register(connection, "removed", list(keys))
        key = _table(derivation, table)
        connection.execute(f"DELETE FROM {table} WHERE ({key}) IN (FROM removed)")
    for table, rows in changes.added.items():
        if table not in derivation.journals:
            _table(derivation, table)
        insert_rows(connection, table, rows)
    connection.execute("DELETE FROM session_rollup_changes WHERE rollup = ?", [derivation.name])
    for name, parts in changes.notes.items():
        register(connection, "noted", list(parts))
        connection.execute(
            """INSERT INTO session_rollup_changes SELECT ?, session_file FROM noted
            WHERE session_file NOT IN (SELECT part FROM session_rollup_changes WHERE rollup = ?)""",
            [name, name],
        )


def _table(derivation: Derivation, table: str) -> str:
    """The key of one of its tables."""
    if table not in derivation.tables:
        raise ContractError(f"derivation {derivation.name!r}: {table!r} is not one of its tables")
    return derivation.tables[table].key
