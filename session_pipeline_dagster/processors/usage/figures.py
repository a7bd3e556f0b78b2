"""The figures of the usage report, as records. Put nothing here that reads, merges or draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal

from session_pipeline_dagster.processors.usage.figure_sql import WEEK, Scope
from session_pipeline_dagster.processors.usage.rollups import AT_LEAST
from session_pipeline_dagster.processors.usage.small_cells import Crowd


@dataclass(frozen=True, slots=True)
class Sums:
    """API responses, tokens and cost; `partial` of the responses had no final line. `cost` is in
    USD at list price, that of `unpriced` responses left out; of `unknown` of them nobody says what
    went in, and no token of it is counted."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    partial: int = 0
    unpriced: int = 0
    unknown: int = 0
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

    @property
    def is_unknown(self) -> bool:
        """Whether nobody says of any what went in."""
        return 0 < self.messages == self.unknown


def add(several: Iterable[Sums]) -> Sums:
    """The sum of sums."""
    found, names = [*several], [f.name for f in fields(Sums) if f.name != "cost"]
    counts = {name: sum(getattr(sums, name) for sums in found) for name in names}
    return Sums(**counts, cost=sum((sums.cost for sums in found), Decimal(0)))


@dataclass(frozen=True, slots=True)
class Part:
    """What a team, a project or a model had.

    Attributes:
        spans: the sums of what is earlier, of the week before, and of the last week of the period.
        crowds: who had them. `few`: it is several rows of too few people together.
    """

    name: str
    spans: Sequence[Sums]
    crowds: Sequence[Crowd]
    few: bool = False

    @property
    def whole(self) -> Sums:
        """Of the period."""
        return add(self.spans)

    @property
    def before(self) -> Sums:
        """Of the seven days before the last seven."""
        return self.spans[1]

    @property
    def last(self) -> Sums:
        """Of the last seven days."""
        return self.spans[2]

    @property
    def people(self) -> int:
        """How many people had a part in it."""
        return len(frozenset().union(*self.crowds))


@dataclass(frozen=True, slots=True)
class Called:
    """How often something was called and failed, and what the responses cost that it had a part in.

    Attributes:
        paid: their sums, as those of `Part`: messages, unpriced and cost; None where nobody says.
        crowds: who called it, and who had each of `paid`.
    """

    name: str
    calls: int
    errors: int
    paid: Sequence[Sums] | None
    crowds: Sequence[Crowd]
    few: bool = False

    @property
    def error_share(self) -> float:
        """From 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0

    @property
    def cost(self) -> Sums:
        """Of the period."""
        return add(self.paid or ())

    @property
    def people(self) -> int:
        """How many people called it, or had it at work."""
        return len(frozenset().union(*self.crowds))


@dataclass(frozen=True, slots=True)
class Bar:
    """The sums of a team, a model and an agent on a day, in a week or a month."""

    start: date
    team: str
    model: str
    agent: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class BudgetNow:
    """How a budget stands in its latest period; `percent` of 100, amounts in USD."""

    name: str
    start: date
    spent: Decimal
    amount: Decimal
    percent: Decimal
    level: str
    forecast: Decimal | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the report says.

    Attributes:
        first, last: the period, both days included; None where there is no usage to show.
        unit: what a bar stands for: day, week (its Monday) or month.
        parts: kind -> dearest first; what is of too few people stands last, as one.
        called: kind -> likewise, most calls first.
        hours: (ISO weekday from 1, hour) -> API responses, UTC; without those of too few people.
        sessions: sessions with an API response.
        estimate: output tokens with what partial responses probably lack.
        undated: API responses without a day, or with one that is still to come: left out.
        billed, unlogged: USD of the bills that are known and fit, and of it what has no line.
        unsettled: API responses that wait for the daily roll-up (less than 0: that left it).
        who: whose own page it is, as it may be shown.
    """

    scope: Scope
    first: date | None
    last: date | None
    unit: str
    total: Part
    parts: Mapping[str, Sequence[Part]]
    bars: Sequence[Bar]
    hours: Mapping[tuple[int, int], int]
    sessions: int
    called: Mapping[str, Sequence[Called]]
    budgets: Sequence[BudgetNow] = ()
    estimate: int = 0
    undated: int = 0
    billed: Decimal = Decimal(0)
    unlogged: Decimal = Decimal(0)
    unsettled: int = 0
    who: str = ""
    unread: Mapping[str, int] = field(default_factory=dict)

    @property
    def days(self) -> int:
        """Of the period."""
        return (self.last - self.first).days + 1 if self.first and self.last else 0

    @property
    def compares(self) -> bool:
        """Whether the period holds anything of the week before the last one."""
        return self.days > WEEK

    @property
    def unlogged_share(self) -> float | None:
        """What share of the bills has no line, from 0 to 1; None where no bill is known."""
        return float(self.unlogged / self.billed) if self.billed else None

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

    def by_start(self) -> dict[date, Sums]:
        """The sums of everybody for every bar of the period."""
        found: dict[date, list[Sums]] = {start: [] for start in self.starts()}
        for bar in self.bars:
            found[bar.start].append(bar.sums)
        return {start: add(sums) for start, sums in found.items()}


def _truncated(day: date, unit: str) -> date:
    """As date_trunc of SQL does."""
    if unit == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if unit == "week" else 0)
