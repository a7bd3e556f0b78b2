"""Finds what may be alike among many statements without comparing all with all.

A lookup is lossless for `text.alike`: texts that are alike share a third of the longer
one's words, so they share one of its rarest two thirds; or they share two entities.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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

    def alike(self, statement: Statement, most: int) -> set[str]:
        """Ids of the statements that are alike, this one's own among them if it is indexed.

        Args:
            most: so many at most of those that share entities, and of those that sound alike: the
                most alike ones.
        """
        near = self._sharing_entities(statement, most) | self._sounding(statement, most)
        return {key for key in near if alike(statement, self.statements[key])}

    def _sharing_entities(self, statement: Statement, most: int) -> set[str]:
        shared: Counter[str] = Counter()
        for entity in statement.entities:
            shared.update(self._by_entity.get(entity, ()))
        found = [key for key, count in shared.items() if count >= SHARED_ENTITIES]
        if len(found) <= most:
            return set(found)
        texts = [self.statements[key].folded for key in found]
        return self._nearest(statement, found, texts, ALIKE_WITH_ENTITIES, most)

    def _sounding(self, statement: Statement, most: int) -> set[str]:
        """Those that share a rare word and are alike by letters: one loop that is not Python's."""
        stems = sorted(statement.stems, key=lambda s: len(self._by_stem.get(s, ())))
        # One that shares n of them at least shares one of all but n - 1.
        needed = -(-len(stems) // 3)
        rarest: Iterable[str] = stems[: len(stems) - needed + 1]
        near: set[int] = set()
        for stem in rarest:
            near.update(self._by_stem.get(stem, ()))
        numbers = sorted(near)
        texts = list(map(self._texts.__getitem__, numbers))
        found = self._nearest(statement, range(len(texts)), texts, ALIKE, most)
        return {self._keys[numbers[place]] for place in found}

    @staticmethod
    def _nearest(
        statement: Statement, keys: Sequence[_K], texts: list[str], least: float, most: int
    ) -> set[_K]:
        found = process.extract(
            statement.folded, texts, scorer=fuzz.ratio, score_cutoff=least, limit=most
        )
        return {keys[place] for _, _, place in found}
