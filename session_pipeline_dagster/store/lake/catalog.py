"""The catalog's Postgres, spoken to directly: who may write, what was committed, how it lies.

A session of its own holds the lock; one in the lake's own transaction would read what was there
before it waited. Not through a pooler that shares sessions: the lock is the session's.
"""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from session_pipeline_dagster.errors import OthersWrite, StoreError
from session_pipeline_dagster.store.lake.errors import of_postgres
from session_pipeline_dagster.store.lake.watch import Address, address_of, watched
from session_pipeline_dagster.store.waiting import Patience

if TYPE_CHECKING:
    from session_pipeline_dagster.setting_places import Lake

Session = psycopg.Connection[tuple[object, ...]]
"""Of Postgres; what its rows hold is not known to a checker."""
_LINE: dict[str, str | int | None] = {
    "connect_timeout": 10,
    # A line that is down is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "session-pipeline",
}
_OPTIONS = (
    # And by the server, which else keeps a lock two hours for a machine that is gone.
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
    # Whoever may make a function in `public` would have it run with the rights of who asks.
    "-c search_path=pg_catalog"
)
_LOCKS = 7_206_001
"""The first half of this project's advisory locks; the second says which."""
WRITING, REPORT, UPKEEP = 1, 2, 3
_GLANCE = 0.05
_WHO = """SELECT a.pid, coalesce(host(a.client_addr), 'the same machine'), a.backend_start
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The Postgres database that holds a lake's catalog. Holds nothing open.

    Attributes:
        servers: where its sessions have got to in this process.
    """

    lake: "Lake"
    servers: set[Address] = field(default_factory=set, compare=False, repr=False)

    @property
    def conninfo(self) -> str:
        """How libpq finds it, with what is said of the line to it where nobody said otherwise."""
        given = conninfo_to_dict(self.lake.catalog)
        said: dict[str, str | int | None] = {**_LINE, **given}
        said["options"] = f"{_OPTIONS} {given.get('options', '')}".rstrip()
        return make_conninfo("", **said)

    @contextmanager
    def session(self, *, waited_for: bool = True) -> Generator[Session]:
        """A session in which each statement is a transaction.

        Args:
            waited_for: whether somebody waits for its answers, so that they have to come to an end.

        Raises:
            StoreInterrupted: it does not answer, or no more. StoreUnusable: it does not let us in.
        """
        try:
            with self.watched() if waited_for else nullcontext(), self._connect() as session:
                yield session
        except psycopg.Error as error:
            raise self.in_words(error) from None

    def watched(self) -> AbstractContextManager[None]:
        """Whatever is asked of it in the block comes to an end; see `watch.py`."""
        return watched(self.conninfo, self.servers)

    def _connect(self) -> Session:
        session = psycopg.connect(self.conninfo, autocommit=True)
        self.servers.add(address_of(session))
        return session

    def in_words(self, error: psycopg.Error, commit: str | None = None) -> StoreError:
        """What an error of it means."""
        return of_postgres(str(self.lake), str(error), commit)

    @property
    def is_made(self) -> bool:
        """Whether there is a lake in it."""
        with self.session() as session:
            return _is_made(session)

    def data_path(self) -> str | None:
        """Where the lake's Parquet is, as it was made; None = there is no lake yet."""
        with self.session() as session:
            if not _is_made(session):
                return None
            found = session.execute(
                "SELECT value FROM public.ducklake_metadata WHERE key = 'data_path'"
            ).fetchone()
        return None if found is None else str(found[0])

    def may_write(self) -> bool:
        """Whether this role may commit to the lake that there is."""
        with self.session() as session:
            found = session.execute(
                "SELECT has_table_privilege('public.ducklake_snapshot', 'INSERT')"
            ).fetchone()
        return bool(found and found[0])

    def is_read_only(self) -> bool:
        """Whether it takes no writes from anybody: a standby, or one that is set so."""
        with self.session() as session:
            found = session.execute("SELECT current_setting('transaction_read_only')").fetchone()
        return found == ("on",)

    def ago(self, age: timedelta) -> datetime:
        """The time that it was so long ago, by the server's clock."""
        with self.session() as session:
            return cast("datetime", session.execute("SELECT now() - %s", [age]).fetchall()[0][0])

    def snapshot(self) -> int:
        """The number of the newest snapshot; -1 where there is no lake yet."""
        with self.session() as session:
            if not _is_made(session):
                return -1
            found = session.execute(
                "SELECT coalesce(max(snapshot_id), -1) FROM public.ducklake_snapshot"
            ).fetchone()
        return int(str(found[0])) if found else -1

    def has(self, commit: str) -> bool:
        """Whether there is a snapshot of a commit of that name."""
        with self.session() as session:
            found = session.execute(
                "SELECT 1 FROM public.ducklake_snapshot_changes WHERE commit_extra_info = %s",
                [commit],
            ).fetchone()
        return found is not None

    @contextmanager
    def lock(self, which: int, what: str, timeout: timedelta) -> Generator[None]:
        """One of this project's locks of this catalog; it ends with its session.

        Raises:
            OthersWrite: somebody still had it after the timeout; says where they are.
            StoreInterrupted, StoreUnusable: as `session`.
        """
        patience = Patience(timeout)
        with ExitStack() as held:
            held.enter_context(self.watched())
            try:
                session = self._connect()
                # Nothing is said to a session that is lost: what was done meanwhile stays done.
                held.callback(session.close)
                while not _taken(session, which):
                    if not patience.pause():
                        who = _holder(session, which)
                        raise OthersWrite(f"{self.lake} is {what} by {who}; wait")
            except psycopg.Error as error:
                raise self.in_words(error) from None
            yield

    def is_locked_for(self, which: int, patience: timedelta) -> bool:
        """Whether somebody has the lock at every look for that long."""
        give_up = time.monotonic() + patience.total_seconds()
        with self.session() as session:
            while session.execute(_WHO, [_LOCKS, which]).fetchone():
                if time.monotonic() >= give_up:
                    return True
                time.sleep(_GLANCE)
        return False


def _is_made(session: Session) -> bool:
    found = session.execute("SELECT to_regclass('public.ducklake_metadata')").fetchone()
    return bool(found and found[0])


def _taken(session: Session, which: int) -> bool:
    found = session.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCKS, which]).fetchone()
    return bool(found and found[0])


def _holder(session: Session, which: int) -> str:
    found = session.execute(_WHO, [_LOCKS, which]).fetchone()
    if found is None:
        return "a session that has just ended"
    pid, host, since = found
    return f"backend {pid} (from {host}, since {since:%Y-%m-%d %H:%M:%S %Z})"
