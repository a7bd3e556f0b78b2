"""What a line of a response says it cost: its counters, and calls that they leave out."""

import re
from collections.abc import Iterator
from decimal import Decimal

from msgspec import Raw

from session_pipeline_dagster.processors.usage.rows import Response
from session_pipeline_dagster.transcripts.records import Iteration, Usage

ADVISOR = "advisor_message"
_LEFT_OUT = frozenset({ADVISOR, "compaction"})
_FALLBACK = "fallback_message"
_NUMBER = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,2})?")
_SMALLEST, _MOST = Decimal("1e-12"), Decimal(10) ** 6
"""What the column takes."""


def absorb(row: Response, usage: Usage) -> None:
    """Field-wise maximum: early lines of a response may carry a partial count."""
    if (found := usage.input_tokens or 0) > row.input_tokens:
        row.input_tokens = found
    if (found := usage.output_tokens or 0) > row.output_tokens:
        row.output_tokens = found
    if (found := usage.cache_read_input_tokens or 0) > row.cache_read_tokens:
        row.cache_read_tokens = found
    flat = usage.cache_creation_input_tokens or 0
    if split := usage.cache_creation:
        if (found := split.ephemeral_5m_input_tokens or 0) > row.cache_creation_5m_tokens:
            row.cache_creation_5m_tokens = found
        if (found := split.ephemeral_1h_input_tokens or 0) > row.cache_creation_1h_tokens:
            row.cache_creation_1h_tokens = found
        flat = max(flat, row.cache_creation_5m_tokens + row.cache_creation_1h_tokens)
    if flat > row.cache_creation_tokens:
        row.cache_creation_tokens = flat
    if server := usage.server_tool_use:
        row.web_search_requests = max(row.web_search_requests, server.web_search_requests or 0)
    # A later line may not repeat them.
    row.service_tier = usage.service_tier or row.service_tier
    row.speed = usage.speed or row.speed
    row.input_basis = usage.input_basis or row.input_basis
    if details := usage.output_tokens_details:
        row.thinking_tokens = max(row.thinking_tokens, details.thinking_tokens or 0)


def recorded(raw: Raw) -> Decimal | None:
    """What a line says that it cost, in USD; None where it says nothing that can be a cost."""
    text = bytes(raw)
    if not _NUMBER.fullmatch(text):
        return None
    cost = Decimal(text.decode())
    return cost.quantize(_SMALLEST) if cost < _MOST else None


def extra_calls(usage: Usage, model: str | None) -> Iterator[tuple[int, Iteration]]:
    """The iterations of a response that its own counters leave out, with their places.

    An advisor and a compaction are calls of their own. Where another model stepped in, the counters
    are the answer that was served, and the attempt it replaced is a call of its own.

    Args:
        model: the one that the response names.
    """
    iterations = usage.iterations or ()
    fell_back = any(iteration.type == _FALLBACK for iteration in iterations)
    for index, iteration in enumerate(iterations):
        declined = fell_back and iteration.type == "message" and iteration.model != model
        if (iteration.type in _LEFT_OUT or declined) and _says_anything(iteration):
            yield index, iteration


def _says_anything(iteration: Iteration) -> bool:
    created = iteration.cache_creation
    split = created and (created.ephemeral_5m_input_tokens or created.ephemeral_1h_input_tokens)
    cached = iteration.cache_creation_input_tokens or iteration.cache_read_input_tokens or split
    return bool(iteration.input_tokens or iteration.output_tokens or cached)


def usage_of(iteration: Iteration, usage: Usage) -> Usage:
    """The cost of one iteration, as that of a response."""
    return Usage(
        iteration.input_tokens,
        iteration.output_tokens,
        iteration.cache_creation_input_tokens,
        iteration.cache_read_input_tokens,
        iteration.cache_creation,
        service_tier=usage.service_tier,
        speed=usage.speed,
    )
