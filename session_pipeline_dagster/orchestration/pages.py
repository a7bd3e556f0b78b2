"""Shows the reports of this machine to its own browser: what the link in the UI opens.

Only beside `make dev` and `session-pipeline dev`; in a deployment the proxy serves them, behind its
login (docs/decisions/0052-the-reports-link.md).
"""

import os
import re
import socketserver
import stat
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

HOST = "127.0.0.1"
_KINDS = {"html": "text/html; charset=utf-8", "png": "image/png"}
_ASKED = re.compile(r"/((?!.*-(?i:person)\.)[\w-]+\.(html|png))", re.ASCII)
"""A name in the folder and nothing else; somebody's own page, `usage-person.html`, is none, however
a disk that does not tell letters apart takes it."""
_HEADERS = {
    # As the page says itself; and no other site may frame it or take the picture.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ReportServer(ThreadingHTTPServer):
    """Answers for the HTML and PNG files of one folder, on 127.0.0.1."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        """Raises OSError where the port cannot be had."""
        self.folder = folder
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """As the base does, but asks no name server what 127.0.0.1 is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.server_port}"

    def start(self) -> None:
        """Answer for as long as the process lives, or until `shutdown`."""
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD; anything else is refused by the base."""

    timeout = 10

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        server = cast("ReportServer", self.server)
        port = server.server_port
        # A site whose name leads to 127.0.0.1 would read the page as one of its own.
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        asked = _ASKED.fullmatch(self.path)
        content = _content(server.folder / asked[1]) if asked else None
        if asked is None or content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        headers = {"Content-Type": _KINDS[asked[2]], "Content-Length": str(len(content))}
        for name, value in (headers | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def version_string(self) -> str:
        """Not which Python it is."""
        return "session-pipeline"

    def log_message(self, format: str, *args: object) -> None:
        """The terminal is for what Dagster has to say."""


def _content(path: Path) -> bytes | None:
    """A file's content; None where it is none, or a link to one that may be anywhere."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read()
    return None
