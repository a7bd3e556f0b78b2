"""Usage by what somebody asks for: SELECTs over `usage_slots`, and records made of their answers.

Put nothing here that prints, or that reads a table which grows with every message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Context, Decimal
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.currencies import Currency
from session_pipeline_dagster.processors.usage.money.zone_spans import (
    Period,
    Unit,
    WeekStart,
    after,
    midnight,
    periods,
)
from session_pipeline_dagster.processors.usage.people import answered
from session_pipeline_dagster.processors.usage.people.whose import (
    COST_CENTER,
    PERSON,
    TEAM,
    with_people,
)
from session_pipeline_dagster.processors.usage.quoting import quoted
from session_pipeline_dagster.processors.usage.rollups import AT_LEAST
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings
from session_pipeline_dagster.transcripts.reader import LAST

COLUMNS: Final[Mapping[str, str]] = {
    "user": "username",
    "person": PERSON,
    "team": TEAM,
    "cost_center": COST_CENTER,
    "project": "project",
    "repository": "repository",
    "model": "model",
    "provider": "provider",
    "session": "session_id",
    "agent": "agent",
    "branch": "git_branch",
}
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
KEYS: Final = (*COLUMNS, *UNITS)
_OF_PEOPLE: Final = frozenset({"person", "team", "cost_center"})
"""Keys that the directory has to be asked for."""
_EXACT: Final = Context(prec=80)
_SHOWN: Final = 60
_COUNTERS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_tokens",
    "cache_read_tokens",
    "messages",
    "unpriced_messages",
    "partial_messages",
    "unknown_input_messages",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: keys in their order, days, which are inclusive and of the zone, what costs are
    shown in, what is shown of people, and of which agent; None = of all."""

    by: tuple[str, ...] = ("user",)
    since: date | None = None
    until: date | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    week_start: WeekStart = "monday"
    currency: Currency = field(default_factory=Currency)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    agent: str | None = None

    @property
    def merges(self) -> bool:
        """Whether cells of few people are put together."""
        return answered.merges(self.by, self.people)

    @property
    def is_by_time(self) -> bool:
        """Whether rows stand in the order of time."""
        return self.by[0] in UNITS


@dataclass(frozen=True, slots=True)
class Sums:
    """Responses added up; `cost` in USD is None where none of them has a price, what went in where
    nobody says it of any. Those of which nobody does are among the unpriced."""

    input_tokens: int | None
    output_tokens: int
    cache_creation_tokens: int | None
    cache_read_tokens: int | None
    messages: int
    unpriced_messages: int
    partial_messages: int
    unknown_input_messages: int
    cost: Decimal | None

    @property
    def at_least(self) -> bool:
        """Whether so many responses lack their last line that output and cost are lower bounds."""
        return self.partial_messages > AT_LEAST * self.messages


@dataclass(frozen=True, slots=True)
class Row:
    """The sums of one combination of keys; None is what lines do not say.

    `beside`: of a session, who had it and in which project.
    """

    keys: tuple[str | None, ...]
    sums: Sums
    beside: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class InForce:
    """A price table and the days it is for, inclusive, None is open; see `usage_pricing`."""

    price_table: str
    cost_mode: str
    valid_from: date | None
    valid_to: date | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A model without a price, and how many responses it gave."""

    provider: str | None
    model: str | None
    messages: int


@dataclass(frozen=True, slots=True)
class Beyond:
    """What was billed beyond the lines, of the sessions whose bill is known and fits.

    Attributes:
        sessions: how many these are.
        billed_cost: USD of their bills.
        unlogged_cost: of it what has no line: compaction, titles, searches.
        completed_output_tokens, completed_cost: output of responses whose last line is missing.
    """

    sessions: int
    billed_cost: Decimal
    unlogged_cost: Decimal
    completed_output_tokens: int
    completed_cost: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer. `totals` are of all rows, also of those that are not shown; `hidden`: there is
    usage, of too few people."""

    asked: Asked
    rows: Sequence[Row]
    totals: Sums
    unpriced: Sequence[Unpriced]
    in_force: Sequence[InForce]
    beyond: Beyond
    hidden: bool = False


