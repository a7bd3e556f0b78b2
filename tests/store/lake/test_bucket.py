"""A lake whose Parquet is in a bucket, on a real S3 server: as exact as in a folder."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import pytest

from helpers import EchoProcessor, expected_rows, write_many
from lakes import Lakes, database_of, named_files, over
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import StoreError, StoreInterrupted, StoreUnusable
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.setting_places import S3Settings
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.lake import engine
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
