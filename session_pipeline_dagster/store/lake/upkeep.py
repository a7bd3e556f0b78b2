"""Upkeep of a lake: little files become few, and what nobody reads any more goes.

Each step is a transaction of its own under the lake's lock, so that others write in between; it is
done again if its line breaks. Nothing here changes a row (docs/decisions/0039-upkeep.md).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from session_pipeline_dagster.store.lake.catalog import UPKEEP, Catalog
from session_pipeline_dagster.store.lake.engine import NAME
from session_pipeline_dagster.store.place import Place
from session_pipeline_dagster.store.states import Tidied
from session_pipeline_dagster.store.waiting import until_done

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RUNNING = timedelta(days=1)
"""No query and no transaction lasts longer: what is older is nobody's any more."""

_FILES = """SELECT count(*), coalesce(sum(file_size_bytes), 0)::BIGINT FROM (
    SELECT file_size_bytes FROM public.ducklake_data_file WHERE end_snapshot IS NULL UNION ALL
    SELECT d.file_size_bytes FROM public.ducklake_delete_file d
    JOIN public.ducklake_data_file f USING (data_file_id)
    WHERE d.end_snapshot IS NULL AND f.end_snapshot IS NULL) AS f"""
_SNAPSHOTS = "SELECT count(*) FROM public.ducklake_snapshot"
_SCATTERED = """SELECT t.table_name FROM public.ducklake_table t
    JOIN public.ducklake_data_file f USING (table_id)
    LEFT JOIN public.ducklake_delete_file d
        ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
    WHERE t.end_snapshot IS NULL AND f.end_snapshot IS NULL
    GROUP BY t.table_name HAVING count(*) > 1 OR count(d.delete_file_id) > 0 ORDER BY 1"""
_PAST = """SELECT snapshot_id FROM public.ducklake_snapshot
    WHERE snapshot_id < (SELECT max(snapshot_id) FROM public.ducklake_snapshot)
    AND (%(all)s OR snapshot_time < now() - %(keep)s) ORDER BY 1"""
# What DuckLake notes of a table's texts only ever grows; of a file's it is exact.
_BOUNDS = """UPDATE public.ducklake_table_column_stats AS t
    SET min_value = f.low, max_value = f.high FROM (
        SELECT c.table_id, c.column_id,
            CASE WHEN bool_and(s.known) THEN min(s.min_value COLLATE "C") END AS low,
            CASE WHEN bool_and(s.known) THEN max(s.max_value COLLATE "C") END AS high
        FROM public.ducklake_column c LEFT JOIN (
            SELECT s.*, s.null_count = d.record_count OR (
                s.min_value IS NOT NULL AND s.max_value IS NOT NULL) AS known
            FROM public.ducklake_file_column_stats s
            JOIN public.ducklake_data_file d USING (data_file_id) WHERE d.end_snapshot IS NULL
        ) s ON s.table_id = c.table_id AND s.column_id = c.column_id
        WHERE c.end_snapshot IS NULL AND c.column_type = 'varchar'
        GROUP BY c.table_id, c.column_id) f
    WHERE f.table_id = t.table_id AND f.column_id = t.column_id"""
# A table of Postgres, not of the lake: that something was tidied is no commit of it.
_MAKE_ENDED = """CREATE TABLE IF NOT EXISTS public.session_pipeline_upkeep (
    ended_at TIMESTAMPTZ NOT NULL)"""
_FORGET_ENDED = "DELETE FROM public.session_pipeline_upkeep"
_ENDED = "INSERT INTO public.session_pipeline_upkeep VALUES (clock_timestamp())"
_IS_THERE = "SELECT to_regclass('public.{}') IS NOT NULL"
_SINCE_ENDED = "SELECT clock_timestamp() - max(ended_at) FROM public.session_pipeline_upkeep"
_SINCE_MADE = "SELECT clock_timestamp() - min(snapshot_time) FROM public.ducklake_snapshot"
_VACUUM = "VACUUM public.ducklake_file_column_stats, public.ducklake_table_column_stats"


def tidy(place: Place, catalog: Catalog, keep: timedelta, running: timedelta = _RUNNING) -> Tidied:
    """Make few files of many, and delete what is no longer read.

    Args:
        keep: how long what the lake was before can still be read. None at all: what was deleted
            leaves every file and the catalog at once, and who reads it meanwhile has to read again.
        running: how long a query or a transaction may last; until then no file of it goes.

    Raises:
        StoreBusy: somebody else is at it, or keeps writing.
        StoreInterrupted, StoreUnusable: as any transaction; what was done stays done.
    """
    begun = time.monotonic()
    with catalog.lock(UPKEEP, "being tidied", place.lock_timeout):
        upkeep = _Upkeep(place, catalog)
        before = upkeep.held()
        if keep:
            upkeep.expire(keep)
        merged = sum(upkeep.compact(table) for table in upkeep.scattered())
        if not keep:
            upkeep.narrow()
            upkeep.expire(keep)
        deleted = upkeep.clean_up(running if keep else None)
        orphans = upkeep.delete_orphans(running if keep else timedelta(0))
        if not keep:
            with catalog.session() as session:
                session.execute(_VACUUM)
        after = upkeep.held()
        upkeep.note_end()
    return Tidied(
        before[0], after[0], before[1], after[1], before[2], after[2], merged, deleted, orphans,
        time.monotonic() - begun,
    )  # fmt: skip


