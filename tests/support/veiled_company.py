"""A company of small teams whose every cell of usage costs a power of two, and all that is shown of
it where small groups are hidden: so a shown sum says which cells are in it."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

from company_people import database
from session_pipeline_dagster.contract.derivation import Inputs
from session_pipeline_dagster.contract.report import Asked as Page
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import Directory, directory_of
from session_pipeline_dagster.people.rows import Row
from session_pipeline_dagster.processors.usage.exports import focus, prometheus
from session_pipeline_dagster.processors.usage.figure_sql import Scope, selects
from session_pipeline_dagster.processors.usage.figures import add
from session_pipeline_dagster.processors.usage.money import breakdown
from session_pipeline_dagster.processors.usage.money.budgeting import budgets_of, judged
from session_pipeline_dagster.processors.usage.people.published import published
from session_pipeline_dagster.processors.usage.people.shown import TABLES, shown_derivation
from session_pipeline_dagster.processors.usage.summing import figures
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.write import insert_rows

FIRST = date(2026, 4, 13)
DAYS = [FIRST + timedelta(n) for n in (0, 1, 2, 7, 16, 19, 25, 28, 29)]
"""Of two months; some weeks are one day, some are several."""
TODAY = DAYS[-1] + timedelta(days=1)
MODELS = {
    "opus": ("claude-code", "anthropic"),
    "sonnet": ("claude-code", "anthropic"),
    "haiku": ("claude-code", "anthropic"),
    "gpt": ("codex", "openai"),
    "mini": ("codex", "openai"),
    "pro": ("gemini-cli", "google"),
}
_MEASURES = {"cost": 88, "input_tokens": 61, "output_tokens": 61, "cache_read_tokens": 61}
"""How many cells each can tell apart in one sum."""
_BUSY = 0.3
_ONE = Decimal(1).scaleb(-12)
Numbers = Mapping[str, Decimal | int | None]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one person used on a day, of one model for one project."""

    day: date
    person: str
    team: str
    project: str
    model: str


@dataclass(frozen=True, slots=True)
class Company:
    directory: Directory
    cells: Sequence[Cell]


def company(rng: random.Random) -> Company:
    """30 teams of 1 to 12 people in groups of groups. Some people move; some projects and models
    are one person's. On one day one person is at work, on another three, on one two teams."""
    sizes = {f"t{n}": n % 12 + 1 for n in range(30)}
    groups = {f"g{n}": rng.choice(["", *(f"g{m}" for m in range(n))]) for n in range(6)}
    parents = {team: rng.choice([*groups, ""]) for team in sizes} | groups
    rows: list[Row] = []
    teams: dict[str, list[tuple[date, str]]] = {}

    def member(person: str, team: str, first: date | None, last: date | None) -> None:
        given = {"folder": person, "person": person, "team": team, "parent": parents[team]}
        given |= {"from": str(first or ""), "to": str(last or "")}
        rows.append(Row("f", len(rows) + 2, {key: text for key, text in given.items() if text}))
        teams.setdefault(person, []).append((first or date.min, team))

    for team, size in sizes.items():
        for number in range(size):
            person, moves = f"{team}m{number}", rng.random() < 0.08
            day = rng.choice(DAYS[2:]) if moves else None
            member(person, team, None, day and day - timedelta(days=1))
            if day:
                member(person, rng.choice([*sizes]), day, None)
    for group, parent in groups.items():
        member(f"{group}boss", group, None, None)
        assert parent != group
    return Company(directory_of(rows), _cells(rng, teams))


