"""Hours of a session that cost far more than its person's hours do: SQL, and what is said of them.

A session is told once. Nothing here stops or fails anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from session_pipeline_dagster.processors.usage.money.verdict import Says, Verdict, usd

_MEDIAN_DAYS = 14
_TIMES = 5
_DAYS = 2
"""A session that was told stays listed so long; one that is read a day late is still told."""
_MOST = 200
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Spike:
    """The dearest hour of a session that is above its limit.

    Attributes:
        hour: its beginning, UTC, naive.
        cost, limit: USD.
    """

    session: str
    person: str
    hour: datetime
    cost: Decimal
    limit: Decimal


def spikes_sql(usd_at_least: Decimal, today: date) -> str:
    """SELECT of `session, person, hour, cost, limit`: one row for each session with an hour above
    the limit, the newest first, 200 at most.

    The limit of a person's hour is the larger of `usd_at_least` and five times the median of what
    their hours with priced activity cost in the 14 days before that day. Hours are looked at of the
    newest day with data, `today` or before, and of the day before it; of `usage_slots` the 14 days
    before are read besides, once.
    """
    newest = f"(SELECT max(day) FROM usage_slots WHERE day <= DATE '{today}')"
    return f"""
        WITH slots AS MATERIALIZED (
            SELECT day, username, session_id, epoch_us(slot) // 3600000000 AS hour, cost
            FROM usage_slots WHERE cost IS NOT NULL
                AND day BETWEEN {newest} - {_MEDIAN_DAYS + _DAYS - 1} AND {newest}),
        hours AS (
            SELECT day, username, hour, sum(cost)::DECIMAL(38,12) AS cost FROM slots GROUP BY ALL),
        usual AS (
            SELECT username, today AS day,
                -- The two in the middle, exactly: median() of decimals computes in doubles.
                {_TIMES / 2} * (quantile_disc(cost, 0.5) - quantile_disc(-cost, 0.5)) AS most
            FROM hours CROSS JOIN (SELECT {newest} - unnest(range({_DAYS}))::INT AS today)
            WHERE day BETWEEN today - {_MEDIAN_DAYS} AND today - 1 GROUP BY ALL),
        recent AS (
            SELECT day, username, session_id, hour, sum(cost)::DECIMAL(38,12) AS cost
            FROM slots WHERE day > {newest} - {_DAYS} GROUP BY ALL),
        limited AS (
            SELECT recent.*, greatest(usd, coalesce(most, usd))::DECIMAL(38,12) AS most
            FROM recent LEFT JOIN usual USING (username, day)
            CROSS JOIN (SELECT {usd_at_least:f}::DECIMAL(38,12) AS usd))
        SELECT session_id AS session, username AS person,
            make_timestamp(hour * 3600000000) AS hour, cost, most AS "limit"
        FROM limited WHERE cost > most
        QUALIFY row_number() OVER (
            PARTITION BY session_id ORDER BY cost DESC, limited.hour, username) = 1
        ORDER BY limited.hour DESC, cost DESC, session LIMIT {_MOST}"""


def spikes(rows: Iterable[Sequence[object]]) -> list[Spike]:
    """The rows of such a SELECT."""
    return [
        Spike(
            str(session),
            str(person),
            datetime.fromisoformat(str(hour)),
            Decimal(str(cost)),
            Decimal(str(limit)),
        )
        for session, person, hour, cost, limit in rows
    ]


def spike_verdict(found: Sequence[Spike]) -> Verdict:
    """What the check `spend_spike` says: each session is an occasion, and is told once."""
    says: Says = "info" if found else "ok"
    return Verdict(
        says,
        _sentence(found),
        {"sessions": len(found), "most": float(max((s.cost for s in found), default=Decimal(0)))},
        {spike.session: "info" for spike in found},
        [
            {
                "session": spike.session,
                "person": spike.person,
                "hour": f"{spike.hour:%Y-%m-%d %H:%M} UTC",
                "cost": usd(spike.cost),
                "limit": usd(spike.limit),
            }
            for spike in found
        ],
    )


def _sentence(found: Sequence[Spike]) -> str:
    """No names of people: they are in the table."""
    if not found:
        return "No hour of a session was above its limit."
    named = "; ".join(
        f"{usd(spike.cost)} USD (limit {usd(spike.limit)}) at {spike.hour:%Y-%m-%d %H:%M} UTC in "
        f"session {spike.session}"
        for spike in found[:_NAMED]
    )
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    who = "1 session with an hour above its limit"
    if len(found) > 1:
        who = f"{len(found)} sessions with an hour above their limit"
    return f"{who}: {named}{more}; API list price, not an invoice."
