"""Sessions that go, with the real `verification` processor: nothing of a person is left behind."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conversations import pipeline_asking, said, sent_turns, write
from fake_llm import FakeLLM, Step, answer, detection
from helpers import Pipeline
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Extractor, ModelSettings, OnDelete

START = "FYI our convention is that the fiscal year starts on the first of February"
WEEKLY = "FYI our convention is that the churn rate is reported weekly to the finance team"
MONTHLY = "FYI our convention is that the churn rate is reported monthly to the finance team"
OWN = "FYI our convention is that refunds are booked on the day of the original invoice"


def model(request: dict[str, Any]) -> Step:
    """Notes all a person says, and takes weekly and monthly for a contradiction."""
    asked: Any = sent_turns(request)
    if isinstance(asked, dict):
        found = [
            {"candidate_id": c["id"], "explanation": "weekly or monthly", "severity": "hard"}
            | {"action": "kept_a", "justification": "said later", "merged_content": None}
            for c in asked["candidates"]
            if "monthly" in json.dumps(asked["item"]) + c["content"]
            and "weekly" in json.dumps(asked["item"]) + c["content"]
        ]
        return Step(json.dumps({"contradictions": found}))
    turns = [t for t in asked if t["role"] == "human"]
    quotes = (detection(t["index"], t["text"], content=t["text"], title="t") for t in turns)
    return answer(*quotes)


@pytest.fixture(params=[Extractor.RULES, Extractor.OPENAI], ids=lambda e: e.value)
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """Alice and bob said the same, contradict each other, and alice said one thing alone."""
    with FakeLLM(Extractor.OPENAI, model) as llm:
        settings = llm.settings() if request.param is Extractor.OPENAI else ModelSettings()
        made = pipeline_asking(tmp_path, settings)
        write(made, "alice/p/1.jsonl", [said("user", t, n) for n, t in enumerate((START, OWN))])
        write(made, "alice/p/2.jsonl", [said("user", WEEKLY, 10)])
        write(
            made, "bob/p/1.jsonl", [said("user", t, n) for n, t in enumerate((START, MONTHLY), 20)]
        )
        run(made)
        yield made


def run(pipeline: Pipeline) -> BatchReport:
    processor = VerificationProcessor()
    return run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())


def environment(pipeline: Pipeline) -> dict[str, str]:
    model = pipeline.settings.model
    found = {"SESSION_PIPELINE_EXTRACTOR": model.extractor.value, "SESSION_USER": "carol"}
    found |= {"OPENAI_BASE_URL": model.openai_base_url or "", "OPENAI_API_KEY": "k"}
    return found


def program(pipeline: Pipeline, *arguments: str) -> str:
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    result = CliRunner().invoke(main, [*arguments, *where], env=environment(pipeline))
    assert result.exit_code == 0, result.output
    return result.output


def approve_all(pipeline: Pipeline) -> None:
    ids = [row[0] for row in pipeline.select("SELECT id FROM knowledge_items")]
    program(pipeline, "knowledge", "approve", *map(str, ids))


def purge(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.root / "alice")
    settings = replace(pipeline.settings, on_delete=OnDelete.PURGE, purge_after=timedelta(0))
    assert run(Pipeline(pipeline.root, settings)).deleted == 2
    assert run(Pipeline(pipeline.root, settings)).purged == 2


def forget(pipeline: Pipeline) -> None:
    shutil.rmtree(pipeline.root / "alice")
    program(pipeline, "forget", "--user", "alice", "--yes")


def holding(pipeline: Pipeline, *words: str) -> list[str]:
    """The tables with a row that holds one of the words."""
    names = pipeline.select("SELECT table_name FROM duckdb_tables() ORDER BY 1")
    return [
        f"{name}: {row}"
        for (name,) in names
        for row in pipeline.select(f"FROM {name}")
        if any(word in str(row) for word in words)
    ]


def test_forget_that_cannot_be_finished_deletes_nothing(pipeline: Pipeline) -> None:
    """What was derived from the rows could not be brought up to date: a key is missing."""
    before = holding(pipeline, "")
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    keyless = {"SESSION_PIPELINE_EXTRACTOR": "openai", "OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}
    result = CliRunner().invoke(main, ["forget", "--user", "alice", "--yes", *where], env=keyless)
    assert result.exit_code == 2
    assert "set OPENAI_API_KEY" in result.output
    assert holding(pipeline, "") == before


@pytest.mark.slow
@pytest.mark.parametrize("go", [purge, forget])
@pytest.mark.parametrize("reviewed", [False, True], ids=["pending", "approved"])
def test_what_a_person_taught_goes_with_their_sessions(
    pipeline: Pipeline, go: Callable[[Pipeline], None], *, reviewed: bool
) -> None:
    asked = pipeline.settings.model.extractor is not Extractor.RULES
    tables = {line.split(":")[0] for line in holding(pipeline, "alice")}
    derived = {"knowledge_items", "verification_evidence"}
    assert tables >= {"verifications", "verification_readings", *derived}
    assert ("llm_calls" in tables) == asked
    assert len(pipeline.rows("knowledge_items")) == 4
    assert len(pipeline.rows("knowledge_contradictions")) == 1
    if reviewed:
        approve_all(pipeline)
    go(pipeline)
    assert holding(pipeline, "alice", "weekly", "refunds") == []
    left = pipeline.select("SELECT content, source_user, status FROM knowledge_items ORDER BY 1")
    assert [(user, status) for _, user, status in left] == [
        ("bob", "approved" if reviewed else "pending")
    ] * 2
    assert "fiscal year" in str(left)
    assert "monthly" in str(left)
    assert [e[3] for e in pipeline.rows("verification_evidence")] == ["bob", "bob"]
    assert pipeline.rows("knowledge_contradictions") == []
    assert pipeline.rows("knowledge_relations") == []
    assert len(pipeline.rows("knowledge_checks")) == 2
    assert pipeline.store.known(VerificationProcessor()).stale_rollups == []
    before = [row for row in holding(pipeline, "") if not row.startswith("session_")]
    run(pipeline)
    assert [row for row in holding(pipeline, "") if not row.startswith("session_")] == before
