"""The trained weights: what a feature counts for, and what the features of a sentence come to.

`weights.json` is made by `make train` (training/) and by nothing else. Scored in plain Python.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

import msgspec

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.verification.detection.features import (
    MOST_LETTERS,
    SIZES,
    ends,
    spelt,
)

_SCALE = 100.0
"""Weights are whole hundredths: the same on every machine, and short."""


class Weights(msgspec.Struct, frozen=True):
    """As they stand in the file.

    Attributes:
        version: of the detection; goes up whenever the rest changes.
        review, accept: scores from which on a find is to be looked at, or becomes an item.
        bias: hundredths; the prior of real conversations is in it.
        fact: feature -> hundredths.
        kinds: the detection types.
        kind_bias: hundredths for each of the kinds.
        kind: feature -> hundredths for each of the kinds.
    """

    version: int
    review: float
    accept: float
    bias: int
    fact: dict[str, int]
    kinds: list[str]
    kind_bias: list[int]
    kind: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Scored:
    """What features come to.

    Attributes:
        score: 0 to 1, how likely it is a lasting fact in a real conversation.
        counted: what each known feature counted for, in hundredths.
    """

    score: float
    counted: Mapping[str, int]


class Words:
    """What the words and letters of a sentence count for, without a name for each of them."""

    def __init__(self, fact: Mapping[str, int]) -> None:
        self._fact = fact
        self._words = {name[2:]: count for name, count in fact.items() if name.startswith("w=")}
        self._letters = {name[2:]: count for name, count in fact.items() if name.startswith("g=")}
        self._first = {name.partition(" ")[0] for name in self._words if " " in name}
        self._places = [
            [slice(at, at + size) for at in range(MOST_LETTERS - size + 1)] for size in SIZES
        ]

    def count(self, tokens: Sequence[str]) -> int:
        """Hundredths, all of them together."""
        said = {*tokens, *(f"{a} {b}" for a, b in pairwise(tokens) if a in self._first)}
        found = sum(map(self._words.__getitem__, said & self._words.keys()))
        found += sum(self._fact.get(name, 0) for name in set(ends(tokens)))
        text = spelt(tokens)
        for size, places in zip(SIZES, self._places, strict=True):
            runs = set(map(text.__getitem__, places[: max(0, len(text) - size + 1)]))
            found += sum(map(self._letters.__getitem__, runs & self._letters.keys()))
        return found


@cache
def weights() -> Weights:
    """The weights of this version; read once.

    Raises:
        SettingsError: the file is not as it was made.
    """
    place = files(__name__.rpartition(".")[0]).joinpath("weights.json")
    try:
        return parse(place.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{place} is damaged ({error}); install this package again") from error


@cache
def words() -> Words:
    """What words count for in this version; put together once."""
    return Words(weights().fact)


def parse(content: bytes) -> Weights:
    """Weights from the bytes of their file."""
    return msgspec.json.decode(content, type=Weights)


def scored(found: Iterable[str], known: Weights) -> Scored:
    """How likely a sentence with these features is a lasting fact."""
    fact = known.fact
    counted = {name: fact[name] for name in found if name in fact}
    return Scored(logistic(known.bias + sum(counted.values())), counted)


def kind_of(found: Sequence[str], known: Weights) -> str:
    """Its detection type; the first of equal ones."""
    sums = list(known.kind_bias)
    for name in found:
        for place, count in enumerate(known.kind.get(name, ())):
            sums[place] += count
    return known.kinds[sums.index(max(sums))]


def logistic(hundredths: int) -> float:
    """A sum of hundredths as a probability, to four digits."""
    return round(1 / (1 + math.exp(-max(-40.0, min(40.0, hundredths / _SCALE)))), 4)