def parse_by(given: Sequence[str], people: PeopleSettings | None = None) -> tuple[str, ...]:
    """Keys as they are given, several in one text with commas between them; without one users, or
    teams where nobody is shown.

    Raises:
        SettingsError: one is not known.
    """
    # Options are written with a hyphen, columns without: both are meant.
    named = [key.strip().lower().replace("-", "_") for text in given for key in text.split(",")]
    for key in named:
        if key not in KEYS:
            raise SettingsError(f"--by is {key[:_SHOWN]!r}; it takes {', '.join(KEYS)}")
    nobody = people is not None and people.mode is PeopleMode.TEAM
    return tuple(dict.fromkeys(named)) or ("team" if nobody else "user",)


def check(asked: Asked) -> None:
    """Raises SettingsError where the first day is after the last, or a key is not to be shown."""
    answered.check_keys(asked.by, UNITS, asked.zone.key, asked.people, asked.agent)
    if asked.since and asked.until and asked.since > asked.until:
        raise SettingsError(f"--since {asked.since} is after --until {asked.until}")


def days(asked: Asked) -> str:
    """SELECT of the UTC days with usage: what `selects` takes."""
    return f"SELECT DISTINCT day FROM usage_slots WHERE {_within(asked)}"


def selects(asked: Asked, utc_days: Sequence[date]) -> tuple[str, str, str, str]:
    """SELECTs of the rows, of the models without a price, of the price tables, and of what was
    billed beyond the lines (by UTC days)."""
    units = {unit: periods(unit, utc_days, asked.zone, asked.week_start) for unit in UNITS}
    joins = "".join(_join(key, units[key]) for key in asked.by if key in units)
    columns = {**COLUMNS, **answered.columns(asked.by, asked.people)}
    keys = ", ".join(columns.get(key, f"in_{key}.label") for key in asked.by)
    beside = ", ".join(f"string_agg(DISTINCT {name}, ', ' ORDER BY {name})" for name in _BESIDE)
    if "session" not in asked.by:
        beside = ""
    directory = asked.merges or _OF_PEOPLE & {*asked.by}
    slots = with_people("usage_slots") if directory else "usage_slots"
    slots += f" {answered.joins(asked.by, asked.people, asked.agent, _days(asked))}"
    rows = f"""SELECT {keys}, in_rate.place, {_SUMS}{beside and f", {beside}"}
        FROM {slots} {joins} {_rates(asked.currency)} WHERE {_within(asked)}
        GROUP BY {", ".join(map(str, range(1, len(asked.by) + 2)))}"""
    unpriced = answered.unpriced(asked.people, _within(asked), _days(asked))
    return rows, unpriced, IN_FORCE, _beyond(asked)


def answer(asked: Asked, answers: Sequence[Sequence[Sequence[Any]]]) -> Usage:
    """The records of what `selects` gave, in the order that is printed.

    Raises:
        SettingsError: there is no rate for a day.
    """
    found, unpriced, in_force, beyond = answers
    rows = _converted(asked, found)
    return Usage(
        asked,
        sorted(rows, key=_by_time if asked.is_by_time else _by_cost),
        _total([row.sums for row in rows]),
        [Unpriced(*one[:3]) for one in unpriced],
        [InForce(*one) for one in in_force],
        Beyond(*beyond[0]) if beyond else Beyond(0, Decimal(0), Decimal(0), 0, Decimal(0)),
    )


def dearest(rows: Sequence[Row], number: int | None) -> Sequence[Row]:
    """The rows that cost most, in the order that they have; None: all."""
    if number is None or number >= len(rows):
        return rows
    kept = {row.keys for row in sorted(rows, key=_by_cost)[:number]}
    return [row for row in rows if row.keys in kept]


IN_FORCE: Final = """SELECT price_table, cost_mode, valid_from, valid_to, problem
        FROM usage_pricing ORDER BY valid_from NULLS FIRST"""
"""SELECT of the price tables, the newest days last."""
_SUMS: Final = ", ".join(
    (
        *(f"sum({name})" for name in _COUNTERS[:-1]),
        f"coalesce(sum({_COUNTERS[-1]}), 0)",
        "sum(cost)",
    )
)
_BESIDE: Final = ("username", "project")


