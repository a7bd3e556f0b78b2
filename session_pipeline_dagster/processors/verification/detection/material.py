"""A person's turn without its material: what a model is sent, and where its quotes may stand.

Which words are a person's own is decided in `own_words.py` and `sentences.py`. Here all else is
left out, and own words are kept in runs, so that no quote leads over what was left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.detection.own_words import WORD, Said
from session_pipeline_dagster.processors.verification.detection.quotes import folded
from session_pipeline_dagster.processors.verification.detection.sentences import sentences

LITTLE = 20
"""Characters without a word, such as the number of a list item: they stay where they stand."""


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence in a run: where it stands in the folded text, and whether it asks."""

    start: int
    end: int
    question: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Own words with no material in between.

    Attributes:
        text: folded as quotes are.
    """

    text: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Own:
    """A turn without its material.

    Attributes:
        text: what is sent of it, with a mark for everything that was left out.
        runs: none where nothing in the turn is the person's own.
    """

    text: str
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or what little stands between two (`question` is None)."""

    text: str
    question: bool | None = None


def without_material(text: str, said: Said) -> Own:
    """The turn's own words.

    Args:
        said: what the assistant has said before; who repeats it has not said it.
    """
    shown: list[str] = []
    runs: list[Run] = []
    run: list[_Piece] = []
    at = 0
    # However long a sentence is: who dictates makes no full stops.
    for sentence in sentences(text, longest=len(text)):
        if sentence.text in said:
            continue
        between = text[at : sentence.start]
        if _is_little(between):
            shown.append(between)
            run.append(_Piece(between))
        else:
            shown.append(_mark(between))
            runs += _run(run)
            run = []
        words = text[sentence.start : sentence.end]
        shown.append(words)
        run.append(_Piece(words, sentence.question))
        at = sentence.end
    rest = text[at:]
    shown.append(rest if _is_little(rest) else _mark(rest))
    return Own("".join(shown).strip(), [*runs, *_run(run)])


def _is_little(between: str) -> bool:
    return len(between.strip()) <= LITTLE and not WORD.search(between)


def _mark(left_out: str) -> str:
    count = sum(bool(line.strip()) for line in left_out.splitlines())
    return f"\n[material left out: {count} line{'s' if count > 1 else ''}]\n"


def _run(pieces: Sequence[_Piece]) -> Iterator[Run]:
    """Folded piece by piece, so that each sentence is found again."""
    text, spaced = "", False
    parts: list[Part] = []
    for piece in pieces:
        same = folded(piece.text)
        spaced = spaced or piece.text[:1].isspace()
        if same:
            text += " " if spaced and text else ""
            if piece.question is not None:
                parts.append(Part(len(text), len(text) + len(same), piece.question))
            text += same
        spaced = piece.text[-1:].isspace() or (spaced and not same)
    if parts:
        yield Run(text, parts)
