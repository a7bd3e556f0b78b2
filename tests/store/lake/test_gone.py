"""What a lake's parts refuse to do: a file that has just gone is read again, what waiting does not
help against is said at once and in words, and no words are those of a row."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, append, expected_rows, write_many
from lakes import Lakes, database_of
from session_pipeline_dagster.errors import StoreInterrupted, StoreUnusable
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.lake.errors import of_the_engine

LABEL, DATA = "ducklake:postgres:dbname=lake", "s3://bucket/lake/"
VALUE = "alice says (404), permission denied, Out of Memory and No space left"
QUERY = f"IO Error: Failed to execute query \"INSERT INTO x VALUES ('{VALUE}')"
KEY = "'http://127.0.0.1:1/b/main/t/ducklake-1.parquet' in region 'x'"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (f"HTTP Error: HTTP GET error reading {KEY} (HTTP 404 Not Found)\n\nNoSuchKey: The key",
         StoreInterrupted, "has just deleted it"),
        (f"HTTP Error: HTTP HEAD error reading {KEY} (HTTP 404 Not Found)",
         StoreInterrupted, "has just deleted it"),
        ("HTTP Error: HTTP GET error reading 's3://b' (HTTP 404 Not Found)\n\nNoSuchBucket: The",
         StoreUnusable, "there is no s3://bucket/lake/"),
        ('IO Error: Cannot open file "/x/y.parquet": No such file or directory',
         StoreInterrupted, "not mounted"),
        ('IO Error: Cannot open file "/x/y.parquet": Read-only file system',
         StoreUnusable, r"cannot be used as it is \(Read-only file system\)"),
        ('IO Error: Failed to create directory "/x/y": Permission denied',
         StoreUnusable, r"cannot be used as it is \(Permission denied\)"),
        ('IO Error: Unable to connect to Postgres at "dbname=x": connection to server on socket '
         '"/run/.s.PGSQL.1" failed: No such file or directory',
         StoreInterrupted, "cannot be used at the moment"),
        (f'{QUERY}": ERROR:  cannot execute INSERT in a read-only transaction\n',
         StoreInterrupted, "cannot execute INSERT in a read-only transaction"),
        (f'{QUERY}": server closed the connection', StoreInterrupted, "server closed"),
        (f'{QUERY}": ERROR:  permission denied for table x', StoreUnusable, "permission denied fo"),
        (QUERY, StoreInterrupted, r"\(IO Error: Failed to execute query\)"),
    ],
)  # fmt: skip
def test_what_duckdb_says_is_read_outside_of_its_quotes(
    text: str, kind: type[StoreUnusable], said: str
) -> None:
    with pytest.raises(kind, match=said) as found:
        raise of_the_engine(LABEL, DATA, text)
    assert type(found.value) is kind
    assert "alice" not in str(found.value)


def made(folder: Path, lakes: Lakes) -> Pipeline:
    """A lake that holds three files, and waits for nobody longer than two seconds."""
    root = folder / "sessions"
    write_many(root, 3)
    settings = Settings(roots=(Root(root),), workers=1)
    settings = replace(lakes.settings(folder, settings), lock_timeout=timedelta(seconds=2))
    pipeline = Pipeline(root, settings)
    pipeline.run(EchoProcessor())
    return pipeline


@contextmanager
def read_only(lakes: Lakes, settings: Settings) -> Generator[None]:
    setting = f'ALTER DATABASE "{database_of(settings)}" {{}} default_transaction_read_only'
    with lakes.server.connect("postgres") as session:
        session.execute(f"{setting.format('SET')} = on")
        yield
        session.execute(setting.format("RESET"))


@pytest.mark.slow(seconds=5)
def test_a_postgres_that_takes_no_writes_says_so_and_is_read(tmp_path: Path, lakes: Lakes) -> None:
    pipeline = made(tmp_path, lakes)
    append(next(pipeline.root.rglob("*.jsonl")), "more")
    empty = lakes.settings(tmp_path / "empty")
    with read_only(lakes, pipeline.settings), read_only(lakes, empty):
        with pytest.raises(StoreUnusable, match=r"takes no writes.*target_session_attrs"):
            pipeline.run(EchoProcessor())
        with pytest.raises(StoreUnusable, match="takes no writes"):
            open_store(empty).prepare(EchoProcessor())
        assert len(pipeline.rows()) == 6
    pipeline.run(EchoProcessor())
    assert pipeline.rows() == expected_rows(pipeline.root)
