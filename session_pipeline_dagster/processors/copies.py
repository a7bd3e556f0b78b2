"""Whose is it, where several files hold a copy of it? One rule for everything that is counted once.

A fork writes its whole history into a new file, collectors upload a file twice, and a subagent's
file repeats lines of its parent. Of all copies the first in this order says who did it: the main
thread's before a sidechain's, one that is not marked as copied before one that is, then that of the
file that began first, then that of the file with the lowest key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from session_pipeline_dagster.contract.processor import Session

_EPOCH_DAY = date(1970, 1, 1)
_DAY_US = 86_400 * 10**6


def rank(
    marked: str,
    sidechain: str = "is_sidechain",
    started: str = "file_started_at",
    key: str = "session_file",
) -> str:
    """The rule in SQL: the copy with the lowest rank says who did it.

    Args:
        marked, sidechain, started, key: SQL over the columns of a copy. None of them may be NULL.
    """
    return f"row({sidechain}, {marked}, {started}, {key})"


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """The same rule in Python: the lowest one says who did it.

    Attributes:
        started_us: when its file began; see `started_us`.
    """

    sidechain: bool
    marked: bool
    started_us: int
    key: str


def started_us(times_us: Iterable[int | None], day: date) -> int:
    """When a file began, in microseconds since 1970-01-01 UTC: its first time, else its day."""
    first = next((us for us in times_us if us is not None), None)
    return (day - _EPOCH_DAY).days * _DAY_US if first is None else first


def copied_lines(session: Session) -> int:
    """How many lines at the beginning of the file are marked as copied; 0 = none is.

    Only responses say which session asked for them. What a person wrote was copied with the
    responses after it: a fork writes its history in one block, before anything of its own.
    """
    last = 0
    for number, record in session.transcript:
        asked_by = record.request_session_id
        if asked_by is not None and asked_by != (record.session_id or session.stem):
            last = number
    return last
