"""Rows for others' files: read as Arrow, a few thousand at a time, all as of one moment.

The store's own connections reach no file but the database; what is written elsewhere is written by
whoever is handed the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.store.declare import REFUSED, in_words
from session_pipeline_dagster.store.waiting import until_done

if TYPE_CHECKING:
    import duckdb
    import pyarrow
    from duckdb import DuckDBPyConnection

    from session_pipeline_dagster.store.database import Store

_T = TypeVar("_T")
_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A look at a store, which does not change meanwhile."""

    _connection: "DuckDBPyConnection"

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """All rows of a SELECT that has few.

        Raises:
            ContractError: it is not valid.
        """
        try:
            return self._connection.execute(select).fetchall()
        except REFUSED as error:
            raise _refused(error) from None

    def batches(
        self, select: str, beside: Mapping[str, object] | None = None
    ) -> "pyarrow.RecordBatchReader":
        """The rows of a SELECT, to be read before the next one is asked for.

        Args:
            beside: name -> Arrow table that is there for this SELECT.

        Raises:
            ContractError: it is not valid.
        """
        for name, table in (beside or {}).items():
            self._connection.register(name, table)
        try:
            return self._connection.execute(select).to_arrow_reader(_BATCH)
        except REFUSED as error:
            raise _refused(error) from None

    def columns(self, select: str) -> Sequence[str]:
        """The names of a SELECT's columns."""
        try:
            found = self._connection.execute(f"SELECT * FROM ({select}) LIMIT 0").description
        except REFUSED as error:
            raise _refused(error) from None
        return [column[0] for column in found or ()]


def _refused(error: "duckdb.Error") -> ContractError:
    return ContractError(f"an export cannot be read: {in_words(error)}")


def reading(store: "Store", work: Callable[[Reading], _T]) -> _T:
    """What the work makes of a store as it is at one moment; again where a lake's line broke.

    Raises:
        StoreError: as `Store.connect`.
        ContractError: a SELECT of the work is not valid.
    """

    def once() -> _T:
        with store.connect() as connection:
            connection.begin()
            made = work(Reading(connection))
            connection.rollback()
            return made

    return until_done(once, store.place.lock_timeout)
