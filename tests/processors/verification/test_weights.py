"""The weights: made again to the byte, never from what they are measured on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.labelled import HANDS
from conversations import said, turns_of
from helpers import Pipeline, make_pipeline
from places import ROOT
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.reasons import reasons
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.sentences import Sentence
from session_pipeline_dagster.processors.verification.detection.weights import Weights, weights
from session_pipeline_dagster.settings import Thresholds
from training.__main__ import FILE, everything, trained
from training.turns import MEASURED, read_hands, read_textbook

CLEAR = "FYI our convention is that rates are daily."
BURIED = (
    "can you add the column to the export? a batch always runs over midnight here so the day is "
    "the one it was opened on, and put the tests beside it"
)


def found(*texts: str, extractor: RulesExtractor | None = None) -> list[Detection]:
    lines = [said("user" if n % 2 else "assistant", text, n) for n, text in enumerate(texts)]
    return (extractor or RulesExtractor()).find(turns_of(*lines), 0, "s", Notes())


@pytest.mark.slow(seconds=30)
def test_training_again_makes_the_same_file_to_the_byte() -> None:
    # Another order of hashes, and a process of its own.
    program = "from training.__main__ import FILE, trained; import sys; " + (
        "sys.stdout.buffer.write(trained([], FILE.read_bytes()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, timeout=300
    )
    assert done.stdout == FILE.read_bytes()


def test_the_version_of_the_processor_is_that_of_the_weights() -> None:
    assert VerificationProcessor.version == weights().version


@pytest.mark.slow(seconds=30)
def test_other_turns_make_other_weights_of_the_next_version(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    quote = "Tills are counted on fridays"
    turn = {"assistant": None, "user": f"{quote}, so wait", "facts": [{"quote": quote}]}
    labels.write_text("".join(json.dumps(turn | {"id": f"{n}"}) + "\n" for n in range(40)))
    made = trained([labels], FILE.read_bytes())
    assert made != FILE.read_bytes()
    assert json.loads(made)["version"] == weights().version + 1


def test_no_turn_that_is_measured_is_trained_on() -> None:
    kept = {turn.user for turn in read_hands(MEASURED)}
    assert len(kept) > 1_500
    long = {turn.user for turn in everything([]) if len(turn.user) > 25}
    assert not kept & long
    hands = {turn.hand for turn in everything([])}
    assert hands == {path.stem for path in HANDS.glob("*.jsonl")} - {*MEASURED} | {"tune"}


def test_a_label_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"user": "x", "facts": []}\n{"user": "x", "facts": [{"quote": "y"}]}\n')
    with pytest.raises(ValueError, match=r"labels\.jsonl:2: a quote does not stand in its turn"):
        everything([labels])


def test_clear_statements_are_learned_with_and_without_what_was_said_before() -> None:
    turns = read_textbook()
    assert sum(bool(turn.facts) for turn in turns) > 200
    assert any(not turn.assistant and turn.facts for turn in turns)


def test_the_scores_do_not_hang_on_the_order_of_sessions_or_on_other_sessions() -> None:
    texts = [turn.user for turn in read_hands(["m3"])][:60]
    alone = {text: [(d.quote, d.score) for d in found("Done.", text)] for text in texts}
    order = texts[::-1]
    assert {text: [(d.quote, d.score) for d in found("Done.", text)] for text in order} == alone
    assert sum(map(len, alone.values())) > 5


def test_thresholds_decide_what_is_an_item_and_what_is_looked_at() -> None:
    (clear,) = found("ok", CLEAR)
    (buried,) = found("Which day?", BURIED)
    assert clear.accepted
    assert not buried.accepted
    assert weights().review <= buried.score < weights().accept <= clear.score
    strict = RulesExtractor(Thresholds(review=0.99, accept=1.0))
    assert [d.accepted for d in found("ok", CLEAR, extractor=strict)] == [False]
    assert found("Which day?", BURIED, extractor=strict) == []
    lax = RulesExtractor(Thresholds(accept=0.01))
    assert found("Which day?", BURIED, extractor=lax)[0].accepted


def test_the_thresholds_are_settings(tmp_path: Path) -> None:
    made = make_pipeline(tmp_path)
    settings = replace(made.settings, thresholds=Thresholds(accept=0.01))
    pipeline = Pipeline(made.root, settings)
    folder = pipeline.root / "alice" / "p"
    folder.mkdir(parents=True)
    lines = [said("assistant", "Which day?", 0), said("user", BURIED, 1)]
    (folder / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pipeline.run(VerificationProcessor())
    assert pipeline.select("SELECT accepted FROM verifications") == [(True,)]


def test_the_reasons_are_words_of_ours_and_name_no_word_of_the_person() -> None:
    known = weights()
    assert reasons({"w=tills": 900, "sign": 10}) == ("its words", "a phrase says so")
    assert reasons({"w=tills": -900}) == ()
    for turn in read_hands(["d4"])[:200]:
        for detection in found("Done.", turn.user):
            assert 1 <= len(detection.reasons) <= 3
            assert all(len(reason) < 60 for reason in detection.reasons)
    assert isinstance(known, Weights)


def test_an_assistant_s_own_words_are_no_find_however_clear() -> None:
    assert found(f"Understood. {CLEAR} I will keep to it.", CLEAR) == []
    assert found("Understood.", CLEAR)


@pytest.mark.parametrize(
    "order",
    [
        "1. no 2. yes 3. whichever is cheaper",
        "option 3",
        "all four, but the second one last",
        "b",
        "ok go on and push it to the branch",
        "No, put the helper into utils and call it from both places.",
        "the badge should never show on archived rows",
        "we should add a cache for that, what do you think?",
        "does the importer always run at a restart too?",
        "as far as I know one worker holds one lock, is that right?",
        "still the same error, the build is red again",
        "that's too verbose, cut the second paragraph",
        "thanks, exactly what I wanted",
        "next we will move the jobs to the new queue",
    ],
)
def test_orders_answers_questions_and_the_state_of_the_moment_are_no_items(order: str) -> None:
    assert not any(detection.accepted for detection in found("Shall I go on?", order))


def test_what_is_accepted_is_always_kept() -> None:
    for thresholds in (Thresholds(review=0.9), Thresholds(accept=0.01)):
        extractor = RulesExtractor(thresholds)
        accepted = thresholds.accept or weights().accept
        scores = [d.score for t in read_hands(["d4"])[:80] for d in found("a", t.user)]
        wanted = [score for score in scores if score is not None and score >= accepted]
        kept = [d for t in read_hands(["d4"])[:80] for d in found("a", t.user, extractor=extractor)]
        assert sum(d.accepted for d in kept) >= len(wanted) > 0


def test_a_claim_that_is_refuted_is_not_quoted_as_the_fact() -> None:
    claim = "Labels are printed in the warehouse."
    said = found(f"Understood. {claim}", f'"{claim}" no: labels are always printed by the carrier.')
    assert said
    assert all("carrier" in detection.quote for detection in said)


def test_a_sentence_in_lower_case_is_as_long_as_it_stands_in_the_turn() -> None:
    for text in ("NO, İT IS SO", "ÄÖÜ", "İİ"):
        lower = Sentence(text, 0, len(text)).lower
        assert len(lower) == len(text)
        assert lower.replace("İ", "i") == text.replace("İ", "i").lower()
