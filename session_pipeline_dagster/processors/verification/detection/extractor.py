"""Who finds what people taught, and what a find is.

`rules.py` finds by phrases, `asking.py` by a model. A find is only kept if its quote stands in one
turn of a person (`quotes.py`); what else is stored of it is computed in `rows.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.turns import Turn
from session_pipeline_dagster.settings import Thresholds

CORRECTION = "correction"
CONFIRMATION = "confirmation"
DEFINITION = "unprompted_definition"
MOST = 50
"""Detections of a session that are kept, whoever finds them: nobody teaches more in one."""
DOMAINS = ("finance", "engineering", "product", "data", "operations", "infrastructure")


@dataclass(frozen=True, slots=True)
class Detection:
    """Something a person taught.

    Attributes:
        turn: where they said it.
        detection_type: one of the three above.
        content: the fact.
        quote: their words, as they stand in the turn.
        domain: one of DOMAINS, or None.
        entities: names and terms in the fact.
        title: a short name of the fact; empty = its beginning.
        score: 0 to 1, how sure it is; None where its finder does not say.
        accepted: whether it becomes an item without being looked at.
        reasons: the strongest ones, in words of ours.
    """

    turn: Turn
    detection_type: str
    content: str
    quote: str
    domain: str | None = None
    entities: Sequence[str] = field(default=())
    title: str = ""
    score: float | None = None
    accepted: bool = True
    reasons: Sequence[str] = field(default=())


def limits(given: Thresholds | None, review: float, accept: float) -> tuple[float, float]:
    """From which scores on a find is kept, and accepted; what is accepted is always kept.

    Args:
        review, accept: where nothing is set.
    """
    given = given or Thresholds()
    accept = accept if given.accept is None else given.accept
    return min(review if given.review is None else given.review, accept), accept


class Extractor(Protocol):
    """Finds detections in turns.

    Attributes:
        name: as it stands in the rows.
        model: the model it asks; None where it asks none.
    """

    name: str

    @property
    def model(self) -> str | None: ...

    def find(
        self, turns: Sequence[Turn], seen: int, session_file: str, notes: Notes
    ) -> list[Detection]:
        """The detections in the turns from `seen` on; those before are context.

        Args:
            notes: takes the journal of calls and the counts of what was left out.

        Raises:
            Retryable, Permanent, SettingsError: as `Model.ask`.
        """
        ...
