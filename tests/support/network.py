"""A machine of its own as far as the network goes: a namespace with one link, which can be cut.

Needs root and `ip`. What runs in it has this machine's files and processes.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_NEW_NETWORK = 0x40000000


def missing() -> str | None:
    """Why there can be none here; None = there can."""
    if shutil.which("ip") is None:
        return "no `ip`; install iproute2"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if os.uname().sysname != "Linux":
        return "network namespaces are Linux's"
    child = os.fork()
    if not child:
        os._exit(ctypes.CDLL(None).unshare(_NEW_NETWORK) != 0)
    _, status = os.waitpid(child, 0)
    return "this system allows no network namespaces" if status else None


@dataclass(frozen=True)
class Network:
    """A namespace.

    Attributes:
        address: of this machine, as it is reached from in there.
        name: of the namespace, and of this machine's end of the link.
    """

    address: str
    name: str

    def command(self, *command: str) -> list[str]:
        """The same command, to be run in there."""
        return ["ip", "netns", "exec", self.name, *command]

    def down(self) -> None:
        """The link is down: nobody hears so, in there or out here."""
        _ip("link", "set", self.name, "down")

    def up(self) -> None:
        """The link is up again."""
        _ip("link", "set", self.name, "up")


@contextmanager
def network() -> Iterator[Network]:
    """A new one for as long as the block."""
    # What is deleted may stay for a moment.
    name = f"sp{secrets.token_hex(5)}"
    number = secrets.randbelow(64 * 256)
    here, there = (f"10.213.{number // 64}.{number % 64 * 4 + end}" for end in (1, 2))
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", name)
        _ip("link", "set", name, "up")
        for part in (["addr", "add", f"{there}/30", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            _ip("-n", name, *part)
        yield Network(here, name)
    finally:
        _ip("netns", "delete", name)


def _ip(*arguments: str) -> None:
    command: Sequence[str] = ["ip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
