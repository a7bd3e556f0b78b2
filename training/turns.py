"""Labelled turns: what a person said, what the assistant said before, and which facts are in it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.labelled import HANDS, LABELLED
from session_pipeline_dagster.processors.verification.detection.extractor import DEFINITION
from session_pipeline_dagster.processors.verification.detection.features import Scene
from session_pipeline_dagster.processors.verification.detection.own_words import Said
from session_pipeline_dagster.processors.verification.detection.rules import scene_of
from session_pipeline_dagster.processors.verification.detection.signs import signs

TEXTBOOK = LABELLED / "tune.jsonl"
MEASURED = ("d4", "k0", "l2", "m3")
"""Hands that are never trained on; all others are."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Fact:
    """Where a fact stands in a turn, and its detection type."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """One turn.

    Attributes:
        hand: who wrote it; the name of its file.
        language: `en` or another one's two letters.
        facts: what a careful reader would note; none for most turns.
    """

    id: str
    hand: str
    language: str
    assistant: str
    user: str
    facts: Sequence[Fact]

    @property
    def scene(self) -> Scene:
        """The turn as the weights see it."""
        said = Said()
        said.add(self.assistant)
        return scene_of(self.user, self.assistant, said)


def read_hands(names: Iterable[str] | None = None) -> list[Labelled]:
    """The turns of these hands; None = of all that are trained on."""
    if names is None:
        names = sorted({path.stem for path in HANDS.glob("*.jsonl")} - {*MEASURED})
    return [turn for name in names for turn in read(HANDS / f"{name}.jsonl")]


def read(path: Path) -> list[Labelled]:
    """The turns of a file.

    Raises:
        ValueError: a line is not of that shape, or a quote does not stand in its turn.
    """
    found = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_turn(json.loads(line), path.stem, number))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return found


def read_textbook(path: Path = TEXTBOOK) -> list[Labelled]:
    """Turns whose label names a kind and no quote: the fact stands where a sign of it does.

    A turn whose fact no sign shows is left out, since nothing says where it is. A turn whose sign
    is the same without what the assistant said comes without that as well: it may be gone.
    """
    found = []
    for line in map(json.loads, path.read_text("utf-8").strip().split("\n")):
        turn = _turn(line | {"facts": []}, path.stem, 0)
        said = [turn, replace(turn, assistant="")] if turn.assistant else [turn]
        shown = (_shown(each, line["label"]) for each in said)
        found += [each for each in shown if each.facts or line["label"] is None]
    return found


def _shown(turn: Labelled, kind: str | None) -> Labelled:
    """With the facts that signs of this kind show."""
    lines = turn.scene.lines
    found = signs(turn.user, lines, turn.assistant)
    facts = [Fact(lines[s.first].start, s.end, s.kind) for s in found if s.kind == kind]
    return replace(turn, facts=tuple(facts))


def _turn(line: Mapping[str, object], hand: str, number: int) -> Labelled:
    user = str(line["user"])
    return Labelled(
        str(line.get("id") or f"{hand}-{number}"),
        hand,
        str(line.get("lang") or "en"),
        str(line.get("assistant") or ""),
        user,
        tuple(_facts(user, line["facts"])),
    )


def _facts(user: str, facts: object) -> Iterable[Fact]:
    for fact in _list(facts):
        quote = fact["quote"]
        at = user.find(quote)
        if at < 0:
            raise ValueError("a quote does not stand in its turn")
        kind = str(fact.get("type", DEFINITION))
        yield Fact(at, at + len(quote), DEFINITION if kind == "definition" else kind)


def _list(value: object) -> list:
    return value if isinstance(value, list) else []


def labels(turn: Labelled, scene: Scene) -> list[str | None]:
    """The detection type of each sentence; None for those that state no fact."""
    return [
        next((f.kind for f in turn.facts if _covers(f, line.start, line.end)), None)
        for line in scene.lines
    ]


def _covers(fact: Fact, start: int, end: int) -> bool:
    shared = min(fact.end, end) - max(fact.start, start)
    return shared > _HALF * min(fact.end - fact.start, end - start)
