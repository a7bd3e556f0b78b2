"""`python -m benchmarks.model`: how well the model of the settings finds what people taught.

Every labelled turn is asked about as a session of its own, with what the assistant said before it,
through the product's own client, filters and gates; secrets are taken out first, as always.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.labelled import HANDS, Labelled, Measured, Share, read, wilson
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.errors import Deferred, Permanent, Retryable, SettingsError
from session_pipeline_dagster.processors.verification.detection.asking import ModelExtractor
from session_pipeline_dagster.processors.verification.detection.extractor import Detection
from session_pipeline_dagster.processors.verification.detection.gates import Dropped
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn
from session_pipeline_dagster.processors.verification.models.budget import Budget
from session_pipeline_dagster.processors.verification.models.build import build_model
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.settings import Settings, read_settings

TURNS = 300
"""Turns that are asked about where nobody says how many: each one is paid for."""
_DROPPED = (*(kind.value for kind in Dropped), "detections_unsure", "detections_repeated")


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
        Turn(index, role, clean(text), f"{index}", index + 1, 0, "s")
        for index, (role, text) in enumerate(said)
    ]


def report(model: str, measured: Measured) -> str:
    """What was measured, for a person."""
    items, shown, counts = measured.items, measured.shown, measured.counts
    wrong = measured.wrong
    low, high = wilson(wrong.hits, wrong.of) if wrong.of else (0.0, 0.0)
    per = 1000 * wrong.hits / max(1, wrong.of)
    tokens = f"{counts['llm_input_tokens']:,} in ({counts['llm_cached_tokens']:,} from a cache)"
    rows = [
        (f"{model} on labelled turns", f"{measured.turns} turns, {measured.facts} facts"),
        ("items that are right", measured.precision),
        ("  their type too", Share(items["right"], items["typed"])),
        ("wrong items in 1,000 turns", f"{per:.0f} [{1000 * low:.0f}-{1000 * high:.0f}]"),
        ("facts found as items", measured.recall),
        ("  or to be looked at", measured.recall_with_review),
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
    parser.add_argument("--labels", type=Path, default=HANDS, help="file or folder")
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
