"""The figures of the usage report: SELECTs that aggregate, and records of what they answer.

Everything is of one period: so many days up to the last day with usage. What is many (users, names
of tools) is the top few and the rest as one, decided in SQL.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.processors.usage.rollups import AT_LEAST

TOP_USERS, TOP_NAMES = 6, 10
KINDS: Mapping[str, str] = {
    "tool": "tool_name",
    "skill": "skill_name",
    "server": "mcp_server",
    "subagent": "subagent_type",
    "command": "command_name",
}
"""What is called -> the column of `usage_events_unique` that names it."""

_DAYS_MOST, _WEEKS_MOST = 92, 92 * 7
"""Up to so many days a bar is a day, up to so many a week, else a month."""

_SUMS = """sum(messages)::BIGINT, sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
    sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
    sum(partial_messages)::BIGINT, sum(output_estimate)::BIGINT,
    sum(unpriced_messages)::BIGINT, coalesce(sum(cost), 0)"""
# The UTC day and hour whatever the connection's time zone.
_SENT, _OCCURRED = "make_timestamp(epoch_us(sent_at))", "make_timestamp(epoch_us(occurred_at))"


@dataclass(frozen=True, slots=True)
class Sums:
    """API responses, tokens and cost; `partial` of the responses had no final line. `estimate` is
    the output with what those probably lack: never added to anything exact. `cost` is in USD at
    list price, that of `unpriced` responses left out."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    partial: int = 0
    estimate: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)

    @property
    def at_least(self) -> bool:
        """Whether the output is to be read as "at least"."""
        return self.partial_share > AT_LEAST

    @property
    def partial_share(self) -> float:
        """From 0 to 1."""
        return self.partial / self.messages if self.messages else 0.0

    @property
    def is_unpriced(self) -> bool:
        """Whether nothing of it has a price."""
        return 0 < self.messages == self.unpriced


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of a user or a model."""

    name: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Bar:
    """The sums of a user on a day, in a week or a month. Rank 1 = the user with most output."""

    start: date
    rank: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class Called:
    """How often something was called and failed; `rest` > 0: so many rare names together."""

    name: str
    calls: int
    errors: int
    rest: int = 0

    @property
    def error_share(self) -> float:
        """From 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What the report says.

    Attributes:
        first, last: the period, both days included; None where there is no usage.
        unit: what a bar stands for: day, week (its Monday) or month.
        users, models: most output first.
        bars: users after TOP_USERS share the rank that follows.
        hours: (ISO weekday from 1, hour) -> API responses, UTC.
        sessions: sessions with an API response.
        called: kind -> most calls first, the rare ones together at the end.
        undated: API responses without a day, or with one that is still to come: left out.
        billed, unlogged: USD of the bills that are known and fit, and of it what has no line.
        unsettled: API responses that wait for the daily roll-up (less than 0: that left it).
    """

    first: date | None
    last: date | None
    unit: str
    users: Sequence[Part]
    models: Sequence[Part]
    bars: Sequence[Bar]
    hours: Mapping[tuple[int, int], int]
    sessions: int
    called: Mapping[str, Sequence[Called]]
    undated: int
    billed: Decimal = Decimal(0)
    unlogged: Decimal = Decimal(0)

    @property
    def total(self) -> Sums:
        """Of all users."""
        return add(part.sums for part in self.users)

    @property
    def unlogged_share(self) -> float | None:
        """What share of the bills has no line, from 0 to 1; None where no bill is known."""
        return float(self.unlogged / self.billed) if self.billed else None

    @property
    def unsettled(self) -> int:
        """See above."""
        return sum(self.hours.values()) - self.total.messages

    def starts(self) -> list[date]:
        """The first day of every bar of the period, those without usage too."""
        if self.first is None or self.last is None:
            return []
        found, day = [], self.first
        while day <= self.last:
            start = _truncated(day, self.unit)
            if not found or found[-1] != start:
                found.append(start)
            day += timedelta(days=1)
        return found


def add(several: Iterable[Sums]) -> Sums:
    """The sum of sums."""
    found, names = [*several], [f.name for f in fields(Sums) if f.name != "cost"]
    counts = {name: sum(getattr(sums, name) for sums in found) for name in names}
    return Sums(**counts, cost=sum((sums.cost for sums in found), Decimal(0)))


def _truncated(day: date, unit: str) -> date:
    """As date_trunc of SQL does."""
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if unit == "week" else 0)


def selects(asked: Asked) -> list[str]:
    """What `figures` needs, in its order."""
    today = f"DATE '{asked.today.isoformat()}'"
    period = f"""WITH bounds AS (
            SELECT greatest(min(day), max(day) - {asked.days - 1}) AS first, max(day) AS last
            FROM usage_daily WHERE day <= {today}),
        period AS (SELECT first, last, CASE WHEN last - first < {_DAYS_MOST} THEN 'day'
            WHEN last - first < {_WEEKS_MOST} THEN 'week' ELSE 'month' END AS unit FROM bounds),
        daily AS (SELECT days.*, unit FROM usage_daily_estimated AS days, period
            WHERE day BETWEEN first AND last)"""
    return [
        f"""{period} SELECT first, last, unit, (SELECT coalesce(sum(messages), 0)::BIGINT
            FROM usage_daily WHERE day IS NULL OR day > {today}) FROM period""",
        f"""{period} SELECT username, {_SUMS} FROM daily
            GROUP BY username ORDER BY sum(output_tokens) DESC, username""",
        f"""{period} SELECT model, {_SUMS} FROM daily
            GROUP BY model ORDER BY sum(output_tokens) DESC, model""",
        f"""{period}, ranks AS (SELECT username,
                row_number() OVER (ORDER BY sum(output_tokens) DESC, username) AS rank
            FROM daily GROUP BY username)
        SELECT date_trunc(unit, day)::DATE AS start, least(rank, {TOP_USERS + 1}) AS rank, {_SUMS}
        FROM daily JOIN ranks ON daily.username IS NOT DISTINCT FROM ranks.username
        GROUP BY ALL ORDER BY start, rank""",
        f"""{period} SELECT isodow(sent), hour(sent), count(*), count(DISTINCT session_id)
        FROM (SELECT {_SENT} AS sent, session_id FROM usage_messages_unique), period
        WHERE sent::DATE BETWEEN first AND last
        GROUP BY GROUPING SETS ((isodow(sent), hour(sent)), ())""",
        f"""{period}, calls AS MATERIALIZED (
            SELECT events.* FROM usage_events_unique AS events, period
            WHERE {_OCCURRED}::DATE BETWEEN first AND last),
        named AS ({" UNION ALL ".join(map(_named, KINDS))}),
        ranked AS (SELECT kind, name, count(*) AS calls, count(*) FILTER (is_error) AS errors,
                row_number() OVER (PARTITION BY kind ORDER BY count(*) DESC, name) AS rank
            FROM named GROUP BY kind, name)
        SELECT kind, if(rank <= {TOP_NAMES}, name, NULL) AS shown, sum(calls)::BIGINT,
            sum(errors)::BIGINT, count(*)
        FROM ranked GROUP BY kind, least(rank, {TOP_NAMES + 1}), shown ORDER BY min(rank)""",
        f"""{period} SELECT coalesce(sum(billed_cost), 0), coalesce(sum(unlogged_cost), 0)
        FROM usage_reconciled, period
        WHERE day BETWEEN first AND last AND status IN ('ok', 'unlogged')""",
    ]


def _named(kind: str) -> str:
    column = KINDS[kind]
    return f"""SELECT '{kind}' AS kind, {column} AS name, is_error FROM calls
        WHERE {column} IS NOT NULL"""


def figures(answers: Sequence[Sequence[Row]]) -> Figures:
    """The records of what the SELECTs answered."""
    (period,), users, models, bars, hours, called, (beyond,) = answers
    by_kind: dict[str, list[Called]] = {kind: [] for kind in KINDS}
    for kind, name, calls, errors, names in called:
        # One rare name is still a rest: its place in the list is not its own.
        rest = _n(names) if name is None else 0
        text = f"{rest:,} more" if rest else str(name)
        by_kind[str(kind)].append(Called(text, _n(calls), _n(errors), rest))
    first, last, unit, undated = period
    return Figures(
        first=first if isinstance(first, date) else None,
        last=last if isinstance(last, date) else None,
        unit=str(unit),
        users=[Part(str(name or "(no name)"), _sums(sums)) for name, *sums in users],
        models=[Part(str(name or "(no name)"), _sums(sums)) for name, *sums in models],
        bars=[
            Bar(start, _n(rank), _sums(sums))
            for start, rank, *sums in bars
            if isinstance(start, date)
        ],
        hours={(_n(day), _n(hour)): _n(n) for day, hour, n, _ in hours if day is not None},
        sessions=next((_n(sessions) for day, _, _, sessions in hours if day is None), 0),
        called=by_kind,
        undated=_n(undated),
        billed=_usd(beyond[0]),
        unlogged=_usd(beyond[1]),
    )


def _sums(values: Sequence[object]) -> Sums:
    *counts, cost = values
    return Sums(*map(_n, counts), cost=_usd(cost))


def _usd(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(0)


def _n(value: object) -> int:
    return value if isinstance(value, int) else 0
