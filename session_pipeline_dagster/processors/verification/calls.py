"""One answer from a model, whatever it takes: the loop around the providers' own clients.

A provider makes one call (`anthropic_provider.py`, `openai_provider.py`). Here it is decided what
is tried again, how long to wait and when to give up; one deadline spans all of it. No failure ends
as an answer: what is returned has the shape that was asked for, everything else raises.
"""

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from importlib.util import find_spec
from typing import Any, Protocol

import msgspec

from session_pipeline_dagster.errors import Permanent, Retryable, SettingsError
from session_pipeline_dagster.processors.verification.model import Call, Ledger, Model, T
from session_pipeline_dagster.settings import Extractor, ModelSettings

MAX_TOKENS = 4096
_TRIES_AT_THE_SHAPE = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)
_TOO_LONG = re.compile(r"too long|too large|context.{0,10}length|maximum context", re.IGNORECASE)
_NO_CREDIT = re.compile(r"credit|quota|billing", re.IGNORECASE)


class End(Enum):
    """How an answer ended."""

    COMPLETE = "ok"
    TRUNCATED = "truncated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """One call, in no provider's words.

    Attributes:
        turns: (role, text), the user's first.
        schema: JSON schema of the answer.
    """

    system: str
    turns: Sequence[tuple[str, str]]
    schema: Mapping[str, object]
    max_tokens: int = MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `input_tokens` include the cached ones."""

    text: str
    end: End
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class Verdict(Enum):
    """What a failed call means."""

    AGAIN = "again"  # the same call may succeed
    NEVER = "never"  # not with this content
    SETTINGS = "settings"  # not as things are set, with any content


