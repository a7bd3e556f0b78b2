"""One session file -> its rows in the usage tables. Imported when a file is due, not at a start."""

from collections.abc import Mapping, Sequence

from msgspec.structs import astuple

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.processors.usage.activity import blocks
from session_pipeline_dagster.processors.usage.beside import pull_requests
from session_pipeline_dagster.processors.usage.counting import Counted, count
from session_pipeline_dagster.processors.usage.envelope import event_rows, message_rows
from session_pipeline_dagster.processors.usage.money.bills import bill_rows
from session_pipeline_dagster.processors.usage.money.stored import Owner
from session_pipeline_dagster.processors.usage.outcomes import ERROR
from session_pipeline_dagster.processors.usage.rows import SessionRow
from session_pipeline_dagster.processors.usage.summary import session_row


def read_session(session: Session, provider: str) -> ProcessorResult:
    """Rows of the usage tables for one session file; items are the API responses in it.

    Args:
        provider: who serves what does not say it.
    """
    counted = count(session, provider)
    worked = blocks(counted)
    summary = session_row(counted, worked)
    results: list[Row] = [
        (session.key, tool_id, outcome == ERROR, session.user, outcome)
        for tool_id, outcome in counted.orphan_results.items()
    ]
    rows: dict[str, Sequence[Row]] = {
        "usage_sessions": [astuple(summary)],
        "usage_pull_requests": [*map(astuple, pull_requests(session, summary.session_id))],
        "usage_tool_results": results,
        **_billed(counted, summary),
        "usage_activity": [*map(astuple, worked)],
        "usage_messages": message_rows(counted.file, counted.messages.values()),
        "usage_events": event_rows(counted.file, counted.events.values()),
    }
    return ProcessorResult(rows, items=len(rows["usage_messages"]))


def _billed(counted: Counted, summary: SessionRow) -> Mapping[str, Sequence[Row]]:
    """What was billed is said in the file of a main thread."""
    if summary.is_subagent:
        return {}
    session = counted.session
    owner = Owner(session.key, summary.session_id, session.user, counted.project, counted.first_us)
    return bill_rows(owner, session.transcript)