def _cells(rng: random.Random, teams: Mapping[str, Sequence[tuple[date, str]]]) -> Sequence[Cell]:
    people, cells = [*teams, "new1", "new2"], []
    for number, day in enumerate(DAYS):
        busy = [who for who in people if rng.random() < _BUSY]
        if number in (2, 5):
            busy = rng.sample(people, 1 if number == 2 else 3)
        if number == 7:
            busy = [who for who in people if who.startswith(("t11m", "t2m"))]
        for person in busy:
            came = [one for one in teams.get(person, [(date.min, "(unassigned)")]) if one[0] <= day]
            own = [f"of-{person}"] if rng.random() < 0.1 else []
            projects = ["shop", "site", f"of-{max(came)[1]}", *own]
            for _ in range(rng.choice([1, 1, 2])):
                model = rng.choice([*MODELS])
                cells.append(Cell(day, person, max(came)[1], rng.choice(projects), model))
    return [*dict.fromkeys(cells)]


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum that is shown: where, and which cells are in it."""

    where: str
    cells: frozenset[int]


class Office:
    """The company's database, and what it shows under some settings."""

    def __init__(self, company: Company, settings: Settings, folder: Path) -> None:
        self.company, self.settings = company, settings
        self.connection = database()
        self._fill()
        budgets = folder / "budgets.toml"
        budgets.write_text(_BUDGETS)
        self.settings = replace(settings, money=replace(settings.money, budgets=budgets))
        self._made = False

    def sums(self) -> list[Sum]:
        """All that is shown, each sum once for everywhere it stands."""
        found: dict[str, set[int]] = {}
        for several, shown in ((False, self._files), (True, self._several)):
            start = 0
            while start < len(self.company.cells):
                numbered = self._number(start, several=several)
                self._derive()
                for where, numbers in shown():
                    members = found.setdefault(where, set())
                    for measure, cells in numbered.items():
                        value = numbers.get(measure) or 0
                        bits = int(value / _ONE) if isinstance(value, Decimal) else value
                        members |= {n for place, n in enumerate(cells) if bits >> place & 1}
                        assert bits < 1 << len(cells), where
                start += sum(map(len, numbered.values()))
        return [Sum(where, frozenset(members)) for where, members in found.items()]

    def _several(self) -> Iterator[tuple[str, Numbers]]:
        yield from self._answers()
        yield from self._pages()

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.connection.execute(sql).fetchall()

    def _fill(self) -> None:
        members = [
            (m.folder, m.person, m.email, m.team, m.cost_center, m.valid_from, m.valid_to)
            for m in self.company.directory.memberships
        ]
        self.connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?)", members)
        units = [(u.team, u.parent, u.cost_center) for u in self.company.directory.units]
        self.connection.executemany("INSERT INTO org_units VALUES (?, ?, ?)", units)
        self.connection.executemany(
            """INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, day + INTERVAL 9 HOUR AS slot,
                ? AS username, ? AS project, project AS repository, username || day AS session_id,
                ? AS model, ? AS agent, ? AS provider, 1 AS messages, ? AS partial_characters,
                0 AS output_tokens, 0 AS cache_creation_tokens, 0 AS cache_creation_5m_tokens,
                0 AS cache_creation_1h_tokens, 0 AS cache_read_tokens, 0 AS web_search_requests,
                0 AS partial_messages, 0 AS unpriced_messages, 0 AS unknown_input_messages""",
            [
                (c.day, c.person, c.project, c.model, *MODELS[c.model], n)
                for n, c in enumerate(self.company.cells)
            ],
        )

    def _number(self, start: int, *, several: bool) -> Mapping[str, range]:
        """Powers of two for some cells, nothing for all others. Measure -> the cells it numbers."""
        numbered: dict[str, range] = {}
        for measure, bits in _MEASURES.items():
            last = min(start + bits, len(self.company.cells))
            numbered[measure] = range(start, last if several or measure == "cost" else start)
            start = numbered[measure].stop
        values = [
            (
                number,
                *(
                    1 << number - cells.start if number in cells else 0
                    for cells in numbered.values()
                ),
            )
            for number in range(len(self.company.cells))
        ]
        values = ", ".join(f"({n}, {cost * _ONE:f}, {a}, {b}, {c})" for n, cost, a, b, c in values)
        self.connection.execute(
            f"""UPDATE usage_slots SET cost = new.cost, input_tokens = a, output_tokens = b,
                cache_read_tokens = c
            FROM (VALUES {values}) AS new(number, cost, a, b, c)
            WHERE partial_characters = number"""
        )
        self.connection.execute("DELETE FROM usage_daily")
        self.connection.execute(
            """INSERT INTO usage_daily BY NAME SELECT day, username, project, model, agent,
                provider, messages, input_tokens, output_tokens, cache_creation_tokens,
                cache_read_tokens, unpriced_messages, partial_messages, unknown_input_messages,
                cost FROM usage_slots"""
        )
        return numbered

    def _derive(self) -> None:
        derivation = shown_derivation(self.settings)
        rows = {name: self.rows(sql) for name, sql in derivation.reads.items()}
        changes = derivation.compute(Inputs(frozenset(), rows, None))
        for table in TABLES:
            if not self._made:
                insert_rows(self.connection, table, changes.added[table])
            else:
                assert not [*changes.added[table], *changes.removed[table]], "costs make no cells"
        self._made = True
        self.connection.execute("DELETE FROM budget_status")
        now = datetime.combine(TODAY, time(9), UTC)
        for budget in budgets_of(self.settings.money):
            _, periods = judged(budget, self.rows, now)
            for one in periods:
                self.connection.execute(
                    """INSERT INTO budget_status BY NAME SELECT ?::DATE AS period_start,
                        ? AS budget, ?::DECIMAL(38, 12) AS spent""",
                    [one.period_start, one.budget, one.spent],
                )

    def _files(self) -> Iterator[tuple[str, Numbers]]:
        for one in published(self.settings):
            found = self.connection.execute(one.select)
            names = [column[0] for column in found.description or ()]
            for row in found.fetchall():
                said = dict(zip(names, row, strict=True))
                keys = [str(said.get(n)) for n in _KEYS]
                for column in ("cost", "spent", "unlogged_cost"):
                    if said.get(column):
                        yield f"{one.name} {column} {keys}", {"cost": said[column]}
        teams = next(one.select for one in published(self.settings) if one.name == focus.TEAMS)
        for row in self.rows(focus.charges_of_teams(teams, "true")):
            yield f"focus {row[0]} {row[1]}", {"cost": row[13]}
        for today in (TODAY, *DAYS[2::3]):
            models, windows, *_ = [
                self.rows(sql) for sql in prometheus.selects(str(today), self.settings.people)
            ]
            least = self.settings.people.smallest_group
            gauges = prometheus.gauges([models, windows, [(0, None, 0)], [], []], least, 0.0)
            gauges += prometheus.gauges([models, windows, [(0, None, 10**6)], [], []], least, 0.0)
            for gauge in gauges:
                for sample in gauge.samples:
                    if "cost" in gauge.name:
                        where = f"prometheus {gauge.name} {sample.labels} of {today}"
                        yield where, {"cost": Decimal(sample.value)}

    def _answers(self) -> Iterator[tuple[str, Numbers]]:
        """`usage`, with every key, by itself and by time, over spans of days and of each agent."""
        # From every second day on, of each day, and up to each.
        spans: set[tuple[date | None, date | None]] = {(None, None), *((d, d) for d in DAYS)}
        spans |= {(None, day) for day in DAYS[:-1:2]}
        keys = [key for key in breakdown.KEYS if key not in ("session", "branch")]
        asked = [(key,) for key in keys]
        asked += [pair for pair in product(keys, breakdown.UNITS) if pair[0] not in breakdown.UNITS]
        for by, agent in product(asked, (None, *dict.fromkeys(a for a, _ in MODELS.values()))):
            for since, until in spans if len(by) == 1 else [(None, None), (DAYS[3], DAYS[7])]:
                given = breakdown.Asked(by, since, until, people=self.settings.people, agent=agent)
                try:
                    breakdown.check(given)
                except SettingsError:
                    continue
                days = [day for (day,) in self.rows(breakdown.days(given))]
                rows, *_ = breakdown.selects(given, days)
                found = breakdown.answer(given, [self.rows(rows), [], [], []])
                where = f"usage by {by} {since} {until} {agent}"
                for row in found.rows:
                    yield f"{where} {row.keys}", _numbers(row.sums)
                yield f"{where} total", _numbers(found.totals)

    def _pages(self) -> Iterator[tuple[str, Numbers]]:
        """The report of some days, over some lengths, and the digest of each week."""
        people = self.settings.people
        budgets = next(
            one.select for one in published(self.settings) if one.name == "budget_status"
        )
        asked = [(TODAY, 1), (TODAY, 2), (TODAY, 7), (TODAY, 30), (DAYS[3], 8), (DAYS[5], 30)]
        pages: list[tuple[Page, date | None]] = [(Page(*one), None) for one in asked]
        mondays = [FIRST + timedelta(weeks=n) for n in range(1, 6)]
        pages += [(Page(monday, 14), monday - timedelta(days=1)) for monday in mondays]
        for asked, until in pages:
            scope = Scope(people.mode, people.smallest_group, until=until)
            answers = [self.rows(sql) for sql in selects(asked, scope, budgets)]
            found = figures(answers, scope)
            where = f"page of {asked.today} {asked.days} {until}"
            for kind, parts in {**found.parts, "total": [found.total]}.items():
                for part in parts:
                    for span, sums in enumerate(part.spans):
                        yield f"{where} {kind} {part.name} {span}", _numbers(sums)
            # Of a page, a chart has them by team, a table by day.
            for start, sums in found.by_start().items():
                yield f"{where} {start}", _numbers(sums)
            for start, team in sorted({(bar.start, bar.team) for bar in found.bars}):
                own = [b.sums for b in found.bars if (b.start, b.team) == (start, team)]
                yield f"{where} {start} {team}", _numbers(add(own))


