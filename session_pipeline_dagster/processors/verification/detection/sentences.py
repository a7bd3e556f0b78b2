"""A person's own words, sentence by sentence, with where each one stands.

In any script: a letter is what Unicode calls one, and a full stop of Chinese or Japanese ends a
sentence too. Time is linear.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.detection.own_words import (
    WORD,
    own_words,
)

LONGEST = 600
"""Characters; a longer sentence is something else."""

# A run of marks is looked at once, from its beginning: thousands of dots would take their square.
_BOUNDARY = re.compile(r"(?<![.!?])[.!?]++[\"')\]”’»]*+(?=\s|$)|[。！？｡]++[」』）\"']*+|[;；\n]+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|resp|cf|incl|excl|no|nr|ca|mr|ms|dr|z\.b|bzw|ggf|inkl|usw|tzn|např"
    r"|apod|atd|př|p\.ex|ej|sr|sra)|\b[^\W\d_])\.$",
    re.I,
)
_ASCII = str.maketrans("‘’‚‛´“”„‟–—−‐‑", "'''''" + '""""' + "-----")
_MARKS = " \t\r\n-*•>・"
_ITEM = re.compile(r"\s*(?:[-*•]\s|\(?\w{1,2}[.)]\s|\[[ xX]\])")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a person.

    Attributes:
        text: with plain ASCII quotes and dashes, as long as the original from `start` to `end`.
        start, end: where it stands in the turn's text.
        item: it begins an item of a list.
        piece: number of the run of lines that it stands in.
    """

    text: str
    start: int
    end: int
    item: bool = False
    piece: int = 0

    @property
    def lower(self) -> str:
        """In lower case, as long as `text`: a few letters become two, and stay as they are here."""
        lower = self.text.lower()
        if len(lower) == len(self.text):
            return lower
        return "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    @property
    def question(self) -> bool:
        """Whether it ends with a question mark."""
        return self.text.rstrip("\"')]» 」』").endswith(("?", "？"))


def sentences(original: str, longest: int = LONGEST) -> Iterator[Sentence]:
    """The sentences of a person's own words in a text.

    Args:
        longest: characters; a longer one is left out.
    """
    text = original.translate(_ASCII)
    for number, piece in enumerate(own_words(text)):
        item = bool(_ITEM.match(text, piece.start, piece.end))
        for start, end in _split(text, piece.start, piece.end):
            line = _trimmed(text, start, end, item=item, piece=number)
            if line and len(line.text) <= longest:
                yield line
            item = False


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for match in _BOUNDARY.finditer(text, start, end):
        mark = match[0]
        if mark[0] == "." and _ABBREVIATION.search(
            text, max(begin, match.start() - 8), match.start() + 1
        ):
            continue
        if mark[0] == "\n" and match.end() < end:
            continue
        yield begin, match.end()
        begin = match.end()
    yield begin, end


def _trimmed(text: str, start: int, end: int, *, item: bool, piece: int) -> Sentence | None:
    said = text[start:end]
    start += len(said) - len(said.lstrip(_MARKS))
    said = text[start:end].rstrip(" \t\r\n;；")
    if not said or not WORD.search(said):
        return None
    return Sentence(said, start, start + len(said), item, piece)
