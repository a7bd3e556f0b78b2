"""A language model's server on loopback, for tests: both wire formats, scripted, spoken to by the
real clients."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

# They take seconds to import, which no test is to measure as the time of a call.
import anthropic  # noqa: F401
import openai  # noqa: F401

from session_pipeline_dagster.settings import Extractor, ModelSettings

FORMATS = (Extractor.ANTHROPIC, Extractor.OPENAI)


@dataclass(frozen=True, slots=True)
class Step:
    """What the server does with one request.

    Attributes:
        text: what the model says.
        end: complete, truncated or refused.
        status, headers, error: a failing status with the provider's error body.
        drop: close the connection without a reply.
        hang: seconds to wait before the reply.
        body: a body of our own, for replies that no provider would give.
    """

    text: str = '{"detections": []}'
    end: str = "complete"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "no"
    drop: bool = False
    hang: float = 0.0
    body: bytes | None = None
    tokens: tuple[int, int, int] = (100, 20, 40)


Script = Sequence[Step] | Callable[[dict[str, Any]], Step]
_ENDS = {
    Extractor.ANTHROPIC: {"complete": "end_turn", "truncated": "max_tokens", "refused": "refusal"},
    Extractor.OPENAI: {"complete": "stop", "truncated": "length", "refused": "content_filter"},
}


class FakeLLM:
    """Follows a script of steps; the last one is repeated. A function decides by the request."""

    def __init__(self, wire: Extractor, script: Script = (Step(),)) -> None:
        self.wire, self.script = wire, script
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "FakeLLM":
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fake._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def settings(self, **changes: Any) -> ModelSettings:
        """Settings that ask this server, and wait for a slow machine."""
        given: dict[str, Any] = {"extractor": self.wire, "model": "fake-model"}
        given |= {"deadline": timedelta(seconds=60), "sessions_at_once": 2}
        if self.wire is Extractor.ANTHROPIC:
            given |= {"anthropic_api_key": "key", "anthropic_base_url": self.url}
        else:
            given |= {"openai_api_key": "key", "openai_base_url": f"{self.url}/v1"}
        return ModelSettings(**(given | changes))

    def turns(self, number: int = -1) -> list[dict[str, Any]]:
        """The turns of a request, as they were sent."""
        messages = [m for m in self.requests[number]["messages"] if m["role"] == "user"]
        return json.loads(messages[0]["content"])

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._lock:
            count = len(self.requests)
            self.requests.append(json.loads(body))
            self.bodies.append(body)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
        if callable(self.script):
            step = self.script(json.loads(body))
        else:
            step = self.script[min(count, len(self.script) - 1)]
        time.sleep(step.hang)
        if step.drop:
            handler.close_connection = True
            handler.connection.close()
            return
        reply = step.body if step.body is not None else self._body(step)
        try:
            handler.send_response(step.status)
            for name, value in step.headers.items():
                handler.send_header(name, value)
            kind = "application/json" if step.body is None else "text/html"
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(reply)))
            handler.end_headers()
            handler.wfile.write(reply)
        except OSError:
            pass  # the client did not wait

    def _body(self, step: Step) -> bytes:
        made_input, made_output, cached = step.tokens
        end = _ENDS[self.wire][step.end]
        if step.status != 200:
            error = {"type": "some_error", "message": step.error}
            return json.dumps({"type": "error", "error": error}).encode()
        if self.wire is Extractor.ANTHROPIC:
            usage = {"input_tokens": made_input - cached, "output_tokens": made_output}
            reply: dict[str, Any] = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "fake-model",
                "content": [{"type": "text", "text": step.text}],
                "stop_reason": end,
                "stop_sequence": None,
                "usage": usage | {"cache_read_input_tokens": cached},
            }
        else:
            message = {"role": "assistant", "content": step.text}
            usage = {"prompt_tokens": made_input, "completion_tokens": made_output}
            usage["total_tokens"] = made_input + made_output
            details = {"prompt_tokens_details": {"cached_tokens": cached}}
            choice = {"index": 0, "message": message, "finish_reason": end}
            head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "fake-model"}
            reply = head | {"choices": [choice], "usage": usage | details}
        return json.dumps(reply).encode()


def detection(turn: int, quote: str, **changes: object) -> dict[str, object]:
    """One detection as a model answers it."""
    made = {"turn": turn, "detection_type": "correction", "title": "A title"}
    made |= {"content": "The fact.", "user_quote": quote, "domain": "finance", "entities": ["vat"]}
    made |= {"score": 0.95, "reasons": ["states a rule"]}
    return made | changes


def answer(*detections: dict[str, object]) -> Step:
    """The model found these."""
    return Step(json.dumps({"detections": list(detections)}))
