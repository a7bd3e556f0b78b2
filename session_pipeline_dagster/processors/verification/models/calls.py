"""One answer from a model, whatever it takes: the loop around the providers' own clients.

A provider makes one call (`provider.py`). Here it is decided what is tried again, how long to wait
and when to give up; one deadline spans all of it. No failure ends as an answer: what is returned
has the shape that was asked for, everything else raises.
"""

import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from session_pipeline_dagster.errors import Permanent, Retryable, SettingsError
from session_pipeline_dagster.processors.verification.models.model import Call, Ledger, T
from session_pipeline_dagster.processors.verification.models.provider import (
    CallFailed,
    End,
    Provider,
    Reply,
    Request,
    Verdict,
)

_TRIES_AT_THE_SHAPE = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


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
    encoded = bare.strip().encode("utf-8", "replace")
    try:
        return msgspec.json.decode(encoded, type=answer)
    except msgspec.DecodeError:
        return _forgiven(encoded, answer)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None


def _forgiven(encoded: bytes, answer: type[T]) -> T:
    """Once more for numbers that are none in JSON: NaN and Infinity are null, 1e999 is infinite.

    Raises:
        DecodeError: something else is wrong.
    """
    try:
        found = json.loads(encoded, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        found = msgspec.json.decode(encoded)
    return msgspec.convert(found, answer)


def _again(request: Request, text: str, error: Exception) -> Sequence[tuple[str, str]]:
    """The same question, the answer it got, and what was wrong with it; not what came before."""
    complaint = f"That is not of the shape asked for: {error}. Answer with the JSON object alone."
    return (request.turns[0], ("assistant", text or "(nothing)"), ("user", complaint))