class CallFailed(Exception):
    """No reply. The message says what happened and holds nothing of the request or the reply."""

    def __init__(
        self,
        outcome: str,
        message: str,
        verdict: Verdict = Verdict.AGAIN,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome, self.verdict, self.retry_after = outcome, verdict, retry_after


class Provider(Protocol):
    """Makes one call, once."""

    name: str

    def call(self, request: Request, timeout: float) -> Reply:
        """The reply, whatever its end.

        Args:
            timeout: seconds.

        Raises:
            CallFailed: there is none.
        """
        ...


def patient_model(settings: ModelSettings) -> Model:
    """The model of the settings, asked with patience. Imports no client before the first call.

    Raises:
        SettingsError: a package or a key is missing.
    """
    name = settings.extractor.value
    if find_spec(name) is None:
        raise SettingsError(
            f"SESSION_PIPELINE_EXTRACTOR is {name}, but the package {name} is not installed; "
            f"install it beside this one (docs/knowledge.md), or set it to rules"
        )
    if settings.extractor is Extractor.ANTHROPIC:
        from session_pipeline_dagster.processors.verification.anthropic_provider import (  # noqa: PLC0415  only the one that is asked
            AnthropicProvider,
        )

        if not settings.anthropic_api_key:
            raise _no_key("ANTHROPIC_API_KEY")
        return PatientModel(AnthropicProvider(settings), settings.deadline)
    from session_pipeline_dagster.processors.verification.openai_provider import (  # noqa: PLC0415  only the one that is asked
        OpenAIProvider,
    )

    if not settings.openai_api_key and not settings.openai_base_url:
        raise _no_key("OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own")
    return PatientModel(OpenAIProvider(settings), settings.deadline)


def _no_key(what: str) -> SettingsError:
    return SettingsError(
        f"SESSION_PIPELINE_EXTRACTOR asks for a model, but its key is missing; set {what}, "
        "or set SESSION_PIPELINE_EXTRACTOR to rules"
    )


class PatientModel:
    """A `Model` over a provider."""

    def __init__(
        self,
        provider: Provider,
        deadline: timedelta,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = provider.name
        self._provider, self._deadline, self._sleep = provider, deadline.total_seconds(), sleep

    def ask(self, purpose: str, system: str, payload: str, answer: type[T], ledger: Ledger) -> T:
        """See `Model.ask`."""
        request = Request(system, (("user", payload),), schema_of(answer))
        stop, tries, widened = time.monotonic() + self._deadline, 0, False
        waiting = _Waiting(stop, self._sleep)
        while True:
            try:
                reply = self._call(purpose, request, stop)
            except _Noted as noted:
                ledger(noted.call)
                waiting.after(noted.failure)
                continue
            end = reply.reply.end
            if end is End.REFUSED:
                ledger(reply.call)
                raise Permanent(f"{self.name} refuses to answer for this session")
            if end is End.TRUNCATED:
                ledger(reply.call)
                if widened:
                    raise Permanent(f"{self.name} finds no end for this session")
                widened = True
                request = replace(request, max_tokens=request.max_tokens * 2)
                continue
            try:
                found = _decode(reply.reply.text, answer)
            except msgspec.DecodeError as error:
                ledger(replace(reply.call, outcome="invalid"))
                tries += 1
                if tries >= _TRIES_AT_THE_SHAPE:
                    raise Permanent(
                        f"{self.name} gave {tries} answers that are not of the shape asked for"
                    ) from None
                request = replace(request, turns=_again(request, reply.reply.text, error))
                continue
            ledger(reply.call)
            return found

    def _call(self, purpose: str, request: Request, stop: float) -> "_Answered":
        """One call and what the ledger is to keep of it.

        Raises:
            _Noted: it failed.
        """
        at, begun = datetime.now(UTC), time.monotonic()
        # A call that hangs must leave time for another one.
        timeout = max(0.05, min(stop - begun, self._deadline / 2))

        def call(outcome: str, reply: Reply | None = None) -> Call:
            took = int((time.monotonic() - begun) * 1000)
            tokens = (reply.input_tokens, reply.output_tokens, reply.cached_tokens) if reply else ()
            return Call(purpose, self.name, at, took, outcome, *tokens)

        try:
            reply = self._provider.call(request, timeout)
        except CallFailed as failure:
            raise _Noted(call(failure.outcome), failure) from failure
        return _Answered(call(reply.end.value, reply), reply)


@dataclass(frozen=True, slots=True)
class _Answered:
    call: Call
    reply: Reply


class _Noted(Exception):
    """A failed call on its way to the ledger."""

    def __init__(self, call: Call, failure: CallFailed) -> None:
        super().__init__(str(failure))
        self.call, self.failure = call, failure


class _Waiting:
    """Waits before the next call, longer each time; or raises where there is none."""

    def __init__(self, stop: float, sleep: Callable[[float], None]) -> None:
        self._stop, self._sleep, self._pause = stop, sleep, _FIRST_PAUSE

    def after(self, failure: CallFailed) -> None:
        message, asked = str(failure), failure.retry_after
        if failure.verdict is Verdict.SETTINGS:
            raise SettingsError(message) from None
        if failure.verdict is Verdict.NEVER:
            raise Permanent(message) from None
        # Jitter, so that the sessions of a batch do not all come back at once.
        pause = random.uniform(self._pause / 2, self._pause)  # noqa: S311  no secret depends on it
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        wait = pause if asked is None else asked
        if time.monotonic() + wait >= self._stop:
            later = None if asked is None else timedelta(seconds=asked)
            raise Retryable(f"{message}; no attempt is burnt", later) from None
        self._sleep(wait)


def schema_of(answer: type[msgspec.Struct]) -> Mapping[str, object]:
    """The JSON schema of an answer, closed and without references, as providers want it."""
    (schema,), parts = msgspec.json.schema_components([answer], ref_template="{name}")
    return _closed(schema, parts)


def _closed(schema: Mapping[str, object], parts: Mapping[str, object]) -> dict[str, object]:
    """With references replaced, and what strict providers refuse taken away."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        part = parts[reference]
        return _closed(part, parts) if isinstance(part, Mapping) else {}
    found: dict[str, object] = {}
    for key, value in schema.items():
        if key in ("title", "default", "maxLength", "minLength", "maxItems", "description"):
            continue
        if key == "properties" and isinstance(value, Mapping):
            found[key] = {
                name: _closed(part, parts)
                for name, part in value.items()
                if isinstance(part, Mapping)
            }
            found["required"], found["additionalProperties"] = list(value), False
        elif isinstance(value, Mapping):
            found[key] = _closed(value, parts)
        elif isinstance(value, list) and key == "anyOf":
            found[key] = [_closed(part, parts) for part in value if isinstance(part, Mapping)]
        elif key != "required":
            found[key] = value
    return found


def _decode(text: str, answer: type[T]) -> T:
    """The answer in a text: bare JSON, or JSON in a fence.

    Raises:
        DecodeError: neither, or not of the shape.
    """
    fenced = _FENCED.search(text)
    bare = fenced[1] if fenced and not text.lstrip().startswith("{") else text
    return msgspec.json.decode(bare.strip().encode("utf-8", "replace"), type=answer)


def _again(request: Request, text: str, error: Exception) -> Sequence[tuple[str, str]]:
    """The same question, the answer it got, and what was wrong with it; not what came before."""
    complaint = f"That is not of the shape asked for: {error}. Answer with the JSON object alone."
    return (request.turns[0], ("assistant", text or "(nothing)"), ("user", complaint))


# --- what a provider's failure means; the same for all of them ---


def client_failure(model: str, client: Any, error: Exception) -> CallFailed:
    """Why a provider's official client gave no reply.

    Args:
        client: its module; Anthropic's and OpenAI's name their errors alike.
    """
    if isinstance(error, client.APIStatusError):
        return status_failure(model, error.status_code, str(error.body), error.response.headers)
    if isinstance(error, client.APITimeoutError):
        return CallFailed("timeout", f"{model}: no reply in time")
    if isinstance(error, client.APIConnectionError):
        return CallFailed("connection", f"{model}: the server cannot be reached")
    return CallFailed("garbled", f"{model}: the reply cannot be read")


def status_failure(model: str, status: int, text: str, headers: Mapping[str, str]) -> CallFailed:
    """A reply of an HTTP status that is no success.

    Args:
        text: what the server says; only looked at, never passed on.
    """
    after = retry_after(headers)
    if status in (401, 403):
        return CallFailed(
            "unauthorized",
            f"{model}: the server refuses the key (HTTP {status}); set another one",
            Verdict.SETTINGS,
        )
    if status == 404:
        return CallFailed(
            "not_found",
            f"{model}: the server knows no such model (HTTP 404); set SESSION_PIPELINE_MODEL, "
            "or the base URL",
            Verdict.SETTINGS,
        )
    if status == 402 or (status in (400, 429) and _NO_CREDIT.search(text)):
        return CallFailed("no_credit", f"{model}: no credit is left (HTTP {status})", Verdict.AGAIN)
    if status == 413 or (status == 400 and _TOO_LONG.search(text)):
        return CallFailed("too_long", f"{model}: the request is too long", Verdict.NEVER)
    if status == 400 and "content_filter" in text:
        return CallFailed("refused", f"{model} refuses this session", Verdict.NEVER)
    names = {408: "timeout", 409: "overloaded", 429: "rate_limited", 529: "overloaded"}
    outcome = names.get(status, "server_error" if status >= 500 else "rejected")
    if outcome == "rejected":
        # Not the session's fault as far as anyone can tell, and asking at once is no use.
        after = max(after or 0.0, 3600.0)
    return CallFailed(outcome, f"{model}: {outcome} (HTTP {status})", Verdict.AGAIN, after)


def unsupported(model: str) -> CallFailed:
    """The server does not take a part of the request; the next call leaves it out."""
    return CallFailed("unsupported", f"{model}: the server takes no schema", retry_after=0.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as the server asks; None where it asks nothing that can be read."""
    text = headers.get("retry-after-ms")
    if text is not None:
        seconds = _number(text)
        return None if seconds is None else seconds / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _number(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 10**7 else None
