"""What is kept of files in tables decides as much as the files themselves."""

from datetime import UTC, datetime, timedelta
from random import Random

import duckdb

from billed_files import trailed
from billed_histories import History
from billed_tables import insert, store, write
from session_pipeline_dagster.contract.derivation import Derivation, Inputs
from session_pipeline_dagster.processors.usage.money import cost_states, deriving, stored
from session_pipeline_dagster.processors.usage.money.baseline import own_billed
from session_pipeline_dagster.processors.usage.money.trails import trail_of
from session_pipeline_dagster.transcripts.claude_code import parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = {"usage_billed": 4, "usage_trails": 4}


def rows_of(key: str, session: str, content: bytes) -> dict[str, list[tuple[object, ...]]]:
    file = trailed(key, session, content)
    trail, lines = trail_of(parse(content)), content.split(b"\n")
    read = {number: cost_states.read(lines[number - 1]) for number, _ in trail.billed_after}
    owner = stored.Owner(key, session, file.username, file.project, file.began_us)
    bills = {number: bill for number, bill in read.items() if bill}
    return {table: list(rows) for table, rows in stored.rows_of(owner, trail, bills).items()}


def timed(table: str, row: tuple[object, ...]) -> tuple[object, ...]:
    """As the store writes microseconds to a TIMESTAMPTZ."""
    at = TIMES.get(table)
    if at is None or row[at] is None:
        return row
    return (*row[:at], EPOCH + timedelta(microseconds=int(str(row[at]))), *row[at + 1 :])


def test_tables_give_back_the_families_and_their_bills():
    histories = [History(seed) for seed in range(150)]
    wanted, gone = [], []
    with store() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        tables: dict[str, list[tuple[object, ...]]] = {}
        for table, columns in stored.TABLES.items():
            connection.execute(f"CREATE TABLE {table}({columns})")
        for seed, history in enumerate(histories):
            family = []
            for name, file in history.files.items():
                if file.deleted:
                    continue
                key = f"dev/{name}.jsonl"
                family.append(trailed(key, name, file.text(), gone=seed % 3 == 0))
                gone += [key] if seed % 3 == 0 else []
                for table, rows in rows_of(key, name, file.text()).items():
                    tables.setdefault(table, []).extend(timed(table, row) for row in rows)
            wanted += own_billed(family)
        for table, rows in tables.items():
            insert(connection, table, rows)
        connection.execute("CREATE TABLE away(session_file VARCHAR)")
        insert(connection, "away", [(key,) for key in gone])
        files = "SELECT session_file FROM usage_trails"
        read = [
            connection.execute(sql.format(files=files, gone="FROM away")).fetchall()
            for sql in (stored.TRAILS, stored.BILLS, stored.MODELS, stored.LINKS)
        ]
    families = stored.families(*read)
    assert stored.families(read[0], read[1][::-1], read[2][::-1], read[3]) == families
    whose = {name: seed for seed, history in enumerate(histories) for name in history.files}
    assert all(len({whose[file.session_id] for file in family}) == 1 for family in families)
    assert len(families) < 1.1 * len(histories)
    assert all((len(family) > 1) == bool(family[0].digests) for family in families)
    found = [own for family in families for own in own_billed(family)]
    assert sorted(found, key=lambda own: own.session_id) == sorted(
        wanted, key=lambda own: own.session_id
    )


