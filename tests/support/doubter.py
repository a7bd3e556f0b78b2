"""A processor for the tests of a review: what it finds it is not sure of."""

import re
from pathlib import Path

from helpers import Pipeline
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.reading import result
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import HUMAN, read_turns
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.testing.builder import SessionBuilder

THINGS = ("cash", "stock", "sales", "claims", "payroll", "freight", "rental", "energy")
REASON = "says what is true instead"
_FACT = re.compile(r"the (\w+).{0,60}? report is closed on day \d+ of each month", re.I | re.S)


class Doubter(VerificationProcessor):
    """Finds when a report is closed; the first of THINGS it is surest of.

    Args:
        accepted: whether it takes what it finds for an item.
    """

    def __init__(self, *, accepted: bool = False, version: int | None = None) -> None:
        self._accepted = accepted
        self.version = version or VerificationProcessor.version

    def begin(self, settings: object, run_id: str | None) -> "Doubter":
        return self

    def process(self, session: Session) -> ProcessorResult:
        turns = read_turns(session.transcript)
        found = [
            Detection(
                turn,
                "correction",
                said.group()[:1].upper() + said.group()[1:],
                said.group(),
                "finance",
                score=score(said.group(1)),
                accepted=self._accepted,
                reasons=(REASON,),
            )
            for turn in turns
            if turn.role == HUMAN
            for said in _FACT.finditer(turn.text)
        ]
        return result(session, found, RulesExtractor(), self.version, redact, len(turns))


def score(thing: str) -> float:
    return 0.9 - (THINGS.index(thing) if thing in THINGS else 9) / 100


def fact(number: int) -> str:
    """What the person of session `number` says."""
    return f"The {THINGS[number % 8]} report is closed on day {number + 3} of each month"


def turn(number: int) -> str:
    """All that they say in that turn."""
    said = fact(number)
    return f"No, it is later: {said[0].lower()}{said[1:]}. Please change the job."


def claim(number: int) -> str:
    """What the assistant had said before."""
    return f"The {THINGS[number % 8]} report is closed on the first day of each month."


def write_session(root: Path, number: int, user: str = "alice") -> None:
    """The session that holds fact `number`, in line 3."""
    made = SessionBuilder(f"5e55{number:04}").prompt("Look at the job, please")
    made.response(claim(number)).prompt(turn(number)).response("Done.")
    made.write(root, f"{user}/p/{number}.jsonl")


def doubt(pipeline: Pipeline, doubter: Doubter | None = None, **options: object) -> BatchReport:
    """One whole pass, knowledge included."""
    given, processor = Options(**options), doubter or Doubter()
    return run_all(processor, pipeline.source, pipeline.store, pipeline.settings, given)
