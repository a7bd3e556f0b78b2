"""Transcript of one file -> its rows in all usage tables: everything that is computed for a file.

The seam: `transcripts.claude_code.parse` makes the transcript of a file's bytes, `rows_of` its
rows, `store.columns.encode` Arrow of the rows of some files together. Each is pure, and nothing
else has a say in what a row holds. Whoever counts in another language replaces these three at
once, and is held to the same rows. Imported when a file is due, not at a start.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import astuple

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.processors.usage.activity import blocks
from session_pipeline_dagster.processors.usage.beside import pull_requests
from session_pipeline_dagster.processors.usage.counting import Counted, count
from session_pipeline_dagster.processors.usage.envelope import event_rows, message_rows
from session_pipeline_dagster.processors.usage.money.bills import bill_rows
from session_pipeline_dagster.processors.usage.money.stored import Owner
from session_pipeline_dagster.processors.usage.outcomes import ERROR
from session_pipeline_dagster.processors.usage.rows import SessionRow
from session_pipeline_dagster.processors.usage.summary import session_row


def rows_of(session: Session, provider: str) -> Mapping[str, Sequence[Row]]:
    """Table name -> rows of one file.

    Args:
        session: its `transcript`, `key`, `user`, `project`, `stem` and `day`; nothing else of it
            is looked at.
        provider: who served a response whose id does not say it.
    """
    counted = count(session, provider)
    worked = blocks(counted)
    summary = session_row(counted, worked)
    results: list[Row] = [
        (session.key, tool_id, outcome == ERROR, session.user, outcome)
        for tool_id, outcome in counted.orphan_results.items()
    ]
    return {
        "usage_sessions": [astuple(summary)],
        "usage_pull_requests": [*map(astuple, pull_requests(session, summary.session_id))],
        "usage_tool_results": results,
        **_billed(counted, summary),
        "usage_activity": [*map(astuple, worked)],
        "usage_messages": message_rows(counted.file, counted.messages.values()),
        "usage_events": event_rows(counted.file, counted.events.values()),
    }


def _billed(counted: Counted, summary: SessionRow) -> Mapping[str, Sequence[Row]]:
    """What was billed is said in the file of a main thread."""
    if summary.is_subagent:
        return {}
    session = counted.session
    owner = Owner(session.key, summary.session_id, session.user, counted.project, counted.first_us)
    return bill_rows(owner, session.transcript)
