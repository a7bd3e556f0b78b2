"""What the rules find: the labelled set, the shape of a detection, and texts that are no prose."""

import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.detection import detections, hands, measured, report, row, score, textbook
from benchmarks.labelled import LABELLED
from conversations import FACT, add, said, session, turns_of, write
from helpers import make_pipeline
from places import ROOT
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.detection.extractor import DOMAINS, Detection
from session_pipeline_dagster.processors.verification.detection.quotes import folded, stands_in
from session_pipeline_dagster.processors.verification.detection.reading import limited
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.sentences import sentences
from session_pipeline_dagster.processors.verification.detection.terms import domain_of, entities_of
from session_pipeline_dagster.settings import Thresholds
from training.turns import MEASURED, read_hands

KINDS = {"correction", "confirmation", "unprompted_definition", None}


def found(*texts: str) -> list[Detection]:
    """In a conversation; the last text is the person's."""
    roles = ("user", "assistant") if len(texts) % 2 else ("assistant", "user")
    lines = [said(roles[n % 2], text, n) for n, text in enumerate(texts)]
    return RulesExtractor().find(turns_of(*lines), 0, "s", Notes())


def test_the_labelled_set_is_large_and_its_halves_share_nothing() -> None:
    tune, kept = textbook("tune"), textbook("measured")
    assert len(kept) >= 150
    assert len(tune) >= 150
    assert {turn.label for turn in tune} == {turn.label for turn in kept} == KINDS
    assert not {turn.user for turn in tune} & {turn.user for turn in kept}
    assert sum(turn.label is None for turn in kept) >= 60
    assert (LABELLED / "README.md").exists()


@pytest.mark.parametrize("half", ["tune", "measured"])
def test_clear_statements_are_items_or_at_least_shown(half: str) -> None:
    items, shown = score(half, review=False), score(half, review=True)
    assert items.precision >= 0.98, items.wrong
    assert items.recall >= 0.70, items.missed
    assert shown.precision >= 0.95, shown.wrong
    assert shown.recall >= 0.90, shown.missed


@pytest.mark.slow
def test_the_benchmark_reports_both_halves_and_the_hands_that_were_not_trained_on() -> None:
    lines = report().splitlines()
    assert [line.split(",")[0] for line in lines[1:5]] == ["tune", "tune", "measured", "measured"]
    assert [line[3:5] for line in lines[6:]] == list(MEASURED)


def test_the_other_hands_wrote_thousands_of_turns_and_every_fact_stands_in_its_turn() -> None:
    turns = [turn for some in hands().values() for turn in some]
    languages = Counter(turn.language for turn in read_hands(hands()))
    assert languages["en"] >= 3_000
    assert min(languages[name] for name in ("cs", "de", "es", "fr", "pt", "ja")) >= 150
    assert len({turn.id for turn in turns}) == len(turns)
    assert all(fact in turn.user for turn in turns for _, fact in turn.facts)
    assert sum(not turn.facts for turn in turns) >= 0.6 * len(turns)


@pytest.mark.slow
def test_what_is_reached_on_other_hands_is_what_the_page_says() -> None:
    page = (ROOT / "docs" / "knowledge.md").read_text("utf-8").splitlines()
    said = [line for line in page if line.startswith(("| `d4`", "| `k0`", "| `l2`", "| `m3`"))]
    every = hands()
    assert said == [row(name, measured(every[name])) for name in MEASURED]


def test_every_quote_stands_in_its_turn_and_every_content_in_its_quote() -> None:
    count = 0
    for turn in [*textbook("tune"), *textbook("measured")]:
        for detection in detections(turn):
            count += 1
            assert stands_in(detection.quote, folded(turn.user)), turn.id
            assert folded(detection.content)[1:] in folded(detection.quote), turn.id
            assert detection.domain is None or detection.domain in DOMAINS
            assert list(detection.entities) == sorted(set(detection.entities))
    assert count > 150


