"""A webhook on loopback: takes what a real apprise sends, or refuses it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Webhook:
    """What was taken is in `taken`, as JSON; what was refused in `refused`.

    `takes` is how many messages it takes before it fails; None = all.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        self.refused: list[dict[str, str]] = []
        self.takes: int | None = None

    def __enter__(self) -> "Webhook":
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                works = hook.takes is None or len(hook.taken) < hook.takes
                (hook.taken if works else hook.refused).append(body)
                self.send_response(200 if works else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/token-of-mine"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.taken]
