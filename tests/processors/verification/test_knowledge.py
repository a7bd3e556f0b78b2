"""Knowledge in the store: sessions in, items, evidence, relations and contradictions out."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from conversations import said, write
from helpers import Pipeline, make_pipeline
from knowledge_lines import FISCAL, MONTHLY, WEEKLY, id_of
from session_pipeline_dagster.contract.processor import ProcessorResult, Session, extras
from session_pipeline_dagster.contract.registry import Registry, check_contract
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.knowledge import review as review
from session_pipeline_dagster.processors.verification.knowledge.tables import RULES_VERSION
from session_pipeline_dagster.store import rolling
from session_pipeline_dagster.store import write as store_write
from teller import Teller, run, tell, tell_more

pytestmark = pytest.mark.slow

CONFIRMED = ("confirmation", FISCAL)
TABLES = (
    "knowledge_items",
    "verification_evidence",
    "knowledge_relations",
    "knowledge_contradictions",
)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def counts(pipeline: Pipeline) -> list[object]:
    return [pipeline.select(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def contents(pipeline: Pipeline, where: str = "true") -> set[object]:
    rows = pipeline.select(f"SELECT content FROM knowledge_items WHERE {where}")
    return {row[0] for row in rows}


def decide(pipeline: Pipeline, status: str, *contents_: str) -> None:
    by = review.Reviewer("carol", 1_750_000_000_000_000)
    ids = [id_of(content) for content in contents_]

    def compute(inputs: object) -> object:
        return review.set_status(inputs, ids, status, by)

    pipeline.store.derive(review.review(compute), compute)


class Unsure(Teller):
    """Leaves everything to be looked at."""

    def process(self, session: Session) -> ProcessorResult:
        told = super().process(session)
        place = [column.split()[0] for column in self.tables["verifications"].split(",")]
        at = place.index("accepted")
        rows = [(*row[:at], False, *row[at + 1 :]) for row in told.rows["verifications"]]
        return ProcessorResult({"verifications": rows}, told.items)


def test_what_is_not_accepted_is_kept_and_becomes_no_item(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED)
    run(pipeline, Unsure())
    assert pipeline.select("SELECT content, accepted FROM verifications") == [(FISCAL, False)]
    assert counts(pipeline) == [0, 0, 0, 0]


def test_three_people_confirm_one_fact(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED)
    run(pipeline)
    assert pipeline.select("SELECT confidence FROM knowledge_items") == [(0.60,)]
    for user in ("bob", "cy"):
        tell(pipeline.root, f"{user}/1.jsonl", ("confirmation", FISCAL + "."))
    run(pipeline)
    assert counts(pipeline) == [1, 3, 0, 0]
    assert pipeline.select("SELECT confidence FROM knowledge_items") == [(0.70,)]
    quotes = "SELECT source_user, source_ref, user_quote FROM verification_evidence ORDER BY 1"
    assert pipeline.select(quotes) == [
        ("ann", "ann/1.jsonl:1", FISCAL),
        ("bob", "bob/1.jsonl:1", FISCAL + "."),
        ("cy", "cy/1.jsonl:1", FISCAL + "."),
    ]


def test_the_columns_of_an_item_are_those_of_the_original(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("correction", FISCAL), entities=("fiscal year",))
    run(pipeline)
    (row,) = pipeline.select(
        """SELECT id, status, source_type, sensitivity, category, domain, entities, source_user,
            confidence FROM knowledge_items"""
    )
    first = (id_of(FISCAL), "pending", "user_verification", "internal", "business_logic")
    assert row == (*first, "finance", ["fiscal year"], "ann", 0.90)


def test_nothing_is_derived_where_nothing_was_said(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl")
    run(pipeline)
    assert counts(pipeline) == [0, 0, 0, 0]
    assert not pipeline.store.known(Teller()).stale_rollups


def test_a_second_run_writes_nothing(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY), entities=("a", "b"))
    run(pipeline)
    before = {table: pipeline.rows(table) for table in TABLES}
    assert run(pipeline).counts == {}
    assert run(pipeline, full_refresh=True).counts["items_new"] == 0
    assert {table: pipeline.rows(table) for table in TABLES} == before


def test_read_again_grown_forked_copied_and_renamed_adds_no_evidence(pipeline: Pipeline) -> None:
    path = tell(pipeline.root, "ann/1.jsonl", CONFIRMED, uuid="u")
    run(pipeline)
    before = pipeline.select("SELECT id, item_id, line_uuid FROM verification_evidence")
    run(pipeline, full_refresh=True)
    tell_more(path, ("confirmation", WEEKLY), uuid="u")
    shutil.copy(path, pipeline.root / "ann" / "fork.jsonl")
    (pipeline.root / "zoe").mkdir()
    shutil.copy(path, pipeline.root / "zoe" / "copy.jsonl")
    run(pipeline)
    assert counts(pipeline)[:2] == [2, 2]
    path.rename(pipeline.root / "ann" / "renamed.jsonl")
    run(pipeline)
    assert counts(pipeline)[:2] == [2, 2]
    of_fiscal = f"FROM verification_evidence WHERE item_id = '{id_of(FISCAL)}'"
    assert pipeline.select(f"SELECT id, item_id, line_uuid {of_fiscal}") == before
    assert pipeline.select("SELECT DISTINCT confidence FROM knowledge_items") == [(0.60,)]


def test_an_item_whose_last_evidence_vanished_is_retracted_unless_it_was_reviewed(
    pipeline: Pipeline,
) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY))
    run(pipeline)
    decide(pipeline, "approved", WEEKLY)
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", "Something else is true of the ledger"))
    report = run(pipeline)
    assert contents(pipeline) == {WEEKLY, "Something else is true of the ledger"}
    assert report.counts["items_retracted"] == 1
    assert counts(pipeline)[1] == 1


def test_reviewed_items_are_untouched_by_reruns_and_still_gain_evidence(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY))
    run(pipeline)
    decide(pipeline, "approved", FISCAL)
    decide(pipeline, "rejected", WEEKLY)
    before = pipeline.rows("knowledge_items")
    tell(pipeline.root, "bob/1.jsonl", ("correction", FISCAL), ("confirmation", WEEKLY + "."))
    run(pipeline)
    run(pipeline, full_refresh=True)
    assert pipeline.rows("knowledge_items") == before
    assert counts(pipeline)[1] == 4


def test_a_file_that_is_taken_away_takes_its_knowledge_with_it(pipeline: Pipeline) -> None:
    """As a purge does: its rows and its state go, what it touched is noted."""
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY), ("correction", MONTHLY))
    tell(pipeline.root, "bob/1.jsonl", CONFIRMED)
    run(pipeline)
    decide(pipeline, "approved", WEEKLY)
    purge(pipeline, "ann/1.jsonl")
    run(pipeline)
    assert contents(pipeline) == {FISCAL}
    assert pipeline.select("SELECT DISTINCT session_file FROM verification_evidence") == [
        ("bob/1.jsonl",)
    ]
    assert counts(pipeline)[3] == 0


def purge(pipeline: Pipeline, key: str) -> None:
    with pipeline.store.transaction() as connection:
        store_write.register(connection, "batch", [key])
        rolling.note_changes(connection, Teller())
        store_write.delete_rows(connection, Teller().tables, [key])
        store_write.delete_records(connection, "session_processor_state", "verification", [key])
    (pipeline.root / key).unlink()


def test_opposite_facts_stay_two_and_are_proposed_as_a_contradiction(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", WEEKLY))
    tell(pipeline.root, "bob/1.jsonl", ("correction", MONTHLY), day="2025-03-02")
    report = run(pipeline)
    assert report.counts["contradictions_new"] == 1
    found = """SELECT item_a_id, item_b_id, severity, resolved, found_by, explanation
        FROM knowledge_contradictions"""
    words = "alike, but they differ in numbers or periods: every 1 month / every 1 week"
    assert pipeline.select(found) == [
        (id_of(MONTHLY), id_of(WEEKLY), "soft", False, "rules", words)
    ]


def test_a_contradiction_goes_with_either_side(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", WEEKLY))
    tell(pipeline.root, "bob/1.jsonl", ("correction", MONTHLY))
    run(pipeline)
    tell(pipeline.root, "bob/1.jsonl", CONFIRMED)
    run(pipeline)
    assert counts(pipeline) == [2, 2, 0, 0]


def test_confidence_is_aged_when_it_is_read(pipeline: Pipeline) -> None:
    year = pipeline.select("SELECT strftime(now() - INTERVAL 365 DAY, '%Y-%m-%d')")[0][0]
    today = pipeline.select("SELECT strftime(now() - INTERVAL 1 DAY, '%Y-%m-%d')")[0][0]
    tell(pipeline.root, "ann/1.jsonl", ("correction", FISCAL), day=str(year))
    tell(pipeline.root, "bob/1.jsonl", ("correction", WEEKLY), day=str(today))
    tell(pipeline.root, "cy/1.jsonl", ("correction", MONTHLY), day="2015-01-01")
    run(pipeline)
    rows = pipeline.select("SELECT content, confidence, current_confidence FROM knowledge_current")
    aged = {content: (stored, now) for content, stored, now in rows}
    assert aged[FISCAL] == (0.90, pytest.approx(0.45, abs=0.01))
    assert aged[WEEKLY] == (0.90, pytest.approx(0.90, abs=0.01))
    assert aged[MONTHLY] == (0.90, 0.40)


@pytest.mark.slow
def test_the_order_in_which_sessions_arrive_does_not_matter(tmp_path: Path) -> None:
    """Through the store, batch by batch, some read twice: the same rows in all four tables."""
    wanted = None
    for seed in range(6):
        rng = random.Random(seed)  # noqa: S311  made-up data
        pipeline = make_pipeline(_folder(tmp_path / str(seed)))
        order = list(range(12))
        rng.shuffle(order)
        while order:
            for n in order[:3]:
                arrive(pipeline.root, n)
            order = order[3:]
            run(pipeline)
            run(pipeline, full_refresh=rng.random() < 0.5)
        found = [pipeline.rows(table) for table in TABLES]
        wanted = wanted or found
        assert found == wanted, seed
    assert wanted
    assert all(wanted)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def arrive(root: Path, n: int) -> None:
    """Session n of twelve, always the same."""
    rng = random.Random(100 + n)  # noqa: S311  made-up data
    facts = [WEEKLY, MONTHLY, FISCAL, WEEKLY + ".", FISCAL + ", yes", WEEKLY + " now"]
    kinds = ["confirmation", "confirmation", "correction", "unprompted_definition"]
    said = [(rng.choice(kinds), rng.choice(facts)) for _ in range(3)]
    tell(root, f"u{n % 4}/{n}.jsonl", *said, entities=("report", "year"), day=f"2025-03-{n + 1:02}")


def test_a_crash_between_the_tables_and_the_knowledge_is_made_good(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED)
    pipeline.run(Teller())
    assert pipeline.store.known(Teller()).stale_rollups == ["knowledge"]
    run(pipeline)
    assert counts(pipeline)[:2] == [1, 1]


def test_dagster_shows_the_derived_assets_and_their_checks(pipeline: Pipeline) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", WEEKLY), ("correction", MONTHLY))
    check_contract(Teller())
    defs = build_definitions(Registry((Teller(),)), pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("verification_job")
        result = job.execute_in_process(instance=instance)
    assert result.success
    made = {e.asset_key.to_user_string(): e for e in result.get_asset_materialization_events()}
    assert set(TABLES) <= set(made)
    numbers = made["knowledge_items"].materialization.metadata
    assert (numbers["dagster/row_count"].value, numbers["items_new"].value) == (2, 2)
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert checks["evidence_without_item"].passed
    assert checks["item_without_evidence"].passed
    assert checks["contradiction_backlog"].passed, "people have a week to decide it"
    assert checks["contradiction_backlog"].metadata["open_contradictions"].value == 1
    assert WEEKLY not in str(result.all_events)


@pytest.mark.parametrize(("days", "late"), [(6, 0), (8, 1)])
def test_a_contradiction_that_nobody_decides_for_a_week_is_a_backlog(
    pipeline: Pipeline, days: int, late: int
) -> None:
    tell(pipeline.root, "ann/1.jsonl", ("confirmation", WEEKLY), ("correction", MONTHLY))
    run(pipeline)
    with pipeline.store.connect() as connection:
        # What was said long ago is new to whoever reads it now.
        connection.execute("UPDATE knowledge_contradictions SET detected_at = '2025-03-01'")
        connection.execute(f"UPDATE knowledge_checks SET checked_at = now() - INTERVAL {days} DAY")
    rule = next(q for q in extras(Teller()).quality if q.name == "contradiction_backlog")
    measured = inspect(Teller(), rule, pipeline.source, pipeline.store)
    assert (measured.violations, measured.numbers["open_contradictions"]) == (late, 1)


@pytest.mark.parametrize(
    ("rule", "damage", "violations"),
    [
        ("evidence_without_item", "DELETE FROM knowledge_items WHERE content = '{}'", 1),
        ("item_without_evidence", "DELETE FROM verification_evidence", 1),
        ("contradiction_backlog", "UPDATE knowledge_checks SET outcome = 'failed'", 2),
    ],
)
def test_a_check_fails_when_its_subject_is_broken(
    pipeline: Pipeline, rule: str, damage: str, violations: int
) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY))
    run(pipeline)
    decide(pipeline, "approved", WEEKLY)
    chosen = next(q for q in extras(Teller()).quality if q.name == rule)
    assert inspect(Teller(), chosen, pipeline.source, pipeline.store).violations == 0
    with pipeline.store.connect() as connection:
        connection.execute(damage.format(FISCAL))
    assert inspect(Teller(), chosen, pipeline.source, pipeline.store).violations == violations


def test_two_processes_worth_of_runs_at_once_make_each_item_once(pipeline: Pipeline) -> None:
    for n in range(6):
        arrive(pipeline.root, n)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run, pipeline) for _ in range(4)]:
            done.result()
    once = [pipeline.rows(table) for table in TABLES]
    pipeline.settings.database.unlink()
    run(pipeline)
    assert [pipeline.rows(table) for table in TABLES] == once


def test_a_full_refresh_makes_tables_right_that_were_changed_from_outside(
    pipeline: Pipeline,
) -> None:
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY), entities=("a", "b"))
    run(pipeline)
    before = {table: pipeline.rows(table) for table in TABLES}
    for damage in (
        f"DELETE FROM knowledge_items WHERE content = '{FISCAL}'",
        "DELETE FROM verification_evidence",
        "UPDATE verification_evidence SET item_id = 'kv_elsewhere'",
        "DELETE FROM knowledge_items; DELETE FROM verification_evidence",
    ):
        with pipeline.store.connect() as connection:
            connection.execute(damage)
        run(pipeline, full_refresh=True)
        assert {table: pipeline.rows(table) for table in TABLES} == before, damage


def test_three_people_confirm_one_fact_in_real_transcripts_without_a_model(
    pipeline: Pipeline,
) -> None:
    """Nested lines, the rules, the whole way: one item, three quotes, a raised confidence."""
    fact = "the VAT rate always follows the country of the billing address"
    ways = ("Yes, exactly: {}.", "Correct, {}.", "That's right, {}.")
    for user, way in zip(("ann", "bob", "cy"), ways, strict=True):
        lines = [
            said("user", "Why is the VAT wrong?", 0, sessionId=user, uuid=f"{user}-0"),
            said("assistant", "Does it depend on the billing address?", 1, uuid=f"{user}-1"),
            said("user", way.format(fact), 2, sessionId=user, uuid=f"{user}-2"),
        ]
        write(pipeline, f"{user}/-w-p/{user}.jsonl", lines)
    processor = VerificationProcessor()
    run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())
    assert pipeline.select("SELECT confidence, status FROM knowledge_items") == [(0.70, "pending")]
    evidence = "SELECT source_user, source_ref, user_quote FROM verification_evidence ORDER BY 1"
    found = pipeline.select(evidence)
    assert [(user, ref) for user, ref, _ in found] == [
        (user, f"{user}/-w-p/{user}.jsonl:3") for user in ("ann", "bob", "cy")
    ]
    assert all(fact in str(quote) for *_, quote in found)


def test_other_rules_make_pending_items_anew_and_leave_reviewed_ones(pipeline: Pipeline) -> None:
    assert f"merge rules {RULES_VERSION}" in Teller().derivations[0].changed
    tell(pipeline.root, "ann/1.jsonl", CONFIRMED, ("confirmation", WEEKLY))
    run(pipeline)
    decide(pipeline, "approved", WEEKLY)
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE knowledge_items SET rules_version = 0, confidence = 0.1")
        connection.execute("DELETE FROM session_processor_declarations")
    run(pipeline)
    rows = pipeline.select("SELECT content, rules_version, confidence FROM knowledge_items")
    assert sorted(rows) == [(FISCAL, RULES_VERSION, 0.60), (WEEKLY, 0, 0.1)]
