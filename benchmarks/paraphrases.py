"""`python -m benchmarks.paraphrases`: of pairs of facts, which are merged and which are linked.

Both sides of all pairs of a file are put into one store's worth of items, so that finding them is
measured too. `tune` was looked at when the rules were made; `measured` is by another hand and was
met once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.processors.verification.knowledge.items import Observation
from session_pipeline_dagster.processors.verification.knowledge.merge import Known, merge
from session_pipeline_dagster.processors.verification.knowledge.relations import relations

PARAPHRASES = Path(__file__).parent.parent / "tests" / "data" / "paraphrases"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, and whether they say the same."""

    id: str
    a: str
    b: str
    same: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Became:
    """Ids of the pairs that became one item, of those that are linked, and of the others.

    Attributes:
        strangers: links between texts of two pairs.
    """

    merged: Sequence[str]
    linked: Sequence[str]
    apart: Sequence[str]
    strangers: int


def read(name: str) -> list[Pair]:
    """A file of pairs."""
    lines = (PARAPHRASES / f"{name}.jsonl").read_text("utf-8").splitlines()
    pairs = map(json.loads, lines)
    return [Pair(p["id"], p["a"], p["b"], p["same"], p.get("kind", "")) for p in pairs]


def became(pairs: Sequence[Pair]) -> Became:
    """What the pairs become, all of them together."""
    told = {text: _said(text, n) for n, text in enumerate(t for p in pairs for t in (p.a, p.b))}
    made = merge(told.values(), Known({}, {}))
    item_of = {digest: e.item_id for e in made.evidence.values() if e for digest in e.digests}
    links = {
        frozenset((r.item_a_id, r.item_b_id))
        for r in relations({k: i for k, i in made.items.items() if i}).values()
    }
    merged, linked, apart, wanted = [], [], [], set()
    for pair in pairs:
        sides = frozenset(item_of[told[text].digest] for text in (pair.a, pair.b))
        wanted.add(sides)
        (merged if len(sides) == 1 else linked if sides in links else apart).append(pair.id)
    return Became(merged, linked, apart, len(links - wanted))


def _said(text: str, n: int) -> Observation:
    file = f"user/{n}.jsonl"
    who = (file, f"vd_{n}", "user", "unprompted_definition")
    return Observation(*who, text[:60], text, text, None, (), f"line-{n}", n, n, f"{n:016x}")


def report() -> str:
    """Both files in a table."""
    rows = [f"{'pairs of facts':28}{'pairs':>8}{'merged':>8}{'linked':>8}{'strangers':>11}"]
    for name in ("tune", "measured"):
        pairs = read(name)
        found = became(pairs)
        for same in (True, False):
            ids = {pair.id for pair in pairs if pair.same is same}
            counts = (len(ids), len(ids & {*found.merged}), len(ids & {*found.linked}))
            label = f"{name}, {'the same' if same else 'different'}"
            rows.append(f"{label:28}{counts[0]:8}{counts[1]:8}{counts[2]:8}{found.strangers:11}")
    return "\n".join(rows)


if __name__ == "__main__":
    print(report())
