"""`python -m benchmarks.knowledge`: merging many facts at once, then a few more, in one process."""

import argparse
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.tables import TABLES
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

_DOMAINS = ["finance", "finance", "finance", "data", "data", "engineering", "product", None]
_START = datetime(2025, 1, 1, tzinfo=UTC)


def facts(rng: random.Random, count: int) -> Iterator[tuple[str, str | None, list[str]]]:
    """Sentences with the word frequencies of prose: content, domain, entities."""
    words = ["".join(rng.choices("etaoinshrdlucmfwyp", k=rng.randint(2, 9))) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    names = [f"entity{n}" for n in range(600)]
    for _ in range(count):
        picked = rng.choices(words, weights, k=rng.randint(8, 28))
        if rng.random() < 0.4:
            picked.insert(rng.randrange(len(picked)), rng.choice(["weekly", "monthly", "not", "5"]))
        yield (
            " ".join(picked).capitalize(),
            rng.choice(_DOMAINS),
            sorted(set(rng.choices(names, [1 / (n + 5) for n in range(600)], k=rng.randint(0, 4)))),
        )


def said(rng: random.Random, known: Sequence[tuple[str, str | None, list[str]]], n: int) -> Row:
    """Detection n; a third of them repeat or rephrase a fact, some say the opposite."""
    content, domain, entities = known[n % len(known)]
    if n >= len(known):
        parts = content.split()
        chance = rng.random()
        if chance < 0.5:
            parts[rng.randrange(len(parts))] = "also"
        elif chance < 0.6:
            parts.insert(1, "not")
        content = " ".join(parts)
    user = f"user{rng.randrange(40)}"
    kind = rng.choice(["confirmation", "confirmation", "unprompted_definition", "correction"])
    file = f"{user}/{n // 2}.jsonl"
    at = _START + timedelta(minutes=n)
    head = (file, f"vd_{n}", f"s{n // 2}", user, kind, content[:60], content, content, domain)
    more = ("rules", 1, None, None, at, False, None, None, True, [])
    return (*head, entities, f"line-{n}", n, at, *more)


def put(store: Store, rows: Sequence[Row]) -> None:
    """As commits would: the rows, and a note that there are some."""
    table = DerivedTable(TABLES["verifications"], "detection_key")
    note = {"knowledge": ["sessions"]}

    def compute(_inputs: Inputs) -> Changes:
        return Changes(added={"verifications": rows}, notes=note)

    store.derive(Derivation("put", {"verifications": table}, {}, compute), compute)


def timed(name: str, work: Callable[[], object]) -> None:
    """Run it and print how long it took, and what it says."""
    began = time.monotonic()
    answer = work()
    seconds = time.monotonic() - began
    found = dict(answer.numbers) if isinstance(answer, Changes) else answer
    print(f"{name:44}{seconds:8.2f} s   {found}")


def main() -> None:
    """Fill a store, merge, add a few, merge again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    given = parser.parse_args()
    folder = Path("var/bench-knowledge")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store, processor = Store(DuckDBFile(folder / "knowledge.duckdb")), VerificationProcessor()
    store.prepare(processor)
    merging, checking = processor.derivations
    rng = random.Random(7)
    known = list(facts(rng, given.items))
    total = given.items * 3 // 2
    put(store, [said(rng, known, n) for n in range(total)])
    counts = lambda: store.row_counts(["knowledge_items", "knowledge_relations"])  # noqa: E731
    timed(f"{total} detections, merged from nothing", lambda: store.derive(merging))
    timed("their contradictions, by rules", lambda: store.derive(checking))
    for more in (1, 20):
        rows = [said(rng, known, total + n) for n in range(more)]
        total += more
        put(store, rows)
        timed(f"{more} detections more", lambda: store.derive(merging))
        timed("their contradictions, by rules", lambda: store.derive(checking))
    put(store, [])
    timed("nothing new, but noted", lambda: store.derive(merging))
    print(counts())


if __name__ == "__main__":
    main()
