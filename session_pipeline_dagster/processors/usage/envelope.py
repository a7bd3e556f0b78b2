"""Rows of the responses and events of a file: what was counted, what their lines' envelopes say.

Made at the end, all of a table in one go, because most of a row is its envelope: taken from the
line as it stands there, after all names were looked at for their length together.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from msgspec.structs import replace

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import LONGEST
from session_pipeline_dagster.processors.usage.naming import cut, evidence, provider_of
from session_pipeline_dagster.processors.usage.responses import inputs_of
from session_pipeline_dagster.processors.usage.rows import Event, Response
from session_pipeline_dagster.transcripts.records import INPUT_UNKNOWN, Record


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for every row of a file.

    Attributes:
        stem: the file's name without its ending.
        session_id: of lines that name none.
        project: as it is stored.
        provider: who served a response whose id does not say it.
        first_us: when the file began, in microseconds since 1970-01-01 UTC.
    """

    session: Session
    stem: str
    session_id: str
    project: str | None
    provider: str
    first_us: int


def message_rows(file: Facts, responses: Collection[Response]) -> list[Row]:
    """The rows of `usage_messages`."""
    session, own_id, project, first_us = file.session, file.session_id, file.project, file.first_us
    key, user, agent = session.key, session.user, session.transcript.agent
    records = _as_stored([found.record for found in responses], _OF_A_RESPONSE)
    return [
        (
            key,
            found.key,
            found.message_id,
            line.request_id,
            line.session_id or own_id,
            line.request_session_id or line.session_id or own_id,
            user,
            project,
            line.agent_id,
            found.is_sidechain,
            found.model,
            found.us,
            *_counts(found),
            found.web_search_requests,
            found.service_tier,
            found.speed,
            found.output_partial,
            found.line,
            began.record.timestamp is None,
            first_us,
            # Copying changes neither; whoever changes what a line says has not copied it.
            evidence(began.record.uuid or began.key, began.us, inputs_of(began.message.usage)),
            found.output_characters,
            found.began_us,
            agent,
            cut(found.message.served_by) or provider_of(found.message_id, file.provider),
            line.git_branch or None,
            line.version,
            line.entrypoint,
            line.effort,
            line.attribution_skill,
            line.attribution_agent,
            line.attribution_plugin,
            line.attribution_mcp_server,
            found.recorded_cost,
            found.thinking_tokens,
            found.input_basis,
        )
        for found, line in zip(responses, records, strict=True)
        # What a response leaves out of its counters began with its line.
        for began in (found.beside or found,)
    ]


def _counts(found: Response) -> tuple[int | None, ...]:
    if found.input_basis == INPUT_UNKNOWN:
        return None, found.output_tokens, None, None, None, None
    return (
        found.input_tokens,
        found.output_tokens,
        found.cache_creation_tokens,
        found.cache_creation_5m_tokens,
        found.cache_creation_1h_tokens,
        found.cache_read_tokens,
    )


def event_rows(file: Facts, events: Collection[Event]) -> list[Row]:
    """The rows of `usage_events`."""
    session, own_id, project, first_us = file.session, file.session_id, file.project, file.first_us
    key, user, agent = session.key, session.user, session.transcript.agent
    records = _as_stored([event.record for event in events], _OF_AN_EVENT)
    return [
        (
            key,
            event.key,
            line.session_id or own_id,
            user,
            project,
            event.kind,
            event.tool_name,
            event.skill_name,
            event.subagent_type,
            event.mcp_server,
            event.command_name,
            event.plugin,
            event.is_error,
            event.model,
            line.cwd,
            event.us,
            event.message_key,
            event.line,
            line.request_session_id or line.session_id or own_id,
            line.is_sidechain is True,
            first_us,
            evidence(event.record.uuid or event.key, event.us, event.says),
            event.outcome,
            event.began_us,
            event.permission_decision,
            event.permission_source,
            agent,
        )
        for event, line in zip(events, records, strict=True)
    ]


_OF_A_RESPONSE = (
    *("request_id", "session_id", "request_session_id", "agent_id", "git_branch", "version"),
    *("entrypoint", "effort", "attribution_skill", "attribution_agent", "attribution_plugin"),
    "attribution_mcp_server",
)
_OF_AN_EVENT = ("session_id", "request_session_id", "cwd")


def _as_stored(records: Sequence[Record], names: Sequence[str]) -> Sequence[Record]:
    """The same lines, their names as they are stored. Hardly a file has one that is too long, so
    all are looked at together."""
    found = chain.from_iterable(map(attrgetter(*names), records))
    if max(map(len, filter(None, found)), default=0) <= LONGEST:
        return records
    return [replace(r, **{name: cut(getattr(r, name)) for name in names}) for r in records]
