"""One call of the Chat Completions API: OpenAI, or any server that speaks it (Ollama, vLLM)."""

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
    from openai import OpenAI

_BASE_URL = "https://api.openai.com/v1"
_ENDS = {"length": End.TRUNCATED, "content_filter": End.REFUSED}


class OpenAIProvider:
    """See `Provider`. Remembers what the server did not take, so that it is refused once."""

    def __init__(self, settings: ModelSettings) -> None:
        self.name, self._settings = settings.model, settings
        self._client: OpenAI | None = None
        self._lock = threading.Lock()
        self._shape = 0
        self._limit = "max_completion_tokens" if settings.openai_base_url is None else "max_tokens"

    def call(self, request: Request, timeout: float) -> Reply:
        """See `Provider.call`."""
        import openai  # noqa: PLC0415  takes seconds; an extra
        from openai.types.chat import ChatCompletion  # noqa: PLC0415

        shape, limit = self._shape, self._limit
        try:
            found = self._create(request, timeout, shape, limit)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if not self._step_down(str(error.body), shape, limit):
                raise client_failure(self.name, openai, error) from error
            raise unsupported(self.name) from error
        except openai.OpenAIError as error:
            raise client_failure(self.name, openai, error) from error
        if not isinstance(found, ChatCompletion) or not found.choices:
            raise CallFailed("garbled", f"{self.name}: the server's reply is no completion")
        return _reply(found)

    def _step_down(self, text: str, shape: int, limit: str) -> bool:
        """Note what the server did not take; whether there is another way to ask."""
        if "max_tokens" in text or "max_completion_tokens" in text:
            other = "max_tokens" if limit != "max_tokens" else "max_completion_tokens"
            changed = self._limit == limit and other in text
            self._limit = other if changed else self._limit
            return changed
        if any(word in text for word in ("response_format", "json_schema", "json_object")):
            self._shape = max(self._shape, shape + 1)
            return shape + 1 < _SHAPES
        return False

    def _create(self, request: Request, timeout: float, shape: int, limit: str) -> object:
        turns = [("system", request.system), *request.turns]
        messages: Any = [{"role": role, "content": text} for role, text in turns]
        options: Any = {limit: request.max_tokens, **_shape(request, shape)}
        client = self._connected()
        return client.chat.completions.create(
            model=self.name, messages=messages, timeout=timeout, **options
        )

    def _connected(self) -> "OpenAI":
        import openai  # noqa: PLC0415  takes seconds; an extra

        with self._lock:
            if self._client is None:
                self._client = openai.OpenAI(
                    # Servers of one's own take any key, but the client wants one.
                    api_key=self._settings.openai_api_key or "none",
                    base_url=self._settings.openai_base_url or _BASE_URL,
                    max_retries=0,
                )
            return self._client


_SHAPES = 3


def _shape(request: Request, step: int) -> dict[str, object]:
    """How the shape is asked for: by schema, as any JSON, or by the prompt alone."""
    if step == 0:
        schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}} if step == 1 else {}


def _reply(completion: Any) -> Reply:
    choice, usage = completion.choices[0], completion.usage
    message = choice.message
    refused = getattr(message, "refusal", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Reply(
        (message.content if message else None) or "",
        End.REFUSED if refused else _ENDS.get(choice.finish_reason, End.COMPLETE),
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        _count(details, "cached_tokens"),
    )


def _count(usage: object, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and value >= 0 else 0
