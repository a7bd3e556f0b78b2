"""What people said goes when it is old; what it taught, and what was decided, stays."""

from dataclasses import replace
from pathlib import Path

import pytest

from helpers import Pipeline, make_pipeline
from knowledge_lines import FISCAL, MONTHLY, WEEKLY, id_of
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.processors.verification.knowledge import review
from session_pipeline_dagster.setting_records import DetailDays
from teller import Teller, run, tell, tell_more

pytestmark = pytest.mark.slow(seconds=3)

BY = review.Reviewer("carol", 1_750_000_000_000_000)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def decide(pipeline: Pipeline, status: str, content: str) -> None:
    def compute(inputs: object) -> object:
        return review.set_status(inputs, [id_of(content)], status, BY)

    pipeline.store.derive(review.review(compute), compute)


def kept(pipeline: Pipeline, days: DetailDays) -> Pipeline:
    return replace(pipeline, settings=replace(pipeline.settings, detail_days=days))


def items(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        """SELECT i.* EXCLUDE (updated_at), evidence, verifiers FROM knowledge_items AS i
        JOIN knowledge_current AS c USING (id) ORDER BY id"""
    )


def quotes(pipeline: Pipeline, table: str) -> set[object]:
    return {row[0] for row in pipeline.select(f"SELECT user_quote FROM {table}")}


def test_quotes_go_and_items_stay_with_their_counts_and_decisions(pipeline: Pipeline) -> None:
    old = tell(pipeline.root, "ann/1.jsonl", ("confirmation", FISCAL), ("confirmation", WEEKLY))
    for user in ("bob", "cy"):
        tell(pipeline.root, f"{user}/1.jsonl", ("confirmation", FISCAL + "."))
    tell(pipeline.root, "dee/1.jsonl", ("confirmation", MONTHLY))
    run(pipeline)
    decide(pipeline, "approved", FISCAL)
    decide(pipeline, "rejected", MONTHLY)
    before, labels = items(pipeline), pipeline.rows("knowledge_labels")
    pipeline = kept(pipeline, DetailDays(others=300))
    # A pass lets them go, and the next one derives from what is left; so does reading all again.
    told = run(pipeline)
    assert told.counts["detail_rows_gone"] == 1
    for again in (False, True, True):
        run(pipeline, full_refresh=again)
        assert items(pipeline) == before
        assert pipeline.rows("knowledge_labels") == labels
        # Nobody has decided about this one.
        assert WEEKLY not in quotes(pipeline, "verifications")
        assert WEEKLY not in quotes(pipeline, "verification_evidence")
    # What is said now stands there as it was said.
    tell_more(
        old,
        ("confirmation", "Invoices are sent on the last day of the month"),
        uuid="x",
        day=pipeline.select("SELECT current_date::VARCHAR")[0][0],
    )  # ty: ignore[invalid-argument-type]
    run(pipeline)
    assert "Invoices are sent on the last day of the month" in quotes(pipeline, "verifications")
    assert WEEKLY not in quotes(pipeline, "verifications")
    assert len(items(pipeline)) == len(before) + 1


def test_a_decision_about_an_old_line_is_found_again_under_another_type(
    pipeline: Pipeline,
) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", FISCAL))
    run(pipeline)
    decide(pipeline, "rejected", FISCAL)
    before = items(pipeline)
    pipeline = kept(pipeline, DetailDays({"evidence": 300}))
    for again in (False, True):
        run(pipeline, full_refresh=again)
    assert quotes(pipeline, "verifications") == {FISCAL}
    assert items(pipeline) == before


def test_quotes_that_went_break_no_rule(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", FISCAL), ("correction", WEEKLY))
    pipeline = kept(pipeline, DetailDays({"evidence": 300}))
    for _ in range(2):
        run(pipeline, full_refresh=True)
    assert quotes(pipeline, "verifications") == {""}
    rule = next(r for r in Teller.quality if r.name == "quotes_verbatim")
    assert inspect(Teller(), rule, pipeline.source, pipeline.store).violations == 0
