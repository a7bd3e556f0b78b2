"""Detail that goes when it is old, inside a transaction: what is frozen, removed and turned away.

Put here what tables, roll-ups and records of the store say of it. When a pass asks for it is
decided in `passes/retention.py`; what a processor declares is `contract/retention.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.store import derive, frozen, rolling, write
from session_pipeline_dagster.store.states import Retired, Standing

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from session_pipeline_dagster.store.columns import Packed

_EPOCH = date(1970, 1, 1)
_DAY = timedelta(days=1)
STALE = "roll-ups of these days are not up to date"


def of_kind(processor: Processor, kind: str) -> list[Retention]:
    """What it declares of one kind."""
    return [kept for kept in extras(processor).retention if kept.kind == kind]


def kinds(processor: Processor) -> list[str]:
    """The kinds of detail that a processor has."""
    return list(dict.fromkeys(kept.kind for kept in extras(processor).retention))


def standings(connection: "DuckDBPyConnection", processor: Processor) -> list[Standing]:
    """What has become of each kind of which something has gone."""
    rows = connection.execute(
        """SELECT kind, frozen_before, removed, emptied, turned_away FROM session_retention
        WHERE processor_name = ? ORDER BY kind""",
        [processor.name],
    ).fetchall()
    late = dict(
        connection.execute(
            "SELECT table_name, count(*) FROM session_retention_names WHERE late GROUP BY ALL"
        ).fetchall()
    )
    return [
        Standing(*row, sum(late.get(kept.table, 0) for kept in of_kind(processor, row[0])))
        for row in rows
    ]


# --- what would go ---


def look(
    connection: "DuckDBPyConnection", processor: Processor, targets: Mapping[str, date], most: int
) -> list[Retired]:
    """What the next transaction would do; changes nothing.

    Args:
        targets: kind -> the first day that is kept.
        most: rows; a day that has more goes alone.
    """
    return [_plan(connection, processor, kind, day, most) for kind, day in targets.items()]


def _plan(
    connection: "DuckDBPyConnection", processor: Processor, kind: str, target: date, most: int
) -> Retired:
    """The oldest days that go together, and until when days are then frozen."""
    before = frozen.horizons(connection, processor.name).get(kind)
    declared = of_kind(processor, kind)
    days = _days(connection, declared, target)
    upto, blocked = target, 0
    if any(kept.freezes for kept in declared):
        upto = _settled(connection, processor, declared, target, before)
        blocked = sum(sum(rows.values()) for day, rows in days.items() if day >= upto)
        days = {day: rows for day, rows in days.items() if day < upto}
    if upto < target and not days:
        return Retired(kind, before, left=blocked, waits=STALE)
    taken, rows = [], dict[str, int]()
    for day in sorted(days):
        if taken and sum(rows.values()) + sum(days[day].values()) > most:
            break
        taken.append(day)
        for table, count in days[day].items():
            rows[table] = rows.get(table, 0) + count
    after = upto if len(taken) == len(days) else taken[-1] + _DAY
    left = sum(sum(days[day].values()) for day in days if day >= after) + blocked
    after = max(after, before or after)
    return Retired(
        kind,
        after,
        len(taken),
        rows,
        left,
        waits=STALE if blocked and blocked == left else "",
        moves=bool(rows) or after != before,
        oldest=min(taken, default=None),
        emptied=tuple(kept.table for kept in declared if kept.empties and kept.table in rows),
    )


def _days(
    connection: "DuckDBPyConnection", declared: Iterable[Retention], target: date
) -> dict[date, dict[str, int]]:
    """Day before the target -> table -> rows that are to go, or to be emptied."""
    found: dict[date, dict[str, int]] = {}
    for kept in declared:
        rows = connection.execute(
            f"SELECT {_day(kept)} AS day, count(*) FROM {kept.table} "
            f"WHERE {_older(kept, target)}{_to_empty(kept)} GROUP BY day"
        ).fetchall()
        for day, count in rows:
            found.setdefault(day, {})[kept.table] = count
    return found


def _settled(
    connection: "DuckDBPyConnection",
    processor: Processor,
    declared: Iterable[Retention],
    target: date,
    before: date | None,
) -> date:
    """Until when all is added up: what is removed before that is lost."""
    more = extras(processor)
    for derivation in more.derivations:
        # What roll-ups read of it may change every day of theirs.
        if derivation.first and derive.is_stale(connection, derivation):
            return date.min
    names = {name for kept in declared for name in kept.freezes}
    names |= {rollup.name for rollup in more.rollups if names & {*rollup.feeds}}
    ((noted,),) = connection.execute(
        """SELECT min(TRY_CAST(part AS DATE)) FROM session_rollup_changes
        WHERE rollup IN (SELECT unnest($1)) AND ($2 IS NULL OR TRY_CAST(part AS DATE) >= $2)""",
        [[*names], before],
    ).fetchall()
    return min(target, noted or target)


# --- what goes ---


def retire(
    connection: "DuckDBPyConnection",
    processor: Processor,
    targets: Mapping[str, date],
    most: int,
    now: datetime,
) -> list[Retired]:
    """Freeze the oldest days, and remove what they are made of; as `look` says."""
    done = []
    for kind, target in targets.items():
        plan = _plan(connection, processor, kind, target, most)
        done.append(plan)
        if plan.frozen_before is None or not plan.moves:
            continue
        declared = of_kind(processor, kind)
        for kept in declared:
            if kept.empties:
                _empty(connection, processor, kept, plan.frozen_before)
            else:
                _remove(connection, processor, kept, plan.frozen_before)
        _record(connection, processor, declared, plan, now)
    return done


def _remove(
    connection: "DuckDBPyConnection", processor: Processor, kept: Retention, upto: date
) -> None:
    rollups = {rollup.name: rollup for rollup in extras(processor).rollups}
    frozen_ones = [rollups[name] for name in kept.freezes]
    if kept.name and frozen_ones:
        _take_names(connection, kept, frozen_ones[0], upto)
    connection.execute(f"DELETE FROM {kept.table} WHERE {_older(kept, upto)}")
    for rollup in frozen_ones:
        for one in rollup.keeps:
            connection.execute(f"DELETE FROM {one.name} WHERE {rollup.part} < DATE '{upto}'")


def _take_names(
    connection: "DuckDBPyConnection", kept: Retention, rollup: Rollup, upto: date
) -> None:
    """Keep a number for each name that these days count, and remove its copies on later ones."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE parts AS SELECT DISTINCT ({_day(kept)})::VARCHAR AS part
        FROM {kept.table} WHERE {_older(kept, upto)}"""
    )
    rolling.reach(connection, rollup)
    counts = kept.counted or f"SELECT {kept.name} FROM {kept.table} WHERE {_older(kept, upto)}"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE taken AS SELECT DISTINCT {_number("name")} AS name
        FROM ({counts}) AS c(name) WHERE name IS NOT NULL"""
    )
    connection.execute(
        f"INSERT INTO session_retention_names SELECT '{kept.table}', name, false FROM taken"
    )
    if not rollup.reach:
        return
    later = f"SELECT part::DATE AS day FROM reach WHERE part::DATE >= DATE '{upto}'"
    ((first, last),) = connection.execute(
        f"SELECT epoch(min(day)), epoch(max(day)) FROM ({later})"
    ).fetchall()
    if first is not None:
        connection.execute(
            f"""DELETE FROM {kept.table} WHERE {kept.at} >= to_timestamp({first})
            AND {kept.at} < to_timestamp({last + 86400}) AND {_day(kept)} IN ({later})
            AND {_number(kept.name)} IN (FROM taken)"""
        )


