"""What the tables say that each user did, in the words of `threads.Truth`."""

from lines import UsagePipeline
from threads import Truth

_RESPONSES = """
    SELECT username, count(*), sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
        sum(cache_read_tokens)
    FROM usage_messages_unique GROUP BY ALL
"""
_EVENTS = """
    SELECT username,
        count(*) FILTER (event_type = 'tool_use'),
        count(*) FILTER (event_type = 'subagent'),
        count(*) FILTER (event_type = 'mcp_call'),
        count(*) FILTER (is_error AND event_type IN ('tool_use', 'subagent', 'mcp_call')),
        count(*) FILTER (event_type = 'prompt')
    FROM usage_events_unique GROUP BY ALL
"""


def truths(pipeline: UsagePipeline) -> dict[str, Truth]:
    """User -> what is counted for them."""
    responses = {str(user): rest for user, *rest in pipeline.select(_RESPONSES)}
    events = {str(user): rest for user, *rest in pipeline.select(_EVENTS)}
    nothing = [0] * 5
    return {
        user: Truth(*map(_number, [*responses.get(user, nothing), *events.get(user, nothing)]))
        for user in responses.keys() | events.keys()
    }


def _number(value: object) -> int:
    return int(str(value or 0))
