"""The table `usage_slots` in a database of its own, with the rows a test of money needs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb

COLUMNS = """day DATE, slot TIMESTAMPTZ, username VARCHAR, project VARCHAR, repository VARCHAR,
    session_id VARCHAR, agent VARCHAR, model VARCHAR, provider VARCHAR, speed VARCHAR,
    git_branch VARCHAR, messages BIGINT, input_tokens BIGINT, output_tokens BIGINT,
    cache_creation_tokens BIGINT, cache_creation_5m_tokens BIGINT, cache_creation_1h_tokens BIGINT,
    cache_read_tokens BIGINT, web_search_requests BIGINT, partial_messages BIGINT,
    partial_output_tokens BIGINT, cost DECIMAL(38,12), unpriced_messages BIGINT,
    assumed_messages BIGINT, unknown_input_messages BIGINT"""
RECONCILED = """session_id VARCHAR, username VARCHAR, project VARCHAR, model VARCHAR, day DATE,
    unlogged_cost DECIMAL(38,12), status VARCHAR"""
PEOPLE = """folder VARCHAR, person VARCHAR, email VARCHAR, team VARCHAR, cost_center VARCHAR,
    valid_from DATE, valid_to DATE"""
_QUARTER = timedelta(minutes=15)


class Slots:
    """A database with an empty `usage_slots`, `usage_reconciled` and `people`."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(f"CREATE TABLE usage_slots ({COLUMNS})")
        self.connection.execute(f"CREATE TABLE usage_reconciled ({RECONCILED})")
        self.connection.execute(f"CREATE TABLE people ({PEOPLE})")

    def spend(
        self,
        at: str | datetime,
        cost: str | Decimal | None,
        who: str = "bob",
        session: str = "s1",
        project: str = "p",
        repository: str | None = None,
        model: str | None = "claude-opus-5-5",
        unpriced: int | None = None,
    ) -> None:
        """One slot: at this time (UTC), for so much; None: nothing in it has a price."""
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment -= (moment - datetime.fromtimestamp(0, UTC)) % _QUARTER
        without = (cost is None) if unpriced is None else unpriced
        self.connection.execute(
            """INSERT INTO usage_slots BY NAME SELECT ?::DATE AS day, ?::TIMESTAMPTZ AS slot,
                ? AS username, ? AS project, ? AS repository, ? AS session_id, ? AS model,
                1 AS messages, ?::DECIMAL(38,12) AS cost, ? AS unpriced_messages""",
            [
                *(moment.astimezone(UTC).date(), moment, who, project, repository, session, model),
                *(None if cost is None else Decimal(cost), int(without)),
            ],
        )

    def unlogged(self, day: str, cost: str | None, who: str = "bob", session: str = "s1") -> None:
        """What a session was billed beyond its lines."""
        self.connection.execute(
            "INSERT INTO usage_reconciled VALUES (?, ?, 'p', 'm', ?, ?, ?)",
            [session, who, day, cost, "unknown" if cost is None else "unlogged"],
        )

    def belongs(
        self,
        folder: str,
        team: str | None,
        first: str | None = None,
        last: str | None = None,
        person: str | None = None,
        cost_center: str | None = None,
    ) -> None:
        """A period of somebody's folder; the person is called like the folder if not otherwise."""
        self.connection.execute(
            "INSERT INTO people VALUES (?, ?, NULL, ?, ?, ?, ?)",
            [folder, person or folder, team, cost_center, first, last],
        )

    def select(self, sql: str) -> Sequence[tuple[object, ...]]:
        """The rows of a SELECT."""
        return self.connection.execute(sql).fetchall()
