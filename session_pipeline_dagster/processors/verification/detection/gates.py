"""What of a model's answer is believed: of its quotes, its scores and its reasons.

Pure decisions. What the model is asked is in `asking.py`, what a person's own words are in
`material.py`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from session_pipeline_dagster.processors.verification.detection.material import Own, Part, Run
from session_pipeline_dagster.processors.verification.detection.quotes import SHORTEST
from session_pipeline_dagster.processors.verification.detection.sentences import LONGEST
from session_pipeline_dagster.processors.verification.detection.statements import QUESTION

ACCEPT = 0.9
"""From this score on a detection becomes an item without being looked at."""
SHOW = 0.5
"""Below this score it is dropped; between the two a person looks at it."""
REASONS = (
    "states a rule",
    "defines a term",
    "says how a thing works",
    "corrects the assistant",
    "answers a question",
    "restated",
)
"""What a model may give as a reason; nothing else of it is kept as one."""
MOST_REASONS = 3
LONGEST_QUOTE = 3 * LONGEST
"""Characters: a fact goes on for three sentences at most."""
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
"""Of scripts that write no spaces; two make a word."""
_CLOSING = " ?!.\"')]»」』？！。"
_PLACES = 20
"""How often words may stand in a turn that are looked at everywhere they do."""


class Dropped(Enum):
    """Why a quote proves nothing; the values are counts of a pass."""

    UNSAID = "rejected_quotes"  # stands in no turn of a person
    MATERIAL = "quotes_of_material"  # in one, but not in their own words
    NO_STATEMENT = "quotes_without_statement"  # too short or too long to be one
    QUESTION = "quotes_that_only_ask"


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn of a person that a quote may be of.

    Attributes:
        text: all of it, folded.
    """

    text: str
    own: Own

    def check(self, words: str) -> Dropped | None:
        """None where a folded quote proves that the person said it as a statement."""
        if len(words) < SHORTEST or words not in self.text:
            return Dropped.UNSAID
        places = [(run, at) for run in self.own.runs for at in _places(words, run.text)]
        if not places:
            return Dropped.MATERIAL
        if not is_statement(words) or len(words) > LONGEST_QUOTE:
            return Dropped.NO_STATEMENT
        if all(_only_asks(run, at, at + len(words)) for run, at in places):
            return Dropped.QUESTION
        return None


def is_statement(text: str) -> bool:
    """Whether there are enough words to state anything; a number needs one less."""
    count = len(text.split()) + len(_UNSPACED.findall(text)) // 2
    return count > 2 or (count == 2 and any(c.isdigit() for c in text))


def score_of(answered: object) -> float | None:
    """The score if it is one; None where nobody can tell how sure the model is."""
    if isinstance(answered, bool) or not isinstance(answered, int | float):
        return None
    # Neither infinity nor what is no number lies between them.
    return float(answered) if 0 <= answered <= 1 else None


def reasons_of(answered: object) -> Sequence[str]:
    """The reasons that are ours, each once."""
    given = answered if isinstance(answered, list) else []
    known = [reason for reason in REASONS if reason in given]
    return tuple(sorted(known, key=given.index)[:MOST_REASONS])


def _places(words: str, text: str) -> Iterator[int]:
    """Where the words stand in a text."""
    found = re.finditer(re.escape(words), text)
    return (match.start() for match in islice(found, _PLACES))


def _only_asks(run: Run, start: int, end: int) -> bool:
    """Whether all that is quoted there is a question; a clause in the middle of one is none."""
    quoted = [part for part in run.parts if part.start < end and start < part.end]
    return all(part.question and _asks(run, part, start, end) for part in quoted)


def _asks(run: Run, part: Part, start: int, end: int) -> bool:
    to_its_end = not run.text[end : part.end].strip(_CLOSING)
    return to_its_end or bool(QUESTION.match(run.text, max(start, part.start)))
