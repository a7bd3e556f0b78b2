"""When detail that is old goes: at the end of a pass, one bounded transaction at a time.

It waits as long as any file is: what such a file holds of old days would come too late. What goes
is `store/retaining.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.passes.plan import look
from session_pipeline_dagster.passes.seeing import see
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.store import retaining
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Retired, Standing

ROWS_AT_ONCE = 250_000
"""Rows that go in one transaction; a day that has more goes alone."""
WAITING = "session files wait to be processed"
MISSING = "a root could not be looked at"


def targets(processor: Processor, settings: Settings, now: datetime) -> Mapping[str, date]:
    """Kind -> the first day whose detail is kept, where that is set."""
    today, days = now.astimezone(UTC).date(), settings.detail_days
    given = {kind: days.of(kind) for kind in retaining.kinds(processor)}
    # A clock that is behind moves nothing back: what is frozen stays so.
    return {
        kind: today - timedelta(days=count) for kind, count in given.items() if count is not None
    }


def due(
    processor: Processor,
    store: Store,
    settings: Settings,
    now: datetime,
    most: int = ROWS_AT_ONCE,
) -> list[Retired]:
    """What a transaction of that many rows would do; the tables are as the processor declares
    them."""
    wanted = targets(processor, settings, now)
    if not wanted:
        return []
    return store.seen_there(lambda c: retaining.look(c, processor, wanted, most))


def why_not(
    processor: Processor, scan: Scan, store: Store, settings: Settings, now: datetime
) -> str:
    """What detail has to wait for; empty where it can go."""
    if scan.missing:
        return MISSING
    seen = see(processor, scan, store, settings, now)
    outlook = look(
        seen.files, seen.known.states, seen.known.failures, processor.version, now, seen.known.rest
    )
    return WAITING if outlook.due or outlook.backing_off else ""


def retire(
    processor: Processor, scan: Scan, store: Store, settings: Settings, now: datetime
) -> list[Retired]:
    """Let go what is old, as much as one transaction takes.

    Raises:
        StoreError: the database could not be used; nothing of it was done.
    """
    found = due(processor, store, settings, now)
    if not any(one.moves for one in found):
        return found
    if waits := why_not(processor, scan, store, settings, now):
        rows = {one.kind: one.left + sum(one.rows.values()) for one in found}
        return [Retired(kind, None, left=left, waits=waits) for kind, left in rows.items()]
    wanted = targets(processor, settings, now)
    return store.done(lambda c: retaining.retire(c, processor, wanted, ROWS_AT_ONCE, now))


def standings(processor: Processor, store: Store) -> list[Standing]:
    """What has become of each kind so far."""
    return store.seen_there(lambda connection: retaining.standings(connection, processor))


def numbers(
    processor: Processor, scan: Scan, store: Store, settings: Settings, now: datetime
) -> dict[str, int | float]:
    """`retire`, and what a pass says of it; nothing where nothing is set."""
    done = retire(processor, scan, store, settings, now)
    if not done:
        return {}
    stood = standings(processor, store)
    return {
        "detail_rows_gone": sum(sum(one.rows.values()) for one in done),
        "detail_rows_to_go": sum(one.left for one in done),
        "detail_came_late": sum(one.late for one in stood),
    }


def unknown(processors: Sequence[Processor], settings: Settings) -> str:
    """What is wrong with the kinds that are set; empty where nothing is."""
    there = {kind for processor in processors for kind in retaining.kinds(processor)}
    wrong = sorted({*settings.detail_days.kinds} - there)
    if not wrong:
        return ""
    return (
        f"SESSION_PIPELINE_RETENTION_DAYS names {', '.join(map(repr, wrong))}; "
        f"there are {', '.join(sorted(there))}"
    )
