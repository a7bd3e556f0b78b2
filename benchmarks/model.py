"""`python -m benchmarks.model`: how well the model of the settings finds what people taught.

Every labelled turn is asked about as a session of its own, with what the assistant said before it,
through the product's own client, filters and gates; secrets are taken out first, as always.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.detection import LABELLED
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.errors import Deferred, Permanent, Retryable, SettingsError
from session_pipeline_dagster.processors.verification.detection.asking import ModelExtractor
from session_pipeline_dagster.processors.verification.detection.extractor import (
    DEFINITION,
    Detection,
)
from session_pipeline_dagster.processors.verification.detection.gates import Dropped
from session_pipeline_dagster.processors.verification.detection.quotes import folded
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn
from session_pipeline_dagster.processors.verification.models.budget import Budget
from session_pipeline_dagster.processors.verification.models.build import build_model
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.settings import Settings, read_settings

TURNS = 300
"""Turns that are asked about where nobody says how many: each one is paid for."""
_QUOTED = 0.8
"""Of a fact's characters, what a detection has to quote to have found it."""
_SURE = 1.96
"""Standard deviations on both sides that hold 95 of 100."""
_DROPPED = (*(kind.value for kind in Dropped), "detections_unsure", "detections_repeated")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A turn of a person, what the assistant said before it, and (type, quote) of its facts."""

    id: str
    assistant: str | None
    user: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    of: int
    hits: int

    def __str__(self) -> str:
        if not self.of:
            return "none"
        low, high = wilson(self.hits, self.of)
        return f"{self.hits / self.of:.2f} [{low:.2f}-{high:.2f}]  {self.hits} of {self.of}"


@dataclass(slots=True)
class Measured:
    """What came of all turns that got an answer.

    Attributes:
        items, shown: detections that were accepted, and those left to be looked at.
        facts: of the labels; by_items, by_all: those that are quoted.
        endings: how the others ended.
        counts: of the product: tokens, calls, what the gates dropped.
    """

    turns: int = 0
    items: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    by_items: int = 0
    by_all: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, labelled: Labelled, found: Sequence[Detection]) -> None:
        """What was found in one turn."""
        self.turns += 1
        self.facts += len(labelled.facts)
        items = [one for one in found if one.accepted]
        for one in found:
            tally = self.items if one.accepted else self.shown
            types = [kind for kind, fact in labelled.facts if covers(labelled.user, one, fact)]
            tally["found"] += 1
            tally["right"] += bool(types)
            tally["typed"] += one.detection_type in types
        for _, fact in labelled.facts:
            self.by_items += any(covers(labelled.user, one, fact) for one in items)
            self.by_all += any(covers(labelled.user, one, fact) for one in found)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval that holds the true share 95 times in 100, also of few and of nearly all."""
    share, square = hits / of, _SURE**2
    middle = share + square / (2 * of)
    wide = _SURE * math.sqrt(share * (1 - share) / of + square / (4 * of**2))
    whole = 1 + square / of
    return max(0.0, (middle - wide) / whole), min(1.0, (middle + wide) / whole)


def covers(text: str, found: Detection, fact: str) -> bool:
    """Whether the quote holds the fact, nearly all of it."""
    whole, quote, wanted = folded(text), folded(found.quote), folded(fact)
    mine, theirs = whole.find(quote), whole.find(wanted)
    shared = min(mine + len(quote), theirs + len(wanted)) - max(mine, theirs)
    return min(mine, theirs) >= 0 and shared >= _QUOTED * len(wanted)


