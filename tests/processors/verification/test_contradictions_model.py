"""The contradiction check through the real clients, against a server on loopback."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from conversations import pipeline_asking, said, write
from fake_llm import FORMATS, FakeLLM, Step, answer, detection
from helpers import Pipeline
from knowledge_lines import MONTHLY, WEEKLY, id_of
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor

DOWN = Step(status=529, error="overloaded")
SECRET = "ghp_" + "a1B2" * 9


class Provider:
    """Finds every fact that a person says; judges as `verdicts` say, or is down."""

    def __init__(self) -> None:
        self.verdicts: list[dict[str, object]] | None = []
        self.judged: list[dict[str, Any]] = []
        self.detected = 0

    def __call__(self, request: dict[str, Any]) -> Step:
        text = next(m["content"] for m in request["messages"] if m["role"] == "user")
        asked = json.loads(text)
        if isinstance(asked, dict):
            self.judged.append(asked)
            if self.verdicts is None:
                return DOWN
            return Step(json.dumps({"contradictions": self.verdicts}))
        self.detected += 1
        turns = [t for t in asked if t["role"] == "human" and not t["context"]]
        return answer(
            *(
                detection(t["index"], t["text"], content=t["text"], title=t["text"][:60])
                for t in turns
            )
        )


@pytest.fixture(params=FORMATS, ids=lambda wire: wire.value)
def llm(request: pytest.FixtureRequest) -> Iterator[FakeLLM]:
    with FakeLLM(request.param, Provider()) as fake:
        yield fake


@pytest.fixture
def pipeline(tmp_path: Path, llm: FakeLLM) -> Pipeline:
    made = pipeline_asking(tmp_path, llm.settings())
    write(made, "ann/p/1.jsonl", [said("user", WEEKLY, 0)])
    run(made)
    write(made, "bob/p/1.jsonl", [said("user", MONTHLY, 60)])
    return made


def run(pipeline: Pipeline) -> BatchReport:
    options = Options(run_id="run-1")
    processor = VerificationProcessor()
    return run_all(processor, pipeline.source, pipeline.store, pipeline.settings, options)


def provider(llm: FakeLLM) -> Provider:
    assert isinstance(llm.script, Provider)
    return llm.script


def yes(candidate: str) -> list[dict[str, object]]:
    """All fields, as a provider that is strict about the shape answers."""
    verdict = {"candidate_id": candidate, "explanation": "weekly or monthly", "severity": "hard"}
    return [verdict | {"action": "kept_a", "justification": "said later", "merged_content": None}]


def test_one_question_for_the_new_item_and_its_answer_is_stored(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    provider(llm).verdicts = yes(id_of(WEEKLY))
    run(pipeline)
    run(pipeline)
    (asked,) = provider(llm).judged
    assert asked["item"]["content"] == MONTHLY
    assert [c["content"] for c in asked["candidates"]] == [WEEKLY]
    found = "SELECT item_a_id, item_b_id, severity, found_by FROM knowledge_contradictions"
    assert pipeline.select(found) == [(id_of(MONTHLY), id_of(WEEKLY), "hard", "fake-model")]
    ledger = "SELECT purpose, outcome, run_id, count(*) FROM llm_calls GROUP BY ALL ORDER BY 1"
    assert pipeline.select(ledger) == [
        ("detect", "ok", "run-1", 2),
        ("judge", "ok", "run-1", 1),
    ]


@pytest.mark.slow
def test_a_provider_that_is_down_costs_nothing_but_time(pipeline: Pipeline, llm: FakeLLM) -> None:
    provider(llm).verdicts = None
    report = run(pipeline.having(model=llm.settings(deadline=timedelta(seconds=4))))
    assert (report.processed, report.errors, report.counts["checks_waiting"]) == (1, 0, 1)
    assert pipeline.select("SELECT count(*) FROM knowledge_items") == [(2,)]
    detected = provider(llm).detected
    provider(llm).verdicts = yes(id_of(WEEKLY))
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE knowledge_checks SET next_attempt_at = checked_at")
    run(pipeline)
    assert provider(llm).detected == detected, "no session is read again"
    assert pipeline.select("SELECT count(*) FROM knowledge_contradictions") == [(1,)]
    assert pipeline.select("SELECT DISTINCT outcome FROM knowledge_checks") == [("ok",)]


def test_what_a_reviewer_wrote_is_redacted_before_it_leaves(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    with pipeline.store.connect() as connection:
        connection.execute(
            "UPDATE knowledge_items SET status = 'approved', content = ?", [f"Use {SECRET}"]
        )
    run(pipeline)
    assert len(provider(llm).judged) == 1
    assert all(SECRET.encode() not in body for body in llm.bodies)
