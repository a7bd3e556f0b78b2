"""A file's cost-state lines -> rows; and of which files a trail is kept at all."""

from collections.abc import Mapping, Sequence

from session_pipeline_dagster.processors.usage.money.cost_states import read
from session_pipeline_dagster.processors.usage.money.stored import Owner, Row, rows_of
from session_pipeline_dagster.processors.usage.money.trails import trail_of
from session_pipeline_dagster.transcripts.records import Transcript

_RECORDS_BILLS = (2, 1, 155)
"""Claude Code 2.1.154 wrote no cost-state, 2.1.330 did: a file that only older versions wrote can
be nobody's parent whose bill is known."""
_DIGITS = 9


def bill_rows(owner: Owner, transcript: Transcript) -> Mapping[str, Sequence[Row]]:
    """What a main thread's file says was billed, and what ties it to others of its family."""
    asides = transcript.asides.get("cost-state", ())
    if not (asides or _may_be_a_parent(transcript)):
        return {}
    bills = {aside.number: bill for aside in asides if (bill := read(aside.line)) is not None}
    return rows_of(owner, trail_of(transcript), bills)


def _may_be_a_parent(transcript: Transcript) -> bool:
    """Whether a version wrote it that records bills, though this file has none."""
    version = next((r.version for r in reversed(transcript.records) if r.version), "")
    parts = version.split(".")[: len(_RECORDS_BILLS)]
    if not all(part.isascii() and part.isdigit() for part in parts):
        return False
    return tuple(int(part[:_DIGITS]) for part in parts) >= _RECORDS_BILLS
