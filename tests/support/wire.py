"""A line to a server that can be cut at a chosen moment: a proxy on loopback, one thread a line."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_BLOCK = 1 << 16


@dataclass
class Wire:
    """Passes bytes on in both directions.

    Attributes:
        port: where clients connect to at 127.0.0.1.
        cut_after: once a client has sent this, it is passed on, and the answer is lost with the
            line: the server has done it, and the client does not know. Used up by the first. Of
            b"" every block that is sent counts.
        cut_before: once a client sends this, the line is cut and the server never hears of it.
        on: each time that a client sends this, `then` is called before it is passed on.
        spared: so many of what is cut at are passed on before.
        cuts: how many lines were cut so.
        down: new lines are closed at once.
    """

    server: int
    port: int
    cut_after: bytes | None = None
    cut_before: bytes | None = None
    on: bytes | None = None
    then: Callable[[], object] | None = None
    spared: int = 0
    cuts: int = 0
    down: bool = False
    _lines: list[socket.socket] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.down:
                client.close()
                continue
            threading.Thread(target=self._line, args=[client], daemon=True).start()

    def cut_all(self) -> None:
        """Cut every line that there is."""
        for line in self._lines:
            _close(line)
        self._lines.clear()

    def _line(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.server))
        self._lines += [client, server]
        silent = threading.Event()
        threading.Thread(target=self._answers, args=[server, client, silent], daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(_BLOCK):
                if self.on is not None and self.then is not None and self.on in data:
                    self.then()
                if self._spares(data):
                    pass
                elif self.cut_before is not None and self.cut_before in data:
                    self.cut_before, self.cuts = None, self.cuts + 1
                    break
                elif self.cut_after is not None and self.cut_after in data:
                    self.cut_after, self.cuts = None, self.cuts + 1
                    silent.set()
                    server.sendall(data)
                    # The server's answer says that it has done it.
                    server.settimeout(10)
                    threading.Event().wait(0.5)
                    break
                server.sendall(data)
        _close(client)
        _close(server)

    def _spares(self, data: bytes) -> bool:
        """Whether it would be cut, but is one of those that are passed on."""
        wanted = self.cut_after if self.cut_before is None else self.cut_before
        if wanted is None or wanted not in data or not self.spared:
            return False
        self.spared -= 1
        return True

    def _answers(
        self, server: socket.socket, client: socket.socket, silent: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_BLOCK):
                if not silent.is_set():
                    client.sendall(data)
        if not silent.is_set():
            _close(client)


def _close(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to that port of this machine, for as long as the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(port, listener.getsockname()[1])
        threading.Thread(target=wire.serve, args=[listener], daemon=True).start()
        yield wire
        wire.cut_all()
