"""Leases: who is at work on a lake, told by rows of its catalog's Postgres, whatever the machine.

A worker's row says that it lives, by the server's clock, and which files it has in work. Whoever
finds a row that nobody has kept up takes its worker for dead. Nothing of it is the lake's: a commit
holds without a lease (docs/decisions/0037-shards-and-leases.md).
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.store.lake.catalog import Catalog, Session
from session_pipeline_dagster.store.leases import Lost
from session_pipeline_dagster.store.waiting import until_done

BEAT = 10.0
"""Seconds between two signs of life."""
SILENT = timedelta(seconds=60)
"""A worker that was not heard of for so long is lost."""
_NOTED = 1.0
"""Seconds at most until it is written what a worker has in work."""
_SURE = 10.0
"""Seconds that a worker waits for what has to be written before it goes on."""
_REMEMBERED = timedelta(hours=1)
_TABLE = "public.session_pipeline_leases"
_LOCK = (7_206_001, 4)
"""Beside the locks of `catalog.py`."""

_THERE = f"SELECT to_regclass('{_TABLE}')"
_MAKE = f"""CREATE TABLE IF NOT EXISTS {_TABLE} (
    id UUID PRIMARY KEY,
    run_id TEXT,
    shard TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    beat_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    working_on TEXT,
    lost_at TIMESTAMPTZ)"""
# A worker that was taken for dead and lives has a lease again with its next beat.
_BEAT = f"""INSERT INTO {_TABLE} AS kept (id, run_id, shard, host, pid, working_on)
    VALUES (%(id)s, %(run_id)s, %(shard)s, %(host)s, %(pid)s, %(working_on)s)
    ON CONFLICT (id) DO UPDATE
    SET beat_at = clock_timestamp(), working_on = excluded.working_on, lost_at = NULL"""
_LOST = f"""SELECT id::TEXT, run_id, shard, host, pid, working_on, beat_at::TEXT
    FROM {_TABLE} WHERE beat_at < clock_timestamp() - %s
    AND (lost_at IS NULL OR working_on IS NOT NULL) ORDER BY beat_at"""
_RELEASE = f"""UPDATE {_TABLE} SET lost_at = coalesce(lost_at, clock_timestamp()), working_on = %s
    WHERE id = %s AND beat_at = %s::TIMESTAMPTZ"""
_FORGET_THE_DEAD = f"""DELETE FROM {_TABLE}
    WHERE lost_at < clock_timestamp() - %s AND working_on IS NULL"""
_DIED = f"""SELECT 1 FROM {_TABLE} WHERE (shard = %(shard)s OR '' IN (shard, %(shard)s))
    AND (lost_at IS NOT NULL OR beat_at < clock_timestamp() - %(silent)s) LIMIT 1"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of one lake. Holds nothing open.

    Attributes:
        patience: how long Postgres is asked again if it does not answer, unless somebody is told
            otherwise.
    """

    catalog: Catalog
    patience: timedelta = timedelta(0)

    @contextmanager
    def hold(self, run_id: str | None = None, shard: str = "") -> Generator["Lease"]:
        """A lease for as long as the block, kept up from a thread of its own.

        It never fails, nor does it hold up anybody: if Postgres does not answer, it is taken as
        soon as it does, and what the work itself needs of Postgres says what is wrong.
        """
        lease = Lease(self, run_id, shard, careful=self._had_deaths(shard))
        lease.begin()
        try:
            yield lease
        finally:
            lease.end()

    def lost(self, older_than: timedelta = SILENT, patience: timedelta | None = None) -> list[Lost]:
        """Leases of which nobody has been heard for so long.

        Raises:
            StoreError: Postgres does not answer, or does not let us in.
        """

        def look() -> list[Lost]:
            with self._session() as session:
                if not _is_there(session):
                    return []
                return [_lost(row) for row in session.execute(_LOST, [older_than]).fetchall()]

        return until_done(look, self.patience if patience is None else patience)

    def release(
        self, lost: Lost, still: Sequence[str] = (), patience: timedelta | None = None
    ) -> None:
        """What is to be done about a lost lease is done, but for `still` of what it worked on.

        One whose worker was heard of since stays as it is. That somebody died is remembered for an
        hour: who comes then is careful.

        Raises:
            StoreError: as `lost`.
        """

        def write() -> None:
            with self._session() as session:
                session.execute(_RELEASE, [_text(still), lost.id, lost.beat_at])

        until_done(write, self.patience if patience is None else patience)

    def forget(self, is_theirs: Callable[[str], bool]) -> None:
        """Remove the notes of which that is true from every lease.

        Raises:
            StoreError: as `lost`.
        """
        with self._session() as session:
            if not _is_there(session):
                return
            found = session.execute(
                f"SELECT id, working_on FROM {_TABLE} WHERE working_on IS NOT NULL"
            ).fetchall()
            for i, text in found:
                kept = [note for note in _notes(text) if not is_theirs(note)]
                if len(kept) < len(_notes(text)):
                    session.execute(
                        f"UPDATE {_TABLE} SET working_on = %s WHERE id = %s AND working_on = %s",
                        [_text(kept), i, text],
                    )

    def _had_deaths(self, shard: str) -> bool:
        """Whether a worker of files of this shard died lately; without an answer, none did."""
        try:
            with self._session() as session:
                if not _is_there(session):
                    make(session)
                session.execute(_FORGET_THE_DEAD, [_REMEMBERED])
                found = session.execute(_DIED, {"shard": shard, "silent": SILENT}).fetchone()
        except StoreError as error:
            _log.warning("no lease yet: %s", error)
            return False
        return found is not None

    @contextmanager
    def _session(self) -> Generator[Session]:
        with self.catalog.session() as session:
            limit(session)
            yield session


class Lease:
    """The lease of one living worker.

    Attributes:
        careful: a worker died lately, and it is not sure over which file: the next time it shall
            be, so each file is written down before it is begun.
    """

    def __init__(self, leases: Leases, run_id: str | None, shard: str, *, careful: bool) -> None:
        self.careful = careful
        self._catalog = leases.catalog
        self._row: Mapping[str, object] = {
            "id": uuid.uuid4(),
            "run_id": run_id,
            "shard": shard,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._changed = threading.Condition()
        self._notes: dict[int, str] = {}
        self._looks: Callable[[], Sequence[str]] = list
        self._asked = self._written = 0
        self._ended = False
        self._thread = threading.Thread(target=self._keep_up, name="lease", daemon=True)

    def note(self, whose: int, what: str | None, *, sure: bool = False) -> None:
        """What somebody in this process has in work from now on; None = nothing.

        Args:
            sure: come back once it is written, or Postgres has not answered for ten seconds.
        """
        with self._changed:
            if what is None:
                self._notes.pop(whose, None)
            else:
                self._notes[whose] = what
            if not sure or self._ended:
                return
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._written >= mine or self._ended, _SURE)

    def watch(self, looks: Callable[[], Sequence[str]]) -> None:
        """From now on what this gives is in work too; asked before each time something is written.

        It is for what other processes of this worker do, and must not raise.
        """
        with self._changed:
            self._looks = looks

    def begin(self) -> None:
        """Begin to keep it up, and wait until it is taken, if that can be."""
        self._thread.start()
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._written >= 1, _SURE)

    def end(self) -> None:
        """Give it back."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(_SURE)

    def _keep_up(self) -> None:
        said = False
        while not self._ended:
            try:
                # Nobody waits for it: if it is frozen, it goes on as soon as it can.
                with self._catalog.session(waited_for=False) as session:
                    limit(session)
                    if not _is_there(session):
                        make(session)
                    self._beat(session)
                    session.execute(f"DELETE FROM {_TABLE} WHERE id = %s", [self._row["id"]])
            except StoreError as error:
                if not said:
                    _log.warning("the lease is not kept up: %s", error)
                said = True
                # A beat is missed at most, if it answers again by then.
                time.sleep(_NOTED)

    def _beat(self, session: Session) -> None:
        last, at = "", 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._asked > self._written, _NOTED)
                if self._ended:
                    return
                asked, notes, looks = self._asked, [*self._notes.values()], self._looks
            text = _text([*notes, *looks()]) or ""
            if asked > self._written or text != last or time.monotonic() - at >= BEAT:
                session.execute(_BEAT, {**self._row, "working_on": text or None})
                last, at = text, time.monotonic()
                with self._changed:
                    self._written = asked
                    self._changed.notify_all()


def limit(session: Session) -> None:
    """Nothing that is asked of it is waited for longer than a worker may be silent."""
    session.execute("SET statement_timeout = '15s'")
    session.execute("SET lock_timeout = '10s'")


def make(session: Session) -> None:
    """Make the table. Several may come to it at the same time, and Postgres takes one alone."""
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s, %s)", [*_LOCK])
        session.execute(_MAKE)


def _lost(row: Sequence[object]) -> Lost:
    i, run, shard, host, pid, working_on, beat = row
    run_id = None if run is None else str(run)
    return Lost(str(i), run_id, str(shard), str(host), int(str(pid)), _notes(working_on), str(beat))


def _is_there(session: Session) -> bool:
    found = session.execute(_THERE).fetchone()
    return bool(found and found[0])


def _text(notes: Sequence[str]) -> str | None:
    return json.dumps([*notes]) if notes else None


def _notes(text: object) -> list[str]:
    """The notes in a text; none where it is of another version."""
    try:
        found = json.loads(str(text)) if text else []
    except ValueError:
        return []
    return [note for note in found if isinstance(note, str)] if isinstance(found, list) else []
