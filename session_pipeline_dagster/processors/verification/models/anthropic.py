"""One call of Anthropic's Messages API through the official client."""

import threading
from typing import TYPE_CHECKING, Any

from session_pipeline_dagster.processors.verification.models.provider import (
    CallFailed,
    End,
    Reply,
    Request,
    client_failure,
    unsupported,
)
from session_pipeline_dagster.settings import ModelSettings

if TYPE_CHECKING:
    from anthropic import Anthropic

_BASE_URL = "https://api.anthropic.com"
_REFUSALS = {"refusal": End.REFUSED}
_CUT = {"max_tokens": End.TRUNCATED, "model_context_window_exceeded": End.TRUNCATED}


class AnthropicProvider:
    """See `Provider`."""

    def __init__(self, settings: ModelSettings) -> None:
        self.name, self._settings = settings.model, settings
        self._client: Anthropic | None = None
        self._lock = threading.Lock()
        self._structured = True

    def call(self, request: Request, timeout: float) -> Reply:
        """See `Provider.call`."""
        import anthropic  # noqa: PLC0415  takes seconds; an extra

        try:
            found = self._create(request, timeout, self._structured)
        except anthropic.BadRequestError as error:
            # Older models take no schema; the prompt asks for the same shape in words.
            if not self._structured or "output_config" not in str(error.body):
                raise client_failure(self.name, anthropic, error) from error
            self._structured = False
            raise unsupported(self.name) from error
        except anthropic.AnthropicError as error:
            raise client_failure(self.name, anthropic, error) from error
        if not isinstance(found, anthropic.types.Message) or not isinstance(found.content, list):
            raise CallFailed("garbled", f"{self.name}: the server's reply is no message")
        return _reply(found)

    def _create(self, request: Request, timeout: float, structured: bool) -> object:
        shape: dict[str, Any] = {}
        if structured:
            form = {"type": "json_schema", "schema": dict(request.schema)}
            shape["output_config"] = {"format": form}
        system: Any = {"type": "text", "text": request.system}
        return self._connected().messages.create(
            model=self.name,
            max_tokens=request.max_tokens,
            # The same for every session, so the provider may keep it.
            system=[system | {"cache_control": {"type": "ephemeral"}}],
            messages=[{"role": _role(role), "content": text} for role, text in request.turns],
            timeout=timeout,
            **shape,
        )

    def _connected(self) -> "Anthropic":
        import anthropic  # noqa: PLC0415  takes seconds; an extra

        with self._lock:
            if self._client is None:
                self._client = anthropic.Anthropic(
                    api_key=self._settings.anthropic_api_key,
                    base_url=self._settings.anthropic_base_url or _BASE_URL,
                    max_retries=0,
                )
            return self._client


def _role(role: str) -> Any:
    return role


def _reply(message: Any) -> Reply:
    text = "".join(block.text for block in message.content if block.type == "text")
    usage = message.usage
    cached = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    return Reply(
        text,
        {**_REFUSALS, **_CUT}.get(message.stop_reason, End.COMPLETE),
        _count(usage, "input_tokens") + cached + written,
        _count(usage, "output_tokens"),
        cached,
    )


def _count(usage: object, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and value >= 0 else 0
