"""How well the rules find what people taught: precision and recall on labelled turns.

`tune` and `measured` are by the hand that wrote the rules; `hands/` is by others who have not seen
them, and says more.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn

LABELLED = Path(__file__).parent.parent / "tests" / "data" / "labelled_turns"
_QUOTED = 0.8
"""Of a fact's characters, what a detection has to quote to have found it."""


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


@dataclass(frozen=True, slots=True)
class ByHand:
    """A turn by one of the other hands; `facts` are quotes of it, none for most turns."""

    id: str
    language: str
    assistant: str | None
    user: str
    facts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Quoted:
    """Turns and facts of a hand, detections, those that quote a fact, and the facts quoted."""

    turns: int
    facts: int
    found: int
    right: int
    quoted: int

    @property
    def precision(self) -> float:
        """Of what was found, the share that quotes a fact."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """Of the facts, the share that was quoted."""
        return self.quoted / max(1, self.facts)


def hands() -> dict[str, list[ByHand]]:
    """The turns of each hand, by its name."""
    return {
        path.stem: [_by_hand(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        for path in sorted((LABELLED / "hands").glob("*.jsonl"))
    }


def _by_hand(line: dict) -> ByHand:
    facts = tuple(fact["quote"] for fact in line["facts"])
    return ByHand(line["id"], line.get("lang", "en"), line["assistant"], line["user"], facts)


def quoted(turns: Sequence[ByHand]) -> Quoted:
    """What the rules find in the turns of a hand."""
    facts = found = right = hit = 0
    for turn in turns:
        quotes = [detection.quote for detection in detections(turn)]
        facts, found = facts + len(turn.facts), found + len(quotes)
        right += sum(any(_quotes(turn.user, quote, f) for f in turn.facts) for quote in quotes)
        hit += sum(any(_quotes(turn.user, quote, f) for quote in quotes) for f in turn.facts)
    return Quoted(len(turns), facts, found, right, hit)


def _quotes(text: str, quote: str, fact: str) -> bool:
    mine, theirs = text.find(quote), text.find(fact)
    shared = min(mine + len(quote), theirs + len(fact)) - max(mine, theirs)
    return shared >= _QUOTED * len(fact)


def detections(labelled: Labelled | ByHand) -> list[Detection]:
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
    """Both halves and the other hands in a table."""
    rows = [f"{'rules on labelled turns':28}{'turns':>10}{'precision':>12}{'recall':>10}"]
    for name in ("tune", "measured"):
        found = score(name)
        rows.append(f"{name:28}{len(read(name)):10}{found.precision:12.3f}{found.recall:10.3f}")
    for name, turns in hands().items():
        by = quoted(turns)
        rows.append(f"{f'hand {name}':28}{by.turns:10}{by.precision:12.3f}{by.recall:10.3f}")
    return "\n".join(rows)
