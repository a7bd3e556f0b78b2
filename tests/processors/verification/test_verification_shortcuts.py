"""What is done in fewer steps comes to the same as the plain way: redaction, scores, words."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secret_forms import read_forms
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification import redaction
from session_pipeline_dagster.processors.verification.detection import own_words, phrases
from session_pipeline_dagster.processors.verification.detection.concepts import (
    CONCEPTS,
    concepts_in,
)
from session_pipeline_dagster.processors.verification.detection.features import (
    beyond_words,
    features,
)
from session_pipeline_dagster.processors.verification.detection.own_words import Said
from session_pipeline_dagster.processors.verification.detection.patterns import (
    alternatives,
    any_of,
    anywhere,
)
from session_pipeline_dagster.processors.verification.detection.rules import (
    RulesExtractor,
    scene_of,
)
from session_pipeline_dagster.processors.verification.detection.sentences import sentences
from session_pipeline_dagster.processors.verification.detection.turns import (
    ASSISTANT,
    HUMAN,
    Turn,
)
from session_pipeline_dagster.processors.verification.detection.weights import (
    scored,
    weights,
    words,
)
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.processors.verification.redaction.columns import redact_columns
from session_pipeline_dagster.processors.verification.redaction.finding import folded
from session_pipeline_dagster.processors.verification.redaction.personal import redact_personal
from session_pipeline_dagster.processors.verification.redaction.tokens import redact_tokens
from session_pipeline_dagster.settings import DEFAULT_PERSONAL
from training.turns import read_hands

LITERALS = [literal for literal, _ in redaction._FINDERS]
LITERALS += redaction.HANDED_OUT
FORMS = [form.text for form in read_forms("forms.jsonl")]
_SPACES = st.sampled_from(["", " ", " ", "\n", "\t", "\u00a0", "\x1f", "\u200b"])
_PIECES = st.one_of(
    st.sampled_from(LITERALS),
    st.sampled_from(FORMS),
    st.sampled_from(
        ["as admin ", "Kolibri22!", "a!B", "4111 1111 1111 1111", "İ", "ΑΣ", "[REDACTED:"]
    ),
    st.text(max_size=12),
)


def redacted_the_plain_way(text: str) -> str:
    """Every rule asked at every place of the text."""
    for _ in range(redaction._MOST_ROUNDS):
        before = text
        text = redaction._HIDING.sub("", text)
        lower = folded(text)
        text = redaction._SEARCH.redact(text, lower, range(len(lower)))
        text = redact_personal(redact_columns(redact_tokens(text)), DEFAULT_PERSONAL)
        if text == before:
            break
    return text


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@example([("user admin and ", ""), ("Kolibri22!", "")])
@example([("x\n", ""), ("$( echo ", "")])
@given(st.lists(st.tuples(_PIECES, _SPACES), max_size=12))
def test_what_is_not_looked_at_holds_no_secret(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece + space for piece, space in pieces)
    for varied in (text, text.upper(), text.title()):
        assert redact(varied) == redacted_the_plain_way(varied)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_secret_is_seen_at_a_glance(form: str) -> None:
    for around in ("{}", "so: {} there", "first\n{}\nlast"):
        text = around.format(form)
        assert redact(text) == redacted_the_plain_way(text)


def test_a_text_of_more_words_than_are_remembered_is_redacted_all_the_same() -> None:
    text = " ".join(f"w{number}x" for number in range(31_000))
    assert (
        redact(f"{text} password=hunter22 {text}") == f"{text} password=[REDACTED:password] {text}"
    )


def _said() -> list[str]:
    turns = read_hands(["d4"])[:150]
    said = [text for turn in turns for text in (turn.assistant, turn.user) if text]
    said += [
        "請求は必ず月末です。なぜですか？",
        "por qué, peut-être qu'il y a, est-ce que ça va",
        "c'est tal vez",
    ]
    return [line.lower for text in said for line in sentences(text)]


def test_words_tell_of_the_same_concepts_as_the_patterns() -> None:
    said = [
        *_said(),
        *(term.replace("|", " ") for term in "por|qué peut-être xpor|qué weil's".split()),
    ]
    for lower in said:
        assert concepts_in(lower) == [n for n, p in CONCEPTS.items() if p.search(lower)], lower


def test_what_is_announced_is_found_wherever_it_is_announced() -> None:
    for lower in (*_said(), "xfyi", "please note that", "in our team a note: it is"):
        assert bool(phrases.ANNOUNCED.search(lower)) == bool(phrases.DEFINING.search(lower)), lower


_LINES = r"""
    \bab|^b[|)]g|(?:x )?\by|(?<!a)c|d(?:e|f
    |g)
    (?:a|b )?(?:c )*dd|\(b|[^]a]x
"""


@example("b|g")
@example("xb|g")
@example("x ab")
@example("xab")
@example("x dg")
@example("(b")
@given(st.text(alphabet="abcdefgxy |)](", max_size=12))
def test_alternatives_are_found_anywhere_as_in_their_order(text: str) -> None:
    assert bool(anywhere(_LINES).search(text)) == bool(re.search(any_of(_LINES), text))


def test_alternatives_in_brackets_and_classes_stay_together() -> None:
    assert alternatives(r"a|(b|c)|[|)]|\||[^]|]") == ["a", "(b|c)", "[|)]", r"\|", "[^]|]"]


def test_a_sentence_counts_what_its_features_count() -> None:
    known = weights()
    for turn in read_hands(["d4"])[:150]:
        said = Said()
        said.add(turn.assistant or "")
        scene = scene_of(turn.user, turn.assistant or "", said)
        for index in range(len(scene.lines)):
            found = features(scene, index)
            beside = sum(known.fact.get(n, 0) for n in set(beyond_words(scene, index)))
            counted = beside + words().count(scene.seen[index].tokens)
            assert counted == sum(scored(found, known).counted.values())


@given(st.text())
def test_letters_and_spoken_characters_are_counted_as_one_by_one(text: str) -> None:
    for each in (text, text.encode("ascii", "ignore").decode()):
        assert own_words._letters(each) == re.sub(r"[\W_]+", "", each).casefold()
        assert own_words._spoken(each) == sum(c.isalpha() or c.isspace() for c in each)


def test_only_what_is_read_is_redacted() -> None:
    read: list[str] = []

    def clean(text: str) -> str:
        read.append(text)
        return text

    said = [(ASSISTANT, "Shall I?"), (HUMAN, "go on"), (ASSISTANT, "Done."), (ASSISTANT, "Bye.")]
    turns = [
        Turn(index, role, text, f"u{index}", index + 1, 0, "s", 0, clean)
        for index, (role, text) in enumerate(said)
    ]
    assert RulesExtractor().find(turns, 0, "file", Notes()) == []
    assert "Done." not in read
    assert "Bye." not in read
    assert read.count("go on") == 1
