"""Finds what people taught by trained weights over phrases and words: no key, no network, the same
answer every time.

A turn is read sentence by sentence, the person's own words only (`own_words.py`). What is so about
a sentence (`features.py`) is weighed (`weights.py`). What is likely enough becomes an item; what
may be one waits for a person to look at it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.processors.verification.detection import phrases as say
from session_pipeline_dagster.processors.verification.detection.extractor import Detection, limits
from session_pipeline_dagster.processors.verification.detection.features import (
    Scene,
    beyond_words,
    features,
    language_of,
)
from session_pipeline_dagster.processors.verification.detection.own_words import Said
from session_pipeline_dagster.processors.verification.detection.reasons import reasons
from session_pipeline_dagster.processors.verification.detection.sentences import Sentence, sentences
from session_pipeline_dagster.processors.verification.detection.signs import ACTUALLY
from session_pipeline_dagster.processors.verification.detection.terms import domain_of, entities_of
from session_pipeline_dagster.processors.verification.detection.turns import ASSISTANT, HUMAN, Turn
from session_pipeline_dagster.processors.verification.detection.weights import (
    Weights,
    Words,
    kind_of,
    logistic,
    scored,
    weights,
    words,
)
from session_pipeline_dagster.settings import Thresholds

MOST_SENTENCES = 400
_MOST_TOGETHER = 3
_LEAST_LEFT = 12
"""Characters that a fact has to keep when its beginning is taken off."""
_STRIP = " \t,.:;!-。、！"


class RulesExtractor:
    """See `Extractor`. Asks nobody.

    Args:
        thresholds: what is not set is as the weights were made for.
        known: None = the weights of this version.
    """

    name = "rules"
    model = None

    def __init__(self, thresholds: Thresholds | None = None, known: Weights | None = None) -> None:
        self._known = known or weights()
        self._words = Words(known.fact) if known else words()
        self._review, self._accept = limits(thresholds, self._known.review, self._known.accept)

    def find(
        self, turns: Sequence[Turn], seen: int, session_file: str, notes: Notes
    ) -> list[Detection]:
        """See `Extractor.find`."""
        found: list[Detection] = []
        said = Said()
        before: Turn | None = None
        for position, turn in enumerate(turns):
            if turn.role == ASSISTANT:
                before = turn
                said.add_later(partial(getattr, turn, "text"))
            elif turn.role == HUMAN:
                if position >= seen:
                    found += self._in_turn(turn, before, said)
                before = None
        return found

    def _in_turn(self, turn: Turn, before: Turn | None, said: Said) -> list[Detection]:
        """The detections of one turn; `before` is what the assistant said last, if anything."""
        lines = _own_lines(turn.text, said)
        if not lines:
            return []
        scene = Scene(turn.text, lines, before.text if before else "")
        likely = [self._look(scene, index) for index in range(len(scene.lines))]
        found: list[Detection] = []
        for group in _groups(scene, [score >= self._review for score in likely]):
            best = max(group, key=lambda index: (likely[index], -index))
            found.append(self._detection(turn, scene, group, best))
        return found

    def _look(self, scene: Scene, index: int) -> float:
        """How likely a sentence is a lasting fact: the score of all its features."""
        fact = self._known.fact
        found = fact.keys() & set(beyond_words(scene, index))
        counted = sum(map(fact.__getitem__, found))
        return logistic(self._known.bias + counted + self._words.count(scene.seen[index].tokens))

    def _detection(self, turn: Turn, scene: Scene, group: Sequence[int], best: int) -> Detection:
        found = features(scene, best)
        likely = scored(found, self._known)
        first, last = scene.lines[group[0]], scene.lines[group[-1]]
        sign = scene.signs.get(group[0])
        content = turn.text[sign.start if sign else _begin(first) : last.end].strip(_STRIP)
        return Detection(
            turn,
            sign.kind if sign else kind_of(found, self._known),
            content[:1].upper() + content[1:],
            turn.text[first.start : last.end],
            domain_of(content, scene.before),
            entities_of(content),
            score=likely.score,
            accepted=likely.score >= self._accept,
            reasons=reasons(likely.counted),
        )


def scene_of(text: str, before: str, said: Said) -> Scene:
    """A turn as the weights see it.

    Args:
        before: what the assistant said last, "" for nothing.
        said: all that it has said; what repeats it is not the person's.
    """
    return Scene(text, _own_lines(text, said), before)


def _own_lines(text: str, said: Said) -> list[Sentence]:
    own = (line for line in sentences(text) if line.text not in said)
    return list(islice(own, MOST_SENTENCES))


def _groups(scene: Scene, likely: Sequence[bool]) -> Iterator[list[int]]:
    """Sentences that make one detection: all that a sign covers, else likely neighbours of a run
    of lines, since a fact may need them all."""
    group: list[int] = []
    for index, one in enumerate(likely):
        sign = scene.signs.get(index)
        wanted = any(likely[sign.first : sign.last + 1]) if sign else one
        room = sign or len(group) < _MOST_TOGETHER
        if group and not (wanted and room and _joins(scene, group[-1], index)):
            yield group
            group = []
        if wanted:
            group.append(index)
    if group:
        yield group


def _joins(scene: Scene, index: int, later: int) -> bool:
    sign, other = scene.signs.get(index), scene.signs.get(later)
    if sign or other:
        return sign is other
    return scene.lines[index].piece == scene.lines[later].piece


def _begin(line: Sentence) -> int:
    """Where the fact begins in the turn's text: after a no, a yes, "actually" and the like."""
    lower = line.lower
    at = 0
    while language_of(lower) == "en":
        end = at
        for sign in (say.LEAD_IN, say.DENIAL, say.ASSENT, say.DEFINING, ACTUALLY):
            match = sign.match(lower, end)
            end = match.end() if match else end
            end += len(lower[end:]) - len(lower[end:].lstrip(_STRIP))
        if end == at or len(lower) - end < _LEAST_LEFT:
            break
        at = end
    return line.start + at
