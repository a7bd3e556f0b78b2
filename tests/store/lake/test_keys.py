"""Files whose names a lake takes for its own are files as any other."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import OLD, EchoProcessor, append, write_session
from lakes import Lakes
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.passes.deletions import keys_of_user
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store import compare
from session_pipeline_dagster.store.database import open_store


@pytest.mark.parametrize("key", ["alice/{SNAPSHOT_ID}.jsonl", "{CATALOG_ID}/a.jsonl"])
def test_a_file_called_as_the_lake_calls_something_is_processed_once(
    tmp_path: Path, lakes: Lakes, key: str
) -> None:
    settings = replace(lakes.settings(tmp_path), roots=(Root(tmp_path / "sessions"),))
    store, source = open_store(settings), LocalSource(settings.roots)
    path = write_session(tmp_path / "sessions", key, "hello")

    def work(options: Options | None = None) -> tuple[int, int]:
        report = run_batch(EchoProcessor(), source, store, settings, options)
        assert report.deleted == 0
        return report.processed, report.skipped

    assert work() == (1, 0)
    assert work() == (0, 0)
    append(path, "again")
    assert work()[0] == 1
    assert work()[0] == 0
    os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    assert work() == (0, 1)
    assert work() == (0, 0)
    assert work(Options(full_refresh=True)) == (1, 0)
    assert store.rows_of([key])["echo_rows"] == 2
    store.forget([EchoProcessor()], [key])
    assert set(store.rows_of([key]).values()) == {0}


NAMED = ("{DATA_PATH}", "{TABLE_ID}", "{SNAPSHOT_ID}")
"""Users who are called as DuckLake calls something."""


@pytest.mark.slow(seconds=5)
def test_a_user_called_as_the_lake_calls_something_is_forgotten(
    tmp_path: Path, lakes: Lakes
) -> None:
    settings = replace(lakes.settings(tmp_path), roots=(Root(tmp_path / "sessions"),))
    store, source = open_store(settings), LocalSource(settings.roots)
    for user in NAMED:
        write_session(tmp_path / "sessions", f"{user}/a.jsonl", "hello")
        write_session(tmp_path / "sessions", f"{user}/broken.jsonl", "hello")

    def hook(session: Session) -> None:
        if "broken" in session.key:
            raise ValueError

    report = run_batch(EchoProcessor(hook), source, store, settings)
    assert (report.processed, report.errors) == (len(NAMED), len(NAMED))
    found = [key for user in NAMED for key in keys_of_user(store, user)]
    assert found == [f"{user}/{name}.jsonl" for user in NAMED for name in ("a", "broken")]
    assert store.release("echo", found[1:2]) == found[1:2]
    store.forget([EchoProcessor()], found)
    assert [key for user in NAMED for key in keys_of_user(store, user)] == []


@pytest.mark.slow(seconds=5)
def test_many_files_are_compared_whatever_their_names_begin_and_end_with(
    tmp_path: Path, lakes: Lakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of the listing is asked for by the names of its ends."""
    monkeypatch.setattr(compare, "MANY", 1)
    monkeypatch.setattr(compare, "PART", 1)
    settings = replace(lakes.settings(tmp_path), roots=(Root(tmp_path / "sessions"),))
    store, source = open_store(settings), LocalSource(settings.roots)
    for user in ("alice", *NAMED, "{|", "zoe"):
        write_session(tmp_path / "sessions", f"{user}/a.jsonl", "hello")
    processed = [run_batch(EchoProcessor(), source, store, settings).processed for _ in range(2)]
    assert processed == [6, 0]
