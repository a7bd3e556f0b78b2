"""Which observations are one item: a function of what was said and reviewed, never of the order
in which it was read.

Those that are equal once they are spelt in one way (`canonical.py`), and no others. What is likely
the same in other words is a relation for a person to decide (`relations.py`).
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from session_pipeline_dagster.processors.verification.knowledge.items import (
    PENDING,
    Evidence,
    Fact,
    Item,
    Observation,
    confidence,
    evidence_id,
    strength,
)
from session_pipeline_dagster.processors.verification.knowledge.tables import RULES_VERSION


@dataclass(frozen=True)
class Known:
    """What is there before a merge.

    Attributes:
        items, evidence: as stored, by id.
        pinned: pending items that a person has decided about in another way.
        files: session files that the processor knows; evidence of others was taken away on purpose.
    """

    items: Mapping[str, Item]
    evidence: Mapping[str, Evidence]
    pinned: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def is_reviewed(self, item: Item) -> bool:
        return item.status != PENDING or item.id in self.pinned


@dataclass(frozen=True)
class Merged:
    """What a merge makes of it: only what differs, by id. None = the row goes."""

    items: Mapping[str, Item | None]
    evidence: Mapping[str, Evidence | None]


def merge(observations: Iterable[Observation], known: Known) -> Merged:
    """Bring items and evidence in line with the observations: all of them."""
    return _Merge(list(one_file_a_line(observations)), known).run()


def one_file_a_line(observations: Iterable[Observation]) -> Iterable[Observation]:
    """A line that several files hold is observed in one of them: `processors/copies.py`.

    Of one person's files by its uuid and words; of several people's only where the time is the
    same, too. Whoever writes a known uuid over other words, or claims another time for the same,
    has a line of their own and takes nobody's.
    """
    kept = {(o.digest, o.detection_key): o for o in observations}.values()
    # As long as one copy of a line has no key, the rule of that time for all of them.
    old = {o.line_uuid for o in kept if o.line_key is None}
    return _in_one_file(_in_one_file(kept, old, _line_of_a_person), old, _line)


def _in_one_file(
    observations: Iterable[Observation],
    old: Container[str],
    name: Callable[[Observation], object],
) -> list[Observation]:
    names = [(o, o.line_uuid if o.line_uuid in old else name(o)) for o in observations]
    lines: dict[object, list[Observation]] = defaultdict(list)
    for o, line in names:
        lines[line].append(o)
    files = {line: _whose(said) for line, said in lines.items()}
    return [o for o, line in names if files[line] == o.session_file]


def _line_of_a_person(o: Observation) -> object:
    return o.username, (o.line_key or "").partition("@")[0]


def _line(o: Observation) -> object:
    return o.line_key


def _whose(said: Sequence[Observation]) -> str:
    """The file that a line is observed in."""
    places = [o.copy for o in said]
    known = [place for place in places if place is not None]
    # As long as one of them has no place, the rule of that time: nobody is moved by half a rule.
    return min(known).key if len(known) == len(said) else min(o.session_file for o in said)


class _Merge:
    """One merge: each fact is an item, or supports the reviewed item that has its words."""

    def __init__(self, observations: Sequence[Observation], known: Known) -> None:
        self.known = known
        self.reviewed = {i.id: i for i in known.items.values() if known.is_reviewed(i)}
        self.facts = self._facts(observations)
        self.digests = {o.digest for fact in self.facts.values() for o in fact.observations}
        self.evidence_of: dict[str, list[Evidence]] = defaultdict(list)
        for evidence in known.evidence.values():
            self.evidence_of[evidence.item_id].append(evidence)

    def _facts(self, observations: Sequence[Observation]) -> dict[str, Fact]:
        """Facts by key; the key of one that a reviewed item words is that item's id."""
        worded: dict[str, str] = {}
        for item in sorted(self.reviewed.values(), key=lambda i: i.order):
            worded.setdefault(item.statement.normal, item.id)
        # What a person put under an item takes the same words of others along.
        put = {
            o.statement.normal: o.put
            for o in sorted(observations, key=lambda o: (o.put_at, o.put or ""))
            if o.put in self.reviewed
        }
        found: dict[str, list[Observation]] = defaultdict(list)
        for o in sorted(observations, key=lambda o: o.order):
            normal = o.statement.normal
            key = o.put if o.put in self.reviewed else put.get(normal)
            if key is None:
                key = o.item_id if o.item_id in self.reviewed else worded.get(normal, f"={normal}")
            found[key].append(o)
        return {key: Fact(key, tuple(group)) for key, group in found.items()}

    def run(self) -> Merged:
        """All of it made again; what is the same as before is left out."""
        items: dict[str, Item | None] = dict.fromkeys(self.known.items)
        evidence: dict[str, Evidence | None] = dict.fromkeys(self.known.evidence)
        for key in {**self.reviewed, **self.facts}:
            fact = self.facts.get(key)
            group = fact.observations if fact else ()
            item = self._item(key, group)
            if item:
                items[item.id] = item
                evidence |= {e.id: e for e in _evidence(item.id, group)}
        return Merged(
            {k: v for k, v in items.items() if self.known.items.get(k) != v},
            {k: v for k, v in evidence.items() if self.known.evidence.get(k) != v},
        )

    def _item(self, key: str, group: Sequence[Observation]) -> Item | None:
        item = self.reviewed.get(key)
        if item:
            if not group:
                return None if self._is_forgotten(item) else item
            return self._named_after_a_file_that_is_there(item, group)
        first = group[0]
        return Item(
            id=first.item_id,
            title=first.title,
            content=first.content,
            category="business_logic",
            domain=self.facts[key].domain,
            entities=tuple(sorted(first.entities)),
            tags=(),
            status=PENDING,
            confidence=confidence(
                {o.detection_type for o in group}, len({o.username for o in group})
            ),
            source_type="user_verification",
            source_user=first.username,
            source_ref=first.source_ref,
            sensitivity="internal",
            created_at=first.detected_at,
            updated_at=max(
                (o.detected_at for o in group if o.detected_at is not None), default=None
            ),
            rules_version=RULES_VERSION,
        )

    def _named_after_a_file_that_is_there(self, item: Item, group: Sequence[Observation]) -> Item:
        """A reviewed item keeps its words; whoever said them first may have been forgotten."""
        if item.source_ref is None or item.source_file in self.known.files:
            return item
        first = min(group, key=lambda o: o.order)
        return replace(item, source_user=first.username, source_ref=first.source_ref)

    def _is_forgotten(self, item: Item) -> bool:
        """Nothing supports it and the file it came from was taken away: not merely read again."""
        return (
            item.source_file not in self.known.files
            and item.id not in self.facts
            and not any(
                d in self.digests for e in self.evidence_of.get(item.id, ()) for d in e.digests
            )
        )


def _evidence(item: str, group: Sequence[Observation]) -> Iterable[Evidence]:
    """One for each line, by the strongest thing said in it."""
    lines: dict[str, list[Observation]] = defaultdict(list)
    for o in group:
        lines[o.line_key or o.line_uuid].append(o)
    for line, said in lines.items():
        best = min(said, key=lambda o: (-strength(o.detection_type), o.order))
        yield Evidence(
            id=evidence_id(item, line),
            item_id=item,
            session_file=best.session_file,
            source_user=best.username,
            source_ref=best.source_ref,
            detection_type=best.detection_type,
            user_quote=best.user_quote,
            line_uuid=best.line_uuid,
            created_at=best.detected_at,
            digests=tuple(sorted(o.digest for o in said)),
        )
