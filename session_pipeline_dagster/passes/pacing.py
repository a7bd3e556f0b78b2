"""When a sensor asks for a run: a pure decision from what is pending and what it remembers.

The state table is the truth about files; this only paces the requests. No clock, no Dagster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from session_pipeline_dagster.passes.plan import Outlook
from session_pipeline_dagster.sources.files import SessionFile

_LONGEST_BACKOFF = timedelta(hours=1)
_SOON = timedelta(minutes=1)
_MANY = 20
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


class Moment(float):
    """Seconds since the epoch that sensors remember, to the microsecond. People see them in
    cursors: as text it is the time in UTC, and what is read again is the same moment."""

    def __new__(cls, seconds: float) -> "Moment":
        """The nearest moment that can be written."""
        return super().__new__(cls, round(seconds, 6))

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    @classmethod
    def of(cls, written: object) -> "Moment":
        """The moment that was written so, or as seconds.

        Raises:
            ValueError: it was not.
        """
        if isinstance(written, str):
            return cls(datetime.fromisoformat(written).timestamp())
        if isinstance(written, int | float) and 0 <= written <= _LAST.timestamp():
            return cls(written)
        raise ValueError("neither a time nor seconds")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a sensor keeps between ticks (its cursor).

    Attributes:
        requested_at: when it last asked for a run over files.
        deferred: due files the last request left out because of the cap.
        fruitless: how many requests in a row were followed by no write at all.
        rollups_at, rollup_tries: when it last asked for stale roll-ups alone; how often in a row.
    """

    requested_at: Moment | None = None
    deferred: int = 0
    fruitless: int = 0
    rollups_at: Moment | None = None
    rollup_tries: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to ask for now; if nothing, why. `memory` is to be kept either way.

    `settle`: ask for a run although no file is due, to take note of deleted ones.
    """

    reason: str
    memory: Memory
    files: list[SessionFile] = field(default_factory=list)
    rollups: list[str] = field(default_factory=list)
    settle: bool = False


def decide(
    outlook: Outlook,
    memory: Memory,
    cadence: timedelta,
    cap: int,
    now: datetime,
    last_change: float | None,
    stale_rollups: Sequence[str] = (),
    *,
    hurry: bool = True,
) -> Decision:
    """Ask when the cadence has elapsed or the last request left something over.

    After a request that no write followed (its run could not work), wait longer each time.

    Args:
        cap: due files one run takes.
        last_change: when a run last wrote anything, in seconds since the epoch.
        hurry: False = keep to the cadence even if the last request left something over.
    """
    wanted = [*outlook.due[:cap], *outlook.suspect, *outlook.unsigned]
    if not wanted:
        return _decide_rollups(outlook, replace(memory, deferred=0), cadence, now, stale_rollups)
    asked = memory.requested_at
    fruitless = memory.fruitless + 1 if asked and (last_change or 0.0) < asked else 0
    # A store without a row is a new one (or one that was deleted to start over): try sooner.
    wait = _wait(cadence if last_change else min(cadence, _SOON), fruitless - 1)
    if hurry and not fruitless and (memory.deferred or _left_over(outlook, cap, asked)):
        wait = 0.0
    # A clock that was set back must not silence the sensor.
    since = None if asked is None else now.timestamp() - asked
    if since is not None and 0 <= since < wait:
        what = "the last run wrote nothing, next try" if fruitless else "next look"
        reason = f"{len(wanted)} files are due; {what} in {wait - since:.0f} s"
        return Decision(reason, memory)
    deferred = len(outlook.due) - min(len(outlook.due), cap)
    kept = replace(
        memory, requested_at=Moment(now.timestamp()), deferred=deferred, fruitless=fruitless
    )
    return Decision(f"{len(wanted)} files are due", kept, wanted)


def with_deletions(decision: Decision, files: int, cadence: timedelta, now: datetime) -> Decision:
    """The decision where so many files were deleted, are back or have a reader now: any run takes
    note of them."""
    if decision.files or decision.rollups or not files:
        return decision
    memory = decision.memory
    since = None if memory.requested_at is None else now.timestamp() - memory.requested_at
    if since is not None and 0 <= since < cadence.total_seconds():
        return decision
    kept = replace(memory, requested_at=Moment(now.timestamp()))
    return Decision(f"{files} files were deleted, are back or have a reader now", kept, settle=True)


def _decide_rollups(
    outlook: Outlook, memory: Memory, cadence: timedelta, now: datetime, stale: Sequence[str]
) -> Decision:
    """Roll-ups alone: their tables were materialized alone, or a run died between its steps."""
    waiting, given_up = len(outlook.backing_off), len(outlook.quarantined)
    reason = f"nothing to do: {outlook.files - waiting - given_up} files are current"
    if waiting:
        reason += f", {waiting} failed and will be tried again"
    if given_up:
        reason += f", {given_up} given up"
    if not stale:
        return Decision(reason, replace(memory, rollups_at=None, rollup_tries=0))
    wait = _wait(cadence, memory.rollup_tries - 1) if memory.rollup_tries else 0.0
    since = now.timestamp() - (memory.rollups_at or 0.0)
    if 0 <= since < wait:
        reason = f"{', '.join(stale)} could not be refreshed; next try in {wait - since:.0f} s"
        return Decision(reason, memory)
    tries = memory.rollup_tries + 1
    kept = replace(memory, rollups_at=Moment(now.timestamp()), rollup_tries=tries)
    return Decision("roll-ups are stale", kept, rollups=list(stale))


def _wait(cadence: timedelta, doublings: int) -> float:
    """Seconds: the cadence, doubled so many times, an hour at most."""
    seconds = cadence.total_seconds()
    longest = max(seconds, _LONGEST_BACKOFF.total_seconds())
    return min(seconds * 2.0 ** min(max(doublings, 0), _MANY), longest)


def _left_over(outlook: Outlook, cap: int, asked: float | None) -> bool:
    """Whether files were already there when the last run was asked for, but not worked on."""
    asked_ns = (asked or 0) * 1e9
    untried = [file for file in outlook.due[:cap] if file.key not in outlook.failed]
    return any(file.signature.mtime_ns < asked_ns for file in untried)
