"""Passes over session files in a bucket: what is due, what is gone, and what a fault costs."""

import gzip
import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from buckets import Given, bucket, faulty, real, s3
from helpers import EchoProcessor, Pipeline, make_pipeline, numbers, session_line
from lines import UsagePipeline
from object_server import HTML, Fault
from places import DATA
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.days import file_days
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Layout, Root
from session_pipeline_dagster.sources.files import SessionSource, mtime_day
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.several import SeveralSources

__all__ = ["bucket", "faulty", "real", "s3"]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def text(*words: str) -> bytes:
    return "".join(map(session_line, words)).encode()


def run(pipeline: Pipeline, source: SessionSource, echo: EchoProcessor) -> BatchReport:
    return run_all(echo, source, pipeline.store, pipeline.settings, Options())


def keys(pipeline: Pipeline) -> list[object]:
    return [
        row[0] for row in pipeline.select("SELECT DISTINCT session_file FROM echo_rows ORDER BY 1")
    ]


def test_only_what_is_another_content_is_processed_again(bucket: Given, pipeline: Pipeline) -> None:
    echo, source = EchoProcessor(), bucket.source()
    bucket.put("alice/same.jsonl", text("one"))
    bucket.put("alice/grows.jsonl", text("one"))
    bucket.put("alice/changes.jsonl", text("aaa"))
    bucket.put("alice/packed.jsonl.gz", gzip.compress(text("one"), mtime=0))
    assert numbers(run(pipeline, source, echo))[:2] == (4, 4)
    # Put again the moment it was read, and looked at once more for it.
    time.sleep(2.1)
    run(pipeline, source, echo)
    assert numbers(run(pipeline, source, echo)) == (0, 0, 0, 0, 0)
    bucket.put("alice/same.jsonl", text("one"))
    bucket.put("alice/grows.jsonl", text("one", "two"))
    bucket.put("alice/changes.jsonl", text("bbb"))
    report = run(pipeline, source, echo)
    assert (report.processed, report.skipped) == (2, 1)
    assert [row[1:] for row in pipeline.rows() if row[0] == "alice/grows.jsonl"] == [(1, 3), (2, 3)]
    bucket.delete("alice/grows.jsonl")
    assert run(pipeline, source, echo).deleted == 1


def test_a_rewrite_of_the_same_size_in_the_same_second_is_found(
    faulty: Given, pipeline: Pipeline
) -> None:
    assert faulty.server
    echo, at = EchoProcessor(), datetime.now(UTC) - timedelta(hours=1)
    for key in ("alice/x.jsonl", "alice/y.jsonl"):
        faulty.server.put(key, text("aaa"), at)
    run(pipeline, faulty.source(), echo)
    assert numbers(run(pipeline, faulty.source(), echo)) == (0, 0, 0, 0, 0)
    faulty.server.put("alice/x.jsonl", text("bbb"), at)
    faulty.server.put("alice/y.jsonl", text("aaa"), at, etag="another")
    report = run(pipeline, faulty.source(), echo)
    assert (report.processed, report.skipped) == (1, 1)
    # An upload that ended late carries an earlier time, and is as new as any other.
    faulty.server.put("alice/x.jsonl", text("ccc"), at - timedelta(days=3))
    assert run(pipeline, faulty.source(), echo).processed == 1


def test_golden_transcripts_give_the_same_rows_from_a_bucket(real: Given, tmp_path: Path) -> None:
    root = DATA / "golden" / "real" / "2.0.77" / "projects"
    real.upload(root, "sess/")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = (UsagePipeline(tmp_path / n, Layout.PROJECTS, root) for n in "ab")
    here.run()
    source = real.source("sess", Layout.PROJECTS)
    report = run_all(UsageProcessor(), source, there.store, there.settings, Options())
    assert report.errors_detail == []
    for table in ("usage_messages", "usage_events", "usage_sessions", "usage_daily"):
        sql = f"SELECT * EXCLUDE (file_mtime) FROM {table} ORDER BY ALL"
        has = "file_mtime" in str(here.select(f"DESCRIBE {table}"))
        sql = sql if has else f"SELECT * FROM {table} ORDER BY ALL"
        assert there.select(sql) == here.select(sql), table
        assert there.select(sql), table


