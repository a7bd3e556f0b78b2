"""From labelled turns to weights: L2 logistic regression, features pruned, whole hundredths."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from session_pipeline_dagster.processors.verification.detection.extractor import (
    CONFIRMATION,
    CORRECTION,
    DEFINITION,
)
from session_pipeline_dagster.processors.verification.detection.features import features
from training.turns import Labelled, labels

KINDS = (CORRECTION, CONFIRMATION, DEFINITION)
PRIOR = 0.013
"""Of the sentences of real conversations, those that state a fact: 1 in 75."""
SIGN = 240
"""Hundredths that a sign counts for on top of its weight: on real conversations signs and weights
together are right more often than either, which made-up turns do not show. So one
threshold asks of a fact without a sign what it asks of one with a sign and a lower sum."""
_LETTERS = "g="
"""Runs of letters say nothing of the kind."""
_LEAST = 3
"""Sentences that a feature must occur in."""
_DIGITS = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """How weights are fitted.

    Attributes:
        strength: the inverse of the L2 penalty.
        most: features that are kept for the fact, and for its kind.
        without: beginnings of features that are left out; for measuring what they are worth.
    """

    strength: float = 0.1
    kind_strength: float = 0.1
    most: int = 4_400
    most_kind: int = 1_000
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights as whole hundredths; the bias for the prior of real conversations."""

    bias: int
    fact: Mapping[str, int]
    kind_bias: Sequence[int]
    kind: Mapping[str, Sequence[int]]


def fit(turns: Sequence[Labelled], plan: Plan) -> Fitted:
    """Weights from labelled turns; the same turns give the same weights."""
    rows: list[list[str]] = []
    kinds: list[str | None] = []
    for turn in turns:
        scene = turn.scene
        rows += (_kept(features(scene, index), plan) for index in range(len(scene.lines)))
        kinds += labels(turn, scene)
    answers = np.array([kind is not None for kind in kinds])
    names, model = _pruned(rows, answers, plan.strength, plan.most)
    share = answers.mean()
    shift = math.log(PRIOR / (1 - PRIOR)) - math.log(share / (1 - share))
    facts = [number for number, kind in enumerate(kinds) if kind]
    worded = [[name for name in rows[n] if not name.startswith(_LETTERS)] for n in facts]
    kind_bias, kind = _kinds(worded, [str(kinds[n]) for n in facts], plan)
    table = _table(names, model.coef_[0])
    if not "sign".startswith(plan.without or ("-",)):
        table["sign"] = table.get("sign", 0) + SIGN
    return Fitted(_whole(model.intercept_[0] + shift), table, kind_bias, kind)


def _kept(found: Sequence[str], plan: Plan) -> list[str]:
    return (
        [name for name in found if not name.startswith(plan.without)] if plan.without else [*found]
    )


def _kinds(
    rows: Sequence[Sequence[str]], kinds: Sequence[str], plan: Plan
) -> tuple[list[int], dict[str, list[int]]]:
    """One against the others, for each kind."""
    tables: list[dict[str, int]] = []
    bias = []
    for kind in KINDS:
        answers = np.array([other == kind for other in kinds])
        names, model = _pruned(rows, answers, plan.kind_strength, plan.most_kind)
        tables.append(_table(names, model.coef_[0]))
        bias.append(_whole(model.intercept_[0]))
    every = sorted(set().union(*tables))
    return bias, {name: [table.get(name, 0) for table in tables] for name in every}


def _pruned(
    rows: Sequence[Sequence[str]], answers: np.ndarray, strength: float, most: int
) -> tuple[list[str], LogisticRegression]:
    """A model on the features that count most, by their weight and how often they occur."""
    often = Counter(name for row in rows for name in row)
    names = sorted(name for name, count in often.items() if count >= _LEAST)
    model = _fitted(rows, answers, names, strength)
    if len(names) > most:
        worth = {
            name: round(abs(weight) * math.sqrt(often[name]), 6)
            for name, weight in zip(names, model.coef_[0], strict=True)
        }
        names = sorted(sorted(names, key=lambda name: (-worth[name], name))[:most])
        model = _fitted(rows, answers, names, strength)
    return names, model


def _fitted(
    rows: Sequence[Sequence[str]], answers: np.ndarray, names: Sequence[str], strength: float
) -> LogisticRegression:
    column = {name: place for place, name in enumerate(names)}
    places: list[int] = []
    ends = [0]
    for row in rows:
        places += (column[name] for name in row if name in column)
        ends.append(len(places))
    matrix = csr_matrix((np.ones(len(places)), places, ends), shape=(len(rows), len(names)))
    # Newton's method on the primal: no chance in it.
    model = LogisticRegression(C=strength, solver="liblinear", tol=1e-6, max_iter=1_000)
    return model.fit(matrix, answers)


def _table(names: Sequence[str], found: np.ndarray) -> dict[str, int]:
    weights = {name: _whole(weight) for name, weight in zip(names, found, strict=True)}
    return {name: weight for name, weight in weights.items() if weight}


def _whole(weight: float) -> int:
    return round(float(weight) * _DIGITS)
