"""On which day a session began: as is known of it, else from the head of its file."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from session_pipeline_dagster.errors import Retryable
from session_pipeline_dagster.sources.files import SessionFile, SessionSource, mtime_day
from session_pipeline_dagster.store.states import FileState

_SIDE_BY_SIDE = 16
"""Heads that are read at a time where each is a round trip."""


def file_days(
    files: Sequence[SessionFile], states: Mapping[str, FileState], source: SessionSource
) -> list[date]:
    """The session day of each file; heads that come over a network are read several at a time."""
    pairs = [(file, states.get(file.key)) for file in files]
    if not source.remote:
        return [_day(file, state, source) for file, state in pairs]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return [*pool.map(lambda pair: _day(*pair, source), pairs)]


def _day(file: SessionFile, state: FileState | None, source: SessionSource) -> date:
    """The file's session day: as stored while its signature holds, else from its head."""
    if state and state.session_day and state.signature == file.signature:
        return state.session_day
    try:
        return source.day(file)
    except (OSError, Retryable):
        # It cannot be read now; its run will say so. Any day will do to get it into one.
        return mtime_day(file.signature.mtime_ns)