def test_a_correction_takes_the_fact_without_the_no() -> None:
    (detection,) = found("By order date.", f"Hmm, {FACT[0].lower()}{FACT[1:]}")
    assert detection.detection_type == "correction"
    assert detection.content.startswith("The invoice date: the rate")
    assert detection.quote.startswith("Hmm, no, it's actually")


def test_a_sentence_that_goes_on_with_the_fact_belongs_to_it() -> None:
    (detection,) = found("They are deleted.", "No, users are anonymised. They stay for 24 months.")
    assert detection.content == "Users are anonymised. They stay for 24 months"


def test_two_facts_of_one_turn_are_two_detections() -> None:
    text = "That's wrong, the rows are removed later. FYI our convention is that ids are text."
    assert [d.detection_type for d in found("The rows are doubled.", text)] == [
        "correction",
        "unprompted_definition",
    ]


def test_a_yes_needs_the_assistant_s_statement_and_the_person_s_own_words() -> None:
    fact = "Yes, refunds are always subtracted first."
    assert found("Refunds are subtracted first?", fact)
    assert not found(fact)
    assert not found("The tile is blue.", fact)
    assert not found("Refunds are subtracted first?", "Yes.")
    assert not found("Refunds are subtracted first?", "Yes, subtract the refunds first.")


def test_what_the_assistant_says_teaches_nothing() -> None:
    assert not found("hello", "FYI our convention is that rates are daily.", "ok")


def test_a_request_to_write_a_rule_down_is_no_rule() -> None:
    said = found("Add a comment: our convention is that rates are daily.")
    assert not any(detection.accepted for detection in said)


@pytest.mark.parametrize(
    "pasted",
    [
        "```\nno, it's actually the invoice date: it is always that\n```",
        "> our convention is that rates are daily",
        "2026-03-01 10:00:00 INFO our convention is that rates are daily",
        "ValueError: the correct way is to pass an int",
        '{"rule": "our convention is that rates are daily"}',
        "+ # our convention is that rates are daily",
        "def rate(): # our convention is that rates are daily",
        "| rule | our convention is that rates are daily |",
        "// our convention is that rates are daily",
        "<p>our convention is that rates are daily</p>",
    ],
)
def test_pasted_lines_teach_nothing(pasted: str) -> None:
    assert not found("By order date.", pasted)
    assert not found("By order date.", f"look at this:\n{pasted}\n")


def test_prose_around_a_paste_is_still_read() -> None:
    text = "FYI our convention is that rates are daily.\n```\nx = 1\n```\nplease fix the tests"
    (detection,) = found(text)
    assert detection.content == "Our convention is that rates are daily"


def test_a_wrapped_line_is_one_sentence_and_an_abbreviation_ends_none() -> None:
    text = "for reference, the rate of an invoice in a foreign currency is always\nthat of its day"
    (detection,) = found(text)
    assert detection.content.endswith("that of its day")
    kept = [s.text for s in sentences("Costs, e.g. rent of 3.5 % vs. fees, are net. Yes.")]
    assert kept == ["Costs, e.g. rent of 3.5 % vs. fees, are net.", "Yes."]


def test_typographic_quotes_and_dashes_are_read_and_kept() -> None:
    (detection,) = found("It is weekly.", "No, it’s monthly – the “rate” is never weekly.")
    assert "it’s monthly – the “rate”" in detection.quote


@pytest.mark.slow
def test_the_same_text_gives_the_same_detections() -> None:
    turns = textbook("tune")
    assert [detections(turn) for turn in turns] == [detections(turn) for turn in turns]


