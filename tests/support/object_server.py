"""An object server on loopback, for tests: ListObjectsV2 and GET as S3 speaks them, and every way
in which a real one, or a proxy before it, can fail."""

import hashlib
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "sessions"
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies there; its time is of whole seconds, as S3's is."""

    body: bytes
    modified: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `page` counts the pages of one listing from 1, 0 = it is a GET of an object."""

    key: str
    page: int
    range: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done instead of answering rightly.

    Attributes:
        status, body, kind: the answer itself.
        cut: the right answer, but the connection ends after so many bytes of its body.
        hang: seconds before anything is answered; the server's end wakes it.
    """

    status: int = 503
    body: bytes = b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>"
    kind: str = "application/xml"
    cut: int | None = None
    hang: float = 0.0


HTML = Fault(200, b"<html><body>Please log in to this network</body></html>", "text/html")
XML = Fault(200, b"<?xml version='1.0'?><Welcome><Login/></Welcome>")


@dataclass(slots=True)
class ObjectServer:
    """Objects in memory. `fault` decides by the request what goes wrong; None = nothing."""

    objects: dict[str, Stored] = field(default_factory=dict)
    fault: Callable[[Asked], Fault | None] = lambda _: None
    page: int = _PAGE
    kinds: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    bytes_sent: int = 0
    _keys: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "ObjectServer":
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise each answer waits for the client's delayed ACK of its headers.
            wbufsize = -1

            def do_GET(self) -> None:
                fake._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """A client that has gone is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its endpoint."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def put(self, key: str, body: bytes, modified: datetime | None = None, etag: str = "") -> None:
        """Store an object, as a client of S3 would see it."""
        at = (modified or datetime.now(UTC)).replace(microsecond=0)
        tag = etag or hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.objects[key] = Stored(body, at, tag)
        self._keys = []

    def delete(self, key: str) -> None:
        """Delete an object."""
        del self.objects[key]
        self._keys = []

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        found = urlsplit(handler.path)
        bucket, _, key = unquote(found.path, errors="surrogateescape").lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(found.query).items()}
        start = int(query.get("continuation-token", "0"))
        page = 0 if key else start // self.page + 1
        asked = Asked(key, page, handler.headers.get("Range"))
        self.asked.append(asked)
        fault = self.fault(asked)
        if fault is not None and fault.hang:
            self._ended.wait(fault.hang)
            handler.close_connection = True
            return
        if fault is not None and fault.cut is None:
            self._send(handler, fault.status, fault.body, {"Content-Type": fault.kind})
            return
        cut = fault.cut if fault else None
        if bucket != BUCKET:
            body = b"<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>"
            self._send(handler, 404, body, {"Content-Type": "application/xml"})
        elif not key:
            body = self._listing(query, start)
            self._send(handler, 200, body, {"Content-Type": "application/xml"}, cut)
        elif key not in self.objects:
            body = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
            self._send(handler, 404, body, {"Content-Type": "application/xml"})
        else:
            self._object(handler, key, asked.range, cut)

    def _object(
        self, handler: BaseHTTPRequestHandler, key: str, wanted: str | None, cut: int | None
    ) -> None:
        found = self.objects[key]
        body, status = found.body, 200
        headers = {
            "Last-Modified": format_datetime(found.modified, usegmt=True),
            "ETag": f'"{found.etag}"',
            "Content-Type": self.kinds.get(key, "application/octet-stream"),
        }
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            if int(first) >= len(body):
                self._send(handler, 416, b"", {})
                return
            end = min(int(last) + 1, len(body)) if last else len(body)
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
            body, status = body[int(first) : end], 206
        self._send(handler, status, body, headers, cut)

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: Mapping[str, str],
        cut: int | None = None,
    ) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        sent = body if cut is None else body[:cut]
        handler.wfile.write(sent)
        handler.wfile.flush()
        self.bytes_sent += len(sent)
        handler.close_connection = handler.close_connection or cut is not None

    def _listing(self, query: Mapping[str, str], start: int) -> bytes:
        if not self._keys:
            self._keys = sorted(self.objects)
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        keys = self._keys
        if prefix or after:
            keys = [key for key in keys if key.startswith(prefix)]
            keys = keys[bisect_right(keys, after) :]
        shown = keys[start : start + self.page]
        encoded = query.get("encoding-type") == "url"
        rows = "".join(self._row(key, encoded=encoded) for key in shown)
        kind = "<EncodingType>url</EncodingType>" * encoded
        more = start + self.page < len(keys)
        token = f"<NextContinuationToken>{start + self.page}</NextContinuationToken>" * more
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><KeyCount>{len(shown)}</KeyCount><MaxKeys>{self.page}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{kind}{token}{rows}"
            "</ListBucketResult>"
        ).encode("utf-8", "surrogateescape")

    def _row(self, key: str, *, encoded: bool) -> str:
        found = self.objects[key]
        name = quote_plus(key, "/", errors="surrogateescape") if encoded else escape(key)
        return (
            f"<Contents><Key>{name}</Key>"
            f"<LastModified>{found.modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
            f"<ETag>&quot;{found.etag}&quot;</ETag><Size>{len(found.body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
