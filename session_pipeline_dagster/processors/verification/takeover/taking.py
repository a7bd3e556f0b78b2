"""What of another program's knowledge becomes rows here. Pure: rows in, changes out.

Evidence becomes rows of `verifications`, as if its sessions had been read here: so all that holds
for those holds for it, merging, `forget`, a file that grows. What people reviewed becomes items.
What was compared there counts as compared: no model is asked again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.verification.knowledge import rows as rows
from session_pipeline_dagster.processors.verification.knowledge import tables as tables
from session_pipeline_dagster.processors.verification.knowledge.contradictions import (
    ACTIONS,
    OK,
    SEVERITIES,
    Check,
    Contradiction,
    basis,
    contradiction_id,
)
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.derive import merge_knowledge
from session_pipeline_dagster.processors.verification.knowledge.items import PENDING, Item
from session_pipeline_dagster.processors.verification.tables import TABLES
from session_pipeline_dagster.processors.verification.takeover import agnes as agnes
from session_pipeline_dagster.processors.verification.takeover.told import BY, File, Told, part
from session_pipeline_dagster.sources.keys import owner_of

NAME = "verification"
LONGEST = 5000
"""Characters of a fact; a longer one is no fact but a document."""
_TYPES = frozenset({"correction", "confirmation", "unprompted_definition"})
_STATE = DerivedTable("", "processor_name || ' ' || session_file")
_DETECTIONS = DerivedTable(TABLES["verifications"], "session_file || ' ' || detection_key")


@dataclass(frozen=True, slots=True)
class Taken:
    """The changes, and what they are: what -> how many."""

    changes: Changes
    counts: Mapping[str, int]


def derivation(compute: Callable[[Inputs], Changes]) -> Derivation:
    """A takeover as a derivation, so that it is written whole and only if what it saw holds."""
    merging, checking = derivations()
    written = {
        **merging.tables,
        **checking.tables,
        "session_processor_state": _STATE,
        "verifications": _DETECTIONS,
    }
    states = f"SELECT session_file FROM session_processor_state WHERE processor_name = '{NAME}'"
    reads = {**merging.reads, **checking.reads, "files": states}
    return Derivation("knowledge_takeover", written, reads, compute)


@dataclass(slots=True)
class Takeover:
    """One takeover into what is there.

    Attributes:
        files: session file of Agnes -> what is known of it here.
        key: of a `<folder>/<file>` of Agnes.
        clean: takes secrets out of a text.
        now: microseconds since 1970-01-01 UTC.
    """

    original: agnes.Original
    files: Mapping[str, File]
    key: Callable[[str], str]
    clean: Callable[[str], str]
    now: int
    counts: Counter[str] = field(default_factory=Counter)
    _first: dict[str, Told] = field(default_factory=dict)

    def compute(self, inputs: Inputs) -> Taken:
        """What changes."""
        self.counts, self._first = Counter(), {}
        known = {str(row[0]) for row in inputs.rows["files"]}
        states = self._states(known)
        told = self._told(known, {str(row[1]) for row in inputs.rows["observations"]})
        stored = rows.items(inputs)
        reviewed = self._reviewed(stored)
        more = {
            "observations": [one.seen for one in told],
            "items": [rows.row(item) for item in reviewed.values()],
            "files": [(state[1],) for state in states],
        }
        merged = merge_knowledge(
            replace(
                inputs,
                rows={name: [*found, *more.get(name, ())] for name, found in inputs.rows.items()},
            )
        )
        changed = merged.removed["knowledge_items"]
        unchanged = [rows.row(item) for key, item in reviewed.items() if key not in changed]
        came = [*unchanged, *merged.added["knowledge_items"]]
        fresh = [Item(*row) for row in came if row[0] not in stored]  # ty: ignore[invalid-argument-type]  as `rows.row` has it
        for item in fresh:
            self.counts[f"items_{item.status}"] += 1
        there = {*stored, *(item.id for item in fresh)}
        pairs = self._contradictions(inputs, merged, there)
        checks = [Check(i.id, BY, OK, (), 0, self.now, None, basis(i)) for i in fresh]
        added = {
            **merged.added,
            "knowledge_items": came,
            "session_processor_state": states,
            "verifications": [one.row for one in told],
            "knowledge_contradictions": [rows.row(pair) for pair in pairs],
            "knowledge_checks": [rows.row(check) for check in checks],
        }
        return Taken(replace(merged, added=added), dict(self.counts))

    # --- states ---

    def _states(self, known: set[str]) -> list[Row]:
        found: list[Row] = []
        for state in self.original.states:
            if state.processor != NAME:
                # Its tables are made from the sessions, which takes minutes.
                self.counts["states_of_others"] += 1
                continue
            self.counts["states_found"] += 1
            file = self.files[state.session_file]
            if file.key in known:
                self.counts["states_here"] += 1
            elif file.changed or state.processed_us is None:
                self.counts["states_to_be_read"] += 1
            else:
                self.counts["states_signed" if file.signature else "states_unsigned"] += 1
                found.append(self._state(state, file))
        return found

    def _state(self, state: agnes.State, file: File) -> Row:
        s = file.signature
        signature = (s.size, s.mtime_ns, s.ctime_ns) if s else (None, None, None)
        # Of no version: a newer one reads nothing again for it.
        return (
            *(NAME, file.key, self._user(file.key), file.day, state.processed_us, state.items),
            *(file.file_hash, *signature, None, None, None, None, None, file.signed_us),
            *(None, None, file.root, None, None),
        )

    def _user(self, key: str) -> str:
        folder = key.partition(":")[2] or key
        return owner_of(folder.rpartition("/")[0] + "/")[0]

    # --- evidence ---

    def _told(self, known: set[str], there: set[str]) -> list["Told"]:
        """What supports the items that are taken; of sessions that were read here, nothing."""
        items = {item.id: item for item in self.original.items if self._is_taken(item)}
        keys = agnes.sessions(self.original.states, self.key)
        found: list[Told] = []
        for evidence in self.original.evidence:
            item = items.get(evidence.item_id)
            if item is not None:
                self.counts["evidence_found"] += 1
                self._tell(found, self._said(item, evidence, keys), known, there)
        for item in items.values():
            if item.id not in self._first:
                self.counts["items_without_evidence"] += 1
                alone = agnes.Evidence(
                    f"of-{item.id}", item.id, item.source_user, item.source_ref, None, "",
                    item.created_us,
                )  # fmt: skip
                self._tell(found, self._said(item, alone, keys), known, there)
        return found

    def _tell(self, found: list[Told], said: Told, known: set[str], there: set[str]) -> None:
        self._first.setdefault(said.item, said)
        if said.key in there:
            self.counts["evidence_here"] += 1
        elif said.session_file in known:
            self.counts["evidence_of_sessions_read_here"] += 1
        else:
            self.counts["evidence_taken"] += 1
            found.append(said)

    def _is_taken(self, item: agnes.Item) -> bool:
        self.counts["items_found"] += 1
        why = None
        if item.source_type != agnes.FROM_SESSIONS:
            why = "items_not_from_sessions"
        elif item.is_personal:
            why = "items_personal"
        elif item.status is None or not item.content.strip():
            why = "items_not_understood"
        elif len(item.content) > LONGEST:
            why = "items_too_long"
        if why:
            self.counts[why] += 1
        return why is None

    def _said(self, item: agnes.Item, evidence: agnes.Evidence, keys: Mapping[str, str]) -> "Told":
        ref = evidence.source_ref or item.source_ref or ""
        who = evidence.source_user or item.source_user or "unknown"
        # Of a session that Agnes has no state of: by its name.
        stem = ref.removeprefix("session-").removesuffix(f"-{who}") or item.id
        key = keys.get(ref) or self.key(f"{part(who)}/{part(stem)}.jsonl")
        kind = evidence.detection_type if evidence.detection_type in _TYPES else "confirmation"
        title, content = self._words(item)
        digest = sha256(f"{BY}\0{evidence.id}".encode("utf-8", "surrogatepass")).hexdigest()
        return Told(
            item.id,
            key,
            f"vd_{digest[:16]}",
            short(self._user(key)),
            kind or "confirmation",
            title,
            content,
            self.clean(plain(evidence.quote[:2000])),
            item.domain,
            tuple(sorted({self.clean(plain(word)).casefold() for word in item.entities})),
            f"{BY}-{digest[:32]}",
            evidence.created_us,
        )

    def _words(self, item: agnes.Item) -> tuple[str, str]:
        content = self.clean(plain(item.content)).strip()
        title = self.clean(plain(item.title)).strip()
        return (title or content)[:200], content

    # --- items ---

    def _reviewed(self, stored: Mapping[str, Item]) -> dict[str, Item]:
        """What people decided there; what is here already is not decided again."""
        found: dict[str, Item] = {}
        for item in self.original.items:
            one = self._first.get(item.id)
            if one is None or item.status in (PENDING, None):
                continue
            if item.id in stored:
                self.counts["items_here"] += 1
                continue
            found[item.id] = self._item(item, one)
        return found

    def _item(self, item: agnes.Item, one: "Told") -> Item:
        title, content = self._words(item)
        when = item.updated_us or item.created_us
        return Item(
            id=item.id,
            title=title,
            content=content,
            category=plain(item.category)[:200],
            domain=item.domain,
            entities=one.entities,
            tags=tuple(self.clean(plain(tag)) for tag in item.tags),
            status=item.status or PENDING,
            confidence=min(1.0, max(0.0, item.confidence or 0.6)),
            source_type=item.source_type,
            source_user=one.username,
            source_ref=f"{one.session_file}:0",
            sensitivity=plain(item.sensitivity)[:200],
            created_at=item.created_us,
            updated_at=when,
            rules_version=tables.RULES_VERSION,
            reviewed_by=BY,
            reviewed_at=when,
        )

    # --- contradictions ---

    def _contradictions(
        self, inputs: Inputs, merged: Changes, there: set[str]
    ) -> list[Contradiction]:
        """Between items as they are here: two of there may be one."""
        lines = {str(row[7]): str(row[1]) for row in inputs.rows["evidence"]}
        lines |= {str(row[7]): str(row[1]) for row in merged.added["verification_evidence"]}
        now = {i: lines[one.line] for i, one in self._first.items() if one.line in lines}
        stored = {str(row[0]) for row in inputs.rows["contradictions"]}
        found: dict[str, Contradiction] = {}
        for pair in self.original.contradictions:
            self.counts["contradictions_found"] += 1
            a, b = (now.get(i, i) for i in (pair.item_a_id, pair.item_b_id))
            key = contradiction_id(a, b)
            if key in stored:
                self.counts["contradictions_here"] += 1
            elif a == b or not {a, b} <= there or key in found:
                self.counts["contradictions_left_out"] += 1
            else:
                self.counts["contradictions_taken"] += 1
                found[key] = self._contradiction(key, a, b, pair)
        return list(found.values())

    def _contradiction(self, key: str, a: str, b: str, pair: agnes.Contradiction) -> Contradiction:
        known = pair.resolution if pair.resolution in ACTIONS else None
        return Contradiction(
            key,
            a,
            b,
            self.clean(plain(pair.explanation))[:500],
            pair.severity if pair.severity in SEVERITIES else None,
            self._suggested(pair.suggested),
            pair.resolved,
            pair.detected_us,
            BY,
            known,
            plain(pair.resolved_by or BY)[:200] if pair.resolved else None,
            pair.resolved_us if pair.resolved else None,
        )

    def _suggested(self, text: str | None) -> str | None:
        if not text:
            return None
        try:
            found = msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError):
            found = {"justification": text}
        wanted = ("action", "justification", "merged_content")
        kept = {
            name: self.clean(plain(value))[:500]
            for name in wanted
            if isinstance(value := found.get(name), str)
        }
        if kept.get("action") not in ACTIONS:
            kept.pop("action", None)
        return msgspec.json.encode(kept).decode() if kept else None
