"""Finds what may be alike among many statements without comparing all with all.

A lookup is lossless for `knowledge_text.alike`: texts that are alike share a third of the longer
one's words, so they share one of its rarest two thirds; or they share two entities.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from session_pipeline_dagster.processors.verification.knowledge_text import (
    SHARED_ENTITIES,
    Statement,
    alike,
)


class Index:
    """Statements of one domain by id."""

    def __init__(self, statements: Mapping[str, Statement]) -> None:
        self.statements = statements
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_entity: dict[str, list[str]] = defaultdict(list)
        for key, statement in statements.items():
            for stem in statement.stems:
                self._by_stem[stem].append(key)
            for entity in statement.entities:
                self._by_entity[entity].append(key)

    def alike(self, statement: Statement) -> set[str]:
        """Ids of the statements that are alike, this one's own among them if it is indexed."""
        near = self._sharing_words(statement) | self._sharing_entities(statement)
        return {key for key in near if alike(statement, self.statements[key])}

    def shared_entities(self, statement: Statement) -> Counter[str]:
        """How many entities each statement shares with this one."""
        shared: Counter[str] = Counter()
        for entity in statement.entities:
            shared.update(self._by_entity.get(entity, ()))
        return shared

    def _sharing_entities(self, statement: Statement) -> set[str]:
        shared = self.shared_entities(statement)
        return {key for key, count in shared.items() if count >= SHARED_ENTITIES}

    def _sharing_words(self, statement: Statement) -> set[str]:
        stems = sorted(statement.stems, key=lambda s: len(self._by_stem.get(s, ())))
        # One that shares n of them at least shares one of all but n - 1.
        needed = -(-len(stems) // 3)
        rarest: Iterable[str] = stems[: len(stems) - needed + 1]
        return {key for stem in rarest for key in self._by_stem.get(stem, ())}
