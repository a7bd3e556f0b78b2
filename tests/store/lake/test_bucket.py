"""A lake whose Parquet is in a bucket, on a real S3 server: as exact as in a folder."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import obstore
import psycopg
import pytest

from helpers import EchoProcessor, expected_rows, write_many, write_session
from lakes import Lakes, database_of, named_files, over
from places import SUPPORT
from session_pipeline_dagster.cli.forget import delete
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import StoreError, StoreInterrupted, StoreUnusable
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.setting_places import Lake, S3Settings
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.lake import engine
from session_pipeline_dagster.store.lake.place import LakePlace
from session_pipeline_dagster.store.lake.upkeep import tidy
from tallies import Tallies, batch, held, settled, wanted
from weed import REGION, S3Server, s3
from wire import Wire, wire_to

__all__ = ["s3"]  # the fixture
TALLIES = Tallies()
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


def keys_of(server: S3Server, url: str | None = None) -> S3Settings:
    return S3Settings(server.key, server.secret, None, REGION, url or server.url)


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def settings(lakes: Lakes, s3: S3Server, bucket: str, tmp_path: Path) -> Settings:
    made = lakes.settings(tmp_path, Settings(workers=1, batch_bytes=1, s3=keys_of(s3)))
    return replace(made, lake_data=f"s3://{bucket}/deep/lake/")


def missing(server: S3Server, bucket: str, settings: Settings) -> list[str]:
    there = {found["path"] for page in obstore.list(server.client(bucket)) for found in page}
    named = [f"deep/lake/{name}" for name in named_files(settings)]
    assert named
    return [name for name in named if name not in there]


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("cut_off", [True, False])
def test_no_file_of_a_commit_is_deleted_whose_answer_was_lost(
    lakes: Lakes,
    s3: S3Server,
    bucket: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    cut_off: bool,
) -> None:
    with wire_to(lakes.server.port) as wire:
        hasty = replace(over(settings, wire.port), lock_timeout=timedelta(seconds=5))
        store = open_store(hasty)
        store.prepare(TALLIES)
        store.commit(TALLIES, batch(1, "a/1"))
        if not cut_off:
            # Why it is there: whoever takes it out must see that DuckLake has changed.
            monkeypatch.setattr(engine, "_NOWHERE", None)
        # The third COMMIT is the lake's own.
        wire.cut_after, wire.spared = COMMIT, 2
        try:
            store.commit(TALLIES, batch(2, "a/1", "b/2"))
        except StoreError:
            assert not cut_off
        assert wire.cuts == 1
        assert bool(missing(s3, bucket, settings)) == (not cut_off)
        if cut_off:
            settled(store)
            calls = [("a/1", 1), ("a/1", 2), ("b/2", 2)]
            assert held(store) == wanted({"a/1": 2, "b/2": 2}, calls)


@pytest.fixture
def behind(s3: S3Server) -> Iterator[Wire]:
    """The line to the S3 server."""
    with wire_to(urlsplit(s3.url).port or 0) as wire:
        yield wire


@pytest.mark.slow(seconds=10)
def test_a_pass_goes_on_where_the_bucket_is_away_for_a_while(
    s3: S3Server, settings: Settings, behind: Wire, tmp_path: Path
) -> None:
    write_many(tmp_path / "sessions", 4)
    settings = replace(
        settings,
        roots=(Root(tmp_path / "sessions"),),
        s3=keys_of(s3, f"http://127.0.0.1:{behind.port}"),
    )

    def come_back() -> None:
        time.sleep(2)
        behind.down = False

    def go_away(session: Session) -> None:
        if session.key.endswith("s02.jsonl"):
            behind.down = True
            behind.cut_all()
            threading.Thread(target=come_back).start()

    source, store = LocalSource(settings.roots), open_store(settings)
    report = run_batch(EchoProcessor(go_away), source, store, settings, Options())
    assert (report.processed, report.errors) == (4, 0)
    assert store.query("FROM echo_rows ORDER BY ALL")[0][1] == expected_rows(tmp_path / "sessions")
    behind.down = True
    behind.cut_all()
    hasty = open_store(replace(settings, lock_timeout=timedelta(seconds=1)))
    with pytest.raises(StoreInterrupted, match="does not answer; see AWS_ENDPOINT_URL"):
        hasty.query("FROM echo_rows")


def objects(server: S3Server, bucket: str) -> dict[str, bytes]:
    client = server.client(bucket)
    there = [found["path"] for page in obstore.list(client) for found in page]
    return {path: bytes(client.get(path).bytes()) for path in there}


def unknown(server: S3Server, bucket: str, settings: Settings) -> list[str]:
    """Rows that no snapshot knows of and none has known of."""
    named = {f"deep/lake/{name}" for name in named_files(settings)}
    with lakes_session(settings) as session:
        rows = session.execute("SELECT path FROM ducklake_files_scheduled_for_deletion").fetchall()
    gone = {str(path).rpartition("/")[2] for (path,) in rows}
    there = [path for path in objects(server, bucket) if path.endswith(".parquet")]
    return [path for path in there if path not in named and path.rpartition("/")[2] not in gone]


def lakes_session(settings: Settings) -> "psycopg.Connection[tuple[object, ...]]":
    assert isinstance(settings.database, Lake)
    return psycopg.connect(settings.database.catalog)


def killed_before_its_commit(s3: S3Server, settings: Settings) -> None:
    """A writer whose files are there, and whose commit is not."""
    assert isinstance(settings.database, Lake)
    place = [settings.database.catalog, str(settings.lake_data), f"{settings.work_dir}-its"]
    program = [sys.executable, SUPPORT / "far_worker.py", *place, "30", "before", "9", "a/1", "z/9"]
    environment = {**os.environ, **s3.env()}
    with subprocess.Popen(program, stdin=-1, stdout=-1, text=True, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow(seconds=10)
def test_upkeep_deletes_what_killed_writers_left_in_a_bucket_and_changes_no_row(
    s3: S3Server, bucket: str, settings: Settings
) -> None:
    store = open_store(settings)
    store.prepare(TALLIES)
    store.commit(TALLIES, batch(1, "a/1"))
    for _ in range(2):
        killed_before_its_commit(s3, settings)
    left = unknown(s3, bucket, settings)
    assert len(left) > 4
    # Its clock has seconds: what is of the same one is younger.
    time.sleep(1.1)
    store.commit(TALLIES, batch(2, "a/1", "b/2"))
    settled(store)
    before = held(store)
    place = store.place
    assert isinstance(place, LakePlace)
    # A day has not passed: somebody may be at it still.
    assert tidy(place, place.catalog, timedelta(days=7)).orphans == 0
    assert unknown(s3, bucket, settings) == left
    done = tidy(place, place.catalog, timedelta(days=7), running=timedelta(0))
    assert done.orphans == len(left)
    assert unknown(s3, bucket, settings) == []
    assert missing(s3, bucket, settings) == []
    assert held(open_store(settings)) == before
    assert before == wanted({"a/1": 2, "b/2": 2}, [("a/1", 1), ("a/1", 2), ("b/2", 2)])


def values_of(folder: Path, contents: dict[str, bytes]) -> str:
    """All values of Parquet files, as text."""
    path, found = folder / "one.parquet", []
    for content in contents.values():
        path.write_bytes(content)
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT t::VARCHAR FROM read_parquet(?) t", [str(path)])
            found += [str(row[0]) for row in rows.fetchall()]
    return "\n".join(found)


@pytest.mark.slow(seconds=10)
def test_no_object_of_a_bucket_says_who_was_forgotten(
    s3: S3Server, bucket: str, settings: Settings, tmp_path: Path
) -> None:
    root, user = tmp_path / "sessions", "zz-zelda"
    settings = replace(settings, roots=(Root(root),))
    for key in ("bob/1.jsonl", f"{user}/2.jsonl", f"{user}/3.jsonl"):
        write_session(root, key, "hello")
    store, echo = open_store(settings), EchoProcessor()
    run_batch(echo, LocalSource(settings.roots), store, settings, Options())
    rows = store.query("FROM echo_rows WHERE session_file LIKE 'bob/%' ORDER BY ALL")[0][1]
    there = {p: found for p, found in objects(s3, bucket).items() if p.endswith(".parquet")}
    its = {path: found for path, found in there.items() if user in values_of(tmp_path, {"": found})}
    assert len(its) == 2
    # What one left who was killed before a commit.
    s3.client(bucket).put(
        "deep/lake/main/echo_rows/ducklake-killed.parquet", next(iter(its.values()))
    )
    time.sleep(1.1)
    shutil.rmtree(root / user)
    deleted = delete(store, [echo], settings, keys_of_user(store, user))
    assert deleted.tidied
    assert deleted.tidied.orphans == 1
    left = objects(s3, bucket)
    assert not [path for path in left if path in its]
    assert not [path for path, found in left.items() if user in path or user.encode() in found]
    rest = {path: found for path, found in left.items() if path.endswith(".parquet")}
    assert "bob/1.jsonl" in values_of(tmp_path, rest)
    assert user not in values_of(tmp_path, rest)
    assert store.query("FROM echo_rows ORDER BY ALL")[0][1] == rows


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secret_access_key": "wrong"}, "may not be used with these keys"),
        ({"access_key_id": "nobody"}, "may not be used with these keys"),
        ({"endpoint": "http://127.0.0.1:9"}, "does not answer; see AWS_ENDPOINT_URL"),
    ],
)
def test_a_bucket_that_cannot_be_written_leaves_no_catalog_behind(
    lakes: Lakes, s3: S3Server, settings: Settings, given: dict[str, str], said: str
) -> None:
    wrong = replace(settings, s3=replace(keys_of(s3), **given), lock_timeout=timedelta(seconds=1))
    with pytest.raises(StoreUnusable, match=said) as found:
        open_store(wrong).prepare(TALLIES)
    assert s3.secret not in str(found.value)
    with lakes.server.connect(database_of(settings)) as session:
        assert session.execute("SELECT to_regclass('ducklake_metadata')").fetchall() == [(None,)]
    # What was mistyped is not insisted on.
    open_store(settings).prepare(TALLIES)