def read(path: Path) -> Iterator[Labelled]:
    """The turns of a file, or of all files of a folder.

    Raises:
        SystemExit: it is none of that; says where.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    for file in files:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            sys.exit(f"{file} cannot be read; LABELS is a file of labelled turns, or a folder")
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _labelled(line, f"{file}, line {number}")


def _labelled(line: str, where: str) -> Labelled:
    try:
        made = json.loads(line)
        facts = tuple((_type(fact), str(fact["quote"])) for fact in made["facts"])
        return Labelled(str(made.get("id", "")), made.get("assistant"), made["user"], facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"{where}: no labelled turn; it needs user and facts (docs/knowledge.md)")


def _type(fact: Mapping[str, object]) -> str:
    return DEFINITION if fact.get("type") == "definition" else str(fact.get("type"))


def spread(turns: Sequence[Labelled], most: int) -> list[Labelled]:
    """So many of the turns, the same ones every time, from the first to the last."""
    most = min(most, len(turns))
    return [turns[number * len(turns) // most] for number in range(most)]


def measure(settings: Settings, turns: Sequence[Labelled], threads: int) -> Measured:
    """Ask about each of the turns.

    Raises:
        SettingsError: nobody is to be asked, or the server does not take the key or the model.
    """
    model = build_model(settings.model)
    if model is None:
        raise SettingsError("set SESSION_PIPELINE_EXTRACTOR to anthropic or openai")
    clean = partial(redact, personal=settings.personal)
    asking = ModelExtractor(settings.model.extractor.value, model)
    budget = Budget(settings.model.tokens_per_run)
    measured = Measured()

    def ask(labelled: Labelled) -> tuple[Notes, Sequence[Detection] | str]:
        notes = Notes()
        try:
            with budget.spending(notes):
                return notes, asking.find(_turns(labelled, clean), 0, labelled.id, notes)
        except (Deferred, Permanent, Retryable) as ending:
            return notes, type(ending).__name__

    with ThreadPoolExecutor(threads) as pool:
        for labelled, (notes, found) in zip(turns, pool.map(ask, turns), strict=True):
            measured.counts.update(notes.counts)
            if isinstance(found, str):
                measured.endings[found] += 1
            else:
                measured.add(_clean(labelled, clean), found)
    return measured


def _clean(labelled: Labelled, clean: partial[str]) -> Labelled:
    """As the model saw it; a secret in a fact is not to make its quote wrong."""
    facts = [(kind, clean(fact)) for kind, fact in labelled.facts]
    return Labelled(labelled.id, None, clean(labelled.user), facts)


def _turns(labelled: Labelled, clean: partial[str]) -> list[Turn]:
    said = [] if labelled.assistant is None else [(ASSISTANT, labelled.assistant)]
    said.append((HUMAN, labelled.user))
    return [
        Turn(index, role, clean(text), f"{index}", f"{index}@", index + 1, 0, "s")
        for index, (role, text) in enumerate(said)
    ]


def report(model: str, measured: Measured) -> str:
    """What was measured, for a person."""
    items, shown, counts = measured.items, measured.shown, measured.counts
    wrong = Share(measured.turns, items["found"] - items["right"])
    low, high = wilson(wrong.hits, wrong.of) if wrong.of else (0.0, 0.0)
    per = 1000 * wrong.hits / max(1, wrong.of)
    tokens = f"{counts['llm_input_tokens']:,} in ({counts['llm_cached_tokens']:,} from a cache)"
    rows = [
        (f"{model} on labelled turns", f"{measured.turns} turns, {measured.facts} facts"),
        ("items that are right", Share(items["found"], items["right"])),
        ("  their type too", Share(items["right"], items["typed"])),
        ("wrong items in 1,000 turns", f"{per:.0f} [{1000 * low:.0f}-{1000 * high:.0f}]"),
        ("facts found as items", Share(measured.facts, measured.by_items)),
        ("  or to be looked at", Share(measured.facts, measured.by_all)),
        ("to be looked at, right", Share(shown["found"], shown["right"])),
        *((f"dropped: {name}", counts[name]) for name in _DROPPED if counts[name]),
        *((f"no answer: {name}", number) for name, number in sorted(measured.endings.items())),
        ("tokens", f"{tokens}, {counts['llm_output_tokens']:,} out, {counts['llm_calls']} calls"),
    ]
    wide = 2 + max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{wide}}{value}" for name, value in rows)


def main() -> None:
    """Ask, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, default=LABELLED / "hands", help="file or folder")
    parser.add_argument("--turns", type=int, default=TURNS, help="at most, evenly spread")
    given = parser.parse_args()
    try:
        settings = read_settings()
        turns = spread([*read(given.labels)], given.turns)
        measured = measure(settings, turns, settings.model.sessions_at_once)
    except SettingsError as error:
        sys.exit(str(error))
    print(report(settings.model.model, measured))


if __name__ == "__main__":
    main()
