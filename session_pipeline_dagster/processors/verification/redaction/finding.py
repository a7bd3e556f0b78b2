"""Where secrets are found: spans of a text, and finders that are asked at a literal.

A text is searched once for the literals of all finders; only where one stands is its finder asked.
A finder looks at a bounded stretch, so that the time is linear in the text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

OPEN = "[REDACTED:"
_OPEN = OPEN.lower()
_LONGEST_MARK = 30


@dataclass(frozen=True, slots=True)
class Span:
    """A secret: its place in the text, and what kind it is."""

    start: int
    end: int
    kind: str


Finder = Callable[[str, str, int], Span | None]
"""Asked with the text, the same in lower case, and where the literal stands."""


class Search:
    """Finders by the literals they hang on, in lower case; the first that finds a span counts."""

    def __init__(self, *finders: tuple[str, Finder]) -> None:
        self._literals = re.compile(any_of({literal for literal, _ in finders}))
        self._finders = {
            # The longest literal is found; those that it begins with stand there too.
            literal: [find for beginning, find in finders if literal.startswith(beginning)]
            for literal, _ in finders
        }

    def redact(self, text: str, lower: str, places: Iterable[int]) -> str:
        """The text without what the finders find.

        Args:
            lower: the text, `folded`.
            places: where a literal may stand, in order.
        """
        spans: list[Span] = []
        done = 0
        for at in places:
            literal = self._literals.match(lower, at) if at >= done else None
            span = self._span(text, lower, literal) if literal else None
            if span is not None and span.start >= done:
                spans.append(span)
                done = span.end
        return without(text, spans)

    def _span(self, text: str, lower: str, literal: re.Match[str]) -> Span | None:
        for find in self._finders[literal[0]]:
            span = find(text, lower, literal.start())
            if span is not None:
                return span
        return None


def without(text: str, spans: Sequence[Span]) -> str:
    """The text with a mark where a span was; they are in order and do not overlap."""
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces += (text[done : span.start], mark(span.kind))
        done = span.end
    return "".join(pieces) + text[done:] if pieces else text


def mark(kind: str) -> str:
    """What stands where a secret stood."""
    return f"{OPEN}{kind}]"


def is_in_mark(lower: str, at: int) -> bool:
    """Whether a place is inside of a mark, in lower case: `[redacted:github-token]` names one."""
    begin = max(0, at - _LONGEST_MARK)
    return lower.rfind(_OPEN, begin, at) > lower.rfind("]", begin, at)


def folded(text: str) -> str:
    """In lower case, every character where it was."""
    return text.replace("İ", "I").lower()


def any_of(words: Iterable[str]) -> str:
    """A pattern of all words, the longest first; by first letters it is four times faster."""
    ordered = sorted(words, key=lambda word: (word[0], -len(word), word))
    groups = groupby(ordered, key=itemgetter(0))
    return "|".join(
        f"{re.escape(first)}(?:{'|'.join(re.escape(word[1:]) for word in group)})"
        for first, group in groups
    )