_BEYOND: Final = """SELECT count(DISTINCT session_id), coalesce(sum(billed_cost), 0),
            coalesce(sum(unlogged_cost), 0), coalesce(sum(completed_output_tokens), 0)::BIGINT,
            coalesce(sum(completed_cost), 0)"""


def _days(asked: Asked) -> str:
    """SQL: which days it is, of UTC."""
    since = f"day >= DATE '{asked.since}'" if asked.since else "true"
    return since + (f" AND day <= DATE '{asked.until}'" if asked.until else "")


def _beyond(asked: Asked) -> str:
    # A bill is in files of Claude Code alone.
    own = "" if asked.agent in (None, LAST) else " AND false"
    bills = answered.bills(asked.people.smallest_group)
    return f"{_BEYOND} FROM {bills} WHERE {_days(asked)}{own}"


def _within(asked: Asked) -> str:
    ends = [] if asked.agent is None else [f"agent = {quoted(asked.agent)}"]
    if asked.since is not None:
        ends.append(f"epoch_us(slot) >= {midnight(asked.since, asked.zone)}")
    if asked.until is not None and (end := after(asked.until, asked.zone)) is not None:
        ends.append(f"epoch_us(slot) < {end}")
    return " AND ".join(ends) or "true"


def _join(key: str, spans: Sequence[Period]) -> str:
    # A list must not be empty; nothing lies within this one.
    values = ", ".join(f"('{one.label}', {one.start}, {one.end})" for one in spans)
    return f"""JOIN (VALUES {values or "('', 0, 0)"}) AS in_{key}(label, begins, ends)
        ON epoch_us(slot) >= in_{key}.begins AND epoch_us(slot) < in_{key}.ends
        """


def _rates(currency: Currency) -> str:
    """Which rate holds for a slot, by its UTC day."""
    spans = enumerate(currency.spans())
    values = ", ".join(f"({n}, DATE '{first}', DATE '{last}')" for n, (first, last, _) in spans)
    return f"""LEFT JOIN (VALUES {values}) AS in_rate(place, first, last)
            ON day BETWEEN in_rate.first AND in_rate.last"""


def _converted(asked: Asked, found: Sequence[Sequence[Any]]) -> list[Row]:
    """The rows in the currency that is asked for; each came once for every rate."""
    rates = [per_usd for _, _, per_usd in asked.currency.spans()]
    wide, counted = len(asked.by), len(asked.by) + len(_COUNTERS) + 2
    rows: dict[tuple[str | None, ...], list[Row]] = {}
    for row in found:
        place, cost = row[wide], row[counted - 1]
        if place is None:
            raise SettingsError(
                f"there is usage before the first rate of {asked.currency.code}; give it an "
                "earlier `from`, or ask --since that day"
            )
        shown = None if cost is None else _EXACT.multiply(cost, rates[place])
        sums = Sums(*row[wide + 1 : counted - 1], shown)
        keys = tuple(row[:wide])
        rows.setdefault(keys, []).append(Row(keys, sums, tuple(row[counted:])))
    return [
        same[0] if len(same) == 1 else replace(same[0], sums=_total([row.sums for row in same]))
        for same in rows.values()
    ]


def _total(sums: Sequence[Sums]) -> Sums:
    costs = [one.cost for one in sums if one.cost is not None]
    return Sums(
        *(_added([getattr(one, name) for one in sums]) for name in _COUNTERS),
        # An empty answer costs nothing; one without any price costs nobody knows what.
        sum(costs, Decimal(0)) if costs or not sums else None,
    )


def _added(counts: Sequence[int | None]) -> Any:
    known = [count for count in counts if count is not None]
    return sum(known) if known or not counts else None


def _by_cost(row: Row) -> tuple[object, ...]:
    cost = row.sums.cost
    return -(cost or Decimal(0)), -row.sums.output_tokens, _names(row)


def _by_time(row: Row) -> tuple[object, ...]:
    return row.keys[0] or "", *_by_cost(row)


def _names(row: Row) -> tuple[str, ...]:
    return tuple(key or "" for key in row.keys)
