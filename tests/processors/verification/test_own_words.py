"""Which parts of a turn are the person's own; all texts are made up."""

import time

import pytest

from conversations import said, turns_of
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.own_words import (
    EARLIER,
    Said,
    own_words,
)
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.sentences import sentences

FACT = "In our shop a parcel counts as lost after 21 days."


def spoken(text: str) -> list[str]:
    return [line.text for line in sentences(text)]


def found(*texts: str) -> list[Detection]:
    """In a conversation in which the person begins and both speak in turn."""
    lines = [said(("user", "assistant")[n % 2], text, n) for n, text in enumerate(texts)]
    return RulesExtractor().find(turns_of(*lines), 0, "s", Notes())


PLANS = {
    "a plan": f"Implement the following plan:\n\n# Lost parcels\n\n{FACT}",
    "a plan that is asked for politely": f"please execute this plan\n\n{FACT}",
}
PASTED = {
    "fenced code": f"```\n{FACT}\n```",
    "indented code": f"like this\n    {FACT}",
    "a pasted block": f"<pasted_content id=1>\nsome lines\n\n{FACT}\n</pasted_content>",
    "a log": f"2031-04-02 10:11:12 INFO start\n{FACT}",
    "a time in front": f"[10:11:12] start\n{FACT}",
    "terminal output": f"$ parcels check\n{FACT}",
    "a test run": f"FAILED tests/test_parcels.py::test_lost\n{FACT}",
    "a diff": f"@@ -1,2 +1,2 @@ def lost\n{FACT}",
    "a trace": f"Traceback (most recent call last):\n{FACT}",
    "a place in a file": f"parcels/lost.py:12: note\n{FACT}",
    "a compiler": f"error[E0308]: mismatched types\n{FACT}",
    "a request": f"GET /parcels/lost 500\n{FACT}",
    "the assistant's own screen": f"⏺ Update(parcels/lost.py)\n{FACT}",
    "a review by a bot": f"**Potential issue** | Major\n{FACT}",
    "a review by a person": f"nit: name it better\n{FACT}",
    "who reviewed": f"mira-k commented 2 hours ago\n{FACT}",
    "a quote": f"> {FACT}",
    "a quote of several lines": f"> The wiki says:\n> {FACT}\nwho wrote this?",
}
MATERIAL = PLANS | PASTED


@pytest.mark.parametrize("text", MATERIAL.values(), ids=MATERIAL)
def test_what_was_pasted_is_nobodys_word(text: str) -> None:
    assert not [line for line in spoken(text) if "21 days" in line]
    assert not found("hello", "What is it?", text)


@pytest.mark.parametrize("text", PASTED.values(), ids=PASTED)
def test_what_the_person_says_beside_it_is_still_theirs(text: str) -> None:
    own = "Our carrier never delivers on Mondays."
    assert own in spoken(f"{own}\n\n{text}")
    assert own in spoken(f"{text}\n\n{own}")


@pytest.mark.parametrize(
    "text",
    [
        FACT,
        f"- {FACT}",
        f"1. {FACT}",
        f"ok, change it. {FACT} Then commit.",
        f"the label is wrong: {FACT}",
        f"• carriers: {FACT}",
        f"note the build is green\n{FACT}",
        f"<b>no</b> we do not do that\n{FACT}",
        f"this < that. {FACT}",
    ],
)
def test_speech_stays(text: str) -> None:
    assert any("21 days" in line for line in spoken(text))


def test_a_quote_that_the_person_says_is_right_counts() -> None:
    assert FACT in spoken(f"> {FACT}\n\nthat is still true")
    assert FACT not in spoken(f"> {FACT}\n\nsince when?")


def test_what_the_assistant_has_said_is_not_the_persons_when_it_comes_back() -> None:
    claim = "In our shop a parcel counts as lost after 14 days, says the wiki"
    assert found("hello", "What counts?", FACT)
    assert not found("hello", claim, claim)
    assert not found("hello", claim, "go on", "done", claim.upper())
    quotes = [d.quote for d in found("hello", claim, f"{claim}\n\nno. {FACT}")]
    assert quotes
    assert all("14" not in quote for quote in quotes)


def test_only_the_newest_of_what_the_assistant_said_is_remembered() -> None:
    remembered = Said()
    remembered.add(FACT)
    assert FACT in remembered
    assert "a parcel" not in remembered, "anybody says that"
    remembered.add("x" * EARLIER)
    assert FACT not in remembered


@pytest.mark.slow
def test_what_an_agent_says_without_an_answer_costs_its_length() -> None:
    remembered = Said()
    begun = time.process_time()
    for number in range(200_000):
        remembered.add(f"step {number} of the migration is done")
    assert "step 199999 of the migration is done" in remembered
    # It was put together for each text: half a minute.
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("いいえ、締め日は毎月20日です。土日は前倒しします。直して", 3),
        ("注文は翌日に締めます！本当に？", 2),
        ("订单在第二天关闭。请修改", 2),
        ("Заказы закрываются на следующий день. Исправь.", 2),
        ("Zakázky se uzavírají druhý den, např. v úterý. Oprav to.", 2),
    ],
)
def test_a_sentence_ends_in_every_script(text: str, expected: int) -> None:
    lines = list(sentences(text))
    assert len(lines) == expected
    assert all(text[line.start : line.end] == line.text for line in lines)


@pytest.mark.parametrize(
    "unit", ["<file>", "select a", "⏺ a", "> a\n", "a:1", "```\n", "•", "*" * 9]
)
def test_the_time_is_linear(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        list(own_words(text))
        return time.process_time() - begun

    # Quadratic time would be minutes.
    assert seconds(400_000) < 3
