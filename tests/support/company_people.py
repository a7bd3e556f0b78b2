"""Random directories with usage, and an oracle that knows nothing of SQL."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import duckdb

from session_pipeline_dagster.contract.processor import derived_tables
from session_pipeline_dagster.people.directory import Directory, directory_of
from session_pipeline_dagster.people.rows import DirectoryError, Row
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.store import schema

START = date(2026, 4, 20)
DAYS = 60
NOBODY = ("(unassigned)", None)


@dataclass(frozen=True, slots=True)
class Used:
    """A slot, and of it what matters."""

    day: date
    folder: str
    project: str | None
    repository: str | None
    session: str
    messages: int
    cost: Decimal | None


def database() -> duckdb.DuckDBPyConnection:
    """The tables and views of the processor, empty, as the store makes them."""
    connection, usage = duckdb.connect(config={"threads": 1}), UsageProcessor()
    for statement in schema.statements():
        connection.execute(statement)
    for name, columns in {**usage.tables, **derived_tables(usage)}.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
    for name, sql in usage.views.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    return connection


def random_directory(rng: random.Random) -> Directory:
    """People who move, come back, leave, come later, share a folder one after the other."""
    centers = {team: rng.choice([None, "C1", "C2"]) for team in ("data", "web", "ops")}
    while True:
        rows, line = [], 1
        for folder in ("ann", "bob", "ci", "old"):
            day = START + timedelta(rng.randint(-5, 10))
            for _ in range(rng.randint(0, 3)):
                line += 1
                last = day + timedelta(rng.randint(0, 25))
                team = rng.choice([*centers, ""])
                given = {
                    "folder": folder,
                    "person": rng.choice(["Ann", "Bob", folder]),
                    "team": team,
                    "cost_center": (centers.get(team) or "") if rng.random() < 0.7 else "",
                    "from": "" if rng.random() < 0.2 else str(day),
                    "to": "" if rng.random() < 0.2 else str(last),
                }
                rows.append(Row("f", line, {name: text for name, text in given.items() if text}))
                day = last + timedelta(rng.randint(1, 8))
        try:
            return directory_of(rows)
        except DirectoryError:
            continue


def random_usage(rng: random.Random) -> list[Used]:
    """One folder has several repositories, and clones of one repository lie in several folders."""
    return [
        Used(
            START + timedelta(rng.randint(0, DAYS)),
            rng.choice(["ann", "bob", "ci", "old", "new"]),
            rng.choice(["-p", "-q", None]),
            rng.choice(["shop", "web", None]),
            f"s{rng.randint(0, 40)}",
            rng.randint(1, 3),
            rng.choice([None, Decimal(rng.randint(0, 10**12)).scaleb(-12)]),
        )
        for _ in range(250)
    ]


def fill(connection: duckdb.DuckDBPyConnection, found: Directory, used: Sequence[Used]) -> None:
    """Put the directory and the usage where a pass would."""
    rows = [
        (m.folder, m.person, m.email, m.team, m.cost_center, m.valid_from, m.valid_to)
        for m in found.memberships
    ]
    if rows:
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        """INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, ? AS username, ? AS project,
            ? AS repository, ? AS session_id, ?::BIGINT AS messages, ?::DECIMAL(38,12) AS cost,
            CASE WHEN cost IS NULL THEN messages ELSE 0 END AS unpriced_messages,
            10 * messages AS input_tokens, 0 AS output_tokens, 0 AS cache_creation_tokens,
            0 AS cache_creation_5m_tokens, 0 AS cache_creation_1h_tokens, 0 AS cache_read_tokens,
            0 AS web_search_requests, 0 AS partial_messages""",
        [(u.day, u.folder, u.project, u.repository, u.session, u.messages, u.cost) for u in used],
    )


@dataclass(slots=True)
class Sums:
    """What is added up of a cell."""

    messages: int = 0
    unpriced: int = 0
    cost: Decimal | None = None

    def add(self, used: Used) -> None:
        self.messages += used.messages
        if used.cost is None:
            self.unpriced += used.messages
        else:
            self.cost = (self.cost or Decimal(0)) + used.cost


class Oracle:
    """Whose everything is, row by row."""

    def __init__(self, found: Directory, used: Sequence[Used]) -> None:
        self._members, self._used = found.memberships, used

    def whose(self, folder: str, day: date) -> tuple[str, str, str | None]:
        """Person, team, cost center."""
        for m in self._members:
            if m.folder == folder and _on(m.valid_from, m.valid_to, day):
                return m.person, m.team or NOBODY[0], m.cost_center
        return (folder, *NOBODY)

    def persons(self) -> dict[tuple[object, ...], Sums]:
        """Day, person, team, cost center, project -> sums."""
        sums: dict[tuple[object, ...], Sums] = defaultdict(Sums)
        for used in self._used:
            project = used.repository or used.project
            sums[used.day, *self.whose(used.folder, used.day), project].add(used)
        return sums

    def teams(self) -> dict[tuple[object, ...], tuple[Sums, int, int]]:
        """Day, team, cost center -> sums, members, who was active."""
        sums: dict[tuple[object, ...], Sums] = defaultdict(Sums)
        active: dict[tuple[object, ...], set[str]] = defaultdict(set)
        for used in self._used:
            person, team, center = self.whose(used.folder, used.day)
            sums[used.day, team, center].add(used)
            active[used.day, team, center].add(person)
        return {
            key: (one, len({*self._of(str(key[1]), key[0])} | active[key]), len(active[key]))
            for key, one in sums.items()
        }

    def months(self) -> Counter[tuple[object, ...]]:
        """Month, cost center, team -> cost."""
        costs: Counter[tuple[object, ...]] = Counter()
        for used in self._used:
            _, team, center = self.whose(used.folder, used.day)
            costs[used.day.replace(day=1), center, team] += used.cost or Decimal(0)
        return costs

    def _of(self, team: str, day: object) -> Iterator[str]:
        assert isinstance(day, date)
        for m in self._members:
            if (m.team or NOBODY[0]) == team and _on(m.valid_from, m.valid_to, day):
                yield m.person


def _on(first: date | None, last: date | None, day: date) -> bool:
    return (first or date.min) <= day <= (last or date.max)