@pytest.mark.parametrize(
    "unit", ["no, ", "yes ", "a. ", "not ", "the x is ", "FYI ", "```\n", "> x\n", "\n", "x" * 700]
)
def test_a_huge_turn_is_read_in_no_time(unit: str) -> None:
    begun = time.process_time()
    found("It is so.", unit * (2_000_000 // len(unit)))
    assert time.process_time() - begun < 5


WRAPPED = "we talk about the rates of the billing country and of the day of an invoice\n"


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize(
    "unit",
    [
        WRAPPED,
        "we talk about the rates of the billing country and of all days " + "." * 4000 + "x",
        "we talk about the rates of the billing country." + '!?."' * 900 + "x",
        "x.\n",
        "e.g. some rates, i.e. all; ",
        "\t\n",
    ],
    ids=lambda unit: unit[:24],
)
def test_sentences_are_found_in_time_that_grows_with_the_text(unit: str) -> None:
    took = []
    for kilobytes in (250, 1_000, 4_000):
        text = unit * (kilobytes * 1_000 // len(unit))
        begun = time.process_time()
        assert sum(len(sentence.text) for sentence in sentences(text)) <= len(text)
        took.append(max(time.process_time() - begun, 0.02))
    assert took[1] < 12 * took[0]
    assert took[2] < 12 * took[1]


def test_a_text_of_more_than_20_000_characters_is_material_and_teaches_nothing() -> None:
    filled = f"{FACT}\n" + "and so on. " * 2000
    assert len(found("By order date.", filled[:20_000])) == 1
    assert found("By order date.", filled[:20_001]) == []
    pasted = {"type": "text", "text": filled}
    typed = {"type": "text", "text": FACT}
    lines = [said("assistant", "By order date.", 0), said("user", [pasted, typed], 1)]
    (detection,) = RulesExtractor().find(turns_of(*lines), 0, "s", Notes())
    assert detection.turn.text == FACT


@pytest.mark.slow
def test_of_a_session_the_first_eight_million_characters_are_read() -> None:
    lines = [said("user", f"{n} " + "x" * 15_000, n) for n in range(600)]
    turns = turns_of(*lines)
    assert 7_900_000 < sum(len(turn.text) for turn in turns) <= 8_000_000
    assert [turn.index for turn in turns] == list(range(len(turns)))


@pytest.mark.slow
def test_a_session_gives_at_most_fifty_detections_however_it_grew(tmp_path: Path) -> None:
    fact = "FYI our convention number {} is that rates are daily."
    pipeline = make_pipeline(tmp_path)
    path = write(pipeline, "alice/p/a.jsonl", [said("user", fact.format(n), n) for n in range(30)])
    kept = []
    for part in (30, 60, 90):
        pipeline.run(VerificationProcessor())
        kept.append(pipeline.select("SELECT line_number FROM verifications ORDER BY 1"))
        add(path, [said("user", fact.format(n), n) for n in range(part, part + 30)])
    assert [len(rows) for rows in kept] == [30, 50, 50]
    assert kept[1] == kept[2] == [(n,) for n in range(1, 51)]
    lines = [said("user", fact.format(n), n) for n in range(400)]
    made = VerificationProcessor().process(session(*lines))
    assert (made.items, len(made.rows["verifications"])) == (50, 50)
    doubted = RulesExtractor(Thresholds(accept=1.0)).find(turns_of(*lines), 0, "s", Notes())
    assert len(doubted) == 400
    assert limited(doubted, 50) == doubted[:200]


@pytest.mark.parametrize(
    ("content", "domain", "entities"),
    [
        ("The VAT rate follows the billing country", "finance", {"vat", "rate", "billing"}),
        ("fct_mrr is rebuilt by dbt from the raw tables", "data", {"fct_mrr", "dbt", "table"}),
        ("TLS ends at the load balancer of the cluster", "infrastructure", {"tls", "cluster"}),
        ("Birds sing at dawn", None, set()),
    ],
)
def test_a_fact_has_a_domain_and_names_things(
    content: str, domain: str | None, entities: set[str]
) -> None:
    assert domain_of(content) == domain
    assert entities <= set(entities_of(content))


def test_the_rule_sheet_says_what_a_label_is() -> None:
    text = Path(LABELLED / "README.md").read_text("utf-8")
    assert all(kind in text for kind in KINDS if kind)
