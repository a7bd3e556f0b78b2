"""When a session was worked on: stretches of lines without a long pause between them."""

from collections.abc import Iterator, Sequence

from session_pipeline_dagster.processors.usage.counting import Counted
from session_pipeline_dagster.processors.usage.naming import evidence
from session_pipeline_dagster.processors.usage.rows import BlockRow

BLOCK_GAP_US = 600 * 1_000_000
"""A longer pause ends a block of activity."""
_DAY_US = 86_400 * 1_000_000


def blocks(counted: Counted) -> Sequence[BlockRow]:
    """The stretches of a file, cut where a UTC day ends; one line alone takes no time."""
    found = [part for block in _stretches(counted.times_us) for part in _by_day(*block)]
    if not found:
        return []
    session = counted.session
    # Copies of a stretch are known by a line of it that has a name.
    names = dict.fromkeys((start for start, _ in found), "")
    for us, record in zip(counted.line_us, session.transcript.records, strict=True):
        if us in names and record.uuid and not names[us]:
            names[us] = record.uuid
    return [
        BlockRow(
            session.key,
            session.user,
            counted.project,
            start,
            end,
            evidence(names[start] or session.key, start),
        )
        for start, end in found
    ]


def _stretches(times_us: Sequence[int]) -> Iterator[tuple[int, int]]:
    times = sorted(times_us)
    if not times:
        return
    start = last = times[0]
    for us in times:
        if us - last > BLOCK_GAP_US:
            yield start, last
            start = us
        last = us
    yield start, last


def _by_day(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        midnight = (start // _DAY_US + 1) * _DAY_US
        yield start, min(end, midnight)
        start = midnight


def seconds(worked: Sequence[BlockRow]) -> float:
    """How long the stretches of one file are."""
    return sum([block.ended_at - block.started_at for block in worked]) / 1e6
