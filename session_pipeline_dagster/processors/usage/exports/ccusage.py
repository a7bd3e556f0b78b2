"""Usage as `ccusage claude daily|weekly|monthly|session --json` prints it, names and all.

Put nothing here that is not a key of theirs: what reads their files shall read these.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from session_pipeline_dagster.processors.usage.money.breakdown import Asked, Row, Sums
from session_pipeline_dagster.processors.usage.money.zone_spans import Unit, after, midnight
from session_pipeline_dagster.processors.usage.unique import OWN_ORIGIN

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMELESS: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Period:
    """One of their files: the unit of time, the name of its rows and of their first key."""

    unit: Unit
    rows: str
    name: str

    @property
    def file(self) -> str:
        """What ours is called."""
        return f"{self.rows}.json"


PERIODS: Final = (
    Period("day", "daily", "date"),
    Period("week", "weekly", "week"),
    Period("month", "monthly", "month"),
)
SESSIONS: Final = "session.json"
BY_SESSION: Final = ("session", "person", "project", "model")
"""Keys that `sessions` takes rows by."""


def activity(asked: Asked, frozen: date | None) -> str:
    """SELECT of session, user, and its first and last response, in microseconds since 1970.

    Args:
        frozen: the first day whose responses are there, None: those of all are. Of the days before
            it the quarters of an hour are known.
    """
    # A fork may give what it repeats its own times.
    own = "session_id = coalesce(origin_session_id, session_id)"
    parts = [_span("usage_messages", OWN_ORIGIN, "sent_at", own, asked)]
    if frozen is not None:
        kept = _span("usage_slots", "session_id", "slot", "true", asked)
        parts.append(f"{kept} AND day < DATE '{frozen}'")
    ends = ", ".join(
        f"coalesce({end}(moment) FILTER (own), {end}(moment))" for end in ("min", "max")
    )
    return f"SELECT session, {ends} FROM ({' UNION ALL '.join(parts)}) GROUP BY session"


def _span(table: str, session: str, at: str, own: str, asked: Asked) -> str:
    ends = ["true"]
    if asked.since is not None:
        ends.append(f"epoch_us({at}) >= {midnight(asked.since, asked.zone)}")
    if asked.until is not None and (end := after(asked.until, asked.zone)) is not None:
        ends.append(f"epoch_us({at}) < {end}")
    return f"""SELECT {session} AS session, epoch_us({at}) AS moment, {own} AS own
        FROM {table} WHERE {" AND ".join(ends)}"""


def periodic(period: Period, rows: Sequence[Row], shown: Callable[[str], str]) -> bytes:
    """A file of days, weeks or months.

    Args:
        rows: by the period, person and model.
        shown: how a person is called.
    """
    named = [(*map(_text, row.keys), row.sums) for row in rows]
    times = _by(named, lambda one: one[0])
    document: dict[str, Any] = {
        period.rows: [
            {period.name: time, **_sums((model, sums) for _, _, model, sums in some)}
            for time, some in sorted(times.items())
        ]
    }
    if period.unit == "day":
        people = _by(named, lambda one: shown(one[1]))
        document["projects"] = {
            person: [
                {
                    period.name: time,
                    "project": person,
                    **_sums((model, sums) for _, _, model, sums in some),
                }
                for time, some in sorted(_by(theirs, lambda one: one[0]).items())
            ]
            for person, theirs in sorted(people.items())
        }
    return _document(document, rows)


def sessions(rows: Sequence[Row], times: Mapping[str, tuple[int, int]]) -> bytes:
    """The file of sessions, the dearest first.

    Args:
        rows: by `BY_SESSION`.
        times: session -> when it was first and last active.
    """
    found = _by(rows, lambda row: (_text(row.keys[0]), row.keys[1], row.keys[2]))
    made: list[dict[str, Any]] = []
    for (session, _, project), some in found.items():
        first, last = times.get(session, (0, 0))
        made.append(
            {
                "sessionId": session,
                "projectPath": _text(project),
                "firstActivity": _moment(first),
                "lastActivity": _moment(last),
                **_sums((_text(row.keys[3]), row.sums) for row in some),
            }
        )
    made.sort(key=lambda one: (-one["totalCost"], one["lastActivity"], one["sessionId"]))
    return _document({"sessions": made}, rows)


def _text(key: str | None) -> str:
    return _NAMELESS if key is None else key


def _by(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _sums(models: Iterable[tuple[str, Sums]]) -> dict[str, Any]:
    """The counters of a row, by model and in all."""
    found: dict[str, list[Sums]] = {}
    for model, sums in models:
        found.setdefault(model, []).append(sums)
    each = [(model, _counters(some), _cost(some)) for model, some in found.items()]
    each.sort(key=lambda one: (-one[2], one[0]))
    return {
        **_counters([sums for some in found.values() for sums in some]),
        "totalTokens": sum(sum(counters.values()) for _, counters, _ in each),
        "totalCost": float(sum((cost for *_, cost in each), Decimal(0))),
        "modelsUsed": [model for model, *_ in each],
        "modelBreakdowns": [
            {
                "modelName": model,
                **counters,
                "cost": float(cost),
                # Theirs too: a model without a price costs 0 and says so.
                **({"missingPricing": True} if _unpriced(found[model]) else {}),
            }
            for model, counters, cost in each
        ],
    }


def _counters(sums: Sequence[Sums]) -> dict[str, int]:
    return {
        "inputTokens": sum(one.input_tokens or 0 for one in sums),
        "outputTokens": sum(one.output_tokens for one in sums),
        "cacheCreationTokens": sum(one.cache_creation_tokens or 0 for one in sums),
        "cacheReadTokens": sum(one.cache_read_tokens or 0 for one in sums),
    }


def _cost(sums: Iterable[Sums]) -> Decimal:
    return sum((one.cost for one in sums if one.cost is not None), Decimal(0))


def _unpriced(sums: Iterable[Sums]) -> bool:
    return any(one.unpriced_messages for one in sums)


def _document(document: Mapping[str, Any], rows: Sequence[Row]) -> bytes:
    sums = [row.sums for row in rows]
    counters = _counters(sums)
    unpriced = sorted({_text(row.keys[-1]) for row in rows if row.sums.unpriced_messages})
    totals = {
        **counters,
        "totalTokens": sum(counters.values()),
        "totalCost": float(_cost(sums)),
        **({"unpricedModels": unpriced} if unpriced else {}),
    }
    return json.dumps({**document, "totals": totals}, indent=2).encode()


def _moment(microseconds: int) -> str:
    at = _EPOCH + timedelta(microseconds=microseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
