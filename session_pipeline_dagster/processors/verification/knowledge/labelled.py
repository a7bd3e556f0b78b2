"""Decisions as labelled turns to train on, as in `tests/data/labelled_turns/hands`. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.detection.extractor import DEFINITION
from session_pipeline_dagster.processors.verification.knowledge.candidates import Detected
from session_pipeline_dagster.processors.verification.knowledge.heard import Exchange, Line
from session_pipeline_dagster.processors.verification.knowledge.items import Observation
from session_pipeline_dagster.processors.verification.knowledge.labels import (
    JUDGED,
    RIGHT,
    Label,
    Settled,
    words_of,
)

_TYPES = {DEFINITION: "definition"}


@dataclass(frozen=True, slots=True)
class LabelledFact:
    """A fact: its type, and the piece of the turn that covers it."""

    type: str
    quote: str


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """One line of such a file.

    Attributes:
        assistant: what was said before it; None for nothing.
        user: the whole turn, or the quote alone where the turn cannot be read any more.
        facts: what people said is right in it.
        why: "rejected" for a turn without facts.
    """

    id: str
    topic: str
    voice: str
    assistant: str | None
    user: str
    facts: Sequence[LabelledFact]
    why: str


def labelled(
    labels: Sequence[Label],
    detected: Iterable[Detected],
    heard: Callable[[Line], Exchange | None],
    clean: Callable[[str], str],
) -> tuple[list[LabelledTurn], int]:
    """The turns, and how many of them are whole.

    Args:
        clean: takes secrets out of a quote: what is one may have changed since it was decided.

    What was decided about one turn is one line. Where something else in it waits for a decision,
    the quote stands for the turn: what is no fact in a whole turn teaches that it is none.
    """
    settled = Settled(labels)
    open_ = {_turn_of(d.observation) for d in detected if d.label(settled) is None}
    # It was said, but is not said to be right: nothing is known of the rest of its turn.
    open_ |= {_turn_of(label) for label in settled.last if label.decision not in JUDGED}
    made: list[LabelledTurn] = []
    whole = 0
    lines: dict[object, list[Label]] = defaultdict(list)
    for label in settled.last:
        if label.decision in JUDGED:
            lines[_turn_of(label)].append(label)
    for name, together in lines.items():
        read = map(heard, map(line_of, together)) if name not in open_ else ()
        turn = next(filter(None, read), None)
        quotes = [clean(label.user_quote) for label in together]
        pieces = [piece(quote, turn.user) if turn else None for quote in quotes]
        if turn and all(pieces):
            whole += 1
            facts = [
                LabelledFact(_type(label), found)
                for label, found in zip(together, pieces, strict=True)
                if found and label.decision in RIGHT
            ]
            made.append(_turn(together[0].id, turn.assistant or None, turn.user, facts))
            continue
        for label, quote in zip(together, quotes, strict=True):
            fact = [LabelledFact(_type(label), quote)] if label.decision in RIGHT else []
            made.append(_turn(label.id, None, quote, fact))
    return made, whole


def _turn_of(said: Label | Observation) -> object:
    """Names the turn, in every copy where it has a key."""
    return words_of(said.line_key) or (said.session_file, said.line_number)


def line_of(label: Label) -> Line:
    """Where its quote stands."""
    return Line(label.session_file, label.line_number, label.line_key, label.user_quote)


def piece(quote: str, text: str) -> str | None:
    """The quote as it stands in the text, whatever white space; None where it does not."""
    words = quote.split()
    found = re.search(r"\s+".join(map(re.escape, words)), text) if words else None
    return found.group() if found else None


def _turn(
    name: str, assistant: str | None, user: str, facts: Sequence[LabelledFact]
) -> LabelledTurn:
    why = "" if facts else "rejected"
    return LabelledTurn(name, "reviewed", "", assistant, user, facts, why)


def _type(label: Label) -> str:
    return _TYPES.get(label.detection_type, label.detection_type)
