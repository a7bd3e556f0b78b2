"""A store in another place: the same rows, and a pass over it finds nothing to do."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import EXAMPLES, EchoProcessor, Pipeline, numbers, write_session
from lakes import Lakes
from places import ROOT
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import StoreUnusable
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.store.copying import copy
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import PAST
from wire import wire_to


def places(folder: Path, lakes: Lakes, root: Path = EXAMPLES) -> tuple[Pipeline, Pipeline]:
    """A file and a lake over the same sessions, both empty."""
    settings = Settings(roots=(Root(root),), database=folder / "x.duckdb", workers=1)
    return Pipeline(root, settings), Pipeline(root, lakes.settings(folder / "lake", settings))


def processed(pipeline: Pipeline, processor: Processor) -> tuple[int, ...]:
    report = run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())
    return (report.processed, report.errors)


def looked(pipeline: Pipeline) -> Store:
    return open_store(pipeline.settings, looking=True)


def content(store: Store) -> dict[str, object]:
    with store.connect() as connection:
        names = connection.execute(
            """SELECT table_name FROM duckdb_tables() WHERE table_name <> 'session_pipeline_fence'
            UNION SELECT view_name FROM duckdb_views() WHERE NOT internal"""
        ).fetchall()
        # Of knowledge that ages with the hour, what it is.
        what = {"knowledge_current": "id, status, title"}
        sql = 'SELECT {} FROM "{}" ORDER BY ALL'
        return {
            name: connection.execute(sql.format(what.get(name, "*"), name)).fetchall()
            for (name,) in names
        }


@pytest.mark.slow(seconds=60)
def test_a_store_goes_into_a_lake_and_back_and_a_pass_finds_nothing_to_do(
    tmp_path: Path, lakes: Lakes
) -> None:
    file, lake = places(tmp_path, lakes)
    processors = [UsageProcessor(), VerificationProcessor()]
    for processor in processors:
        assert processed(file, processor)[0] > 3
    before = content(looked(file))
    assert sum(len(rows) > 0 for rows in before.values()) > 20
    copied = copy(looked(file), lake.store)
    assert copied.rows["usage_messages"] == len(before["usage_messages"])
    assert {"usage_messages_unique", "knowledge_current"} <= {*copied.views}
    assert content(looked(lake)) == before
    for processor in processors:
        assert processed(lake, processor) == (0, 0)
    assert lake.store.refresh(*UsageProcessor().rollups) == []
    assert content(looked(lake)) == before
    back = file.having(database=tmp_path / "back.duckdb")
    copy(looked(lake), back.store)
    assert content(looked(back)) == before
    for processor in processors:
        assert processed(back, processor) == (0, 0)


def echoed(folder: Path, lakes: Lakes) -> tuple[Pipeline, Pipeline]:
    """A file with a few rows, and an empty lake."""
    for name in "abc":
        write_session(folder / "sessions", f"alice/{name}.jsonl", "hello", "again")
    file, lake = places(folder, lakes, folder / "sessions")
    file.run(EchoProcessor())
    return file, lake


@pytest.mark.slow(seconds=5)
def test_names_that_a_lake_takes_for_its_own_go_into_it_and_back(
    tmp_path: Path, lakes: Lakes
) -> None:
    """What is in a file was never written as a lake writes it; a pass must know it there."""
    for name in ("{DATA_PATH}", "{SNAPSHOT_ID}", "{TABLE_ID}"):
        write_session(tmp_path / "sessions", f"{name}/{name}.jsonl", name, "again")
    file, lake = places(tmp_path, lakes, tmp_path / "sessions")
    back = file.having(database=tmp_path / "back.duckdb")
    processor = UsageProcessor()
    assert processed(file, processor) == (3, 0)
    before = content(looked(file))
    copy(looked(file), lake.store)
    assert processed(lake, processor) == (0, 0)
    copy(looked(lake), back.store)
    assert content(looked(back)) == before
    assert processed(back, processor) == (0, 0)


def test_a_target_that_holds_rows_is_left_alone(tmp_path: Path, lakes: Lakes) -> None:
    file, lake = echoed(tmp_path, lakes)
    copy(looked(file), lake.store)
    write_session(file.root, "alice/d.jsonl", "more")
    file.run(EchoProcessor())
    before = content(looked(lake))
    with pytest.raises(StoreUnusable, match="holds rows already"):
        copy(looked(file), lake.store)
    assert content(looked(lake)) == before


def test_what_is_not_there_is_not_copied(tmp_path: Path, lakes: Lakes) -> None:
    file, lake = places(tmp_path, lakes)
    with pytest.raises(StoreUnusable, match="there is no database"):
        copy(looked(file), lake.store)
    with pytest.raises(StoreUnusable, match="there is no database"):
        copy(looked(lake), file.store)
    assert not (tmp_path / "x.duckdb").exists()
    assert lake.store.place.missing


def test_a_copy_whose_answer_is_lost_is_there_once(tmp_path: Path, lakes: Lakes) -> None:
    file, lake = echoed(tmp_path, lakes)
    with wire_to(lakes.server.port) as wire:
        database = str(lake.settings.database).removeprefix("ducklake:postgres:")
        through = database.replace(f"port={lakes.server.port}", f"port={wire.port}")
        other = lake.having(database=replace(lake.settings.database, catalog=through)).store
        other.row_counts([])
        wire.cut_after = b"ducklake_data_file VALUES"
        copied = copy(looked(file), other)
        assert wire.cuts == 1
    assert copied.rows["echo_rows"] == 6
    assert content(looked(lake)) == content(looked(file))


_COPY = """import sys
from pathlib import Path
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.copying import copy
from session_pipeline_dagster.store.database import open_store
import session_pipeline_dagster.store.copying as copying
file, catalog, data, work = sys.argv[1:]
made = copying.make_views
def slowly(*given):
    made(*given)
    print("copied, not committed", flush=True)
    sys.stdin.read()
copying.make_views = slowly
copy(open_store(Settings(database=Path(file)), looking=True),
     open_store(Settings(database=Lake(catalog), lake_data=data, work_dir=Path(work))))
"""


def test_a_copy_that_is_killed_leaves_an_empty_store_and_can_be_made_again(
    tmp_path: Path, lakes: Lakes
) -> None:
    file, lake = echoed(tmp_path, lakes)
    catalog = str(lake.settings.database).removeprefix("ducklake:postgres:")
    given = [file.settings.database, catalog, lake.settings.lake_data, lake.settings.work_dir]
    copying = subprocess.Popen(
        [sys.executable, "-c", _COPY, *map(str, given)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert copying.stdout
    assert copying.stdout.readline() == "copied, not committed\n"
    copying.send_signal(signal.SIGKILL)
    copying.communicate()
    assert not any(content(looked(lake)).get("echo_rows", []))
    assert copy(looked(file), lake.store).rows["echo_rows"] == 6
    assert content(looked(lake)) == content(looked(file))
    # Its files are nobody's, and go with those that are old enough.
    left = sorted(Path(str(lake.settings.lake_data)).rglob("*.parquet"))
    for path in left:
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    write_session(lake.root, "alice/e.jsonl", "later")
    assert numbers(lake.run(EchoProcessor()))[1] == 1
    tidied = lake.store.tidy(PAST)
    assert tidied
    assert tidied.orphans > 2
