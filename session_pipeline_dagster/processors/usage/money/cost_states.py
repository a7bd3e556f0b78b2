"""What one cost-state line says was billed; nothing here knows what came before or after it.

Claude Code writes such a line when a process ends: the sums of its session up to then. A value
that can be none (negative, not finite, beyond any bill) makes the line unreadable, never the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from session_pipeline_dagster.transcripts.records import MAX_TOKENS

MAX_COST = Decimal(10**9)
"""USD of one line; more is no bill."""
MAX_MODELS = 100
MAX_NAME = 200
_LAST_MS = 253_402_300_799_999  # 9999-12-31
_CENTS = Decimal("0.000000000001")
LONG_CONTEXT = "[1m]"


@dataclass(frozen=True, slots=True)
class BilledModel:
    """What was billed for one model: tokens, searches, and USD with 12 decimals."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_creation_5m_tokens: int = 0
    cache_creation_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_search_requests: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Billed:
    """One cost-state line: what was billed since the sum was begun.

    Attributes:
        start_us: when the sum was begun, microseconds since 1970-01-01 UTC; a resumed process goes
            on with it. None where the line does not say.
        total_cost: USD, 12 decimals.
        has_unknown_model_cost: Claude Code did not know the price of a model itself.
        lines_added, lines_removed: of code.
        api_duration_ms, duration_ms, tool_duration_ms: milliseconds.
        models: one for each key of `modelUsage`, in order of the keys.
    """

    start_us: int | None
    total_cost: Decimal
    has_unknown_model_cost: bool
    lines_added: int
    lines_removed: int
    api_duration_ms: int
    duration_ms: int
    tool_duration_ms: int
    models: tuple[BilledModel, ...]

    @property
    def split(self) -> bool:
        """Whether the bill says for which models it is."""
        return bool(self.models) or not self.total_cost


def read(line: bytes) -> Billed | None:
    """What a line says, as far as it is a cost-state line that can be read."""
    try:
        values = json.loads(line.decode("utf-8", "replace"), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return billed(values) if isinstance(values, dict) else None


def billed(values: Mapping[str, object]) -> Billed | None:
    """The same of a decoded line, whose numbers with a fraction are Decimals."""
    if values.get("type") != "cost-state":
        return None
    try:
        start_ms = _whole(values, "startTime", _LAST_MS)
        return Billed(
            start_us=start_ms * 1000 or None,
            total_cost=_cost(values, "totalCostUSD"),
            has_unknown_model_cost=_flag(values, "hasUnknownModelCost"),
            lines_added=_whole(values, "totalLinesAdded"),
            lines_removed=_whole(values, "totalLinesRemoved"),
            api_duration_ms=_whole(values, "totalAPIDuration"),
            duration_ms=_whole(values, "totalDuration"),
            tool_duration_ms=_whole(values, "totalToolDuration"),
            models=_models(values.get("modelUsage")),
        )
    except ValueError:
        return None


def plain(model: str) -> str:
    """The name without the mark of a long context, which has no price of its own."""
    return model[: -len(LONG_CONTEXT)] if model.lower().endswith(LONG_CONTEXT) else model


def _models(usage: object) -> tuple[BilledModel, ...]:
    if usage is None:
        return ()
    if not isinstance(usage, dict) or len(usage) > MAX_MODELS:
        raise ValueError("modelUsage is not an object, or holds more models than a session uses")
    return tuple(_model(name, values) for name, values in sorted(usage.items()))


def _model(name: object, values: object) -> BilledModel:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError("not a model's name")
    if not isinstance(values, dict):
        raise ValueError("not the usage of a model")
    short = _whole(values, "cacheCreationEphemeral5mInputTokens")
    long = _whole(values, "cacheCreationEphemeral1hInputTokens")
    creation = max(_whole(values, "cacheCreationInputTokens"), short + long)
    return BilledModel(
        model=name,
        input_tokens=_whole(values, "inputTokens"),
        output_tokens=_whole(values, "outputTokens"),
        thinking_tokens=_whole(values, "thinkingTokens"),
        cache_creation_tokens=creation,
        # What is not split was written for five minutes: there was nothing else then.
        cache_creation_5m_tokens=creation - long,
        cache_creation_1h_tokens=long,
        cache_read_tokens=_whole(values, "cacheReadInputTokens"),
        web_search_requests=_whole(values, "webSearchRequests"),
        cost=_cost(values, "costUSD"),
    )


def _number(values: Mapping[str, object], name: str, most: Decimal) -> Decimal:
    value = values.get(name)
    if value is None:
        return Decimal(0)
    # A bool is an int to Python; floats are the constants NaN and Infinity.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{name} is not a number")
    if not 0 <= value <= most:
        raise ValueError(f"{name} is out of range")
    return Decimal(value)


def _whole(values: Mapping[str, object], name: str, most: int = MAX_TOKENS) -> int:
    number = _number(values, name, Decimal(most))
    if number != number.to_integral_value():
        raise ValueError(f"{name} is not whole")
    return int(number)


def _cost(values: Mapping[str, object], name: str) -> Decimal:
    return _number(values, name, MAX_COST).quantize(_CENTS)


def _flag(values: Mapping[str, object], name: str) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is not true or false")
    return bool(value)
