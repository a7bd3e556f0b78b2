"""Whose a fact is when several people hold its line, and which characters facts are made of."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from conversations import FACT, conversation, session, write
from helpers import Pipeline, make_pipeline
from knowledge_lines import FISCAL, knowledge, said
from lines import Line
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.names import LONGEST
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.detection.quotes import folded, stands_in
from session_pipeline_dagster.processors.verification.knowledge.decisions import Reviewer, reviewed
from session_pipeline_dagster.processors.verification.knowledge.items import APPROVED

ORIGINAL = conversation("hi", "By order date?", FACT, "Thanks.")
OTHER = "No, it's actually the order date: the rate is always that of the order date."


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def run(pipeline: Pipeline) -> None:
    settings = pipeline.settings
    run_all(VerificationProcessor(), pipeline.source, pipeline.store, settings, Options())


def evidence(pipeline: Pipeline, files: dict[str, Sequence[Line]]) -> set[tuple[object, ...]]:
    """Who said what, after a pass over these files."""
    for key, lines in files.items():
        write(pipeline, key, lines)
    run(pipeline)
    return set(pipeline.select("SELECT source_user, user_quote FROM verification_evidence"))


def earlier(lines: Sequence[Line]) -> list[Line]:
    return [line | {"timestamp": str(line["timestamp"]).replace("2026", "2020")} for line in lines]


def saying(text: str) -> list[Line]:
    """The same lines, with other words under the uuid of the fact."""
    return [*ORIGINAL[:2], *conversation(text, first=2), *ORIGINAL[3:]]


@pytest.mark.parametrize("change", [list, earlier], ids=["same times", "earlier"])
@pytest.mark.parametrize("forger", ["aaron", "zoe"])
@pytest.mark.parametrize("words", [OTHER, f"{FACT} It was always so.", "Nothing."])
def test_other_words_under_a_known_uuid_take_and_hide_nobody_s_fact(
    pipeline: Pipeline, forger: str, words: str, change
) -> None:
    files = {"mia/p/s1.jsonl": ORIGINAL, f"{forger}/p/s1.jsonl": change(saying(words))}
    found = evidence(pipeline, files)
    assert ("mia", FACT) in found
    assert ("mia", words) not in found
    (summary,) = [s for s in VerificationProcessor.summaries if s.title.startswith("What people")]
    assert ("mia",) in pipeline.select(f'SELECT DISTINCT "user" FROM ({summary.sql})')


@pytest.mark.parametrize("forger", ["aaron", "zoe"])
def test_a_copy_with_other_times_takes_nobody_s_fact(pipeline: Pipeline, forger: str) -> None:
    files = {"mia/p/s1.jsonl": ORIGINAL, f"{forger}/p/s1.jsonl": earlier(ORIGINAL)}
    assert ("mia", FACT) in evidence(pipeline, files)


def test_a_line_from_long_ago_makes_no_original_of_a_copy(pipeline: Pipeline) -> None:
    first: Line = {
        "type": "user",
        "uuid": "x",
        "timestamp": "2020-01-01T00:00:00Z",
        "sessionId": "s",
    }
    files = {"mia/p/s1.jsonl": ORIGINAL, "zoe/p/s1.jsonl": [first, *ORIGINAL]}
    assert evidence(pipeline, files) == {("mia", FACT)}


def test_a_person_s_own_copies_are_one_line_whatever_their_times(pipeline: Pipeline) -> None:
    files = {"mia/p/s1.jsonl": ORIGINAL, "mia/p/s2.jsonl": earlier(ORIGINAL)}
    evidence(pipeline, files)
    assert pipeline.select("SELECT count(*) FROM verification_evidence") == [(1,)]


def test_lines_of_one_uuid_support_an_item_each_in_any_order() -> None:
    mine = replace(said(FISCAL, "mia", line="u"), line_key="words@1")
    theirs = replace(said(FISCAL, "aaron", line="u"), line_key="words@0")
    copy = replace(said(FISCAL, "zoe", line="u"), line_key="words@1", file_started_us=None)
    for order in permutations([mine, theirs, copy]):
        known = knowledge(order)
        assert {e.source_user for e in known.evidence.values()} == {"mia", "aaron"}
        assert {e.line_uuid for e in known.evidence.values()} == {"u"}


HIDDEN = {
    "escape": "\x1b",
    "bell": "\x07",
    "override": "\u202e",
    "isolate": "\u2066",
    "zero width": "\u200b",
    "soft hyphen": "\u00ad",
    "tag": "\U000e0041",
    "half": "\ufffe",
    "annotation": "\ufff9",
    "c1": "\x9b",
    "bom": "\ufeff",
}


@pytest.mark.slow
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_no_character_of_a_stored_fact_does_anything_but_show_itself(
    pipeline: Pipeline, hidden: str
) -> None:
    text = f"FYI our convention is that{hidden} the MRR{hidden} of all billing\ncountries is daily."
    write(pipeline, "alice/p/s.jsonl", conversation("hi", "Hello.", text))
    run(pipeline)
    ((title, content, quote, entities),) = pipeline.select(
        "SELECT title, content, user_quote, entities FROM verifications"
    )
    for value in (title, content, quote, *entities):
        assert all(character.isprintable() for character in value), value
    assert "that the MRR of all billing countries" in quote
    assert stands_in(quote, folded(text))
    ((item,),) = pipeline.select("SELECT content FROM knowledge_items")
    assert item.isprintable()
    (rule,) = [q for q in VerificationProcessor.quality if q.name == "quotes_verbatim"]
    measured = inspect(VerificationProcessor(), rule, pipeline.source, pipeline.store)
    assert (measured.violations, measured.numbers["quotes_checked"]) == (0, 1)


def test_what_older_rows_hold_is_lost_when_it_is_approved() -> None:
    (item,) = knowledge([said(FISCAL)]).items.values()
    hidden = replace(item, title="a\u202eb\x1b", content="c\nd\U000e0041")
    approved = reviewed(hidden, APPROVED, Reviewer("r" * 300, 0))
    assert (approved.title, approved.content) == ("ab", "c d")
    assert len(approved.reviewed_by or "") == LONGEST


def test_names_that_are_stored_have_a_length() -> None:
    lines = [
        line | {"sessionId": "s" * 9000, "uuid": f"{n}" + "u" * 9000}
        for n, line in enumerate(ORIGINAL)
    ]
    (row,) = VerificationProcessor().process(session(*lines)).rows["verifications"]
    assert all(len(value) <= LONGEST for value in row[:4] if isinstance(value, str))
    assert all(len(value) <= LONGEST for value in row[10:] if isinstance(value, str))
