"""How files reach the pipeline: in any order, over several passes, some of them still growing."""

import random
from collections.abc import Iterator, Mapping, Sequence

Files = Mapping[str, Sequence[bytes]]


def deliveries(files: Files, rng: random.Random, passes: int) -> Iterator[dict[str, bytes]]:
    """What is written before each pass; after the last one every file is whole.

    A file appears at a random pass, and is cut between two lines until a random later one.
    """
    plans = {key: _plan(len(lines), rng, passes) for key, lines in files.items()}
    keys = list(files)
    for number in range(passes):
        rng.shuffle(keys)
        lengths = {key: plans[key][number] for key in keys}
        before = {key: plans[key][number - 1] if number else 0 for key in keys}
        yield {
            key: b"".join(files[key][:length])
            for key, length in lengths.items()
            if length != before[key]
        }


def _plan(lines: int, rng: random.Random, passes: int) -> list[int]:
    """How many lines a file has before each pass."""
    cuts = sorted(rng.randint(0, lines) for _ in range(passes - 1))
    whole_at_once = rng.random() < 0.3
    if whole_at_once:
        begin = rng.randrange(passes)
        return [lines if number >= begin else 0 for number in range(passes)]
    return [*cuts, lines]
