"""Tables of the `usage` processor, with rows per file, and what everything it declares means.

What must be true over *all* files (a response that a fork copied counts once) is in `unique.py`,
what is added up per day in `rollups.py`.
"""

from collections.abc import Mapping

from session_pipeline_dagster.processors.usage.money import described, stored
from session_pipeline_dagster.processors.usage.people import described as people_described

TABLES: Mapping[str, str] = {
    "usage_messages": """
        session_file VARCHAR, message_key VARCHAR, message_id VARCHAR, request_id VARCHAR,
        session_id VARCHAR, origin_session_id VARCHAR, username VARCHAR, project VARCHAR,
        agent_id VARCHAR, is_sidechain BOOLEAN, model VARCHAR, sent_at TIMESTAMPTZ,
        input_tokens BIGINT, output_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_creation_5m_tokens BIGINT, cache_creation_1h_tokens BIGINT, cache_read_tokens BIGINT,
        web_search_requests BIGINT, service_tier VARCHAR, speed VARCHAR, output_partial BOOLEAN,
        line_number BIGINT, sent_at_inferred BOOLEAN, file_started_at TIMESTAMPTZ,
        line_digest VARCHAR, output_characters BIGINT, began_at TIMESTAMPTZ, agent VARCHAR,
        provider VARCHAR, git_branch VARCHAR, client_version VARCHAR, entrypoint VARCHAR,
        effort VARCHAR, attribution_skill VARCHAR, attribution_agent VARCHAR,
        attribution_plugin VARCHAR, attribution_mcp_server VARCHAR,
        recorded_cost DECIMAL(18, 12), thinking_tokens BIGINT, input_basis VARCHAR""",
    "usage_events": """
        session_file VARCHAR, event_key VARCHAR, session_id VARCHAR, username VARCHAR,
        project VARCHAR, event_type VARCHAR, tool_name VARCHAR, skill_name VARCHAR,
        subagent_type VARCHAR, mcp_server VARCHAR, command_name VARCHAR, plugin VARCHAR,
        is_error BOOLEAN, model VARCHAR, cwd VARCHAR, occurred_at TIMESTAMPTZ,
        message_key VARCHAR, line_number BIGINT, origin_session_id VARCHAR, is_sidechain BOOLEAN,
        file_started_at TIMESTAMPTZ, line_digest VARCHAR, outcome VARCHAR, began_at TIMESTAMPTZ,
        permission_decision VARCHAR, permission_source VARCHAR, agent VARCHAR""",
    "usage_sessions": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, project VARCHAR,
        is_subagent BOOLEAN, started_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, wall_seconds DOUBLE,
        active_seconds DOUBLE, prompts BIGINT, user_lines BIGINT, assistant_messages BIGINT,
        tool_calls BIGINT, tool_errors BIGINT, skill_invocations BIGINT,
        subagent_dispatches BIGINT, mcp_calls BIGINT, slash_commands BIGINT, distinct_tools BIGINT,
        distinct_skills BIGINT, primary_model VARCHAR, input_tokens BIGINT, output_tokens BIGINT,
        cache_creation_tokens BIGINT, cache_read_tokens BIGINT, partial_messages BIGINT,
        lines BIGINT, unreadable_lines BIGINT, unknown_lines BIGINT, api_errors BIGINT,
        tool_rejections BIGINT, tool_cancellations BIGINT, repository VARCHAR, title VARCHAR,
        agent VARCHAR""",
    "usage_pull_requests": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, url VARCHAR,
        repository VARCHAR, number BIGINT, linked_at TIMESTAMPTZ""",
    "usage_tool_results": """
        session_file VARCHAR, tool_use_id VARCHAR, is_error BOOLEAN, username VARCHAR,
        outcome VARCHAR""",
    "usage_activity": """
        session_file VARCHAR, username VARCHAR, project VARCHAR, started_at TIMESTAMPTZ,
        ended_at TIMESTAMPTZ, line_digest VARCHAR""",
    **stored.TABLES,
}

DESCRIPTION = """What each session cost and did, counted by the rules in `docs/counting.md`."""

