"""When a sensor asks for a run: a pure decision from what is pending and what it remembers.

The state table is the truth about files; this only paces the requests. No clock, no Dagster.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from session_pipeline_dagster.plan import Outlook
from session_pipeline_dagster.sessions import SessionFile

_LONGEST_BACKOFF = timedelta(hours=1)
_MANY = 20


@dataclass(frozen=True, slots=True)
class Memory:
    """What a sensor keeps between ticks (its cursor).

    Attributes:
        requested_at: when it last asked for a run, in seconds since the epoch.
        digest: names the pending set it asked for.
        deferred: due files the last request left out because of the cap.
        fruitless: how many requests in a row found the very same set pending again.
    """

    requested_at: float | None = None
    digest: str = ""
    deferred: int = 0
    fruitless: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to ask for a run now; if not, why. `memory` is to be kept either way."""

    ask: bool
    reason: str
    memory: Memory
    files: list[SessionFile] = field(default_factory=list)


def read_memory(cursor: str | None) -> Memory:
    """The memory in a cursor; an empty one where the cursor is none of ours."""
    try:
        return msgspec.json.decode(cursor, type=Memory) if cursor else Memory()
    except msgspec.DecodeError:
        return Memory()


def write_memory(memory: Memory) -> str:
    """The memory as a cursor."""
    return msgspec.json.encode(memory).decode()


def decide(
    outlook: Outlook, memory: Memory, cadence: timedelta, cap: int, now: datetime
) -> Decision:
    """Ask when the cadence has elapsed or the last request left something over.

    After a request that achieved nothing for the very same pending set, wait longer each time.
    """
    wanted = [*outlook.due[:cap], *outlook.suspect, *outlook.unsigned]
    if not wanted:
        waiting = len(outlook.backing_off) + len(outlook.quarantined)
        reason = f"nothing to do: {outlook.files} files are current"
        if waiting:
            reason = f"nothing to do now: {waiting} failed files wait for their next attempt"
        return Decision(False, reason, replace(memory, digest="", deferred=0, fruitless=0))
    digest = _digest(wanted)
    same = digest == memory.digest
    since = None if memory.requested_at is None else now.timestamp() - memory.requested_at
    wait = cadence.total_seconds()
    if same:
        wait = min(
            wait * 2 ** min(memory.fruitless, _MANY), max(wait, _LONGEST_BACKOFF.total_seconds())
        )
    elif memory.deferred or _left_over(outlook.due[:cap], memory):
        wait = 0.0
    # A clock that was set back must not silence the sensor.
    if since is not None and 0 <= since < wait:
        what = "the last run changed nothing" if same and memory.fruitless else "next look"
        reason = f"{len(wanted)} files are due; {what}, in {wait - since:.0f} s"
        return Decision(False, reason, memory)
    fruitless = memory.fruitless + 1 if same else 0
    deferred = len(outlook.due) - min(len(outlook.due), cap)
    kept = Memory(now.timestamp(), digest, deferred, fruitless)
    return Decision(True, f"{len(wanted)} files are due", kept, wanted)


def _left_over(due: Iterable[SessionFile], memory: Memory) -> bool:
    """Whether files were already there when the last run was asked for, but not worked on."""
    asked_ns = (memory.requested_at or 0) * 1e9
    return any(file.signature.mtime_ns < asked_ns for file in due)


def _digest(files: Iterable[SessionFile]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        digest.update(f"{file.key}\0{file.signature}\n".encode())
    return digest.hexdigest()
