"""What a decision about a candidate or an item changes. Pure: rows in, changes out.

A decision about an item labels every detection that supports it. An approved candidate becomes an
approved item at once; its evidence comes with the next merge.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from session_pipeline_dagster.contract.derivation import Changes, Inputs
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.verification.knowledge import labels as labels
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge import tables as tables
from session_pipeline_dagster.processors.verification.knowledge.candidates import (
    Detected,
    one_a_detection,
)
from session_pipeline_dagster.processors.verification.knowledge.items import (
    APPROVED,
    PENDING,
    REJECTED,
    Item,
)
from session_pipeline_dagster.processors.verification.knowledge.labels import Label, Settled
from session_pipeline_dagster.processors.verification.knowledge.merge import Known, merge

LONGEST = 500
_LONGEST_TITLE = 60


class Unknown(ContractError):
    """No candidate, item or contradiction has that id."""


class Overtaken(ContractError):
    """Somebody else has decided meanwhile; nothing was changed.

    Attributes:
        by: who, if the message names them.
    """

    def __init__(self, message: str, by: str | None = None) -> None:
        super().__init__(message)
        self.by = by


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who decides, and when (microseconds since 1970-01-01 UTC)."""

    name: str
    now: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person decides about one candidate or item.

    Attributes:
        id: of a candidate (`vd_...`) or an item (`kv_...`).
        decision: one of `labels`.
        content: the words of an edited one.
        other: the item that it is the same as.
        detection_type: what it is, if not what it was found as.
        first: only if nobody has decided about it yet.
    """

    id: str
    decision: str
    content: str | None = None
    other: str | None = None
    detection_type: str | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Decisions as changes of rows, and what takes them back.

    Attributes:
        before, after: the items that changed, by id; None = there is none.
        labels: the labels that were added.
        items: choice -> the item that it is about now; None = none.
    """

    changes: Changes
    before: Mapping[str, Item | None]
    after: Mapping[str, Item | None]
    labels: Sequence[Label]
    items: Mapping[str, str | None]


def decide(inputs: Inputs, choices: Iterable[Choice], by: Reviewer) -> Done:
    """All of the choices, or none.

    Raises:
        Unknown: an id names nothing; nothing is changed.
        Overtaken: somebody was first, and the choice is only for that case.
        ContractError: a choice does not fit what it is about.
    """
    deciding = Deciding(inputs, by)
    for choice in choices:
        deciding.take(choice)
    return deciding.done()


def undo(inputs: Inputs, done: Done) -> Changes:
    """Take back what was decided.

    Raises:
        Overtaken: it is no longer as it was left.
    """
    items = rows.items(inputs)
    there = {label.id for label in rows.labels(inputs)}
    later = {label.id for label in Settled(rows.labels(inputs)).last}
    mine = {label.id for label in done.labels if label.decision != labels.SKIPPED}
    as_left = all(items.get(key) == item for key, item in done.after.items())
    if not as_left or not {label.id for label in done.labels} <= there or not mine <= later:
        raise Overtaken("it has been changed since, and is left as it is")
    return Changes(
        removed={
            "knowledge_items": sorted(done.after),
            "knowledge_labels": sorted(label.id for label in done.labels),
        },
        added={"knowledge_items": [rows.row(item) for item in done.before.values() if item]},
        notes=done.changes.notes,
    )


