"""Which observations are one item: a function of what was said and reviewed, never of the order
in which it was read.

Facts are looked at in one order (reviewed items first, then by the time they were said). Each joins
the first item it may join, else becomes one. Whom a fact can join depends only on the facts that
are alike, so only the groups that a change touches are made again. Facts are compared with what
begins an item, and with so many at most: a thousand that are alike cost little more than each.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from session_pipeline_dagster.processors.verification.knowledge.index import Index
from session_pipeline_dagster.processors.verification.knowledge.items import (
    PENDING,
    Evidence,
    Fact,
    Item,
    Observation,
    confidence,
    corrects_since,
    evidence_id,
    strength,
    when,
)
from session_pipeline_dagster.processors.verification.knowledge.tables import RULES_VERSION
from session_pipeline_dagster.processors.verification.knowledge.text import Statement, differences


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


def merge(observations: Iterable[Observation], known: Known, touched: Iterable[str] = ()) -> Merged:
    """Bring items and evidence in line with the observations.

    Args:
        observations: all of them.
        touched: ids of items whose groups are to be made again although no observation changed.
    """
    return _Merge(list(one_file_a_line(observations)), known).run(touched)


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


_Kind = tuple[str | None, object]
_MOST_LEADS = 10
"""Items that a fact is held against: the most alike ones."""


class _Merge:
    """One merge. A node is a fact, or a reviewed item: what facts may join."""

    def __init__(self, observations: Sequence[Observation], known: Known) -> None:
        self.known = known
        self.reviewed = {i.id: i for i in known.items.values() if known.is_reviewed(i)}
        self.facts = self._facts(observations)
        self.fact_of = {o.digest: key for key, f in self.facts.items() for o in f.observations}
        self.evidence_of: dict[str, list[Evidence]] = defaultdict(list)
        self.holder: dict[str, str] = {}
        for evidence in known.evidence.values():
            self.evidence_of[evidence.item_id].append(evidence)
            self.holder |= dict.fromkeys(evidence.digests, evidence.item_id)
        self.index = self._index()
        self.inside: set[str] = set()

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

    def _index(self) -> Mapping[_Kind, Index]:
        """Every node's statement, by domain and measures: no others can be one item."""
        statements: dict[_Kind, dict[str, Statement]] = defaultdict(dict)
        for node in {**self.facts, **self.reviewed}:
            kind, statement = self._of(node)
            statements[kind][node] = statement
        return {kind: Index(found) for kind, found in statements.items()}

    def _of(self, node: str) -> tuple[_Kind, Statement]:
        of = self.reviewed.get(node) or self.facts[node]
        return (of.domain, of.statement.measures), of.statement

    # --- what a change touches ---

    def run(self, touched: Iterable[str]) -> Merged:
        items, nodes = self._changed()
        items |= {i for i in touched if i in self.known.items}
        todo_items, todo_nodes = set(items), set(nodes)
        while todo_items or todo_nodes:
            around: set[str] = set()
            for item in todo_items:
                around |= self._nodes_of(item)
            new = (todo_nodes | around) - self.inside
            self.inside |= new
            holders: set[str] = set()
            todo_nodes = set()
            for node in new:
                todo_nodes |= self._neighbours(node)
                holders |= self._holders(node)
            todo_items = holders - items
            items |= holders
        return self._settle(items)

    def _changed(self) -> tuple[set[str], set[str]]:
        """Items that lost an observation or are of other rules, and facts that gained one."""
        lost = {item for digest, item in self.holder.items() if digest not in self.fact_of}
        lost |= self.evidence_of.keys() - self.known.items.keys()
        outdated = {
            i.id
            for i in self.known.items.values()
            if not self.known.is_reviewed(i)
            and (i.rules_version != RULES_VERSION or i.id not in self.evidence_of)
        }
        forgotten = {i.id for i in self.reviewed.values() if self._is_forgotten(i)}
        gained = {key for digest, key in self.fact_of.items() if digest not in self.holder}
        return lost | outdated | forgotten, gained

    def _nodes_of(self, item: str) -> set[str]:
        digests = (d for e in self.evidence_of.get(item, ()) for d in e.digests)
        found = {self.fact_of[d] for d in digests if d in self.fact_of}
        return found | ({item} & set(self.reviewed))

    def _holders(self, node: str) -> set[str]:
        """The items that a node's observations support now, and the item it is itself."""
        fact = self.facts.get(node)
        held = (
            {self.holder[o.digest] for o in fact.observations if o.digest in self.holder}
            if fact
            else set()
        )
        return held | ({node} & set(self.reviewed))

    def _neighbours(self, node: str) -> set[str]:
        """Nodes that may say the same in other words and are not looked at yet."""
        kind, statement = self._of(node)
        index = self.index[kind]
        if index.statements.keys() <= self.inside:
            return set()
        return index.alike(statement, self.inside)

    # --- the groups, made again ---

    def _settle(self, old_items: set[str]) -> Merged:
        groups: dict[str, list[Observation]] = {}
        rank: dict[str, int] = {}
        leading = _Leading()
        leads = sorted(
            (self.reviewed[n] for n in self.inside if n in self.reviewed), key=lambda i: i.order
        )
        for item in leads:
            rank[item.id] = len(rank)
            fact = self.facts.get(item.id)
            groups[item.id] = list(fact.observations) if fact else []
            leading.add(item.id, *self._of(item.id))
        facts = [self.facts[n] for n in self.inside if n not in self.reviewed]
        for fact in sorted(facts, key=lambda f: (when(f.created_at), f.id)):
            # A correction joins nothing.
            near = () if fact.corrects_since is not None else leading.near(*self._of(fact.key))
            joins = [node for node in near if self._may_join(fact, node)]
            if joins:
                groups[min(joins, key=rank.__getitem__)] += fact.observations
            else:
                rank[fact.key] = len(rank)
                groups[fact.key] = list(fact.observations)
                leading.add(fact.key, *self._of(fact.key))
        items: dict[str, Item | None] = dict.fromkeys(old_items - set(self.reviewed))
        evidence: dict[str, Evidence | None] = {
            e.id: None for i in old_items for e in self.evidence_of.get(i, ())
        }
        for key, group in groups.items():
            item = self._item(key, group)
            if item:
                items[item.id] = item
                evidence |= {e.id: e for e in _evidence(item.id, group)}
            else:
                items[key] = None
        return Merged(
            {k: v for k, v in items.items() if self.known.items.get(k) != v},
            {k: v for k, v in evidence.items() if self.known.evidence.get(k) != v},
        )

    def _may_join(self, fact: Fact, node: str) -> bool:
        """What was said before a correction is not joined to it."""
        lead = self.facts.get(node)
        corrects = corrects_since(lead.observations) if lead else None
        return corrects is None or when(fact.created_at) >= corrects

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
                d in self.fact_of for e in self.evidence_of.get(item.id, ()) for d in e.digests
            )
        )


class _Leading:
    """What begins an item, by what can be one item with it."""

    def __init__(self) -> None:
        self._by_kind: dict[_Kind, Index] = defaultdict(lambda: Index({}))

    def add(self, node: str, kind: _Kind, statement: Statement) -> None:
        self._by_kind[kind].add(node, statement)

    def near(self, kind: _Kind, statement: Statement) -> list[str]:
        """Those that say the same in other words, of the most alike ones."""
        index = self._by_kind[kind]
        alike = index.alike(statement, most=_MOST_LEADS)
        return [node for node in alike if not differences(statement, index.statements[node])]


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
