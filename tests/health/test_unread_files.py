"""`unread_files`: files of agents that have no reader are counted by agent, wherever one looks."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from helpers import EchoProcessor, Pipeline, make_pipeline, write_session
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.health.unread import by_agent
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.files import LeftOut
from session_pipeline_dagster.transcripts.claude_code import ClaudeCodeReader
from session_pipeline_dagster.transcripts.looks import worded
from session_pipeline_dagster.transcripts.reader import Readers

PI = '{"type":"session","version":3,"id":"x","timestamp":"2026-01-01T00:00:00Z","cwd":"/app"}\n'
DROID = '{"type":"session_start","id":"x","title":"secret words","cwd":"/app"}\n'
SAID = "4 files of OpenCode, 1 of Droid, 1 of Pi and 1 of no known agent are not read"


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """One session that is read, and files of others."""
    made = make_pipeline(tmp_path)
    write_session(made.root, "alice/mine.jsonl", "hello")
    for key, text in (("pi", PI), ("droid", DROID), ("odd", '{"secret":"words"}\n')):
        write_session(made.root, f"bob/{key}.jsonl").write_text(text)
    folder = made.root / "bob" / "opencode" / "message" / "ses_1a"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"msg_{number}a.json").write_text("{}")
    (folder.parent.parent / "opencode.db").write_bytes(b"")
    (made.root / "bob" / "settings.json").write_text("{}")
    return made


def looked(pipeline: Pipeline, *processors: EchoProcessor) -> Finding:
    store, now = pipeline.store, datetime.now(UTC)
    return examine(processors, pipeline.source, store, pipeline.settings, now).unread


def test_they_are_counted_by_agent_once_for_all_processors(pipeline: Pipeline) -> None:
    one, other = EchoProcessor(), EchoProcessor(name="other")
    before = looked(pipeline, one, other)
    assert before.detail.startswith("4 files of OpenCode are not read"), "by their names alone"
    pipeline.run(one)
    pipeline.run(other)
    found = looked(pipeline, one, other)
    assert (found.status, found.numbers) == (Status.INFO, {"unread_files": 7})
    assert found.detail.startswith(f"{SAID}: ")
    # Who reads something else was not asked yet.
    readers = Readers((ClaudeCodeReader(),))
    source = replace(pipeline.source, readers=readers)
    later = examine([one], source, pipeline.store, pipeline.settings, datetime.now(UTC)).unread
    assert later.numbers == {"unread_files": 4}
    for path in (pipeline.root / "bob").rglob("*"):
        if path.is_file():
            path.unlink()
    gone = looked(pipeline, one)
    assert (gone.status, gone.numbers) == (Status.OK, {"unread_files": 0})


def test_what_cannot_be_looked_at_is_not_said_to_be_read(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    database = pipeline.settings.database
    assert isinstance(database, Path)
    database.write_bytes(b"no database" * 999)
    found = looked(pipeline, EchoProcessor())
    assert (found.status, found.detail[:12]) == (Status.UNKNOWN, "cannot look:")
    pipeline.root.rename(pipeline.root.with_name("elsewhere"))
    assert looked(pipeline, EchoProcessor()).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ([], ""),
        (["folder", "hidden folder"], ""),
        (["a Pi session; no reader"], "1 file of Pi is not read"),
        (["a Pi session; no reader"] * 1200, "1,200 files of Pi are not read"),
        (
            ["JSON lines of no known agent; no reader"] * 3 + ["a Gemini CLI document; no reader"],
            "1 file of Gemini CLI and 3 of no known agent are not read",
        ),
    ],
)
def test_they_are_said_in_words(left_out: list[str], said: str) -> None:
    assert worded(by_agent([LeftOut("x", why) for why in left_out])) == said


@pytest.mark.slow
def test_status_and_health_name_them(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_DATA_DIR", str(pipeline.root))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(pipeline.root.parent / "cli.duckdb"))

    def said(*words: str) -> str:
        return CliRunner().invoke(main, words).stdout

    said("run")
    status = said("status").splitlines()
    assert SAID in status
    assert (
        "left out bob/opencode/message/ses_1a/: 3 times an OpenCode document; no reader" in status
    )
    counts = {"OpenCode": 4, "Droid": 1, "Pi": 1, "no known agent": 1}
    assert json.loads(said("status", "--json"))["unread"] == counts
    assert f"info     unread_files: {SAID}" in said("health")
    document = json.loads(said("health", "--json"))
    found = document["services"]["session_pipeline"]["readers"]["unread_files"]
    assert (document["status"], found["status"], found["unread_files"]) == ("ok", "info", 7)


@pytest.mark.slow
def test_the_check_passes_and_says_so_by_run_and_by_sensor(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    pipeline.run(echo)
    settings = replace(pipeline.settings, roots=(Root(pipeline.root),))
    key = dg.AssetCheckKey(dg.AssetKey("session_files"), "unread_files")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        told = health_sensor(Registry((echo,)), settings)(context)
        job = dg.define_asset_job("look", dg.AssetSelection.checks(key))
        defs = dg.Definitions.merge(build_definitions([echo], settings), dg.Definitions(jobs=[job]))
        done = defs.resolve_job_def("look").execute_in_process(instance=instance)
    (by_sensor,) = (event for event in told.asset_events if event.asset_check_key == key)
    (by_run,) = done.get_asset_check_evaluations()
    for one in (by_sensor, by_run):
        assert one.passed
        assert one.description.startswith(f"info: {SAID}")
        assert one.metadata["unread_files"].value == 7
