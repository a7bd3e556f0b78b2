"""What of the `usage` tables goes when it is old, and by which names copies are known later."""

from collections.abc import Sequence

from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.processors.usage import unique
from session_pipeline_dagster.processors.usage.naming import NAME_LENGTH
from session_pipeline_dagster.processors.usage.unique import EVENTS, MESSAGES, Thing

_PARTS = "SELECT part::DATE FROM parts"


def _name(thing: Thing) -> str:
    """A thing by its key and its line: a proxy may give one id to many responses."""
    return f"{thing.key} || ' ' || coalesce(left(line_digest, {NAME_LENGTH}), '')"


def _counted(thing: Thing, once: str) -> str:
    """SELECT of the names of what counts on the days in `parts`, in all its copies.

    Args:
        once: SELECT of the things that count, each once.
    """
    return f"""WITH once AS MATERIALIZED (
            SELECT {thing.key} AS key, {_name(thing)} AS name, {thing.day} IN ({_PARTS}) AS gone
            FROM ({once}))
        SELECT {_name(thing)} FROM {thing.rows(reached=True)}
        WHERE {thing.key} IN (SELECT key FROM once WHERE gone)
            AND {_name(thing)} NOT IN (SELECT name FROM once WHERE NOT gone AND name IS NOT NULL)"""


RETENTION: Sequence[Retention] = (
    Retention(
        kind="messages",
        table="usage_messages",
        at="sent_at",
        freezes=("usage_slots",),
        name=_name(MESSAGES),
        counted=_counted(
            MESSAGES, unique.messages(("username", "line_digest", "sent_at"), _PARTS, reached=True)
        ),
    ),
    Retention(
        kind="events",
        table="usage_events",
        at="occurred_at",
        freezes=("usage_calls",),
        name=_name(EVENTS),
        counted=_counted(
            EVENTS, unique.events(("username", "line_digest", "occurred_at"), _PARTS, reached=True)
        ),
    ),
    # A stretch is named by its line and time together: a copy of it is on the same day.
    Retention(
        kind="events",
        table="usage_activity",
        at="started_at",
        freezes=("usage_activity_daily",),
    ),
)
