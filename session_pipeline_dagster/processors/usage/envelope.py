"""The rows that a line begins: what its envelope and its file say of a response or an event."""

from dataclasses import dataclass

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.processors.usage.naming import cut, evidence, provider_of
from session_pipeline_dagster.processors.usage.responses import inputs_of
from session_pipeline_dagster.processors.usage.rows import EventRow, MessageRow
from session_pipeline_dagster.transcripts.records import Message, Record


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for every row of a file.

    Attributes:
        session_id: of lines that name none.
        project: as it is stored.
        provider: who served a response whose id does not say it.
        first_us: when the file began, in microseconds since 1970-01-01 UTC.
    """

    session: Session
    session_id: str
    project: str | None
    provider: str
    first_us: int


def message_row(
    file: Facts,
    began_us: int,
    key: str,
    record: Record,
    message: Message,
    line: int,
    now_us: int,
) -> MessageRow:
    """A response that begins with this line; its counters are still to come.

    Args:
        began_us: when its conversation began.
        now_us: the time of the line.
    """
    session = file.session
    session_id = cut(record.session_id) or file.session_id
    return MessageRow(
        session.key,
        key,
        cut(message.id),
        cut(record.request_id),
        session_id,
        cut(record.request_session_id) or session_id,
        session.user,
        file.project,
        cut(record.agent_id),
        record.is_sidechain is True,
        cut(message.model),
        now_us,
        line_number=line,
        sent_at_inferred=record.timestamp is None,
        file_started_at=file.first_us,
        began_at=began_us,
        # Copying changes neither; whoever changes what a line says has not copied it.
        line_digest=evidence(record.uuid or key, now_us, inputs_of(message.usage)),
        agent=session.transcript.agent,
        provider=provider_of(message.id, file.provider),
        git_branch=cut(record.git_branch) or None,
        client_version=cut(record.version),
        entrypoint=cut(record.entrypoint),
        effort=cut(record.effort),
        attribution_skill=cut(record.attribution_skill),
        attribution_agent=cut(record.attribution_agent),
        attribution_plugin=cut(record.attribution_plugin),
        attribution_mcp_server=cut(record.attribution_mcp_server),
    )


def event_row(
    file: Facts,
    began_us: int,
    key: str,
    event_type: str,
    record: Record,
    line: int,
    now_us: int,
    tool_name: str | None = None,
    says: object = "",
) -> EventRow:
    """A tool call, command or prompt that stands on this line.

    Args:
        began_us, now_us: as those of `message_row`.
        says: what the line says of it that nobody may change who copies it.
    """
    session = file.session
    session_id = cut(record.session_id) or file.session_id
    return EventRow(
        session.key,
        key,
        session_id,
        session.user,
        file.project,
        event_type,
        tool_name,
        cwd=cut(record.cwd),
        occurred_at=now_us,
        line_number=line,
        origin_session_id=cut(record.request_session_id) or session_id,
        is_sidechain=record.is_sidechain is True,
        file_started_at=file.first_us,
        line_digest=evidence(record.uuid or key, now_us, says),
        began_at=began_us,
    )
