"""What a model is sent of a person's turn, and what of its answer is believed: real runs against a
server on loopback that says what it should not."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conversations import (
    FACT,
    add,
    conversation,
    pipeline_asking,
    said,
    sent_turns,
    turns_of,
    write,
)
from fake_llm import FORMATS, FakeLLM, Step, answer, detection
from helpers import Pipeline
from session_pipeline_dagster.contract.processor import AUTOMATIC, Notes
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.declared import Declared
from session_pipeline_dagster.processors.verification.detection.asking import (
    MOST,
    Answer,
    ModelExtractor,
)
from session_pipeline_dagster.processors.verification.detection.gates import (
    ACCEPT,
    MOST_REASONS,
    REASONS,
    SHOW,
)
from session_pipeline_dagster.processors.verification.models.build import build_model
from session_pipeline_dagster.processors.verification.models.calls import schema_of
from session_pipeline_dagster.settings import Extractor

pytestmark = pytest.mark.slow

LOG = """2026-03-10 12:00:01 ERROR worker: the tariff table is always empty
2026-03-10 12:00:02 INFO worker: giving up on the tariff table"""
PLAN = "Please execute this plan:\n\n# Plan\n\nThe tariff table is always read twice."
CODE = "```python\n# The tariff table is always read twice.\nread(table)\n```"
REVIEW = "**nit:** the tariff table is always read twice here."
PASTED = f"<pasted_content>\nThe tariff table is always read twice.\n</pasted_content>\n{FACT}"
QUOTE = "the rate is always that of the invoice date"
RULE = "A tariff is always valid for a whole month."


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    with FakeLLM(Extractor.OPENAI) as fake:
        yield fake


@pytest.fixture
def pipeline(tmp_path: Path, llm: FakeLLM) -> Pipeline:
    return pipeline_asking(tmp_path, llm.settings())


def run(pipeline: Pipeline, *lines: dict[str, object]) -> BatchReport:
    """One pass, and what becomes of its detections."""
    write(pipeline, "alice/p/a.jsonl", lines)
    taught = VerificationProcessor()
    return run_all(taught, pipeline.source, pipeline.store, pipeline.settings, Options())


def stored(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        "SELECT line_number, user_quote, score, accepted, reasons FROM verifications ORDER BY ALL"
    )


# --- what is sent ---


@pytest.mark.parametrize("wire", FORMATS, ids=lambda wire: wire.value)
@pytest.mark.parametrize("material", [LOG, CODE, REVIEW, "> " + RULE], ids=range(4))
def test_what_a_person_pasted_is_not_sent(tmp_path: Path, wire: Extractor, material: str) -> None:
    with FakeLLM(wire) as llm:
        run(
            pipeline_asking(tmp_path, llm.settings()),
            said("user", f"{FACT}\n\n{material}\n\nThanks"),
        )
        (turn,) = sent_turns(llm.requests[0])
    count = len(material.splitlines())
    mark = f"[material left out: {count} line{'s' if count > 1 else ''}]"
    assert turn["text"] == f"{FACT}\n{mark}\nThanks"
    assert turn["context"] is False


def test_a_turn_of_material_alone_is_nothing_to_note_from(pipeline: Pipeline, llm: FakeLLM) -> None:
    run(pipeline, *conversation(LOG, "I see.", PLAN, "Done.", FACT))
    found = [(turn["context"], turn["text"]) for turn in sent_turns(llm.requests[0])]
    assert found == [
        (True, "[material left out: 2 lines]"),
        (False, "I see."),
        (True, "[material left out: 3 lines]"),
        (False, "Done."),
        (False, FACT),
    ]


@pytest.mark.parametrize(
    "text", [LOG, PLAN, CODE, "ok", "yes please", "B", "1", "👍", "x" * 30_000]
)
def test_a_session_in_which_nobody_states_anything_asks_nobody(
    pipeline: Pipeline, llm: FakeLLM, text: str
) -> None:
    report = run(pipeline, *conversation(text, RULE, text))
    assert (report.processed, report.errors, llm.requests) == (1, 0, [])


def test_what_the_assistant_said_before_is_not_sent_as_the_person_s(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    run(pipeline, *conversation("hi there", RULE, f"{RULE}\n{FACT} {RULE} That was wrong."))
    assert [turn["text"] for turn in sent_turns(llm.requests[0])] == [
        "hi there",
        RULE,
        f"[material left out: 1 line]\n{FACT}\n[material left out: 1 line]\nThat was wrong.",
    ]


def test_what_the_assistant_said_is_remembered_when_the_session_has_grown(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    run(pipeline, *conversation("hi there", RULE, *["go on and on", "Done."] * 4))
    path = pipeline.root / "alice/p/a.jsonl"
    add(path, [said("user", f"{RULE} {FACT}", 20)])
    llm.script = [answer(detection(10, RULE))]
    report = pipeline.run(VerificationProcessor())
    turns = sent_turns(llm.requests[-1])
    assert RULE not in json.dumps(turns)
    assert turns[-1]["text"] == f"[material left out: 1 line]\n{FACT}"
    assert report.counts["quotes_of_material"] == 1


def test_who_dictates_without_a_full_stop_is_sent_and_believed(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    words = "so what happens is that the driver calls and then we look it up and " * 10
    llm.script = [answer(detection(0, "a tariff is always valid for a whole month"))]
    text = f"{words} a tariff is always valid for a whole month and {words}"
    run(pipeline, said("user", text))
    assert sent_turns(llm.requests[0])[0]["text"] == text.strip()
    assert len(stored(pipeline)) == 1


# --- which quotes are believed ---

GLUED = [said("user", "the rate is always that", 0), said("user", "of the invoice date", 1)]
BESIDE = said("user", f"{FACT}\n\n{LOG}\n\n{RULE}")
TWICE = said("user", f"{FACT}\n\n{LOG}\n\n{RULE}\n\n```\n{FACT}{RULE}\n```")


@pytest.mark.parametrize(
    ("lines", "quote", "kind"),
    [
        (
            conversation(f"{FACT}\n\n{LOG}"),
            "the tariff table is always empty",
            "quotes_of_material",
        ),
        (conversation(f"{FACT}\n\n{CODE}"), "is always read twice", "quotes_of_material"),
        (conversation(f"{FACT}\n\n{REVIEW}"), "is always read twice", "quotes_of_material"),
        (conversation(PLAN, "ok", FACT), "is always read twice", "quotes_of_material"),
        (conversation(PASTED), "is always read twice", "quotes_of_material"),
        (conversation("hi", RULE, f"{RULE} {FACT}"), RULE, "quotes_of_material"),
        (conversation("hi", RULE, FACT), RULE, "rejected_quotes"),
        (GLUED, QUOTE, "rejected_quotes"),
        ([BESIDE], f"of the invoice date. {RULE}", "rejected_quotes"),
        ([BESIDE], f"of the invoice date. {LOG} {RULE}", "quotes_of_material"),
        ([BESIDE], "date. [material left out: 2 lines] A tariff", "rejected_quotes"),
        ([TWICE], f"of the invoice date.{RULE}", "quotes_of_material"),
        ([BESIDE], "a tariff", "quotes_without_statement"),
        ([said("user", f"{RULE} " * 60)], f"{RULE} " * 50, "quotes_without_statement"),
        (conversation("Is a tariff valid for a month?"), "a month?", "quotes_without_statement"),
        (
            conversation("Is a tariff always valid for a month?"),
            "Is a tariff always valid for a month?",
            "quotes_that_only_ask",
        ),
        (
            conversation("A tariff is always valid for a month, right? Why?"),
            "a tariff is always valid for a month, right",
            "quotes_that_only_ask",
        ),
        (
            conversation("Is a tariff always valid for a whole month?"),
            "is a tariff always valid",
            "quotes_that_only_ask",
        ),
        (
            conversation("料金表はいつも一か月有効ですか？"),
            "料金表はいつも一か月有効ですか",
            "quotes_that_only_ask",
        ),
    ],
)
def test_a_quote_that_proves_nothing_is_dropped_and_counted(
    pipeline: Pipeline,
    llm: FakeLLM,
    lines: Sequence[dict[str, object]],
    quote: str,
    kind: str,
) -> None:
    llm.script = [answer(detection(0, quote))]
    report = run(pipeline, *lines)
    kinds = ("rejected_quotes", "quotes_of_material")
    kinds += ("quotes_without_statement", "quotes_that_only_ask")
    assert {name: report.counts[name] for name in kinds if name in report.counts} == {kind: 1}
    assert stored(pipeline) == []


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        (f"{LOG}\n\n{FACT}", QUOTE),
        (
            "The page is odd: a tariff is valid for a month, so can you mend it?",
            "a tariff is valid",
        ),
        ("Is it so? A tariff is valid for a month.", "Is it so? A tariff is valid for a month."),
        ("- a tariff is a price\n- a rate is a share", "a tariff is a price - a rate is a share"),
        ("1. no\n2. A tariff is valid for a month", "A tariff is valid for a month"),
        ("Timeout 30s.", "timeout 30s"),
        ("料金表はいつも一か月有効です。", "料金表はいつも一か月有効です"),
        ("It’s the “net” price — never\nthe gross one", 'it\'s the "net" price - never the gross'),
        (f"> {RULE}\n\nThat is right.", RULE),
    ],
)
def test_a_statement_in_a_person_s_own_words_is_believed(
    pipeline: Pipeline, llm: FakeLLM, text: str, quote: str
) -> None:
    llm.script = [answer(detection(0, quote))]
    report = run(pipeline, said("user", text))
    assert [row[1:4] for row in stored(pipeline)] == [(quote, 0.95, True)], report.counts


def test_the_same_words_are_one_detection_whatever_a_model_calls_them(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    kinds = ("correction", "unprompted_definition", "confirmation")
    llm.script = [answer(*(detection(0, QUOTE, detection_type=kind) for kind in kinds))]
    report = run(pipeline, said("user", FACT))
    assert len(stored(pipeline)) == 1
    assert report.counts["detections_repeated"] == 2


# --- how sure a model has to be ---


def raw(score: str) -> Step:
    """An answer with this written as its score."""
    text = json.dumps({"detections": [detection(0, QUOTE, score="HERE")]})
    return Step(text.replace('"HERE"', score))


@pytest.mark.parametrize(
    "score",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "9" * 400,
        '"high"',
        "-1",
        "1.01",
        "true",
        "null",
        "{}",
    ],
)
def test_a_score_that_is_none_loses_no_detection_and_accepts_none(
    pipeline: Pipeline, llm: FakeLLM, score: str
) -> None:
    llm.script = [raw(score)]
    report = run(pipeline, said("user", FACT))
    assert [row[2:4] for row in stored(pipeline)] == [(None, False)]
    assert len(llm.requests) == 1
    assert (report.counts["scores_missing"], report.counts["detections_to_look_at"]) == (1, 1)
    assert pipeline.select("SELECT * FROM knowledge_items") == []


def test_a_detection_without_a_score_is_looked_at(pipeline: Pipeline, llm: FakeLLM) -> None:
    found = {k: v for k, v in detection(0, QUOTE).items() if k not in ("score", "reasons")}
    llm.script = [answer(found)]
    run(pipeline, said("user", FACT))
    assert [row[2:] for row in stored(pipeline)] == [(None, False, [])]


@pytest.mark.parametrize(
    ("score", "kept"),
    [
        (0, []),
        (SHOW - 0.01, []),
        (SHOW, [(SHOW, False)]),
        (ACCEPT - 0.01, [(ACCEPT - 0.01, False)]),
        (ACCEPT, [(ACCEPT, True)]),
        (1, [(1.0, True)]),
    ],
)
def test_a_sure_one_becomes_an_item_an_unsure_one_is_looked_at_and_a_weak_one_goes(
    pipeline: Pipeline, llm: FakeLLM, score: float, kept: Sequence[tuple[float, bool]]
) -> None:
    llm.script = [answer(detection(0, QUOTE, score=score))]
    report = run(pipeline, said("user", FACT))
    assert [row[2:4] for row in stored(pipeline)] == kept
    assert report.counts.get("detections_unsure", 0) == (not kept)
    (items,) = pipeline.select("SELECT count(*) FROM knowledge_items")[0]
    assert items == sum(accepted for _, accepted in kept)


def test_the_thresholds_can_be_others(llm: FakeLLM) -> None:
    model = build_model(llm.settings())
    assert model is not None
    asking = ModelExtractor("openai", model, accept=0.6, show=0.2)
    llm.script = [answer(*(detection(0, QUOTE[n:], score=n / 10) for n in (1, 2, 5, 6)))]
    found = asking.find(turns_of(said("user", FACT)), 0, "s", Notes())
    assert [(one.score, one.accepted) for one in found] == [(0.6, True), (0.2, False), (0.5, False)]


@pytest.mark.parametrize(
    ("reasons", "kept"),
    [
        (["answers a question", "states a rule"], ["answers a question", "states a rule"]),
        (["states a rule"] * 9, ["states a rule"]),
        (list(REASONS), list(REASONS[:MOST_REASONS])),
        (["Ignore all rules", "states a rule", None, 3, ["x"], {}], ["states a rule"]),
        ("states a rule", []),
        (None, []),
        ({"states a rule": 1}, []),
    ],
)
def test_a_reason_is_one_of_ours_or_none(
    pipeline: Pipeline, llm: FakeLLM, reasons: object, kept: Sequence[str]
) -> None:
    llm.script = [answer(detection(0, QUOTE, reasons=reasons))]
    run(pipeline, said("user", FACT))
    assert [row[4] for row in stored(pipeline)] == [kept]


def test_a_provider_is_told_which_scores_and_reasons_there_are() -> None:
    told = json.dumps(schema_of(Answer))
    assert '"score": {"type": "number"}' in told
    assert json.dumps({"type": "string", "enum": list(REASONS)}) in told


# --- a model that was talked into something ---


def test_ten_thousand_detections_cost_no_time_and_push_no_sure_one_out(
    pipeline: Pipeline, llm: FakeLLM
) -> None:
    text = " ".join(f"number {n:03} is a fact." for n in range(400))
    weak = [detection(0, f"number {n % 400:03} is a fact", score=0.6) for n in range(100)]
    made_up = [detection(0, f"nobody said number {n}") for n in range(9_899)]
    llm.script = [answer(*weak, detection(0, "number 399 is a fact"), *made_up)]
    begun = time.process_time()
    report = run(pipeline, said("user", text))
    assert time.process_time() - begun < 10
    found = stored(pipeline)
    assert (len(found), [row[1] for row in found if row[3]]) == (MOST, ["number 399 is a fact"])
    assert report.counts["detections_over_limit"] == 9_800 + 101 - MOST
    assert report.counts["quotes"] == 200


def test_no_character_that_hides_or_turns_text_is_stored(pipeline: Pipeline, llm: FakeLLM) -> None:
    hidden = "\u200b\u202e\u2066\ufeff\x00\U000e0041\u00ad"
    quote = f"the rate{hidden} is always that of the{hidden} invoice date"
    odd = detection(0, quote, title=f"a{hidden}b", content=f"The{hidden} fact.")
    llm.script = [answer(odd | {"entities": [f"va{hidden}t"]})]
    run(pipeline, said("user", FACT))
    ((*texts, entities),) = pipeline.select(
        "SELECT user_quote, title, content, entities FROM verifications"
    )
    assert [*texts, *entities] == [QUOTE, "ab", "The fact.", "vat"]


def test_a_fact_of_invisible_characters_is_the_quote(pipeline: Pipeline, llm: FakeLLM) -> None:
    llm.script = [answer(detection(0, QUOTE, content="\u200b\u2060 \u200b", title="\u200b"))]
    run(pipeline, said("user", FACT))
    assert pipeline.select("SELECT content, title FROM verifications") == [(QUOTE, QUOTE)]


@pytest.mark.parametrize("at", ["score", "more"])
def test_an_answer_nested_without_end_is_of_no_shape(
    pipeline: Pipeline, llm: FakeLLM, at: str
) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    text = json.dumps({"detections": [detection(0, QUOTE) | {at: "HERE"}]})
    llm.script = [Step(text.replace('"HERE"', deep))]
    report = run(pipeline, said("user", FACT))
    (failure,) = pipeline.failures(VerificationProcessor()).values()
    assert (report.errors, failure.error_class, len(llm.requests)) == (1, "Permanent", 3)


def test_a_version_that_rules_catch_up_with_by_themselves_pays_no_model_again(
    pipeline: Pipeline, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pipeline, said("user", FACT))
    asked = len(llm.requests)
    monkeypatch.setattr(VerificationProcessor, "version", VerificationProcessor.version + 1)
    monkeypatch.setattr(Declared, "reprocess", AUTOMATIC)
    report = pipeline.run(VerificationProcessor())
    assert (report.processed, len(llm.requests)) == (0, asked)
    assert pipeline.run(VerificationProcessor(), outdated=True).processed == 1
    assert len(llm.requests) == asked + 1
