"""What a lake keeps comes back as from a file; what it cannot keep is said when it is declared."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from helpers import EchoProcessor
from lakes import Lakes
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import write
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.harmless import harmless

KEPT: dict[str, object] = {
    "UBIGINT": 2**63,
    "UINTEGER": 2**31,
    "UTINYINT": 200,
    "TINYINT": -5,
    "HUGEINT": 2**100,
    "DECIMAL(18,3)": Decimal("1.234"),
    "MAP(VARCHAR, INTEGER)": [("a", 1)],
    "STRUCT(a INTEGER, b VARCHAR)": {"a": 1, "b": "x"},
    "INTEGER[]": [1, 2],
    "TIMESTAMPTZ": datetime(2025, 1, 1, tzinfo=UTC),
    "TIMESTAMP_NS": datetime(2025, 1, 1),  # noqa: DTZ001  the type has no zone
    "DATE": date(2025, 1, 1),
    "JSON": '{"a":1}',
    "BLOB": b"\0a",
    "UUID": "00000000-0000-0000-0000-000000000005",
    "BOOLEAN": True,
    "DOUBLE": 1.5,
    "INTEGER NOT NULL": 1,
    "INTEGER DEFAULT 5": 1,
}
NOT_KEPT = (
    "INTEGER[2]",
    "ENUM('a', 'b')",
    "BIT",
    "UNION(a INTEGER, b VARCHAR)",
    "VARCHAR COLLATE NOCASE",
    "INTEGER CHECK (x > 0)",
    "INTEGER PRIMARY KEY",
    "INTEGER UNIQUE",
)
ODD = (
    "{SNAPSHOT_ID}",
    "{DATA_PATH}",
    "{METADATA_CATALOG}",
    "{METADATA_PATH}",
    "{AUTHOR}",
    "{COMMIT_EXTRA_INFO}",
    "{SEPARATOR}",
    "{",
    "'",
    "''; DROP TABLE ducklake_snapshot; --",
    '"',
    "\\",
    "\\'",
    "$1",
    "$$",
    "%s",
    "",
    " ",
    "\n",
    "\r\n\t",
    "\x01",
    "\x7f",
    "é",
    "e\u0301",
    "\u202e",
    "\ufeff",
    "\U0001f600",
    "\uffff",
    "\U0010ffff",
    "NULL",
    "\\N",
    "x" * 300,
    "\0",
    "a\0b",
)


@pytest.fixture(scope="module")
def lake(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return lakes.store(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def file(tmp_path: Path) -> Store:
    return open_store(Settings(database=tmp_path / "x.duckdb", workers=1))


class Wide(EchoProcessor):
    """A table of given columns."""

    def __init__(self, name: str, columns: str) -> None:
        super().__init__(name=name)
        self.tables = {name: f"session_file VARCHAR, {columns}"}


def stored(store: Store, table: Wide, rows: Sequence[tuple[object, ...]]) -> list[object]:
    """Its Arrow types, its rows and their types, after it was declared twice."""
    store.prepare(table)
    with store.transaction() as connection:
        connection.execute("DELETE FROM session_processor_declarations")
    schema = store.prepare(table)[table.name]
    with store.transaction() as connection:
        write.insert_rows(connection, table.name, rows)
    columns, _ = store.query(f"FROM {table.name} LIMIT 0")[0]
    types = ", ".join(f"typeof({column})" for column in columns)
    return [schema, store.query(f"SELECT *, {types} FROM {table.name} ORDER BY 1")[0][1]]


def test_columns_of_every_type_are_the_same_in_a_lake(lake: Store, file: Store) -> None:
    wide = Wide("wide", ", ".join(f"c{n} {kind}" for n, kind in enumerate(KEPT)))
    nothing = [None if "NOT NULL" not in kind else 1 for kind in KEPT]
    rows = [("a", *KEPT.values()), ("b", *nothing)]
    assert stored(lake, wide, rows) == stored(file, wide, rows)


@pytest.mark.parametrize("kind", NOT_KEPT)
def test_a_type_that_a_lake_does_not_keep_is_said_when_it_is_declared(
    lake: Store, kind: str
) -> None:
    with pytest.raises(ContractError, match=r"processor 'narrow': narrow: .*(DuckLake|convert)"):
        lake.prepare(Wide("narrow", f"x {kind}"))


def strings() -> list[str]:
    """Odd ones, and odd ones beside each other."""
    draw = Random(1)  # noqa: S311  to be played again
    return [*ODD, *("".join(draw.choices(ODD, k=3)) for _ in range(100))]


def found_again(store: Store, made: Sequence[str]) -> tuple[object, object]:
    """Rows of each string, looked for by it alone; and all of them."""
    table = Wide("texts", "said VARCHAR, n INTEGER, more VARCHAR[]")
    store.prepare(table)
    # Many commits, so that files are chosen by what is the least and the most in them.
    for first in range(0, len(made), 20):
        some = made[first : first + 20]
        rows = [(text, text, first + n, [text, None]) for n, text in enumerate(some)]
        with store.transaction() as connection:
            write.insert_rows(connection, "texts", rows)
        # What a second commit of the same files does.
        with store.transaction() as connection:
            write.delete_rows(connection, ["texts"], some)
            write.insert_rows(connection, "texts", rows)
    with store.transaction() as connection:
        found = []
        for text in made:
            write.register(connection, "asked", [text])
            sql = "SELECT n, said, more[1] FROM texts WHERE said IN (FROM asked)"
            found.append(connection.execute(sql).fetchall())
    return found, store.query("SELECT said, n FROM texts ORDER BY n")[0][1]


def test_strings_of_any_kind_are_found_again_as_in_a_file(lake: Store, file: Store) -> None:
    made = sorted({*strings()})
    in_file = found_again(file, made)
    assert in_file[1] == [(text, n) for n, text in enumerate(made)]
    # What DuckLake would take for its own is written in another way; nothing else is.
    others = {text: harmless(text) for text in made}
    kept = [text for text in made if others[text] == text]
    assert 20 < len(kept) < len(made)
    found, rows = found_again(lake, made)
    assert rows == [(others[text], n) for n, text in enumerate(made)]
    assert found == [[(n, others[text], others[text])] for n, text in enumerate(made)]


@pytest.mark.parametrize("text", [text for text in ODD if text.startswith("{") or "\0" in text])
def test_alone_in_its_file_it_is_found_too(lake: Store, text: str) -> None:
    table = Wide("alone", "said VARCHAR")
    lake.prepare(table)
    with lake.transaction() as connection:
        write.delete_rows(connection, ["alone"], ["k"])
        write.insert_rows(connection, "alone", [("k", text)])
    sql = f"SELECT count(*) FROM alone WHERE said = '{harmless(text)}'"
    assert lake.query(sql)[0][1] == [(1,)]
