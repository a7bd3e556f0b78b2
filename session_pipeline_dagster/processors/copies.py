"""Whose is it, where several files hold a copy of it? One rule for everything that is counted once.

A fork writes its whole history into a new file, collectors upload a file twice, and a subagent's
file repeats lines of its parent. Of all copies the first in this order says who did it: the main
thread's before a sidechain's, that of a file that is still there before that of one that is gone,
one that is not marked as copied before one that is, then that of the file that began first, then
that of the file with the lowest key.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.transcripts.records import Record

_EPOCH_DAY = date(1970, 1, 1)
_DAY_US = 86_400 * 10**6


def rank(
    marked: str,
    sidechain: str = "is_sidechain",
    started: str = "file_started_at",
    key: str = "session_file",
    gone: str = "false",
) -> str:
    """The rule in SQL: the copy with the lowest rank says who did it.

    Args:
        marked, sidechain, started, key, gone: SQL over the columns of a copy. None of them may be
            NULL.
    """
    return f"row({sidechain}, {gone}, {marked}, {started}, {key})"


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
    """When a file began, in microseconds since 1970-01-01 UTC: its earliest time, else its day.

    The earliest and not the first: of a part of the lines, or of the lines in another order, it is
    never earlier. One that is more than a day older than every other of the file does not count: a
    clock was wrong, or somebody wants to have been first.
    """
    times = sorted([us for us in times_us if us is not None])
    if not times:
        return (day - _EPOCH_DAY).days * _DAY_US
    is_lone = len(times) > 1 and times[1] - times[0] > _DAY_US
    return times[1] if is_lone else times[0]


def conversation_starts(
    records: Sequence[Record], times_us: Sequence[int | None], first_us: int
) -> Sequence[int] | None:
    """When the conversation began that each record of a file belongs to; None = all at `first_us`.

    A file can hold several: lines of other sessions, and those of the same after a day without any.
    So an old file of one's own gives no right to what is copied behind it.

    Args:
        times_us: the time of each record, in microseconds since 1970-01-01 UTC.
        first_us: when the file began; see `started_us`.
    """
    sessions = {record.session_id for record in records} - {None}
    known = [us for us in times_us if us is not None]
    if not known or (len(sessions) < 2 and max(known) - min(known) <= _DAY_US):
        return None
    times: dict[str | None, list[int]] = {}
    for record, us in zip(records, times_us, strict=True):
        if us is not None:
            times.setdefault(record.session_id, []).append(max(us, first_us))
    begun = {session: _stretch_starts(found) for session, found in times.items()}
    starts: list[int] = []
    last = first_us
    for record, us in zip(records, times_us, strict=True):
        if us is not None:
            of_session = begun[record.session_id]
            last = of_session[bisect_right(of_session, max(us, first_us)) - 1]
        starts.append(last)
    return starts


def _stretch_starts(times: Sequence[int]) -> Sequence[int]:
    """The first of the times, and every one that comes more than a day after the one before it."""
    ordered = sorted(times)
    later = [b for a, b in pairwise(ordered) if b - a > _DAY_US]
    return [ordered[0], *later]


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
