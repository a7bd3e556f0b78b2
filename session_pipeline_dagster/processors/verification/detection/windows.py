"""What one call of a model is about: some new turns of a session after a few older ones, as JSON.

The turns travel as one JSON array, so that nothing in a text can pretend to be a turn or an
instruction of ours. Of a person's turn only their own words are sent (`material.py`). Long sessions
go in windows that overlap a little, so all turns are covered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from session_pipeline_dagster.processors.verification.detection.gates import is_statement
from session_pipeline_dagster.processors.verification.detection.material import (
    Own,
    without_material,
)
from session_pipeline_dagster.processors.verification.detection.own_words import Said
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn

WINDOW = 48_000
"""Characters of the turns of one call."""
OVERLAP = 4
"""Turns of the window before that are sent again, as context."""
_LONGEST = {HUMAN: 12_000, ASSISTANT: 3_000}
_CONTEXT = 1_000
_CUT = "\n[... {} characters left out ...]\n"


class _Line(msgspec.Struct, frozen=True):
    """One turn on its way to a model."""

    index: int
    role: str
    text: str
    context: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A turn as a model is sent it.

    Attributes:
        own: of a person's turn, what of it is theirs; None of the assistant's.
    """

    turn: Turn
    own: Own | None

    @property
    def text(self) -> str:
        """What is sent of it, before it is shortened."""
        return self.turn.text if self.own is None else self.own.text

    @property
    def may_state(self) -> bool:
        """Whether a person's own words in it are enough to state anything."""
        return self.own is not None and any(is_statement(run.text) for run in self.own.runs)

    @property
    def context(self) -> bool:
        """Whether there is nothing of a person's own to note from it."""
        return self.own is not None and not self.own.runs

    @property
    def size(self) -> int:
        """Characters that are sent of it."""
        return min(len(self.text), _LONGEST[self.turn.role])


@dataclass(frozen=True, slots=True)
class Window:
    """The turns of one call: those that were sent before, and the new ones."""

    context: Sequence[Sent]
    new: Sequence[Sent]


def shown(turns: Sequence[Turn], seen: int) -> list[Sent]:
    """The turns; those that are not sent again are not looked at, only remembered."""
    found, said = [], Said()
    for turn in turns:
        if turn.role == ASSISTANT:
            said.add(turn.text)
            found.append(Sent(turn, None))
        else:
            sent = len(found) >= seen - OVERLAP
            found.append(Sent(turn, without_material(turn.text, said) if sent else Own("", ())))
    return found


def windows(turns: Sequence[Sent], seen: int) -> Iterator[Window]:
    """All turns from `seen` on, WINDOW characters at a time, each time after OVERLAP older ones."""
    start = seen
    while start < len(turns):
        end, size = start, 0
        while end < len(turns) and (end == start or size + turns[end].size <= WINDOW):
            size += turns[end].size
            end += 1
        yield Window(turns[max(0, start - OVERLAP) : start], turns[start:end])
        start = end


def payload(window: Window) -> str:
    """The JSON array that a model is sent."""
    sent = [_line(turn, _CONTEXT, context=True) for turn in window.context]
    sent += [_line(t, _LONGEST[t.turn.role], context=t.context) for t in window.new]
    return msgspec.json.encode(sent).decode()


def _line(sent: Sent, longest: int, *, context: bool) -> _Line:
    return _Line(sent.turn.index, sent.turn.role, _shortened(sent.text, longest), context)


def _shortened(text: str, longest: int) -> str:
    """A long text without its middle: what a person says is at one end of what they paste."""
    if len(text) <= longest:
        return text
    head, tail = longest * 2 // 3, longest // 3
    return text[:head] + _CUT.format(len(text) - head - tail) + text[-tail:]
