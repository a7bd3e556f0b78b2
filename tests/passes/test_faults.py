"""Faults that have no other place: each was seen to happen in a system of this kind."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helpers import EchoProcessor, expected_rows, make_pipeline, numbers, write_session
from lines import UsagePipeline, assistant, usage
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.local import LocalSource


def test_users_whose_names_differ_in_case_only_are_two(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    for user in ("Bob", "bob", "BOB"):
        write_session(pipeline.root, f"{user}/s.jsonl", user * len(user))
    pipeline.run(EchoProcessor())
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert {file.user for file in pipeline.source.scan().files} == {"Bob", "bob", "BOB"}


def test_one_poison_file_does_not_stop_the_rollups(tmp_path: Path) -> None:
    class Poisoned(UsageProcessor):
        def process(self, session: Session) -> ProcessorResult:
            if session.user == "mallory":
                raise ValueError
            return super().process(session)

    made = UsagePipeline(tmp_path)
    made.write("alice/p/s.jsonl", assistant("msg_1", usage(7, 1)))
    made.write("mallory/p/s.jsonl", assistant("msg_2", usage(9, 1)))
    source = LocalSource((Root(made.root),))
    report = run_all(Poisoned(), source, made.store, made.settings, Options())
    assert numbers(report) == (2, 1, 0, 0, 1)
    assert made.select("SELECT username, input_tokens FROM usage_daily") == [("alice", 7)]


def test_a_session_that_arrives_weeks_late_enters_its_day(tmp_path: Path) -> None:
    made = UsagePipeline(tmp_path)
    made.write("alice/p/new.jsonl", assistant("msg_1", usage(7, 1), at="2026-03-10T12:00:00Z"))
    made.run()
    made.write("alice/p/old.jsonl", assistant("msg_2", usage(9, 1), at="2026-01-02T12:00:00Z"))
    long_ago = (datetime.now(UTC) - timedelta(days=200)).timestamp()
    os.utime(made.root / "alice/p/old.jsonl", (long_ago, long_ago))
    made.run()
    daily = "SELECT day::VARCHAR, input_tokens FROM usage_daily ORDER BY day"
    assert made.select(daily) == [("2026-01-02", 9), ("2026-03-10", 7)]


def test_every_line_of_a_long_session_counts_not_only_its_end(tmp_path: Path) -> None:
    made = UsagePipeline(tmp_path)
    lines = [assistant(f"msg_{number}", usage(1, 1)) for number in range(1500)]
    made.write("alice/p/s.jsonl", *lines)
    made.run()
    assert made.tokens() == (1500, 1500, 0, 0)
