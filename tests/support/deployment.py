"""The processes of deploy/ as systemd would run them, over a Postgres of their own.

Command lines and variables are read from the units; only paths and ports are replaced.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dagster_dev import DagsterDev
from places import ROOT
from postgres import placed

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
COMMON = UNITS / "session-pipeline-.service.d" / "common.conf"
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def directives(path: Path, name: str) -> list[str]:
    """The values of a directive of a unit, in order."""
    lines = (line.partition("=") for line in path.read_text("utf-8").splitlines())
    return [value for key, _, value in lines if key == name]


def assignments(path: Path) -> dict[str, str]:
    """The variables of an environment file, without those that are commented out."""
    lines = [line.partition("=") for line in path.read_text("utf-8").splitlines()]
    return {key: value for key, equals, value in lines if equals and not key.startswith("#")}


@contextmanager
def postgres() -> Iterator[str]:
    """A Postgres for as long as the block, reached as in dagster.env.example; the URL."""
    url = assignments(DEPLOY / "dagster.env.example")["DAGSTER_POSTGRES_URL"]
    options = ["-U", "session-pipeline", "-A", "trust", "-E", "UTF8", "--no-sync"]
    with placed(options) as made:
        data = made.folder / "data"
        # A socket alone: its folder keeps others out, as Postgres' own does with peer.
        alone = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={data}", "-F"]
        server = made.run("postgres", *alone)
        try:
            there = url.replace("/var/run/postgresql", str(data))
            yield there.replace("/session-pipeline?", "/postgres?")
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


class Deployment(DagsterDev):
    """Code server, daemon and both web servers. GraphQL goes to the operators' one."""

    def __init__(self, folder: Path, database_url: str, environment: Mapping[str, str]) -> None:
        super().__init__(folder, {}, "session_pipeline")
        self.viewers_port = free_port()
        # Short: the path of a socket has at most 107 characters.
        self.run = Path(tempfile.mkdtemp(prefix="run-"))
        self.moved = {
            "/opt/session-pipeline/current/bin": str(BIN),
            "/etc/session-pipeline": str(folder / "etc"),
            "/var/lib/session-pipeline": str(folder / "state"),
            "/run/session-pipeline": str(self.run),
        }
        self.ports = {"3000": str(self.viewers_port), "3001": str(self.port)}
        for name in ("etc", "state/data", "state/dagster"):
            (folder / name).mkdir(parents=True)
        for name in ("dagster.yaml", "workspace.yaml"):
            (folder / "etc" / name).write_text(self.here((DEPLOY / name).read_text("utf-8")))
        shared = dict(text.split("=", 1) for text in directives(COMMON, "Environment"))
        self.shared = {name: self.here(value) for name, value in shared.items()}
        self.shared["DAGSTER_POSTGRES_URL"] = database_url
        settings = assignments(DEPLOY / "settings.env.example")
        self.settings = {name: self.here(value) for name, value in settings.items()}
        self.settings |= environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def here(self, text: str) -> str:
        """With the paths of this test."""
        for old, new in self.moved.items():
            text = text.replace(old, new)
        return text

    def start(self, service: str) -> None:
        """Start a service with the environment that its unit gives it, and no more."""
        unit = UNITS / f"session-pipeline-{service}.service"
        (command,) = directives(unit, "ExecStart")
        given = self.shared | (self.settings if directives(unit, "EnvironmentFile") else {})
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.processes[service] = subprocess.Popen(
            [self.ports.get(word, self.here(word)) for word in shlex.split(command)],
            cwd="/",
            env={**kept, **given},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def kill(self, service: str) -> None:
        """What a crash and systemd's KillMode=control-group do."""
        os.killpg(self.processes[service].pid, signal.SIGKILL)
        self.processes[service].wait()

    def __enter__(self) -> "Deployment":
        self._log = (self.folder / "dev.log").open("ab")
        try:
            for service in ("code", "daemon", "webserver", "operator"):
                self.start(service)
            self.wait(self._answers, "web server")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for service, process in self.processes.items():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill(service)
        self._log.close()
        shutil.rmtree(self.run)

    def _answers(self) -> bool:
        for service, process in self.processes.items():
            if process.poll() is not None:  # Restart=always
                self.start(service)
        try:
            return super()._answers()
        except (urllib.error.URLError, TimeoutError):
            return False