def test_commit_after_commit_comes_to_the_same_as_everything_at_once():
    """Files come one by one and in any order, some grow, some go again."""
    histories = [History(seed) for seed in range(60)]
    files = {
        f"dev/{name}.jsonl": (name, file.text())
        for history in histories
        for name, file in history.files.items()
        if not file.deleted and file.lines
    }
    random = Random(7)  # noqa: S311
    order = random.sample(sorted(files), len(files))
    early = {key: files[key][1].splitlines(keepends=True)[:3] for key in order[::3]}
    steps = [(key, b"".join(lines)) for key, lines in early.items()]
    steps += [(key, files[key][1]) for key in order]
    steps += [(key, b"") for key in order[::5]]
    own = deriving.derivation("FROM away")
    with store() as connection:
        for table, columns in stored.TABLES.items():
            connection.execute(f"CREATE TABLE {table}({columns})")
        connection.execute("CREATE TABLE away(session_file VARCHAR)")
        connection.execute("CREATE TABLE batch(session_file VARCHAR)")
        connection.execute("CREATE TABLE session_rollup_changes(rollup VARCHAR, part VARCHAR)")
        for at in range(0, len(steps), 7):
            batch = steps[at : at + 7]
            commit(connection, own, {key: (files[key][0], content) for key, content in batch})
            derive(connection, own)
        found = connection.execute("FROM usage_own_billed ORDER BY ALL").fetchall()
        connection.execute("DELETE FROM usage_own_billed")
        left = {key: files[key] for key in files if key not in order[::5]}
        whole = [trailed(key, name, content) for key, (name, content) in left.items()]
        by_family = {}
        for file in whole:
            seed = next(i for i, h in enumerate(histories) if file.session_id in h.files)
            by_family.setdefault(seed, []).append(file)
        for family in by_family.values():
            write(connection, own_billed(family))
        assert found == connection.execute("FROM usage_own_billed ORDER BY ALL").fetchall()


def commit(
    connection: duckdb.DuckDBPyConnection, own: Derivation, batch: dict[str, tuple[str, bytes]]
) -> None:
    """Replaces the rows of files, and notes what that touches, as the store does."""
    connection.execute("DELETE FROM batch")
    insert(connection, "batch", [(key,) for key in batch])
    note = f"""INSERT INTO session_rollup_changes
        SELECT '{own.name}', part FROM ({own.changed}) AS c(part)"""
    connection.execute(note)
    for table in stored.TABLES:
        connection.execute(f"DELETE FROM {table} WHERE session_file IN (FROM batch)")
    for key, (name, content) in batch.items():
        if content:
            for table, rows in rows_of(key, name, content).items():
                insert(connection, table, [timed(table, row) for row in rows])
    connection.execute(note)


def derive(connection: duckdb.DuckDBPyConnection, own: Derivation) -> None:
    """Reads, computes and writes, as the store does."""
    parts = connection.execute("SELECT DISTINCT part FROM session_rollup_changes").fetchall()
    read = {name: connection.execute(sql).fetchall() for name, sql in own.reads.items()}
    changes = own.compute(Inputs(frozenset(part for (part,) in parts), read, EPOCH))
    (table,) = own.tables
    removed = list(changes.removed[table])
    connection.execute(f"DELETE FROM {table} WHERE session_id IN (SELECT unnest(?))", [removed])
    insert(connection, table, changes.added[table])
    connection.execute("DELETE FROM session_rollup_changes")


def test_a_line_that_cannot_be_read_has_no_row_and_the_next_one_keeps_its_place():
    state = b'{"type":"cost-state","sessionId":"s","totalCostUSD":%s,"modelUsage":{"m":{}}}\n'
    user = b'{"type":"user","uuid":"%s","sessionId":"s","message":{"content":"x"}}\n'
    content = user % b"a" + state % b"-1" + user % b"b" + state % b"2"
    rows = rows_of("dev/s.jsonl", "s", content)
    assert [(row[3], row[-1]) for row in rows["usage_billed"]] == [(4, 2)]
    assert [row[:4] for row in rows["usage_billed_models"]] == [("dev/s.jsonl", "s", 4, "m")]
    columns = {name: ddl.count(",") + 1 for name, ddl in stored.TABLES.items()}
    columns["usage_billed"] -= 1
    columns["usage_billed_models"] -= 1
    assert {name: len(rows[name][0]) for name in rows} == columns


def test_of_too_many_bills_the_last_ones_are_kept():
    state = b'{"type":"cost-state","sessionId":"s","totalCostUSD":1}\n'
    rows = rows_of("dev/s.jsonl", "s", state * (stored.MAX_BILLS + 5))["usage_billed"]
    assert [row[3] for row in rows] == list(range(6, stored.MAX_BILLS + 6))
