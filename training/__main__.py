"""`make train`: weights.json from the labelled turns, and what it reaches on the measured ones.

`make train LABELS=FILE` uses the turns that people here have reviewed as well
(`session-pipeline knowledge labels --export FILE`).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from benchmarks.detection import report
from session_pipeline_dagster.processors.verification.detection import weights as shipped
from session_pipeline_dagster.processors.verification.detection.weights import Weights, parse
from training.fit import KINDS, Plan, fit
from training.turns import Labelled, read, read_hands, read_textbook

REVIEW, ACCEPT = 0.02, 0.86
"""Chosen on real conversations; docs/decisions/0013-detection.md has what they cost."""
TEXTBOOK = 8
"""Times that the clear statements of the signs' author count: other hands wrote few such."""
FILE = Path(shipped.__file__).with_name("weights.json")


def made(turns: Sequence[Labelled], version: int, plan: Plan | None = None) -> Weights:
    """The weights for these turns."""
    found = fit(turns, plan or Plan())
    return Weights(
        version,
        REVIEW,
        ACCEPT,
        found.bias,
        dict(sorted(found.fact.items())),
        [*KINDS],
        [*found.kind_bias],
        {name: [*row] for name, row in sorted(found.kind.items())},
    )


def written(weights: Weights) -> bytes:
    """As it stands in the file: a line for each feature, so that changes can be read."""
    return msgspec.json.format(msgspec.json.encode(weights), indent=0) + b"\n"


def trained(labels: Sequence[Path], before: bytes | None) -> bytes:
    """The file's new content: with the version it had where nothing else changed, else the next.

    Args:
        labels: files of reviewed turns.
        before: the file's content; None = there is none yet.
    """
    version = parse(before).version if before else 1
    weights = made(everything(labels), version)
    content = written(weights)
    return content if content == before else written(replace(weights, version=version + 1))


def everything(labels: Sequence[Path]) -> list[Labelled]:
    """All turns that are trained on."""
    turns = read_hands() + read_textbook() * TEXTBOOK
    return turns + [turn for path in labels for turn in read(path)]


def main() -> None:
    """Train, write, and say what is reached."""
    parser = argparse.ArgumentParser(prog="make train", description=__doc__)
    parser.add_argument("labels", nargs="*", type=Path, help="files of `knowledge labels --export`")
    parser.add_argument("--to", type=Path, default=FILE, help="where the weights are written")
    given = parser.parse_args()
    before = given.to.read_bytes() if given.to.exists() else None
    content = trained(given.labels, before)
    given.to.write_bytes(content)
    weights, say = parse(content), sys.stdout.write
    say(f"{len(weights.fact)} features, {len(content)} bytes, version {weights.version}\n")
    if content != before:
        say(f"Changed: set `version = {weights.version}` in processors/verification/declared.py.\n")
    say(f"{report(weights)}\n")


if __name__ == "__main__":
    main()
