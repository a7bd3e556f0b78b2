"""What is kept of files in tables decides as much as the files themselves."""

from datetime import UTC, datetime, timedelta

from billed_files import trailed
from billed_histories import History
from billed_tables import insert, store
from session_pipeline_dagster.processors.usage.money import cost_states, stored
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
    whose = {name: seed for seed, history in enumerate(histories) for name in history.files}
    assert all(len({whose[file.session_id] for file in family}) == 1 for family in families)
    assert len(families) < 1.1 * len(histories)
    assert all((len(family) > 1) == bool(family[0].digests) for family in families)
    found = [own for family in families for own in own_billed(family)]
    assert sorted(found, key=lambda own: own.session_id) == sorted(
        wanted, key=lambda own: own.session_id
    )


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
