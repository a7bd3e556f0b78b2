"""Finds what may be alike among many statements without comparing all with all.

A lookup is lossless for `text.alike`: texts that are alike share a third of the longer
one's words, so they share one of its rarest two thirds; or they share two entities.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from typing import TypeVar

from rapidfuzz import fuzz, process

from session_pipeline_dagster.processors.verification.knowledge.text import (
    ALIKE,
    ALIKE_WITH_ENTITIES,
    SHARED_ENTITIES,
    Statement,
    alike,
)

_K = TypeVar("_K")


class Index:
    """Statements of one domain by id. What is looked up in is made when it is first needed."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self.statements = dict(statements)
        self._keys = list(statements)

    def add(self, key: str, statement: Statement) -> None:
        """One more."""
        number = len(self._keys)
        self._texts.append(statement.folded)
        for stem in statement.stems:
            self._by_stem[stem].append(number)
        for entity in statement.entities:
            self._by_entity[entity].append(key)
        self._keys.append(key)
        self.statements[key] = statement

    @cached_property
    def _texts(self) -> list[str]:
        return [statement.folded for statement in self.statements.values()]

    @cached_property
    def _by_stem(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for number, statement in enumerate(self.statements.values()):
            for stem in statement.stems:
                found[stem].append(number)
        return found

    @cached_property
    def _by_entity(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for key, statement in self.statements.items():
            for entity in statement.entities:
                found[entity].append(key)
        return found

    def alike(
        self, statement: Statement, beside: Set[str] = frozenset(), most: int | None = None
    ) -> set[str]:
        """Ids of the statements that are alike, this one's own among them if it is indexed.

        Args:
            beside: ids that are not looked for.
            most: so many at most of those that share entities, and of those that sound alike: the
                most alike ones.
        """
        near = self._sharing_entities(statement, beside, most)
        near |= self._sounding(statement, beside, most)
        return {key for key in near if alike(statement, self.statements[key])}

    def shared_entities(self, entities: Iterable[str]) -> Counter[str]:
        """How many of these entities each statement has."""
        shared: Counter[str] = Counter()
        for entity in entities:
            shared.update(self._by_entity.get(entity, ()))
        return shared

    def _sharing_entities(
        self, statement: Statement, beside: Set[str], most: int | None
    ) -> set[str]:
        shared = self.shared_entities(statement.entities)
        found = [k for k, count in shared.items() if count >= SHARED_ENTITIES and k not in beside]
        if most is None or len(found) <= most:
            return set(found)
        texts = [self.statements[key].folded for key in found]
        return self._nearest(statement, found, texts, ALIKE_WITH_ENTITIES, most)

    def _sounding(self, statement: Statement, beside: Set[str], most: int | None) -> set[str]:
        """Those that share a rare word and are alike by letters: one loop that is not Python's."""
        stems = sorted(statement.stems, key=lambda s: len(self._by_stem.get(s, ())))
        # One that shares n of them at least shares one of all but n - 1.
        needed = -(-len(stems) // 3)
        rarest: Iterable[str] = stems[: len(stems) - needed + 1]
        near: set[int] = set()
        for stem in rarest:
            near.update(self._by_stem.get(stem, ()))
        numbers = sorted(near)
        if beside:
            numbers = [number for number in numbers if self._keys[number] not in beside]
        texts = list(map(self._texts.__getitem__, numbers))
        found = self._nearest(statement, range(len(texts)), texts, ALIKE, most)
        return {self._keys[numbers[place]] for place in found}

    @staticmethod
    def _nearest(
        statement: Statement, keys: Sequence[_K], texts: list[str], least: float, most: int | None
    ) -> set[_K]:
        found = process.extract(
            statement.folded, texts, scorer=fuzz.ratio, score_cutoff=least, limit=most
        )
        return {keys[place] for _, _, place in found}
