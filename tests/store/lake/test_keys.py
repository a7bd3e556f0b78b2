"""Files whose names a lake takes for its own are files as any other."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import OLD, EchoProcessor, append, write_session
from lakes import Lakes
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.local import LocalSource
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
