"""An ssh server on loopback for tests, with keys of its own, for the user who runs the tests."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = Path("/usr/sbin/sshd")
_LONGEST = 20.0


@dataclass(frozen=True, slots=True)
class SshServer:
    """Where it is, and how one gets in."""

    folder: Path
    port: int

    @property
    def host(self) -> str:
        """The user and the machine, as `--to` takes them."""
        return f"{getpass.getuser()}@127.0.0.1"

    def ssh(self, *, known: bool = True, key: str = "key") -> str:
        """How ssh is started.

        Args:
            known: its host key is.
        """
        hosts = self.folder / ("known" if known else "nobody")
        return (
            f"ssh -F /dev/null -p {self.port} -i {self.folder / key} -o IdentitiesOnly=yes "
            f"-o UserKnownHostsFile={hosts} -o GlobalKnownHostsFile=/dev/null"
        )

    def allow(self, options: str = "") -> None:
        """Take the key, with these options of `authorized_keys`."""
        public = (self.folder / "key.pub").read_text("utf-8")
        keys = self.folder / "authorized_keys"
        keys.write_text(f"{options} {public}".strip() + "\n", "utf-8")


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    """A running server that takes one key."""
    missing = [name for name in ("ssh", "ssh-keygen", "rsync") if not shutil.which(name)]
    if not SSHD.exists() or missing:
        names = ", ".join([*missing, *([] if SSHD.exists() else ["sshd"])])
        pytest.skip(f"no {names}; apt install openssh-server rsync")
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    if os.getuid() == 0:
        # What its package makes at boot.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("key", "other", "host"):
        _keygen(folder / name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    public = (folder / "host.pub").read_text("utf-8")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {public}", "utf-8")
    server = SshServer(folder, port)
    server.allow()
    config = folder / "config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nPidFile none\nStrictModes no\n"
        "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n",
        "utf-8",
    )
    log = folder / "log"
    with log.open("wb") as out:
        command = [str(SSHD), "-D", "-e", "-f", str(config)]
        running = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        _wait(running, port, log)
        yield server
    finally:
        running.terminate()
        running.wait(10)


def _wait(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        if running.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"sshd did not start: {log.read_text('utf-8')[-1000:]}")
