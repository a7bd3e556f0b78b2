"""Shards: every file is in one of them, and none touches another one's files."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, expected_rows, make_pipeline, numbers, write_session
from session_pipeline_dagster.errors import Permanent, SettingsError
from session_pipeline_dagster.passes.shards import Shard, every, parse, scan_in
from session_pipeline_dagster.settings import Layout, OnDelete, Root
from session_pipeline_dagster.sources.files import LeftOut, Scan
from session_pipeline_dagster.sources.local import LocalSource

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank")
HALVES = (Shard(1, 2), Shard(2, 2))


def of(shard: Shard) -> list[str]:
    return [name for name in PEOPLE if shard.has(f"{name}/x.jsonl", "")]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    for name in PEOPLE:
        write_session(pipeline.root, f"{name}/a.jsonl", "one")
        write_session(pipeline.root, f"{name}/project/b.jsonl", "two")
    assert all(of(half) for half in HALVES), "the names of this test do not cover both halves"
    return pipeline


def gone(pipeline: Pipeline) -> set[str]:
    return {state.session_file for state in pipeline.states(EchoProcessor()).values() if state.gone}


@pytest.mark.parametrize("shards", [2, 3, 64])
def test_every_user_is_in_one_shard_with_all_files_whatever_the_root(shards: int) -> None:
    for name in (*PEOPLE, "a:b", "", "é", "x" * 300):
        first = name.replace(":", "%3A")
        homes = {
            tuple(shard for shard in every(shards) if shard and shard.has(key, root))
            for key, root in ((f"{first}/x", ""), (f"{first}/p/y", ""), (f"eu:{first}/z", "eu"))
        }
        assert len(homes) == 1, name
        assert len(*homes) == 1, name


def test_a_key_of_before_colons_were_escaped_is_in_the_same_shard() -> None:
    for shard in every(64):
        assert shard
        assert shard.has("a:b/x", "") is shard.has("a%3Ab/x", "")


def test_one_shard_is_no_shard() -> None:
    assert every(1) == [None]
    assert every(2) == [*HALVES]


@pytest.mark.parametrize("text", ["1/4", " 2/64 ", "64/64"])
def test_a_shard_is_read_as_it_is_written(text: str) -> None:
    assert str(parse(text)) == text.strip()


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/65", "a/b", "1/4/2", "-1/4", "٣/4"])
def test_what_is_no_shard_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingsError, match="write I/N, such as 1/4"):
        parse(text)


def test_the_shards_together_are_the_whole(pipeline: Pipeline) -> None:
    processor = EchoProcessor()
    reports = [pipeline.run(processor, shard=half) for half in HALVES]
    assert [report.shard for report in reports] == ["1/2", "2/2"]
    assert [report.session_files for report in reports] == [2 * len(of(half)) for half in HALVES]
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert numbers(pipeline.run(processor)) == (0, 0, 0, 0, 0), (
        "a run without a shard finds it done"
    )


def test_a_run_without_a_shard_beside_one_with_is_exact(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor(), shard=HALVES[0])
    assert pipeline.run(EchoProcessor()).processed == 2 * len(of(HALVES[1]))
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_files_of_another_shard_are_not_gone_and_its_own_are(pipeline: Pipeline) -> None:
    for half in HALVES:
        pipeline.run(EchoProcessor(), shard=half)
    assert not gone(pipeline)
    mine, theirs = of(HALVES[0])[0], of(HALVES[1])[0]
    for name in (mine, theirs):
        (pipeline.root / name / "a.jsonl").unlink()
    assert pipeline.run(EchoProcessor(), shard=HALVES[0]).deleted == 1
    assert gone(pipeline) == {f"{mine}/a.jsonl"}
    assert pipeline.run(EchoProcessor(), shard=HALVES[1]).deleted == 1
    assert gone(pipeline) == {f"{mine}/a.jsonl", f"{theirs}/a.jsonl"}


def test_a_shard_whose_last_user_is_deleted_sees_that_the_root_is_there(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    for name in of(HALVES[0]):
        shutil.rmtree(pipeline.root / name)
    report = pipeline.run(EchoProcessor(), shard=HALVES[0])
    assert (report.session_files, report.deleted) == (0, 2 * len(of(HALVES[0])))


def test_a_full_refresh_of_a_shard_does_no_other_file_again(pipeline: Pipeline) -> None:
    processor = EchoProcessor()
    pipeline.run(processor)
    processor.calls.clear()
    pipeline.run(processor, shard=HALVES[0], full_refresh=True)
    assert {key.split("/")[0] for key in processor.calls} == {*of(HALVES[0])}


def test_failures_of_another_shard_are_not_counted(pipeline: Pipeline) -> None:
    theirs = of(HALVES[1])[0]

    def refuse(session: object) -> None:
        if getattr(session, "user", "") == theirs:
            raise Permanent("no")

    pipeline.run(EchoProcessor(refuse))
    assert pipeline.run(EchoProcessor(refuse), shard=HALVES[0]).quarantined == 0
    assert pipeline.run(EchoProcessor(refuse), shard=HALVES[1]).quarantined == 2


def test_a_row_that_does_not_know_its_root_is_told_to_every_shard(pipeline: Pipeline) -> None:
    """As imported by an older version: such a file is not processed again because of shards."""
    processor = EchoProcessor()
    pipeline.run(processor)
    with pipeline.store.transaction() as connection:
        connection.execute("UPDATE session_processor_state SET root = NULL")
    assert [pipeline.run(processor, shard=half).processed for half in HALVES] == [0, 0]


def test_in_the_projects_layout_a_project_is_what_stays_together(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    for name in PEOPLE:
        write_session(pipeline.root, f"{name}/a.jsonl", "one")
    source = LocalSource((Root(pipeline.root),), Layout.PROJECTS, "me")
    parts = [{file.key for file in scan_in(source.scan(), half).files} for half in HALVES]
    assert parts == [{f"{name}/a.jsonl" for name in of(half)} for half in HALVES]


def test_what_is_left_out_is_one_shards() -> None:
    keys = ["x.jsonl", "alice/link.jsonl", "eu:bob/.old/", "eu:", "eu:y.jsonl"]
    scan = Scan([], [LeftOut(key, "no") for key in keys])
    found = [left.key for half in HALVES for left in scan_in(scan, half).left_out]
    assert sorted(found) == sorted(keys)
    for shard in every(64):
        assert shard
        below = [left.key for left in scan_in(scan, shard).left_out]
        assert ("eu:bob/.old/" in below) is shard.has("bob/x", ""), "below a named root too"


def test_a_purge_takes_the_own_files_alone(pipeline: Pipeline) -> None:
    purging = pipeline.having(on_delete=OnDelete.PURGE, purge_after=timedelta(0))
    purging.run(EchoProcessor())
    for name in (of(HALVES[0])[0], of(HALVES[1])[0]):
        (pipeline.root / name / "a.jsonl").unlink()
    for _ in range(2):
        purging.run(EchoProcessor(), shard=HALVES[0])
    left = {
        key.split("/")[0] for key in purging.states(EchoProcessor()) if key.endswith("/a.jsonl")
    }
    assert left == {*PEOPLE} - {of(HALVES[0])[0]}
