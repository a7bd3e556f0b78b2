"""One call of a provider, in no provider's words: the request, the reply, and what a failure means.

`anthropic.py` and `openai.py` make the call; when it is made again is decided in `calls.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Protocol

MAX_TOKENS = 4096
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
