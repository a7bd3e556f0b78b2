"""The trained weights: what a feature counts for, and what the features of a sentence come to.

`weights.json` is made by `make train` (training/) and by nothing else. Scored in plain Python.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

from session_pipeline_dagster.errors import SettingsError

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