def _numbers(sums: object) -> Numbers:
    return {measure: getattr(sums, measure) for measure in _MEASURES}


_KEYS = ("day", "month", "period_start", "team", "cost_center", "budget", "person", "project")
_BUDGETS = "".join(
    f'[[budget]]\nname = "{scope} {period}"\nscope = "{scope}"\nperiod = "{period}"\namount = 9\n'
    for scope in ("org", "team:t11", "team:t0", "project:shop", "project:of-t3")
    for period in ("day", "week", "month")
)
_PRIME = 2**61 - 1


class Reader:
    """Somebody who sets all shown sums off against each other."""

    def __init__(self, sums: Iterable[frozenset[int]], many: int) -> None:
        distinct = sorted({*sums} - {frozenset()}, key=lambda one: (len(one), sorted(one)))
        self._rows: dict[int, dict[int, int]] = {}
        for members in distinct:
            row = dict.fromkeys(members, 1)
            for pivot in [column for column in row if column in self._rows]:
                _take(row, self._rows[pivot], row.get(pivot, 0))
            if not row:
                continue
            pivot = next(iter(row))
            unit = pow(row[pivot], -1, _PRIME)
            row = {column: value * unit % _PRIME for column, value in row.items()}
            for other in self._rows.values():
                _take(other, row, other.get(pivot, 0))
            self._rows[pivot] = row
        assert all(column < many for row in self._rows.values() for column in row)

    @property
    def rank(self) -> int:
        return len(self._rows)

    def knows(self, cells: Iterable[int]) -> bool:
        """Whether anything follows that is of these cells alone."""
        inside = {*cells}
        # Other rows are the only ones with their pivot, which is outside.
        rows = [self._rows[pivot] for pivot in inside if pivot in self._rows]
        outside = [
            {column: value for column, value in row.items() if column not in inside} for row in rows
        ]
        done: dict[int, dict[int, int]] = {}
        for row in outside:
            for pivot, other in done.items():
                _take(row, other, row.get(pivot, 0))
            if not row:
                return True
            pivot = next(iter(row))
            unit = pow(row[pivot], -1, _PRIME)
            done[pivot] = {column: value * unit % _PRIME for column, value in row.items()}
        return False


def _take(row: dict[int, int], other: Mapping[int, int], times: int) -> None:
    if not times:
        return
    for column, value in other.items():
        left = (row.get(column, 0) - times * value) % _PRIME
        if left:
            row[column] = left
        else:
            row.pop(column, None)


def hidden(cells: Sequence[Cell], least: int) -> Mapping[str, list[int]]:
    """Cells of too few people: what each person did, on each day and in all; a team, a project, a
    model on a day of fewer."""
    found: dict[str, list[int]] = {}
    crowds: dict[str, set[str]] = {}
    for number, cell in enumerate(cells):
        agent, provider = MODELS[cell.model]
        names = {
            "person": cell.person,
            "team": cell.team,
            "project": cell.project,
            "model": cell.model,
            "agent": agent,
            "provider": provider,
            "everybody": "",
        }
        for kind, name in names.items():
            for when in (str(cell.day), "always"):
                key = f"{kind} {name} {when}"
                found.setdefault(key, []).append(number)
                crowds.setdefault(key, set()).add(cell.person)
    return {key: members for key, members in found.items() if len(crowds[key]) < least}
