"""While DuckDB waits for the catalog's Postgres: whether that still answers at all.

Its libpq waits without end and cannot be interrupted, and a server that is frozen (a machine that
is suspended, a disk that hangs) is no line that is down: its kernel still acknowledges, so neither
TCP nor a timeout of the server's notices. Only the end of its socket ends such a wait.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager

import psycopg

Address = tuple[str, int] | str
"""As a socket names whom it is connected to: host and port, or the path of a Unix socket."""
EVERY = 5.0
"""Seconds between two looks; most transactions are over before the first."""
_FILES = "/dev/fd"


def address_of(session: psycopg.Connection[tuple[object, ...]]) -> Address:
    """Where the server of a session is."""
    info = session.info
    if info.hostaddr:
        return info.hostaddr, info.port
    return f"{info.host}/.s.PGSQL.{info.port}"


@contextmanager
def watched(conninfo: str, servers: Collection[Address]) -> Generator[None]:
    """Whatever this process asks of the servers in the block comes to an end.

    If a new session is not let in within the connect timeout, this process's sockets to them are
    ended, and with them the waits for them, in any thread: they raise as over a broken line.

    Args:
        servers: where sessions of this conninfo have got to; asked for when it comes to that.
    """
    over = threading.Event()
    watch = threading.Thread(
        target=_watch, args=[conninfo, servers, over], name="watch", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(conninfo: str, servers: Collection[Address], over: threading.Event) -> None:
    while not over.wait(EVERY):
        if not _lets_in(conninfo) and not over.is_set():
            _end_sockets(frozenset(servers))


def _lets_in(conninfo: str) -> bool:
    """Whether it answers a new session, be it with a refusal."""
    try:
        psycopg.connect(conninfo).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        # It said something; or the network did, and then TCP ends what waits.
        return True
    return True


def _end_sockets(servers: Collection[Address]) -> None:
    for name in os.listdir(_FILES):  # noqa: PTH208  no path, but numbers of open files
        # Files that are no sockets, and those that were closed meanwhile.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as found:
            if _peer(found) in servers:
                found.shutdown(socket.SHUT_RDWR)


def _peer(found: socket.socket) -> Address | None:
    peer = found.getpeername()
    if isinstance(peer, str):
        return peer
    return (peer[0], peer[1]) if isinstance(peer, tuple) else None