def untidied(catalog: Catalog) -> timedelta | None:
    """How long ago `tidy` has last come to its end, by the server's clock; the age of the lake if
    it never has, None if there is none.

    Raises:
        StoreInterrupted, StoreUnusable: Postgres does not answer, or does not let us in.
    """
    with catalog.session() as session:
        for table, since in (
            ("session_pipeline_upkeep", _SINCE_ENDED),
            ("ducklake_snapshot", _SINCE_MADE),
        ):
            if session.execute(_IS_THERE.format(table)).fetchall()[0][0]:
                found = session.execute(since).fetchall()[0][0]
                if isinstance(found, timedelta):
                    return found
    return None


@dataclass(frozen=True, slots=True)
class _Upkeep:
    """The steps."""

    place: Place
    catalog: Catalog

    def held(self) -> tuple[int, int, int]:
        """Files that a query reads, their bytes, and snapshots."""
        with self.catalog.session() as session:
            files, size = session.execute(_FILES).fetchall()[0]
            snapshots = session.execute(_SNAPSHOTS).fetchall()[0][0]
        return int(str(files)), int(str(size)), int(str(snapshots))

    def note_end(self) -> None:
        """Write down that it has come to its end."""
        with self.catalog.session() as session, session.transaction():
            for statement in (_MAKE_ENDED, _FORGET_ENDED, _ENDED):
                session.execute(statement)

    def scattered(self) -> list[str]:
        """Tables that are in more than one file, or have rows in a file that were deleted."""
        with self.catalog.session() as session:
            return [str(row[0]) for row in session.execute(_SCATTERED).fetchall()]

    def compact(self, table: str) -> int:
        """Write what is left of files with deleted rows, then make one of little files; how many
        files that took in."""
        # A file of which one row was deleted is written again too: what is purged has to go.
        rewritten = self._step(
            f"CALL ducklake_rewrite_data_files('{NAME}', ?, delete_threshold => 0)", table
        )
        merged = self._step(f"CALL ducklake_merge_adjacent_files('{NAME}', ?)", table)
        return sum(int(row[2]) for row in (*rewritten, *merged))

    def narrow(self) -> None:
        """Let the catalog say of a table's texts no more than of the texts that are left."""

        def once() -> None:
            with self.place.writing() as connection:
                with self.catalog.session() as session:
                    session.execute(_BOUNDS)
                # A snapshot of another file: who has read the former bounds reads them again.
                self.place.begin(connection)
                self.place.commit(connection)

        until_done(once, self.place.lock_timeout)

    def expire(self, keep: timedelta) -> None:
        """Take from the catalog what the lake was longer ago; the newest snapshot stays."""
        with self.catalog.session() as session:
            rows = session.execute(_PAST, {"all": not keep, "keep": keep}).fetchall()
        if rows:
            past = ", ".join(str(row[0]) for row in rows)
            self._step(f"CALL ducklake_expire_snapshots('{NAME}', versions => [{past}])")

    def clean_up(self, age: timedelta | None) -> int:
        """Delete files that were needed for longer ago; how many.

        Args:
            age: since when nobody needs them; None = all.
        """
        which = "cleanup_all => true" if age is None else "older_than => ?"
        # The server has noted when it was; a clock of this machine may be days ahead.
        given = [] if age is None else [self.catalog.ago(age)]
        return len(self._step(f"CALL ducklake_cleanup_old_files('{NAME}', {which})", *given))

    def delete_orphans(self, age: timedelta) -> int:
        """Delete files that no commit ever had, because their writer was killed; how many.

        Args:
            age: how much older than the lake's last commit they are, by the clock of the storage.
                What one has written who has got the lock since, and not committed, is younger.
        """

        def once() -> int:
            with self.place.writing() as connection:
                # Nothing else in it: what a transaction itself has written is in no snapshot yet.
                connection.begin()
                since = connection.execute(
                    "SELECT max(last_modified) FROM read_blob(?)", [_fence_files(connection)]
                ).fetchall()[0][0]
                rows = connection.execute(
                    f"CALL ducklake_delete_orphaned_files('{NAME}', older_than => ?)",
                    [since - age],
                ).fetchall()
                self.place.commit(connection)
            return len(rows)

        return until_done(once, self.place.lock_timeout)

    def _step(self, call: str, *given: object) -> Sequence[Sequence[int]]:
        def once() -> Sequence[Sequence[int]]:
            with self.place.writing() as connection:
                connection.begin()
                rows = connection.execute(call, [*given]).fetchall()
                self.place.commit(connection)
            return rows

        return until_done(once, self.place.lock_timeout)


def _fence_files(connection: "DuckDBPyConnection") -> list[str]:
    rows = connection.execute(
        f"SELECT data_file FROM ducklake_list_files('{NAME}', 'session_pipeline_fence')"
    ).fetchall()
    return [row[0] for row in rows]
