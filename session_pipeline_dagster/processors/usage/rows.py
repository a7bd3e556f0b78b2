"""What was counted in one session file -> rows in the column order of `tables.py`."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from session_pipeline_dagster.processor import Row, Session
from session_pipeline_dagster.processors.usage.counting import Call, Counted, Event

_NOT_IN_A_FOLDER_NAME = re.compile(r"[^A-Za-z0-9]")


def rows(counted: Counted) -> Mapping[str, Sequence[Row]]:
    """Table name -> rows of one session file."""
    session, project, first_us = counted.session, _project(counted), counted.fallback_us()
    calls, events = counted.calls.values(), counted.events.values()
    return {
        "usage_messages": [_message(session, project, call, first_us) for call in calls],
        "usage_events": [_event(session, project, event, first_us) for event in events],
        "usage_sessions": [_session(counted, project)],
        "usage_tool_results": [
            (counted.session.key, tool_id, is_error)
            for tool_id, is_error in counted.orphan_results.items()
        ],
    }


def _project(counted: Counted) -> str | None:
    """The project folder; without one in the path, as Claude Code names the working folder."""
    if counted.session.project is None and counted.cwd:
        return _NOT_IN_A_FOLDER_NAME.sub("-", counted.cwd)
    return counted.session.project


def _message(session: Session, project: str | None, call: Call, first_us: int) -> Row:
    record, usage = call.record, call.usage
    session_id = record.session_id or session.stem
    total_input, output, flat, short, long, read, searches = call.counts
    return (
        session.key,
        call.key,
        record.message.id if record.message else None,
        record.request_id,
        session_id,
        record.request_session_id or session_id,
        session.user,
        project,
        record.agent_id,
        call.sidechain,
        call.model,
        first_us if call.time_us is None else call.time_us,
        total_input,
        output,
        max(flat, short + long),
        short,
        long,
        read,
        searches,
        usage.service_tier if usage else None,
        usage.speed if usage else None,
        not call.final,
        call.line,
        call.time_inferred,
        first_us,
    )


def _event(session: Session, project: str | None, event: Event, first_us: int) -> Row:
    record = event.record
    session_id = record.session_id or session.stem
    return (
        session.key,
        event.key,
        session_id,
        session.user,
        project,
        event.event_type,
        event.tool_name,
        event.skill_name,
        event.subagent_type,
        event.mcp_server,
        event.command_name,
        event.plugin,
        event.is_error,
        event.model,
        record.cwd,
        first_us if event.time_us is None else event.time_us,
        event.message_key,
        event.line,
        record.request_session_id or session_id,
        bool(record.is_sidechain),
        first_us,
    )


def _session(counted: Counted, project: str | None) -> Row:
    session, times, transcript = counted.session, counted.times_us, counted.session.transcript
    calls, events = counted.calls.values(), counted.events.values()
    started, ended = (min(times), max(times)) if times else (None, None)
    kinds = Counter(event.event_type for event in events)
    models = Counter(call.model for call in calls if call.model)
    sums = [sum(column) for column in zip(*(call.counts for call in calls), strict=True)] or [0] * 7
    in_subagent_file = "/subagents/" in session.key or session.stem.startswith("agent-")
    return (
        session.key,
        counted.session_id(),
        session.user,
        project,
        in_subagent_file,
        started,
        ended,
        None if started is None or ended is None else (ended - started) / 1e6,
        counted.active_seconds(),
        counted.prompts,
        counted.user_lines,
        len(counted.calls),
        kinds["tool_use"],
        sum([event.is_error for event in events]),
        sum([event.skill_name is not None for event in events]),
        kinds["subagent"],
        kinds["mcp_call"],
        kinds["slash_command"],
        len({event.tool_name for event in events if event.tool_name}),
        len({event.skill_name for event in events if event.skill_name}),
        models.most_common(1)[0][0] if models else None,
        sums[0],
        sums[1],
        sum([max(c.counts[2], c.counts[3] + c.counts[4]) for c in calls]),
        sums[5],
        sum([not call.final for call in calls]),
        transcript.lines,
        transcript.unreadable_lines,
        transcript.unknown_lines,
        counted.api_errors,
    )