@pytest.mark.parametrize("fault", [Fault(503), Fault(cut=10), HTML], ids=["503", "cut", "html"])
def test_a_fault_burns_no_attempt_and_is_an_error_of_the_pass(
    faulty: Given, pipeline: Pipeline, fault: Fault
) -> None:
    assert faulty.server
    echo = EchoProcessor()
    faulty.put("alice/x.jsonl", text("one"))
    faulty.put("bob/y.jsonl", text("one"))
    faulty.server.fault = lambda asked: fault if asked.key == "alice/x.jsonl" else None
    report = run(pipeline, faulty.source(), echo)
    assert (report.processed, report.errors) == (1, 1)
    failure = pipeline.failures(echo)["alice/x.jsonl"]
    assert (failure.attempts, failure.error_class) == (0, "Retryable")
    assert failure.quarantined_at is None
    faulty.server.fault = lambda _: None
    pipeline.let_back_off_pass()
    assert run(pipeline, faulty.source(), echo).processed == 1


@pytest.mark.parametrize("fault", [Fault(503), HTML, Fault(cut=100)], ids=["503", "html", "cut"])
def test_a_listing_that_fails_at_a_later_page_deletes_nothing(
    faulty: Given, pipeline: Pipeline, fault: Fault
) -> None:
    assert faulty.server
    faulty.server.page = 2
    echo = EchoProcessor()
    for number in range(5):
        faulty.put(f"alice/{number}.jsonl", text("one"))
    run(pipeline, faulty.source(), echo)
    faulty.server.fault = lambda asked: fault if asked.page == 2 else None
    with pytest.raises(SourceUnavailable):
        run(pipeline, faulty.source(), echo)
    assert not any(state.gone for state in pipeline.states(echo).values())


