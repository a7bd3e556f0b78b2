"""How well the rules find what people taught: precision and recall on labelled turns."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn

LABELLED = Path(__file__).parent.parent / "tests" / "data" / "labelled_turns"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One turn of a person, what the assistant said before, and what is to be found in it."""

    id: str
    assistant: str | None
    user: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """Turns found rightly, wrongly and not at all, by their ids."""

    right: Sequence[str]
    wrong: Sequence[str]
    missed: Sequence[str]

    @property
    def precision(self) -> float:
        """Of what was found, the share that is right."""
        return len(self.right) / max(1, len(self.right) + len(self.wrong))

    @property
    def recall(self) -> float:
        """Of what is there, the share that was found."""
        return len(self.right) / max(1, len(self.right) + len(self.missed))


def read(name: str) -> list[Labelled]:
    """A half of the labelled set: `tune` or `measured`."""
    lines = (LABELLED / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [Labelled(**json.loads(line)) for line in lines]


def detections(labelled: Labelled) -> list[Detection]:
    """What the rules find in the turn."""
    turns = []
    if labelled.assistant is not None:
        turns.append(Turn(0, ASSISTANT, labelled.assistant, "a", "a@", 1, 0, "s"))
    turns.append(Turn(len(turns), HUMAN, labelled.user, "u", "u@", 2, 0, "s"))
    return RulesExtractor().find(turns, 0, "labelled", Notes())


def score(name: str) -> Score:
    """The rules on one half."""
    right, wrong, missed = [], [], []
    for labelled in read(name):
        kinds = {found.detection_type for found in detections(labelled)}
        (right if labelled.label in kinds else missed if labelled.label else []).append(labelled.id)
        wrong += [labelled.id for _ in kinds - {labelled.label}]
    return Score(right, wrong, missed)


def report() -> str:
    """Both halves in a table."""
    rows = [f"{'rules on labelled turns':28}{'turns':>10}{'precision':>12}{'recall':>10}"]
    for name in ("tune", "measured"):
        found = score(name)
        rows.append(f"{name:28}{len(read(name)):10}{found.precision:12.3f}{found.recall:10.3f}")
    return "\n".join(rows)
