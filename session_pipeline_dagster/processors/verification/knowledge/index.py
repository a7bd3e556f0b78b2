"""Finds what is contrary to a statement among many, without comparing all with all.

Looked at are those that sound most alike, and the most alike of those that share entities. A lookup
is lossless for `text.alike`: texts that are alike share a third of the longer one's words, so they
share one of its rarest two thirds; or they share two entities.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from rapidfuzz import fuzz, process

from session_pipeline_dagster.processors.verification.knowledge.grams import (
    Grams,
    at_least,
    counted,
    members,
    most_shared,
    numbers,
)
from session_pipeline_dagster.processors.verification.knowledge.text import (
    ALIKE,
    ALIKE_WITH_ENTITIES,
    SAME_SENTENCE,
    SHARED_ENTITIES,
    Statement,
    alike,
    contrary,
)

_FEW = 40
"""So many are compared one by one."""
_CROWD = 1500
_MUCH_HELD = 64
"""What is held by so many is worth a set that is kept."""
_ROUNDING = 0.01
"""`process.extract` may miss what has exactly the score that is asked for."""


class Index:
    """Statements of one domain by id. What is looked up in is made when it is first needed."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self._keys = list(statements)
        self._statements = list(statements.values())

    def contrary(self, statement: Statement, most: int) -> set[str]:
        """Ids of those that are alike and contrary.

        Args:
            most: so many at most are looked at of those that share entities, and of those that
                sound alike: the most alike ones.
        """
        near = {*self._sharing_entities(statement, most), *self._sounding(statement, most)}
        return {self._keys[n] for n in near if self._is_contrary(statement, n)}

    def _is_contrary(self, statement: Statement, number: int) -> bool:
        other = self._statements[number]
        return other is not statement and alike(statement, other) and contrary(statement, other)

    def _sharing_entities(self, statement: Statement, most: int) -> Iterable[int]:
        shared: Counter[int] = Counter()
        for entity in statement.entities:
            shared.update(self._by_entity.get(entity, ()))
        found = sorted(n for n, count in shared.items() if count >= SHARED_ENTITIES)
        return self._nearest(statement, found, ALIKE_WITH_ENTITIES, most)

    def _sounding(self, statement: Statement, most: int) -> Iterable[int]:
        """Those that share a rare word and are alike by letters: one loop that is not Python's."""
        near: set[int] = set()
        for stem in self._rarest(statement):
            near.update(self._by_stem.get(stem, ()))
        return self._nearest(statement, sorted(near), ALIKE, most)

    def _rarest(self, statement: Statement) -> Sequence[str]:
        stems = sorted(statement.stems, key=lambda s: (len(self._by_stem.get(s, ())), s))
        # One that shares n of them at least shares one of all but n - 1.
        needed = -(-len(stems) // 3)
        return stems[: len(stems) - needed + 1]

    def _nearest(
        self, statement: Statement, among: Sequence[int], least: float, most: int
    ) -> Mapping[int, float]:
        """The most alike by their letters, and how much; of equal ones the first."""
        texts = list(map(self._texts.__getitem__, among))
        found = process.extract(
            statement.folded, texts, scorer=fuzz.ratio, score_cutoff=least, limit=most
        )
        return {among[place]: score for _, score, place in found}

    @cached_property
    def _texts(self) -> list[str]:
        return [statement.folded for statement in self._statements]

    @cached_property
    def _by_stem(self) -> Mapping[str, list[int]]:
        return _holders(statement.stems for statement in self._statements)

    @cached_property
    def _by_entity(self) -> Mapping[str, list[int]]:
        return _holders(statement.entities for statement in self._statements)


class Sieve(Index):
    """The same, for many lookups: what cannot be contrary is sifted out by pairs of letters, of all
    statements at once."""

    def __init__(self, statements: Mapping[str, Statement], crowd: int = _CROWD) -> None:
        super().__init__(statements)
        self._crowd = crowd

    def contrary(self, statement: Statement, most: int) -> set[str]:
        """As above."""
        if not self._is_crowded(statement):
            return super().contrary(statement, most)
        possible = self._by_masked.near(statement.masked, SAME_SENTENCE, self._all)
        found, least_alike = None, 0.0
        if possible.bit_count() <= _FEW:
            found = [n for n in numbers(possible) if self._is_contrary(statement, n)]
            if not found:
                return set()
            # Whoever is less alike than these puts none of them behind.
            least_alike = min(fuzz.ratio(statement.folded, self._texts[n]) for n in found)
        near = self._most_alike(statement, least_alike - _ROUNDING, most)
        if found is None:
            found = [n for n in near if self._is_contrary(statement, n)]
        return {self._keys[n] for n in found if n in near}

    def _is_crowded(self, statement: Statement) -> bool:
        """Whether so many share a word or a name with it that one by one takes longer."""
        words = sum(len(self._by_stem.get(stem, ())) for stem in self._rarest(statement))
        return (
            words + sum(len(self._by_entity.get(e, ())) for e in statement.entities) > self._crowd
        )

    def _most_alike(self, statement: Statement, least: float, most: int) -> set[int]:
        some = len(statement.folded) // 8
        planes = self._by_letters.shared(statement.folded, some, some)
        naming = counted(self._held(self._by_entity, entity) for entity in statement.entities)
        sounding = 0
        for stem in self._rarest(statement):
            sounding |= self._held(self._by_stem, stem)
        looked_at = (
            (at_least(SHARED_ENTITIES, naming, self._all), ALIKE_WITH_ENTITIES),
            (sounding, ALIKE),
        )
        return {
            number
            for among, ratio in looked_at
            for number in self._sifted(statement, planes, among, max(least, ratio), most)
        }

    def _sifted(
        self, statement: Statement, planes: Sequence[int], among: int, least: float, most: int
    ) -> Mapping[int, float]:
        """`_nearest`, of a set: the last of any so many that are near bounds how near the others
        must be."""
        some = numbers(most_shared(most, planes, among))
        nearest = self._nearest(statement, some, least, most)
        if len(nearest) == most:
            least = max(least, min(nearest.values()) - _ROUNDING)
        all_ = numbers(self._by_letters.near(statement.folded, least, among))
        return self._nearest(statement, all_, least, most)

    def _held(self, holders: Mapping[str, list[int]], what: str) -> int:
        by = holders.get(what, ())
        if len(by) < _MUCH_HELD:
            return members(by)
        if (key := (holders is self._by_stem, what)) not in self._kept:
            self._kept[key] = members(by)
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[bool, str], int]:
        return {}

    @cached_property
    def _all(self) -> int:
        return (1 << len(self._statements)) - 1

    @cached_property
    def _by_letters(self) -> Grams:
        return Grams(self._texts)

    @cached_property
    def _by_masked(self) -> Grams:
        return Grams([statement.masked for statement in self._statements])


def _holders(traits: Iterable[Iterable[str]]) -> Mapping[str, list[int]]:
    """Which numbers have each, ascending."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, own in enumerate(traits):
        for trait in own:
            found[trait].append(number)
    return found
