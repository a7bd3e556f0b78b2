"""`make measure`: the command of docs/knowledge.md, run against a server on loopback."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import labelled, model
from conversations import sent_turns
from fake_llm import FakeLLM, Step, answer, detection
from places import ROOT
from session_pipeline_dagster.processors.verification.detection.extractor import (
    CORRECTION,
    Detection,
)
from session_pipeline_dagster.processors.verification.detection.turns import HUMAN, Turn
from session_pipeline_dagster.settings import Extractor, Settings

OURS = ("SESSION_", "ANTHROPIC_", "OPENAI_", "MAKE", "MFLAGS")
RATE = "the rate is always that of the invoice date"
GUEST = "a guest is somebody without a phone number"
SECRET = f"ghp_{'a1' * 18}"
LABELS = [
    {"id": "1", "assistant": "By order date?", "user": f"No, {RATE}. Mend it.", "facts": [RATE]},
    {"id": "2", "assistant": None, "user": f"Can you see it? For us {GUEST}.", "facts": [GUEST]},
    {"id": "3", "assistant": None, "user": "The page should be blue from now on.", "facts": []},
    {"id": "4", "assistant": None, "user": f"The key is {SECRET}, as you know.", "facts": []},
]


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    with FakeLLM(Extractor.ANTHROPIC) as fake:
        yield fake


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the command needs of a clone, with this environment as its own."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    labelled = tmp_path / "tests" / "data" / "labelled_turns"
    labelled.parent.mkdir(parents=True)
    labelled.symlink_to(ROOT / "tests" / "data" / "labelled_turns")
    for name in (".runs", ".installed"):
        (tmp_path / ".venv" / name).touch()
    write(tmp_path / "my-labels.jsonl", LABELS)
    return tmp_path


def write(path: Path, labels: Sequence[dict[str, Any]]) -> Path:
    made = []
    for label in labels:
        facts = [{"type": "correction", "quote": quote} for quote in label["facts"]]
        made.append(json.dumps(label | {"facts": facts}))
    path.write_text("\n".join(made) + "\n", "utf-8")
    return path


def shell(clone: Path, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=clone,
        env=clean | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def command() -> str:
    page = (ROOT / "docs" / "knowledge.md").read_text("utf-8")
    return page.partition("\n## Measure a model")[2].partition("```sh\n")[2].partition("```")[0]


def figures(printed: str) -> dict[str, str]:
    """What stands behind each name."""
    pairs = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in printed.splitlines())
    return dict(pairs)


def opinions(request: dict[str, Any]) -> Step:
    """Sure of one fact and of one order, less sure of the other fact; quotes the assistant too."""
    turn = sent_turns(request)[-1]
    if RATE in turn["text"]:
        return answer(
            detection(turn["index"], RATE.upper()), detection(turn["index"], "By order date?")
        )
    if GUEST in turn["text"]:
        return answer(detection(turn["index"], GUEST, score=0.7))
    if "blue" in turn["text"]:
        return answer(detection(turn["index"], "The page should be blue from now on"))
    return answer()


@pytest.mark.slow
def test_the_command_of_the_page_measures_a_model_on_labels_of_one_s_own(
    clone: Path, llm: FakeLLM
) -> None:
    llm.script = opinions
    done = shell(clone, command(), ANTHROPIC_API_KEY="key", ANTHROPIC_BASE_URL=llm.url)
    assert (done.returncode, done.stderr) == (0, "")
    found = figures(done.stdout)
    assert found == {
        "claude-haiku-4-5 on labelled turns": "4 turns, 2 facts",
        "items that are right": "0.50 [0.09-0.91]  1 of 2",
        "their type too": "1.00 [0.21-1.00]  1 of 1",
        "wrong items in 1,000 turns": "250 [46-699]",
        "facts found as items": "0.50 [0.09-0.91]  1 of 2",
        "or to be looked at": "1.00 [0.34-1.00]  2 of 2",
        "to be looked at, right": "1.00 [0.21-1.00]  1 of 1",
        "dropped: rejected_quotes": "1",
        "tokens": "400 in (160 from a cache), 80 out, 4 calls",
    }
    assert len(llm.requests) == 4
    assert SECRET.encode() not in b"".join(llm.bodies)


@pytest.mark.slow
def test_without_labels_the_turns_of_the_hands_are_asked_about(clone: Path, llm: FakeLLM) -> None:
    """By a model that answers with the labels: what is lost is lost at the gates."""
    turns = [*model.read(model.HANDS)]
    facts = [(kind, quote) for turn in turns for kind, quote in turn.facts]

    def knows(request: dict[str, Any]) -> Step:
        turn = sent_turns(request)[-1]
        told = [(kind, quote) for kind, quote in facts if quote in turn["text"]]
        return answer(*(detection(turn["index"], q, detection_type=kind) for kind, q in told))

    llm.script = knows
    plain = "SESSION_PIPELINE_EXTRACTOR=anthropic make measure TURNS=60"
    done = shell(clone, plain, ANTHROPIC_API_KEY="key", ANTHROPIC_BASE_URL=llm.url)
    assert (done.returncode, done.stderr) == (0, "")
    found = figures(done.stdout)
    assert found["claude-haiku-4-5 on labelled turns"].startswith("60 turns, ")
    assert found["items that are right"].startswith("1.00 ")
    assert found["facts found as items"].startswith("1.00 ")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "set SESSION_PIPELINE_EXTRACTOR"),
        ({"SESSION_PIPELINE_EXTRACTOR": "anthropic"}, "ANTHROPIC_API_KEY"),
    ],
)
@pytest.mark.slow
def test_who_has_set_no_model_or_no_key_is_told(
    clone: Path, given: dict[str, str], says: str
) -> None:
    done = shell(clone, "make measure LABELS=my-labels.jsonl", **given)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"user": "x"}', '{"facts": [3], "user": "x"}'])
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "my.jsonl", LABELS[:2])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(SystemExit, match=r"my.jsonl, line 3: no labelled turn"):
        list(model.read(path))
    with pytest.raises(SystemExit, match="cannot be read"):
        list(model.read(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("step", "changes", "ending"),
    [
        (Step("no JSON"), {}, {"Permanent": 4}),
        (Step(), {"tokens_per_run": 1}, {"Deferred": 3}),
    ],
)
def test_a_turn_without_an_answer_counts_for_nothing_and_is_said(
    tmp_path: Path,
    llm: FakeLLM,
    step: Step,
    changes: dict[str, Any],
    ending: dict[str, int],
) -> None:
    llm.script = [step]
    turns = [*model.read(write(tmp_path / "my.jsonl", LABELS))]
    settings = Settings(roots=(), model=llm.settings(**changes))
    measured = model.measure(settings, turns, 1)
    assert measured.endings == ending
    assert measured.turns == 4 - sum(ending.values())
    (name,) = ending
    assert f"no answer: {name}" in model.report("fake", measured)


@pytest.mark.parametrize(
    ("quote", "held"),
    [
        (RATE, True),
        (f"No, {RATE}. Mend it.", True),
        (RATE.removesuffix(" date"), True),
        ("the rate is always", False),
        ("Mend it.", False),
        ("said by nobody", False),
    ],
)
def test_a_detection_is_right_if_it_quotes_nearly_all_of_a_fact(quote: str, held: bool) -> None:
    text = f"No, {RATE}. Mend it."
    turn = Turn(0, HUMAN, text, "u", 1, 0, "s")
    assert labelled.covers(text, Detection(turn, CORRECTION, "", quote), RATE) is held


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.278), (9, 10, 0.596, 0.982), (10, 10, 0.722, 1.0), (500, 1000, 0.469, 0.531)],
)
def test_intervals_are_wilson_s(hits: int, of: int, low: float, high: float) -> None:
    assert model.wilson(hits, of) == pytest.approx((low, high), abs=0.001)


def test_the_turns_are_spread_and_the_same_every_time() -> None:
    turns = [model.Labelled(str(n), None, "x", ()) for n in range(1000)]
    assert [turn.id for turn in model.spread(turns, 4)] == ["0", "250", "500", "750"]
    assert model.spread(turns, 5000) == turns
    assert model.spread([], 10) == []
