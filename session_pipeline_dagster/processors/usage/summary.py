"""What one session file adds up to: its row of `usage_sessions`."""

from collections import Counter
from collections.abc import Collection, Sequence

from session_pipeline_dagster.names import short
from session_pipeline_dagster.processors.usage.activity import seconds
from session_pipeline_dagster.processors.usage.beside import repository_of, title_of
from session_pipeline_dagster.processors.usage.counting import Counted
from session_pipeline_dagster.processors.usage.outcomes import CANCELLED, REJECTED
from session_pipeline_dagster.processors.usage.rows import BlockRow, Response, SessionRow
from session_pipeline_dagster.transcripts.records import INPUT_UNKNOWN, Transcript


def session_row(counted: Counted, worked: Sequence[BlockRow]) -> SessionRow:
    """The sums of one file; forks repeat their history, so they cannot be added up over files."""
    session, times, transcript = counted.session, counted.times_us, counted.session.transcript
    stem = counted.file.stem
    calls, events = counted.messages.values(), counted.events.values()
    started, ended = (min(times), max(times)) if times else (None, None)
    known = [call for call in calls if call.input_basis != INPUT_UNKNOWN]
    kinds = [event.kind for event in events]
    outcomes = [event.outcome for event in events]
    models = [call.model for call in calls if call.model]
    tools = [event.tool_name for event in events if event.tool_name]
    skills = [event.skill_name for event in events if event.skill_name is not None]
    return SessionRow(
        session_file=session.key,
        session_id=short(_session_id(stem, transcript)),
        username=session.user,
        project=counted.project,
        is_subagent=_is_subagent(session.key, stem, transcript),
        started_at=started,
        ended_at=ended,
        wall_seconds=None if started is None or ended is None else (ended - started) / 1e6,
        active_seconds=seconds(worked),
        prompts=kinds.count("prompt"),
        user_lines=counted.user_lines,
        assistant_messages=len(calls),
        tool_calls=kinds.count("tool_use"),
        tool_errors=sum([event.is_error for event in events]),
        skill_invocations=len(skills),
        subagent_dispatches=kinds.count("subagent"),
        mcp_calls=kinds.count("mcp_call"),
        slash_commands=kinds.count("slash_command"),
        distinct_tools=len({*tools}),
        distinct_skills=len({*skills}),
        primary_model=_most_common(models),
        input_tokens=_known([call.input_tokens for call in known], calls),
        output_tokens=sum([call.output_tokens for call in calls]),
        cache_creation_tokens=_known([call.cache_creation_tokens for call in known], calls),
        cache_read_tokens=_known([call.cache_read_tokens for call in known], calls),
        partial_messages=sum([call.output_partial for call in calls]),
        lines=transcript.lines,
        unreadable_lines=transcript.unreadable_lines,
        unknown_lines=transcript.unknown_lines,
        api_errors=counted.api_errors,
        tool_rejections=outcomes.count(REJECTED),
        tool_cancellations=outcomes.count(CANCELLED),
        repository=repository_of(transcript),
        title=title_of(transcript),
        agent=transcript.agent,
    )


def _known(counts: Sequence[int], calls: Collection[Response]) -> int | None:
    """What is known of a sum, as SQL adds up: None where nothing is."""
    return sum(counts) if counts or not calls else None


def _is_subagent(key: str, stem: str, transcript: Transcript) -> bool:
    return transcript.is_subagent or "/subagents/" in key or stem.startswith("agent-")


def _most_common(names: Sequence[str]) -> str | None:
    """The name that occurs most often; of several, the one that came first."""
    kinds = dict.fromkeys(names)
    if len(kinds) > 1:
        return Counter(names).most_common(1)[0][0]
    return next(iter(kinds), None)


def _session_id(stem: str, transcript: Transcript) -> str:
    """The session of the file: its own name if its lines know it, else the first named."""
    first = None
    for record in transcript.records:
        if name := record.session_id:
            if name == stem:
                return stem
            first = first or name
    return first or stem