class Deciding:
    """Decisions one after the other; nothing is written before `done`."""

    def __init__(self, inputs: Inputs, by: Reviewer) -> None:
        self._by = Reviewer(short(plain(by.name)), by.now)
        self._items = rows.items(inputs)
        self._evidence = rows.evidence(inputs)
        self._labels = rows.labels(inputs)
        self._settled = Settled(self._labels)
        found = rows.detected(inputs)
        self._detected = one_a_detection(found)
        self._key_of = {d.observation.digest: d.key for d in found}
        self._changed: dict[str, Item | None] = {}
        self._added: list[Label] = []
        self._touched: set[str] = set()
        self._about: dict[str, str | None] = {}

    def take(self, choice: Choice) -> None:
        """One more decision."""
        if choice.id in self._detected:
            self._candidate(self._detected[choice.id], choice)
        else:
            self._item(self.item(choice.id), choice)

    def item(self, key: str) -> Item:
        """The item as it is by now."""
        found = {**self._items, **self._changed}.get(key)
        if found is None:
            raise Unknown(f"no candidate or item {key}; see `session-pipeline knowledge list`")
        return found

    def set(
        self, item: Item, status: str, decision: str, also: Iterable[Detected] = (), kind: str = ""
    ) -> None:
        """Give an item a status, and label what supports it."""
        reviewed_ = reviewed(item, status, self._by)
        self._changed[item.id] = reviewed_
        behind = {d.key: d for d in (*self._supporting(item.id), *also)}
        for detected in behind.values():
            self._label(detected, decision, reviewed_, kind)
        self._touched.add(item.id)

    def done(self) -> Done:
        """The changes of all decisions so far."""
        added = {
            "knowledge_items": [rows.row(item) for item in self._changed.values() if item],
            "knowledge_labels": [rows.row(label) for label in self._added],
        }
        before = {key: self._items.get(key) for key in self._changed}
        notes = {tables.KNOWLEDGE: self._touched} if self._touched else {}
        if gone := [key for key, item in self._changed.items() if item is None]:
            # What contradicts them goes, too.
            notes[tables.CHECKING] = set(gone)
        changes = Changes({"knowledge_items": sorted(self._changed)}, added, notes)
        return Done(changes, before, dict(self._changed), list(self._added), dict(self._about))

    def _candidate(self, detected: Detected, choice: Choice) -> None:
        before = self._open(detected, choice)
        if before and before.item_id:
            self._touched.add(before.item_id)
        kind = choice.detection_type or ""
        o = detected.observation
        about: str | None = None
        if choice.decision in (labels.REJECTED, labels.SKIPPED):
            self._label(detected, choice.decision, None, kind)
        elif choice.decision == labels.SAME:
            other = self._standing(choice.other)
            about = other.id
            self._label(detected, labels.SAME, other, kind)
            self._touched.add(about)
        else:
            # As a merge would make it, were it the only one.
            (new,) = merge([o], Known({}, {})).items.values()
            item = {**self._items, **self._changed}.get(o.item_id) or new
            if item is None:
                raise Unknown(f"no candidate {choice.id}")
            about = item.id
            self.set(worded(item, choice), APPROVED, choice.decision, [detected], kind)
        self._about[choice.id] = about

    def _open(self, detected: Detected, choice: Choice) -> Label | None:
        """What was decided about a candidate before, if it may be decided about.

        Raises:
            ContractError: it stands behind an item: that one is to be decided about.
        """
        before = detected.label(self._settled)
        if before and choice.first:
            who = before.decided_by
            raise Overtaken(f"{choice.id} was {before.decision} by {who} meanwhile", who)
        if before and before.item_id and before.decision != labels.SAME:
            raise ContractError(
                f"{choice.id} was {before.decision} and stands behind {before.item_id}; decide "
                "about that"
            )
        if before is None and detected.accepted:
            raise ContractError(
                f"{choice.id} is no candidate: it became an item by itself, see "
                "`session-pipeline knowledge list`"
            )
        return before

    def _item(self, item: Item, choice: Choice) -> None:
        if choice.first and item.status != PENDING:
            who = item.reviewed_by
            raise Overtaken(f"{item.id} was {item.status} by {who} meanwhile", who)
        kind = choice.detection_type or ""
        about = item.id
        if choice.decision == labels.SKIPPED:
            for detected in self._supporting(item.id):
                self._label(detected, labels.SKIPPED, item, kind)
        elif choice.decision == labels.SAME:
            other = self._standing(choice.other)
            if other.id == item.id:
                raise ContractError(f"{item.id} is itself; name another item")
            for detected in self._supporting(item.id):
                self._label(detected, labels.SAME, other, kind)
            self._changed[item.id] = None
            self._touched |= {item.id, other.id}
            about = other.id
        else:
            status = REJECTED if choice.decision == labels.REJECTED else APPROVED
            self.set(worded(item, choice), status, choice.decision, kind=kind)
        self._about[choice.id] = about

    def _standing(self, key: str | None) -> Item:
        """An item that something may be the same as."""
        found = self.item(key or "")
        if found.status == REJECTED:
            raise ContractError(f"{found.id} is rejected; nothing is put under it")
        return found

    def _supporting(self, item: str) -> Collection[Detected]:
        """The detections behind an item: its evidence, and what was put under it since."""
        of_evidence = (
            self._key_of.get(digest)
            for evidence in self._evidence.values()
            if evidence.item_id == item
            for digest in evidence.digests
        )
        put = [label.detection_key for label in self._settled.last if label.item_id == item]
        keys = dict.fromkeys([*of_evidence, *put])
        return [self._detected[key] for key in keys if key in self._detected]

    def _label(self, detected: Detected, decision: str, item: Item | None, kind: str) -> None:
        o, by = detected.observation, self._by
        made = (*self._labels, *self._added)
        known = (label for label in made if label.detection_key == o.detection_key)
        # A clock that is behind makes no decision an earlier one.
        now = max((by.now, *(label.decided_at + 1 for label in known)))
        self._added.append(
            Label(
                id=labels.label_id(o.detection_key, decision, by.name, now),
                detection_key=o.detection_key,
                session_file=o.session_file,
                line_number=o.line_number,
                line_key=o.line_key,
                user_quote=o.user_quote,
                decision=decision,
                detection_type=kind or o.detection_type,
                content=item.content if item else o.content,
                item_id=item.id if item else None,
                score=detected.score,
                accepted=detected.accepted,
                extractor=detected.extractor,
                extractor_version=detected.extractor_version,
                decided_by=by.name,
                decided_at=now,
            )
        )


def reviewed(item: Item, status: str, by: Reviewer) -> Item:
    """The item with what a person decided about it."""
    said = replace(item, title=plain(item.title), content=plain(item.content))
    return replace(said, status=status, reviewed_by=short(plain(by.name)), reviewed_at=by.now)


def worded(item: Item, choice: Choice) -> Item:
    """The item in the words of the choice, if that gives it any; its id stays."""
    if choice.decision != labels.EDITED:
        return item
    content = words(choice.content, "an edited fact needs words; give them with --content")
    title = content if len(content) <= _LONGEST_TITLE else f"{content[: _LONGEST_TITLE - 3]}..."
    return replace(item, title=title, content=content)


def words(content: str | None, missing: str) -> str:
    """What a person has written as a fact, in one line.

    Raises:
        ContractError: it is nothing, or too long.
    """
    text = " ".join(plain(content or "").split())
    if not text:
        raise ContractError(missing)
    if len(text) > LONGEST:
        raise ContractError(f"--content has {len(text)} characters; it takes {LONGEST}")
    return text