def _empty(
    connection: "DuckDBPyConnection", processor: Processor, kept: Retention, upto: date
) -> None:
    """Empty the texts, and tell what is derived from the rows."""
    old = f"{_older(kept, upto)}{_to_empty(kept)}"
    found = connection.execute(
        f"SELECT DISTINCT session_file FROM {kept.table} WHERE {old}"
    ).fetchall()
    if found:
        connection.execute(f"UPDATE {kept.table} SET {_emptied(kept)} WHERE {old}")
        write.register(connection, "batch", [row[0] for row in found])
        rolling.note_changes(connection, processor)


def _record(
    connection: "DuckDBPyConnection",
    processor: Processor,
    declared: Sequence[Retention],
    plan: Retired,
    now: datetime,
) -> None:
    emptied = sum(plan.rows.get(kept.table, 0) for kept in declared if kept.empties)
    removed = sum(plan.rows.values()) - emptied
    freezes = list(dict.fromkeys(name for kept in declared for name in kept.freezes))
    given = [processor.name, plan.kind]
    there = "FROM session_retention WHERE processor_name = ? AND kind = ?"
    rows = connection.execute(f"SELECT removed, emptied, turned_away {there}", given).fetchall()
    before = rows[0] if rows else (0, 0, 0)
    connection.execute(f"DELETE {there}", given)
    sums = [before[0] + removed, before[1] + emptied, before[2]]
    connection.execute(
        "INSERT INTO session_retention VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [*given, plan.frozen_before, freezes, *sums, now.astimezone(UTC)],
    )


# --- what comes later ---