def test_an_empty_listing_is_a_root_that_is_not_mounted(bucket: Given, pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    bucket.put("alice/x.jsonl", text("one"))
    run(pipeline, bucket.source(), echo)
    bucket.delete("alice/x.jsonl")
    report = run(pipeline, bucket.source(), echo)
    assert (report.session_files, report.deleted) == (0, 0)
    assert not any(state.gone for state in pipeline.states(echo).values())


def test_a_root_that_cannot_be_listed_costs_itself(faulty: Given, pipeline: Pipeline) -> None:
    assert faulty.server
    echo = EchoProcessor()
    faulty.put("eu/alice/x.jsonl", text("one"))
    faulty.put("eu/alice/z.jsonl", text("one"))
    (pipeline.root / "bob").mkdir()
    for name in ("y", "z"):
        (pipeline.root / "bob" / f"{name}.jsonl").write_bytes(text("one"))
    parts: dict[str, SessionSource] = {
        "eu": faulty.source("eu", name="eu"),
        "": LocalSource((Root(pipeline.root),)),
    }
    source = SeveralSources(parts)
    found = source.scan()
    assert [file.key for file in found.files] == [
        "bob/y.jsonl",
        "bob/z.jsonl",
        "eu:alice/x.jsonl",
        "eu:alice/z.jsonl",
    ]
    assert run(pipeline, source, echo).processed == 4
    faulty.server.fault = lambda _: Fault(403, b"<Error><Code>AccessDenied</Code></Error>")
    (pipeline.root / "bob" / "y.jsonl").unlink()
    report = run(pipeline, source, echo)
    assert report.deleted == 1
    (line,) = report.missing
    assert "s3://sessions/eu refuses the keys" in line
    assert "nothing of it counts as deleted" in line
    gone = [key for key, state in pipeline.states(echo).items() if state.gone]
    assert gone == ["bob/y.jsonl"]
    now = datetime.now(UTC)
    checkup = examine([echo], source, pipeline.store, pipeline.settings, now)
    assert {f.status for f in checkup.findings["echo"]} <= {Status.UNKNOWN, Status.WARNING}
    assert "s3://sessions/eu" in checkup.findings["echo"][0].detail
    pipeline.root.rename(pipeline.root.with_name("away"))
    with pytest.raises(SourceUnavailable, match=r"s3://sessions/eu .*; session root .* not exist"):
        run(pipeline, source, echo)
    pipeline.root.with_name("away").rename(pipeline.root)
    faulty.server.fault = lambda _: None
    assert run(pipeline, source, echo).missing == []


def test_a_key_of_a_root_that_is_missing_is_no_former_key_of_another(
    faulty: Given, pipeline: Pipeline
) -> None:
    """`a:b/x.jsonl` is what a file of root `a` is called, and was what one of folder `a:b` was."""
    assert faulty.server
    echo = EchoProcessor()
    faulty.put("b/x.jsonl", text("one"))
    (pipeline.root / "a:b").mkdir()
    (pipeline.root / "a:b" / "x.jsonl").write_bytes(text("one"))
    parts = {"a": faulty.source(name="a"), "": LocalSource((Root(pipeline.root),))}
    source = SeveralSources(parts)
    assert run(pipeline, source, echo).processed == 2
    faulty.server.fault = lambda _: Fault(403)
    report = run(pipeline, source, echo)
    assert (report.purged, report.deleted) == (0, 0)
    assert keys(pipeline) == ["a%3Ab/x.jsonl", "a:b/x.jsonl"]


def test_a_day_that_cannot_be_read_is_no_error_of_a_look(faulty: Given) -> None:
    assert faulty.server
    for number in range(20):
        faulty.put(f"alice/{number:02}.jsonl", session_line("one", "2025-03-01").encode())
    source = faulty.source()
    files = source.scan().files
    assert file_days(files, {}, source) == [date(2025, 3, 1)] * 20
    faulty.server.fault = lambda asked: Fault(503) if asked.key.endswith("07.jsonl") else None
    found = file_days(files, {}, source)
    assert found[7] == mtime_day(files[7].signature.mtime_ns)
    assert found.count(date(2025, 3, 1)) == 19


def dies(session: Session) -> None:
    """Ends the process that works on this file, as C code does that goes wrong."""
    if session.key == "alice/poisoned.jsonl":
        os._exit(9)


class Fatal(EchoProcessor):
    """Can be sent to a worker, unlike what keeps what it has seen."""

    def __init__(self) -> None:
        super().__init__(dies)


@pytest.mark.slow(seconds=20)
def test_a_pass_over_a_bucket_goes_on_after_a_worker_was_killed(
    real: Given, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked worker would wait for the parent's threads of obstore for ever."""
    monkeypatch.setattr(pool, "CHUNK_BYTES", 200)
    for number in range(12):
        real.put(f"alice/{number:02}.jsonl", text("one"))
    real.put("alice/poisoned.jsonl", text("one"))
    given = pipeline.having(workers=2)
    report = run_all(Fatal(), real.source(), given.store, given.settings, Options())
    assert (report.processed, report.errors) == (12, 1)
    assert given.failures(Fatal())["alice/poisoned.jsonl"].error_class == "ProcessDied"


def test_workers_of_a_remote_source_are_spawned_and_of_a_folder_forked_where_that_is_safe(
    faulty: Given, tmp_path: Path
) -> None:
    with pool.hire(1, EchoProcessor(), faulty.source()) as workers:
        assert workers._mp_context.get_start_method() == "spawn"
    assert not LocalSource((Root(tmp_path),)).remote
    assert SeveralSources({"": LocalSource(()), "b": faulty.source()}).remote