DESCRIPTIONS: Mapping[str, str] = {
    "usage_messages": """Look up API responses, one row for each and file: tokens, model, time.

"Checks" says whether what lands is processed, and `quarantine` there which files failed and why.

Forks, resumes and copies repeat responses, so sum over the view `usage_messages_unique`, which
holds every response **once**. What matters most: the four token columns, `model`, `sent_at`, and
`output_partial` (the output is a lower bound).

```sql
SELECT username, model, sum(input_tokens), sum(output_tokens)
FROM usage_messages_unique GROUP BY ALL
```""",
    "usage_events": """Look up calls: a row per tool, subagent, MCP, command or prompt, and file.

Copies repeat them, so count in the view `usage_events_unique`, which holds each **once**. What
matters most: `event_type`, its name in `tool_name`, `skill_name`, `subagent_type`, `mcp_server` or
`command_name`, and `outcome`.

```sql
SELECT tool_name, count(*) AS calls, avg(is_error::INT) AS error_rate
FROM usage_events_unique WHERE tool_name IS NOT NULL GROUP BY ALL ORDER BY calls DESC
```""",
    "usage_sessions": """Look up a session, one row per session file: times, prompts, tools, errors.

Its numbers are those of the file alone: do **not** add them up over files, forks repeat their
history. What adds up is in `usage_daily` and `usage_activity_daily`. What matters most:
`started_at`, `active_seconds`, `prompts`, `tool_calls`, `tool_errors`.

```sql
SELECT session_file, started_at, prompts, tool_calls, tool_errors, active_seconds / 60 AS minutes
FROM usage_sessions WHERE NOT is_subagent ORDER BY started_at DESC LIMIT 20
```""",
    "usage_tool_results": """Tool results whose call stands in another file; the view
`usage_events_unique` brings them together.""",
    "usage_activity": """Stretches of a file without a long pause; `usage_activity_daily` adds up
what is counted of them.""",
    "usage_pull_requests": """Find the pull requests that sessions were linked to.

Forks repeat the lines of their history. What matters most: `repository` and `number`.

```sql
SELECT repository, number, count(DISTINCT session_id) AS sessions
FROM usage_pull_requests GROUP BY ALL ORDER BY sessions DESC
```""",
    **described.DESCRIPTIONS,
    **people_described.DESCRIPTIONS,
    "*.session_file": "the file's key: its path below its root",
    "*.session_id": "the session the line says it belongs to; without one, the file's name",
    "*.username": "who the file belongs to",
    "*.project": "project folder, as Claude Code names it",
    "*.agent_id": "the subagent, in lines of one",
    "*.is_sidechain": "a subagent's line",
    "*.model": "as the API names it",
    "*.sent_at": "time of the response's first line, UTC",
    "*.input_tokens": "not cached; NULL where nobody says what went in, which is not 0",
    "*.input_basis": "who says what went in: NULL the response, process, unknown (then it is NULL)",
    "*.output_tokens": "a lower bound where the response is partial",
    "*.cache_creation_tokens": "written to the cache: the larger of the flat total and 5m + 1h",
    "*.cache_read_tokens": "read from the cache",
    "*.line_number": "in the file, from 1",
    "*.occurred_at": "time of the line, UTC",
    "*.is_error": "its tool result says that it failed; see outcome",
    "*.outcome": "ok, error, rejected (a person or a rule said no), cancelled, or NULL: no result",
    "*.line_digest": "of uuid, time and what the line said: what two people share who hold a copy",
    "*.output_characters": "of text, thinking and tool input, as JSON: what an estimate rests on",
    "*.partial_output_tokens": "output of the responses that are a lower bound",
    "*.partial_characters": "output_characters of these",
    "*.final_characters": "output_characters of all others",
    "*.tool_calls": "calls of tools; subagents and MCP servers are counted beside it",
    "*.tool_errors": "calls of any kind whose result is an error",
    "*.tool_rejections": "calls of any kind that a person, or a rule of theirs, refused",
    "*.tool_cancellations": "calls of any kind that went because another one failed",
    "*.prompts": "what a person typed",
    "usage_calls.event_type": "tool_use, subagent, mcp_call, slash_command or prompt",
    "usage_calls.calls": "calls, commands or prompts of this kind and name",
    "usage_calls.errors": "of these, those whose result is an error",
    "usage_calls.rejections": "of these, those that a person, or a rule of theirs, refused",
    "usage_calls.session_id": "the session that made the call",
    "usage_tool_daily.event_type": "tool_use, subagent, mcp_call, slash_command or prompt",
    "usage_tool_daily.name": "the tool; of a slash command the command; NULL for prompts",
    "usage_tool_daily.calls": "calls, commands or prompts of this kind and name",
    "usage_tool_daily.errors": "of these, those whose result is an error",
    "usage_tool_daily.rejections": "of these, those that a person, or a rule of theirs, refused",
    "usage_tool_daily.users": "people with any of these on that day",
    "usage_tool_daily.sessions": "sessions with any of these on that day",
    "usage_skill_window.day": "last day of the window, UTC",
    "usage_skill_window.days": "how many days the window has: 7 or 30",
    "usage_skill_window.kind": "skill, mcp_server, subagent or slash_command",
    "usage_skill_window.name": "of the skill, server, kind of subagent or command",
    "usage_skill_window.users": "distinct people with any such call in the window",
    "usage_skill_window.calls": "calls in the window",
    "usage_skill_window.errors": "of these, those whose result is an error",
    "usage_skill_window.rejections": "of these, those that a person, or a rule of theirs, refused",
    "*.active_seconds": "time between lines, pauses over 600 s left out",
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
    "*.file_started_at": "first time in the file; decides which of a person's copies counts",
    "*.began_at": "first time of the conversation; decides whose of several people it is",
    "*.copies": "files of the person that hold it",
    "*.sessions": "sessions with something in that day",
    "*.lines": "complete lines of the file",
    "*.partial_messages": "responses whose output is a lower bound",
    "*.plugin": "the part before the colon in plugin:name",
    "*.cwd": "working folder of the session",
    "*.messages": "API responses",
    "*.unreadable_lines": "lines that no reader could make sense of",
    "usage_messages.output_partial": "no final line: output_tokens is a lower bound",
    "usage_messages.sent_at_inferred": "the line had no readable time; the previous line's is used",
    "usage_events.event_key": "names one tool call, command or prompt over all files",
    "usage_events.event_type": "tool_use, subagent, mcp_call, slash_command or prompt",
    "usage_sessions.is_subagent": "the file of a subagent",
    "usage_sessions.started_at": "first time in the file, UTC",
    "usage_sessions.ended_at": "last time in the file, UTC",
    "usage_sessions.wall_seconds": "from the first to the last line",
    "usage_sessions.user_lines": "lines of type user, tool results included",
    "usage_sessions.assistant_messages": "API responses in the file",
    "usage_sessions.skill_invocations": "calls that invoke a skill",
    "usage_sessions.subagent_dispatches": "calls that send off a subagent",
    "usage_sessions.mcp_calls": "calls of tools of MCP servers",
    "usage_sessions.slash_commands": "commands that a person typed",
    "usage_sessions.distinct_tools": "different tools called",
    "usage_sessions.distinct_skills": "different skills invoked",
    "usage_sessions.primary_model": "the model of most responses",
    "usage_sessions.prompts": "what a person typed; user_lines is the raw count",
    "usage_sessions.api_errors": "assistant lines that report a failed API call",
    "usage_sessions.unknown_lines": "lines of a type this version does not know",
    "*.day": "UTC",
    "*.agent": "the coding agent, as its reader is called",
    "*.provider": "who served the response: by its id, else SESSION_PIPELINE_PROVIDER",
    "*.git_branch": "branch that the working folder was on",
    "*.client_version": "version of the coding agent",
    "*.entrypoint": "how the coding agent was started",
    "*.effort": "effort that was asked for",
    "*.attribution_skill": "the skill at work",
    "*.attribution_agent": "the kind of subagent at work",
    "*.attribution_plugin": "the plugin at work",
    "*.attribution_mcp_server": "the MCP server whose result was answered",
    "*.recorded_cost": "USD that old versions wrote beside the response (costUSD)",
    "*.thinking_tokens": "part of output_tokens",
    "*.permission_decision": "whether the call was allowed, where the line says it",
    "*.permission_source": "who decided: a rule, a hook, a person",
    "*.repository": "last part of the working folder; of a pull request as the line says it",
    "usage_sessions.agent": "as its reader is called; NULL in rows of before there were several",
    "usage_events.agent": "the same",
    "usage_sessions.title": "as a person named it, else as the agent did; secrets taken out",
    "usage_pull_requests.linked_at": "UTC",
}
