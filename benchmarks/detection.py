"""How well what people taught is found without a model, and what each part of it is worth.

`tune` and `measured` are by the hand that wrote the signs. `hands/` is by others who saw neither
signs nor weights; of those, the weights were never trained on `MEASURED`.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.labelled import HANDS, LABELLED, Labelled, Measured, read
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.rules import RulesExtractor
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn
from session_pipeline_dagster.processors.verification.detection.weights import Weights
from training.turns import MEASURED

_VARIANTS = {
    "all": (),
    "without letters": ("g=",),
    "without words and letters": ("g=", "w=", "^=", "$="),
    "without signs": ("sign",),
}


@dataclass(frozen=True, slots=True)
class Textbook:
    """One turn by the signs' author, and the type of what is to be found in it."""

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


def textbook(name: str) -> list[Textbook]:
    """A half of the signs' author's set: `tune` or `measured`."""
    lines = (LABELLED / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [Textbook(**json.loads(line)) for line in lines]


def score(name: str, *, review: bool, known: Weights | None = None) -> Score:
    """Items of one half; with `review` candidates too."""
    extractor = RulesExtractor(known=known)
    right, wrong, missed = [], [], []
    for turn in textbook(name):
        found = [each for each in detections(turn, extractor) if each.accepted or review]
        kinds = {each.detection_type for each in found}
        (right if turn.label in kinds else missed if turn.label else []).append(turn.id)
        wrong += [turn.id for _ in kinds - {turn.label}]
    return Score(right, wrong, missed)


def hands() -> dict[str, list[Labelled]]:
    """The turns of each hand, by its name."""
    return {path.stem: [*read(path)] for path in sorted(HANDS.glob("*.jsonl"))}


def detections(
    turn: Textbook | Labelled, extractor: RulesExtractor | None = None
) -> list[Detection]:
    """What is found in the turn."""
    turns = []
    if turn.assistant is not None:
        turns.append(Turn(0, ASSISTANT, turn.assistant, "a", 1, 0, "s"))
    turns.append(Turn(len(turns), HUMAN, turn.user, "u", 2, 0, "s"))
    return (extractor or RulesExtractor()).find(turns, 0, "labelled", Notes())


def measured(turns: Sequence[Labelled], known: Weights | None = None) -> Measured:
    """What is found in labelled turns, by these weights or those of this version."""
    found, extractor = Measured(), RulesExtractor(known=known)
    for turn in turns:
        found.add(turn, detections(turn, extractor))
    return found


def row(name: str, found: Measured) -> str:
    """A hand as a row of a Markdown table."""
    wrong = round(1000 * found.wrong.value)
    shares = (found.precision, found.recall, found.recall_with_review, found.typed)
    return f"| `{name}` | {found.turns} | {' | '.join(s.short for s in shares)} | {wrong} |"


def report(known: Weights | None = None) -> str:
    """The signs' author's halves, and the hands that the weights were not trained on.

    Args:
        known: None = the weights of this version.
    """
    lines = [f"{'by the author of the signs':28}{'turns':>10}{'precision':>12}{'recall':>10}"]
    for name in ("tune", "measured"):
        for review in (False, True):
            found, said = (
                score(name, review=review, known=known),
                f"{name}, {'review' if review else 'items'}",
            )
            lines.append(
                f"{said:28}{len(textbook(name)):10}{found.precision:12.3f}{found.recall:10.3f}"
            )
    lines.append("| hand | turns | items right | found | + review | type | wrong per 1,000 |")
    every = hands()
    lines += [row(name, measured(every[name], known)) for name in MEASURED]
    return "\n".join(lines)


def ablation() -> str:
    """What weights reach without some of their features, trained on the same turns."""
    # Only who trains has what it takes.
    from training.__main__ import everything, made, written  # noqa: PLC0415
    from training.fit import Plan  # noqa: PLC0415

    every, turns = hands(), everything([])
    lines = []
    for name, without in _VARIANTS.items():
        known = made(turns, 1, Plan(without=without))
        begun = time.process_time()
        found = {hand: measured(every[hand], known) for hand in MEASURED}
        took = 1000 * (time.process_time() - begun) / sum(one.turns for one in found.values())
        size = len(written(known)) // 1000
        lines.append(f"{name}: {len(known.fact)} features, {size} kB, {took:.2f} ms a turn")
        lines += [row(hand, one) for hand, one in found.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(ablation() if "--ablation" in sys.argv else report())