def insert(
    connection: "DuckDBPyConnection",
    processor: Processor,
    table: str,
    parts: "Sequence[Packed]",
    horizons: Mapping[str, date],
) -> None:
    """Insert the rows of a table but those of frozen days, and copies of what these have counted.

    Args:
        horizons: as `frozen` says.
    """
    declared = [
        kept
        for kept in extras(processor).retention
        if kept.table == table and kept.kind in horizons
    ]
    if not declared:
        write.insert_parts(connection, table, parts)
        return
    connection.execute(f"CREATE OR REPLACE TEMP TABLE arriving AS FROM {table} LIMIT 0")
    write.insert_parts(connection, "arriving", parts)
    for kept in declared:
        upto = horizons[kept.kind]
        if kept.empties:
            old = f"{_older(kept, upto)}{_to_empty(kept, 'arriving')}"
            connection.execute(f"UPDATE arriving SET {_emptied(kept)} WHERE {old}")
        elif away := _turn_away(connection, kept, upto):
            connection.execute(
                """UPDATE session_retention SET turned_away = turned_away + ?
                WHERE processor_name = ? AND kind = ?""",
                [away, processor.name, kept.kind],
            )
    connection.execute(f"INSERT INTO {table} FROM arriving")


def _turn_away(connection: "DuckDBPyConnection", kept: Retention, upto: date) -> int:
    """Remove from `arriving` what does not go in; how many rows that is."""
    old = _older(kept, upto)
    if kept.name:
        number, table = _number(kept.name), kept.table
        # Of all names that ever went, those that are here.
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE known_names AS
            SELECT DISTINCT name, late FROM session_retention_names
            SEMI JOIN (SELECT {number} AS name FROM arriving) AS a USING (name)
            WHERE table_name = '{table}'"""
        )
        connection.execute(
            f"""INSERT INTO session_retention_names
            SELECT DISTINCT '{table}', {number}, true FROM arriving WHERE {old}
            AND {kept.name} IS NOT NULL AND {number} NOT IN (SELECT name FROM known_names)"""
        )
        counted = "SELECT name FROM known_names WHERE NOT late"
        old = f"({old} OR {kept.name} IS NOT NULL AND {number} IN ({counted}))"
    ((away,),) = connection.execute(f"SELECT count(*) FROM arriving WHERE {old}").fetchall()
    if away:
        connection.execute(f"DELETE FROM arriving WHERE {old}")
    return away


# --- statements ---


def _day(kept: Retention) -> str:
    """The UTC day of a row, whatever the connection's time zone."""
    return f"make_timestamp(epoch_us({kept.at}))::DATE"


def _older(kept: Retention, day: date) -> str:
    """SQL, true for rows before a UTC day. Never NULL."""
    return f"coalesce({kept.at} < to_timestamp({(day - _EPOCH).days * 86400}), false)"


def _to_empty(kept: Retention, table: str = "") -> str:
    """SQL, that a row has something to be emptied; nothing where whole rows go."""
    if not kept.empties:
        return ""
    some = " OR ".join(f"{column} <> ''" for column in kept.empties)
    unless = kept.unless.replace("{table}", table or kept.table)
    return f" AND ({some})" + (f" AND NOT coalesce({unless}, false)" if unless else "")


def _emptied(kept: Retention) -> str:
    return ", ".join(f"{column} = ''" for column in kept.empties)


def _number(name: str) -> str:
    """A number for a name, in 64 bits and the same in every version of DuckDB, which `hash` is not:
    what it was made from is gone."""
    return f"md5_number_lower({name})"


def statements(processor: Processor) -> Iterator[tuple[str, str]]:
    """What it declares, and the statement to try it with; `parts` and `batch` are there."""
    rollups = {rollup.name: rollup for rollup in extras(processor).rollups}
    for kept in extras(processor).retention:
        what, old = f"retention of {kept.table!r}", _older(kept, _EPOCH)
        yield f"{what}, at", f"SELECT {_day(kept)} FROM {kept.table} WHERE {old}{_to_empty(kept)}"
        if kept.empties:
            yield f"{what}, empties", f"UPDATE {kept.table} SET {_emptied(kept)}"
        if kept.name:
            yield f"{what}, name", f"SELECT {_number(kept.name)} FROM {kept.table}"
        for rollup in (rollups[name] for name in kept.freezes):
            for one in (rollup.name, *(kept.name for kept in rollup.keeps)):
                part = f"FROM {one} WHERE {rollup.part} < DATE '{_EPOCH}'"
                yield f"{what}, freezes {rollup.name!r}", part
        if kept.counted:
            reach = rollups[kept.freezes[0]].reach if kept.freezes else ""
            asked = f"reach AS (SELECT part FROM ({reach}) AS r(part))," if reach else ""
            yield (
                f"{what}, counted",
                f"WITH {asked} c(name) AS ({kept.counted}) SELECT {_number('name')} FROM c",
            )
