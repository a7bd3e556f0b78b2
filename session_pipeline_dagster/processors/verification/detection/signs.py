"""What the phrases alone say about a turn: where a *sign* stands together with a *fact*.

A sign (a no, a yes, "we define") counts only with a fact: a statement that will still hold tomorrow
(`statements.py`). The phrases of the signs are in `phrases.py`. Whether it is believed is decided
by the weights, to which a sign is one feature among others.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from session_pipeline_dagster.processors.verification.detection import phrases as say
from session_pipeline_dagster.processors.verification.detection.claims import Claim, strongest_claim
from session_pipeline_dagster.processors.verification.detection.extractor import (
    CONFIRMATION,
    CORRECTION,
    DEFINITION,
)
from session_pipeline_dagster.processors.verification.detection.sentences import Sentence, sentences
from session_pipeline_dagster.processors.verification.detection.statements import (
    ACRONYM,
    AFTERTHOUGHT,
    DEMAND,
    DEPENDENT,
    FINITE,
    IMPERATIVE,
    INVENTORY,
    OURS,
    about_a_fault,
    asks,
    holds,
    is_request,
    lasting,
)
from session_pipeline_dagster.processors.verification.detection.terms import words

_STRIP = " \t,.:;!-"


@dataclass(frozen=True, slots=True)
class _Fact:
    """Where a fact stands in the turn's text, and the last sentence that belongs to it."""

    start: int
    end: int
    last: int


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign and its fact in a turn.

    Attributes:
        kind: the detection type that it is a sign of.
        first, last: the sentences it covers.
        start, end: where the fact stands in the turn's text, without the sign.
    """

    kind: str
    first: int
    last: int
    start: int
    end: int


def signs(text: str, lines: Sequence[Sentence], before: str) -> Iterator[Sign]:
    """The signs in the sentences of a turn, in order; no two cover the same sentence.

    Args:
        before: what the assistant said last, "" for nothing.
    """
    reader = _Reader(text, lines, before)
    index = 0
    while index < len(lines):
        kind, fact = reader.look(index)
        if fact is not None:
            yield Sign(kind, index, fact.last, fact.start, fact.end)
            index = fact.last
        index += 1


class _Reader:
    """Reads the sentences of one turn."""

    def __init__(self, text: str, lines: Sequence[Sentence], before: str) -> None:
        self.text, self.lines, self.before = text, lines, before
        self.opening = True
        self.kind = DEFINITION

    @cached_property
    def claimed(self) -> frozenset[str]:
        """Words of what the assistant said last."""
        return words(self.before)

    def look(self, index: int) -> tuple[str, _Fact | None]:
        """What the sentence announces, and the fact; no fact, no detection."""
        line = self.lines[index]
        announced = _after(say.DEFINING, line, line.start)
        if announced > line.start:
            self.opening = False
            return DEFINITION, self._fact(index, announced, strict=False)
        kind, fact = self._unannounced(index)
        if fact is not None:
            self.kind = kind
        return kind, fact

    def _unannounced(self, index: int) -> tuple[str, _Fact | None]:
        line, opening = self.lines[index], self.opening
        start = _after(say.LEAD_IN, line, line.start)
        answered = self._answer(index, start) if opening else None
        if answered is not None:
            return answered
        body = _body(line, start)
        if body.strip(_STRIP):
            self.opening = False
        defined = _after(say.DEFINING, line, start)
        if defined > start:
            return DEFINITION, self._fact(index, defined, strict=False)
        if line.question or is_request(body):
            return self.kind, None
        if say.TURNED.search(body) and self.before:
            return CORRECTION, self._fact(index, _after(ACTUALLY, line, start), strict=False)
        if self._asks(index + 1) or (about_a_fault(body) and not say.MEANING.search(body)):
            return self.kind, None
        if opening and self._contradicts(body):
            return CORRECTION, self._fact(index, start, strict=False)
        alone = (say.MEANING, say.RULE, say.UNIVERSAL)
        if ACRONYM.match(line.text) or any(sign.search(body) for sign in alone):
            return self.kind, self._fact(index, start, strict=True)
        return self.kind, None

    def _answer(self, index: int, start: int) -> tuple[str, _Fact | None] | None:
        """What a no or a yes at the beginning of a turn makes of it; None without one."""
        line = self.lines[index]
        denied, agreed = _after(say.DENIAL, line, start), _after(say.ASSENT, line, start)
        if not self.before and agreed > start:
            # A yes to nothing: whatever follows is an answer to something that is not here.
            return CONFIRMATION, None
        if denied > start:
            self.opening = False
            if not self.before:
                # A no to what the agent is doing, without a word of its own.
                return CORRECTION, self._fact(index, _repeated(line, denied), strict=True)
            # A no to a question answers it; a full statement corrects what it took for granted.
            begin, asked = _repeated(line, denied), self._only_asked()
            if asked and INVENTORY.match(_body(line, begin)):
                return CORRECTION, None
            return CORRECTION, self._fact(index, begin, strict=asked)
        if agreed == start:
            return None
        limited = _after(_BUT, line, agreed)
        if limited > agreed and FINITE.search(_body(line, limited)):
            self.opening = False
            return CORRECTION, self._fact(index, limited, strict=True)
        self.opening = agreed >= line.end
        return CONFIRMATION, self._repeated_fact(index, agreed)

    def _contradicts(self, body: str) -> bool:
        """Whether it speaks of what the assistant claimed; if that was a deed, it has to draw a
        line too."""
        if not self.claimed & words(body) or DEMAND.match(body):
            return False
        claim = self._claim()
        return claim is Claim.STATED or (claim is Claim.DONE and _draws_a_line(body))

    def _asks(self, index: int) -> bool:
        """Whether a sentence is a question or a request: then what came before was its reason."""
        if index >= len(self.lines):
            return False
        line = self.lines[index]
        body = _body(line, _after(say.LEAD_IN, line, line.start))
        return asks(body, question=line.question)

    def _fact(self, index: int, start: int, *, strict: bool) -> _Fact | None:
        """The fact from `start` on: in this sentence, else in one of the next two."""
        line = self.lines[index]
        if _holds(line, start, strict=strict):
            return self._with_more(index, start)
        if not _is_short(line, start):
            return None
        for later in range(index + 1, min(index + 3, len(self.lines))):
            line = self.lines[later]
            begin = _repeated(line, _after(say.LEAD_IN, line, line.start))
            if _holds(line, begin, strict=strict):
                return self._with_more(later, begin)
            if not _is_short(line, begin):
                return None
        return None

    def _repeated_fact(self, index: int, start: int) -> _Fact | None:
        """The fact after a yes: it has to be about what the assistant said."""
        fact = self._fact(index, start, strict=True)
        if fact is None:
            return None
        return fact if self.claimed & words(self.text[fact.start : fact.end]) else None

    def _with_more(self, index: int, start: int) -> _Fact:
        """Together with sentences that go on with it."""
        last = index
        while last + 1 < len(self.lines) and last < index + 2:
            line = self.lines[last + 1]
            text = line.lower
            if not DEPENDENT.match(text) or not lasting(text, question=line.question):
                break
            last += 1
        return _Fact(start, self.lines[last].end, last)

    def _only_asked(self) -> bool:
        """Whether the assistant asked something and claimed nothing."""
        asked = any(line.question for line in sentences(self.before[-2000:]))
        return asked and self._claim() is Claim.NONE

    def _claim(self) -> Claim:
        """The strongest of what the assistant said last."""
        return strongest_claim(self.before[-2000:])


ACTUALLY = re.compile(
    r"(?:(?:actually|in fact|in reality|as a matter of fact|the truth is)[\s,:-]+)?"
    r"(?:it's actually|it is actually)?[\s,:-]*"
)
_BUT = re.compile(r"(?:but|except(?: that| for)?|although|however|with one exception)\b[\s,:-]*")


def _draws_a_line(body: str) -> bool:
    lines = (say.SET_AGAINST, say.NARROWING, say.RULE, say.MEANING, OURS)
    return any(pattern.search(body) for pattern in lines)


def _is_short(line: Sentence, start: int) -> bool:
    """Whether a sentence says next to nothing, so that the fact may be in the one after it."""
    body = _body(line, start).strip(_STRIP)
    return len(body.split()) < 3 and not line.question and not IMPERATIVE.match(body)


def _after(sign: re.Pattern[str], line: Sentence, start: int) -> int:
    """Where a sign that stands at `start` ends in the turn's text; `start` where it does not."""
    match = sign.match(line.lower, start - line.start)
    if match is None or match.end() == match.start():
        return start
    end = line.start + match.end()
    rest = line.text[match.end() :]
    return end + len(rest) - len(rest.lstrip(_STRIP))


def _repeated(line: Sentence, start: int) -> int:
    """After all noes in a row, and "actually" and the like."""
    while True:
        end = _after(say.DENIAL, line, _after(say.LEAD_IN, line, start))
        end = _after(ACTUALLY, line, end)
        if end == start:
            return start
        start = end


def _body(line: Sentence, start: int) -> str:
    return AFTERTHOUGHT.sub("", line.lower[start - line.start :]).strip()


def _holds(line: Sentence, start: int, *, strict: bool) -> bool:
    return holds(_body(line, start), question=line.question, strict=strict)
