"""Tables, views and roll-up of the `usage` processor, as SQL, and what they mean.

Rows are per file; everything that must be true over *all* files (an API response that a fork
copied counts once) is said here, in the views and the roll-up.
"""

from collections.abc import Mapping, Sequence

from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.processors.copies import rank

TABLES: Mapping[str, str] = {
    "usage_messages": """
        session_file VARCHAR, message_key VARCHAR, message_id VARCHAR, request_id VARCHAR,
        session_id VARCHAR, origin_session_id VARCHAR, username VARCHAR, project VARCHAR,
        agent_id VARCHAR, is_sidechain BOOLEAN, model VARCHAR, sent_at TIMESTAMPTZ,
        input_tokens BIGINT, output_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_creation_5m_tokens BIGINT, cache_creation_1h_tokens BIGINT, cache_read_tokens BIGINT,
        web_search_requests BIGINT, service_tier VARCHAR, speed VARCHAR, output_partial BOOLEAN,
        line_number BIGINT, sent_at_inferred BOOLEAN, file_started_at TIMESTAMPTZ""",
    "usage_events": """
        session_file VARCHAR, event_key VARCHAR, session_id VARCHAR, username VARCHAR,
        project VARCHAR, event_type VARCHAR, tool_name VARCHAR, skill_name VARCHAR,
        subagent_type VARCHAR, mcp_server VARCHAR, command_name VARCHAR, plugin VARCHAR,
        is_error BOOLEAN, model VARCHAR, cwd VARCHAR, occurred_at TIMESTAMPTZ,
        message_key VARCHAR, line_number BIGINT, origin_session_id VARCHAR, is_sidechain BOOLEAN,
        file_started_at TIMESTAMPTZ""",
    "usage_sessions": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, project VARCHAR,
        is_subagent BOOLEAN, started_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, wall_seconds DOUBLE,
        active_seconds DOUBLE, prompts BIGINT, user_lines BIGINT, assistant_messages BIGINT,
        tool_calls BIGINT, tool_errors BIGINT, skill_invocations BIGINT,
        subagent_dispatches BIGINT, mcp_calls BIGINT, slash_commands BIGINT, distinct_tools BIGINT,
        distinct_skills BIGINT, primary_model VARCHAR, input_tokens BIGINT, output_tokens BIGINT,
        cache_creation_tokens BIGINT, cache_read_tokens BIGINT, partial_messages BIGINT,
        lines BIGINT, unreadable_lines BIGINT, unknown_lines BIGINT, api_errors BIGINT""",
    "usage_tool_results": "session_file VARCHAR, tool_use_id VARCHAR, is_error BOOLEAN",
}

_RANK = rank("origin_session_id <> session_id")
_ORIGIN = f"""coalesce(
        min(origin_session_id) FILTER (origin_session_id <> session_id),
        arg_min(session_id, {_RANK}))"""

_PICKED_OF_MESSAGE = (
    "session_file message_id request_id username project agent_id model sent_at service_tier speed "
    "line_number sent_at_inferred file_started_at"
).split()
_PICKED_OF_DAY = ("username", "project", "model", "sent_at")
_COUNTERS = (
    "input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens "
    "cache_creation_1h_tokens cache_read_tokens web_search_requests"
).split()
_PICKED_OF_EVENT = (
    "session_file username project event_type tool_name skill_name subagent_type mcp_server "
    "command_name plugin model cwd occurred_at message_key line_number file_started_at"
).split()

_PICKED_OF_TOOL = ("tool_name", "command_name", "event_type", "username")


def _picked(columns: Sequence[str]) -> str:
    fields = ", ".join(f"{c} := {c}" for c in columns)
    return f"arg_min(struct_pack({fields}), {_RANK}) AS picked"


def _counted_once(source: str, picked: Sequence[str]) -> str:
    """SELECT of one row per API response over `source`, a table or sub-select of message rows.

    Counters are the field-wise maximum over the copies of the winning thread: a copy may have
    been cut off while the response was still streaming. `picked` holds the columns of the copy
    that says who did it.
    """
    maxima = ", ".join(
        f"coalesce(max({c}) FILTER (NOT is_sidechain), max({c})) AS {c}" for c in _COUNTERS
    )
    return f"""
        SELECT message_key, {_picked(picked)}, {_ORIGIN} AS origin, {maxima},
            bool_and(is_sidechain) AS is_sidechain, count(*) AS copies,
            coalesce(bool_and(output_partial) FILTER (NOT is_sidechain),
                bool_and(output_partial)) AS output_partial
        FROM {source} GROUP BY message_key"""


# Few things have copies, and comparing them all would hold every row in memory. Hashes take less of
# it than keys; two keys of one hash are only compared needlessly.
def _copied(table: str, key: str, which: str = "TRUE") -> str:
    """SELECT of the hashes of keys that stand in several rows."""
    return f"""SELECT hash({key}) AS hashed FROM {table} WHERE {which}
        GROUP BY hashed HAVING count(*) > 1"""


def _alone(table: str, key: str) -> str:
    return f"{table} ANTI JOIN copied ON hash({key}) = hashed"


def _with_copies(table: str, key: str) -> str:
    return f"(FROM {table} SEMI JOIN copied ON hash({key}) = hashed)"


_OWN_ORIGIN = "coalesce(origin_session_id, session_id)"


def _unique_messages() -> str:
    counters = ", ".join(_COUNTERS)
    return f"""
        WITH copied AS MATERIALIZED ({_copied("usage_messages", "message_key")})
        SELECT message_key, session_file, message_id, request_id, {_OWN_ORIGIN} AS session_id,
            {_OWN_ORIGIN} AS origin_session_id, username, project, agent_id, is_sidechain, model,
            sent_at, {counters}, service_tier, speed, output_partial, line_number,
            sent_at_inferred, 1 AS copies
        FROM {_alone("usage_messages", "message_key")}
        UNION ALL
        SELECT message_key, picked.session_file, picked.message_id, picked.request_id,
            origin, origin, picked.username, picked.project, picked.agent_id, is_sidechain,
            picked.model, picked.sent_at, {counters}, picked.service_tier, picked.speed,
            output_partial, picked.line_number, picked.sent_at_inferred, copies
        FROM ({_counted_once(_with_copies("usage_messages", "message_key"), _PICKED_OF_MESSAGE)})"""


def _unique_events() -> str:
    return f"""
        WITH copied AS MATERIALIZED ({_copied("usage_events", "event_key")}),
        late AS (SELECT DISTINCT tool_use_id FROM usage_tool_results WHERE is_error)
        SELECT event_key, session_file, session_id, session_id AS origin_session_id, username,
            project, event_type, tool_name, skill_name, subagent_type, mcp_server, command_name,
            plugin, is_error OR late.tool_use_id IS NOT NULL AS is_error, model, cwd, occurred_at,
            message_key, line_number, is_sidechain, copies
        FROM (
            SELECT event_key, session_file, {_OWN_ORIGIN} AS session_id, username, project,
                event_type, tool_name, skill_name, subagent_type, mcp_server, command_name, plugin,
                is_error, model, cwd, occurred_at, message_key, line_number, is_sidechain,
                1 AS copies
            FROM {_alone("usage_events", "event_key")}
            UNION ALL
            SELECT event_key, picked.session_file, origin, picked.username, picked.project,
                picked.event_type, picked.tool_name, picked.skill_name, picked.subagent_type,
                picked.mcp_server, picked.command_name, picked.plugin, is_error, picked.model,
                picked.cwd, picked.occurred_at, picked.message_key, picked.line_number,
                is_sidechain, copies
            FROM (
                SELECT event_key, {_picked(_PICKED_OF_EVENT)}, {_ORIGIN} AS origin,
                    bool_or(is_error) AS is_error, bool_and(is_sidechain) AS is_sidechain,
                    count(*) AS copies
                FROM {_with_copies("usage_events", "event_key")} GROUP BY event_key
            )
        )
        LEFT JOIN late ON late.tool_use_id = event_key"""


# The UTC day whatever the connection's time zone; 13 times as fast as AT TIME ZONE 'UTC'.
_DAY = "make_timestamp(epoch_us(sent_at))::DATE"
_CHANGED_DAYS = "(SELECT part::DATE FROM parts)"

_COPIED_THERE = _copied(
    "usage_messages",
    "message_key",
    f"""hash(message_key) IN (
        SELECT hash(message_key) FROM usage_messages WHERE {_DAY} IN {_CHANGED_DAYS})""",
)

VIEWS: Mapping[str, str] = {
    "usage_messages_unique": _unique_messages(),
    "usage_events_unique": _unique_events(),
}

USAGE_DAILY = Rollup(
    name="usage_daily",
    columns="""day DATE, username VARCHAR, project VARCHAR, model VARCHAR, messages BIGINT,
        input_tokens BIGINT, output_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_read_tokens BIGINT, partial_messages BIGINT, cache_creation_5m_tokens BIGINT,
        cache_creation_1h_tokens BIGINT, web_search_requests BIGINT, sessions BIGINT""",
    part="day",
    # Copies in other files count too: taking one away can move a response to another day.
    changed=f"""SELECT DISTINCT {_DAY}::VARCHAR FROM usage_messages WHERE message_key IN (
        SELECT message_key FROM usage_messages SEMI JOIN batch USING (session_file))""",
    refresh=f"""
        WITH copied AS MATERIALIZED ({_COPIED_THERE})
        SELECT {_DAY} AS day, username, project, model, count(*),
            sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
            sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
            count(*) FILTER (output_partial), sum(cache_creation_5m_tokens)::BIGINT,
            sum(cache_creation_1h_tokens)::BIGINT, sum(web_search_requests)::BIGINT,
            count(DISTINCT origin)
        FROM (
            SELECT username, project, model, sent_at, output_partial, {", ".join(_COUNTERS)},
                {_OWN_ORIGIN} AS origin
            FROM {_alone("usage_messages", "message_key")}
            UNION ALL
            SELECT picked.username, picked.project, picked.model, picked.sent_at, output_partial,
                {", ".join(_COUNTERS)}, origin
            FROM ({_counted_once(_with_copies("usage_messages", "message_key"), _PICKED_OF_DAY)})
        )
        WHERE {_DAY} IN {_CHANGED_DAYS}
        GROUP BY ALL""",
    description="""Tokens and messages per UTC day, user, project and model.

Every API response is counted **once** over all files: these are the numbers that are true.
`partial_messages` had no final line when the session ended: their output is a lower bound.

```sql
SELECT day, username, sum(messages), sum(output_tokens)
FROM usage_daily GROUP BY ALL ORDER BY day DESC, username
```""",
)

ROLLUPS = (USAGE_DAILY,)

# Printed after every pass, so they read what is cheap: the roll-up, and keys without their rows.
SUMMARIES = (
    Summary(
        "Usage",
        """SELECT username AS user, any_value(had.sessions) AS sessions, sum(messages) AS messages,
            sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(cache_creation_tokens) AS "cache write", sum(cache_read_tokens) AS "cache read",
            sum(partial_messages) AS partial
        FROM usage_daily JOIN (
            SELECT username, count(DISTINCT session_id) AS sessions FROM usage_sessions
            GROUP BY username
        ) AS had USING (username)
        GROUP BY username ORDER BY output DESC, user""",
    ),
    Summary(
        "Tools",
        f"""WITH copied AS MATERIALIZED ({_copied("usage_events", "event_key")})
        SELECT tool, kind, count(*) AS calls,
            count(*) FILTER (error OR event_key IN (
                SELECT tool_use_id FROM usage_tool_results WHERE is_error)) AS errors,
            count(DISTINCT username) AS users
        FROM (
            SELECT event_key, coalesce(tool_name, '/' || command_name) AS tool, event_type AS kind,
                is_error AS error, username
            FROM {_alone("usage_events", "event_key")}
            UNION ALL
            SELECT event_key, coalesce(picked.tool_name, '/' || picked.command_name),
                picked.event_type, is_error, picked.username
            FROM (
                SELECT event_key, {_picked(_PICKED_OF_TOOL)}, bool_or(is_error) AS is_error
                FROM {_with_copies("usage_events", "event_key")} GROUP BY event_key
            )
        )
        GROUP BY ALL ORDER BY calls DESC, tool LIMIT 15""",
    ),
)

DESCRIPTION = """What each session cost and did, counted by the rules in `docs/counting.md`."""

DESCRIPTIONS: Mapping[str, str] = {
    "usage_messages": """One row per API response and file: tokens, model, time.

Forks, resumes and copies repeat responses, so sum over the view `usage_messages_unique`, which
holds every response **once**. What matters most: the four token columns, `model`, `sent_at`, and
`output_partial` (the output is a lower bound).

```sql
SELECT username, model, sum(input_tokens), sum(output_tokens)
FROM usage_messages_unique GROUP BY ALL
```""",
    "usage_events": """One row per tool call, subagent, MCP call or slash command, and file.

Copies repeat them, so count in the view `usage_events_unique`, which holds each **once**. What
matters most: `event_type`, its name in `tool_name`, `skill_name`, `subagent_type`, `mcp_server` or
`command_name`, and `is_error`.

```sql
SELECT tool_name, count(*) AS calls, avg(is_error::INT) AS error_rate
FROM usage_events_unique GROUP BY ALL ORDER BY calls DESC
```""",
    "usage_sessions": """One row per session file: times, prompts, tools, errors.

Its tokens are those of the file alone: do **not** sum them over files, forks repeat their history.
What matters most: `started_at`, `active_seconds`, `prompts`, `tool_calls`, `tool_errors`.

```sql
SELECT username, count(*) AS sessions, sum(prompts), sum(active_seconds) / 3600 AS hours
FROM usage_sessions WHERE NOT is_subagent GROUP BY ALL
```""",
    "usage_tool_results": """Tool results whose call stands in another file; the view
`usage_events_unique` brings them together.""",
    "*.session_file": "the file's key: its path below its root",
    "*.session_id": "the session the line says it belongs to; without one, the file's name",
    "*.username": "who the file belongs to",
    "*.project": "project folder, as Claude Code names it",
    "*.agent_id": "the subagent, in lines of one",
    "*.is_sidechain": "a subagent's line",
    "*.model": "as the API names it",
    "*.sent_at": "time of the response's first line, UTC",
    "*.input_tokens": "not cached",
    "*.output_tokens": "see output_partial",
    "*.cache_creation_tokens": "written to the cache: the larger of the flat total and 5m + 1h",
    "*.cache_read_tokens": "read from the cache",
    "*.line_number": "in the file, from 1",
    "*.occurred_at": "time of the line, UTC",
    "*.is_error": "its tool result says so",
    "*.message_id": "as the API names the response",
    "*.request_id": "as the API names the request",
    "*.cache_creation_5m_tokens": "written to the cache for 5 minutes",
    "*.cache_creation_1h_tokens": "written to the cache for an hour",
    "*.web_search_requests": "web searches that the API made",
    "*.service_tier": "as the API says",
    "*.speed": "as the API says",
    "*.tool_name": "the tool that was called",
    "*.skill_name": "the skill that was invoked",
    "*.subagent_type": "the kind of subagent that was sent off",
    "*.mcp_server": "the MCP server of the tool",
    "*.command_name": "the slash command, without the slash",
    "*.message_key": "names one API response over all files",
    "*.origin_session_id": "the session that made the call, if a copy names it",
    "*.file_started_at": "first time in the file; decides who owns what was copied",
    "*.copies": "files that hold it",
    "*.sessions": "sessions with a response in that day",
    "*.lines": "complete lines of the file",
    "*.partial_messages": "responses whose output is a lower bound",
    "*.plugin": "the part before the colon in plugin:name",
    "*.cwd": "working folder of the session",
    "*.messages": "API responses",
    "*.unreadable_lines": "lines that no reader could make sense of",
    "usage_messages.output_partial": "no final line: output_tokens is a lower bound",
    "usage_messages.sent_at_inferred": "the line had no readable time; the previous line's is used",
    "usage_events.event_key": "names one tool call over all files",
    "usage_events.event_type": "tool_use, subagent, mcp_call or slash_command",
    "usage_sessions.is_subagent": "the file of a subagent",
    "usage_sessions.started_at": "first time in the file, UTC",
    "usage_sessions.ended_at": "last time in the file, UTC",
    "usage_sessions.wall_seconds": "from the first to the last line",
    "usage_sessions.user_lines": "lines of type user, tool results included",
    "usage_sessions.assistant_messages": "API responses in the file",
    "usage_sessions.tool_calls": "calls of tools; subagents and MCP servers are counted beside it",
    "usage_sessions.tool_errors": "calls of any kind whose result is an error",
    "usage_sessions.skill_invocations": "calls that invoke a skill",
    "usage_sessions.subagent_dispatches": "calls that send off a subagent",
    "usage_sessions.mcp_calls": "calls of tools of MCP servers",
    "usage_sessions.slash_commands": "commands that a person typed",
    "usage_sessions.distinct_tools": "different tools called",
    "usage_sessions.distinct_skills": "different skills invoked",
    "usage_sessions.primary_model": "the model of most responses",
    "usage_sessions.active_seconds": "time between lines, pauses over 600 s left out",
    "usage_sessions.prompts": "what a person typed; user_lines is the raw count",
    "usage_sessions.api_errors": "assistant lines that report a failed API call",
    "usage_sessions.unknown_lines": "lines of a type this version does not know",
    "usage_daily.day": "UTC",
}
