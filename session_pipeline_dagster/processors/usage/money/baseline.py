"""What was billed for a session itself: its cost-states without what it went on from.

A cost-state is a sum over all that a session did, goes on when the session is resumed, and a fork
begins with its parent's. So all files of one family are needed, and nothing else: no clock, no
store, no prices.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum

from session_pipeline_dagster.processors.usage.money.cost_states import Billed, BilledModel, plain
from session_pipeline_dagster.processors.usage.money.trails import DIGEST_BYTES

COUNTERS = tuple(field.name for field in fields(BilledModel) if field.name != "model")
"""What a model's bill counts; `cost` is the last."""

Sums = dict[str, tuple[int | Decimal, ...]]
"""Model, without the mark of a long context -> a sum for each of `COUNTERS`."""


@dataclass(frozen=True, slots=True)
class CostState:
    """A cost-state line in its file.

    Attributes:
        after: how many lines of the file's trail stand before it.
    """

    after: int
    billed: Billed


@dataclass(frozen=True, slots=True)
class Trailed:
    """A file of a main thread: its trail (`trails.py`) and its cost-states, in line order.

    Attributes:
        session_id: as its lines say, whatever the file is called.
        gone: nobody has the file any more.
        began_us: when its conversation began, microseconds since 1970-01-01 UTC.
    """

    session_file: str
    session_id: str
    username: str
    project: str | None
    gone: bool
    began_us: int
    digests: bytes
    asked_by: Sequence[str]
    states: Sequence[CostState]


class Unknown(StrEnum):
    """Why it cannot be said what was billed for a session."""

    NO_COST_STATE = "no cost-state"
    NO_PARENT = "the session it goes on from is missing"
    NOT_RECORDED = "the session it goes on from left no cost-state"
    NO_MODELS = "a cost-state does not say for which models"


@dataclass(frozen=True, slots=True)
class OwnBilled:
    """What was billed for a session itself.

    Attributes:
        unknown: why that cannot be said; then there are no models.
        unknown_model_cost: Claude Code did not know the price of a model.
        last_start_us: when the last of its sums was begun; None where that is not known.
        models: sums for each model, without the mark of a long context; a sum below 0 says that
            counters went down where they cannot.
    """

    session_id: str
    username: str
    project: str | None
    unknown: Unknown | None
    unknown_model_cost: bool
    last_start_us: int | None
    models: tuple[BilledModel, ...]


@dataclass(frozen=True, slots=True)
class _Share:
    """What one file adds to the bill of its session."""

    file: Trailed
    unknown: Unknown | None = None
    sums: Sums | None = None
    last: Billed | None = None
    flagged: bool = False


def own_billed(family: Sequence[Trailed]) -> Sequence[OwnBilled]:
    """One result for each session and person in a family, in their order.

    A file that only repeats another of its session (a copy, a renamed one, the copy that somebody
    else holds) has none and changes none.
    """
    ordered = _by_seniority(family)
    trails = [_Trail(file) for file in ordered]
    sessions = {file.session_id for file in ordered}
    holders: dict[bytes, int] = {}
    shares: dict[tuple[str, str], list[_Share]] = {}
    for place, trail in enumerate(trails):
        file = trail.file
        # Itself and the younger are not in `holders` yet.
        if not trail.lines and any(_says_all_of(other, file) for other in ordered):
            continue
        sharers, copied = _longest_run(trail.lines, holders)
        parent = _parent(file, [trails[i] for i in _bits(sharers)])
        for line in trail.positions:
            holders[line] = holders.get(line, 0) | 1 << place
        share = _share(trail, parent, copied if parent else 0, trails, sessions)
        if share is not None:
            shares.setdefault((file.session_id, file.username), []).append(share)
    return [_together(found) for _, found in sorted(shares.items())]


def _by_seniority(family: Sequence[Trailed]) -> list[Trailed]:
    """Files in an order in which whoever comes first can be the parent of whoever comes later.

    The history that a fork goes on from began no later, names fewer sessions, and has cost-states
    where a copy has none. Copies of one session stand together, and of several people it is the one
    whose response it is by the rule of `processors/copies.py`, whose files say where.
    """
    copies: dict[tuple[str, bytes], list[Trailed]] = {}
    for file in sorted(family, key=lambda file: (file.gone, file.began_us, file.session_file)):
        copies.setdefault((file.session_id, file.digests[:DIGEST_BYTES]), []).append(file)
    return [file for files in sorted(copies.values(), key=_seniority) for file in files]


def _seniority(copies: Sequence[Trailed]) -> tuple[int, int, float, Decimal, str]:
    files = [file for file in copies if file.username == copies[0].username]
    session = files[0].session_id
    named = len({name for file in files for name in file.asked_by} - {session})
    first = min(
        ((file.states[0].after, file.states[0].billed.total_cost) for file in files if file.states),
        default=(float("inf"), Decimal(0)),
    )
    return min(file.began_us for file in files), named, *first, copies[0].session_file


def _says_all_of(other: Trailed, file: Trailed) -> bool:
    """Whether a file without lines adds nothing to another one of its session."""
    if other is file or other.session_id != file.session_id:
        return False
    said = [state.billed for state in other.states]
    same = not other.digests and len(said) == len(file.states)
    return all(state.billed in said for state in file.states) and (
        not same or other.session_file < file.session_file
    )


class _Trail:
    """A file with its lines as digests, and where in it each of them stands.

    `inherited` and `blocked` are what its copies need to know: the cost-states it goes on from, and
    why nothing can be said of it.
    """

    __slots__ = ("blocked", "file", "inherited", "lines", "positions")

    def __init__(self, file: Trailed) -> None:
        self.file = file
        whole = range(0, len(file.digests) - DIGEST_BYTES + 1, DIGEST_BYTES)
        self.lines = [file.digests[at : at + DIGEST_BYTES] for at in whole]
        self.positions = {line: at for at, line in enumerate(self.lines)}
        self.inherited: list[Billed] = []
        self.blocked: Unknown | None = None


def _longest_run(lines: Sequence[bytes], holders: Mapping[bytes, int]) -> tuple[int, int]:
    """Which files hold the most of the first lines (bits), and how many lines that is."""
    sharers, copied = 0, 0
    for line in lines:
        left = holders.get(line, 0)
        if copied:
            left &= sharers
        if not left:
            break
        sharers, copied = left, copied + 1
    return sharers, copied


def _bits(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _parent(file: Trailed, sharers: Sequence[_Trail]) -> _Trail | None:
    """Of those that share the longest run: the same session, the newest one named, the oldest.

    Of its copies, the one with the most cost-states; but nobody else's than those of who was first.
    """
    held = {trail.file.session_id: trail.file.username for trail in reversed(sharers)}
    for session in (file.session_id, *file.asked_by, *(t.file.session_id for t in sharers)):
        if session in held:
            whose = (session, held[session])
            copies = [t for t in sharers if (t.file.session_id, t.file.username) == whose]
            return max(copies, key=lambda trail: len(trail.file.states))
    return None


def _share(
    trail: _Trail,
    parent: _Trail | None,
    copied: int,
    trails: Sequence[_Trail],
    sessions: Collection[str],
) -> _Share | None:
    """What a file adds; None where it only repeats another one of its session.

    Args:
        copied: how many of its first lines the parent has.
        trails: of the whole family, for a parent that is named but shares no line.
        sessions: all that have a file in the family.
    """
    file = trail.file
    before: list[Billed] = []
    own = list(file.states)
    repeats = parent is not None and parent.file.session_id == file.session_id
    if parent is not None:
        cut = parent.positions[trail.lines[copied - 1]] + 1
        before = [state.billed for state in parent.file.states if state.after <= cut]
        known = {state.billed for state in parent.file.states}
        # A fork copies no cost-states, a copied file has them all.
        own = [state for state in own if state.after > copied or state.billed not in known]
    if parent is not None and repeats:
        if not own and copied == len(trail.lines):
            trail.inherited, trail.blocked = parent.inherited, parent.blocked
            return None
        before = [*parent.inherited, *before]
        trail.inherited = parent.inherited
    before, blocked = _inherited(file, parent is not None, before, trails, sessions)
    trail.blocked = parent.blocked if parent is not None and repeats and parent.blocked else blocked
    if not repeats:
        trail.inherited = before
    if not file.states:
        return _Share(file, Unknown.NO_COST_STATE)
    if trail.blocked:
        return _Share(file, trail.blocked)
    if not all(billed.split for billed in (*(state.billed for state in own), *before[-1:])):
        return _Share(file, Unknown.NO_MODELS)
    return _added(file, before, [state.billed for state in own])


def _inherited(
    file: Trailed,
    found: bool,
    before: list[Billed],
    trails: Sequence[_Trail],
    sessions: Collection[str],
) -> tuple[list[Billed], Unknown | None]:
    """The cost-states that a fork may go on from, or why they are not known.

    Args:
        found: a file shares its first lines, with `before` up to where it was left.
    """
    named = [session for session in file.asked_by if session != file.session_id]
    if not named:
        return before, None
    if named[0] not in sessions:
        return [], Unknown.NO_PARENT
    start = file.states[0].billed.start_us if file.states else None
    if not found:
        # Copied with new uuids: a sum that goes on keeps the time it was begun at.
        states = [s for t in trails if t.file.session_id == named[0] for s in t.file.states]
        before = [s.billed for s in states if start and s.billed.start_us == start]
    if not before and start is not None and start <= file.began_us:
        # Begun before the first line it copied, by a process that recorded nothing there.
        return [], Unknown.NOT_RECORDED
    return before, None


def _added(file: Trailed, before: Sequence[Billed], own: Sequence[Billed]) -> _Share:
    """What the cost-states of a file add to each other and to those it goes on from."""
    seen = [(one, _sums(one)) for one in before]
    total: Sums = {}
    for billed in own:
        sums = _sums(billed)
        for model, values in _less(sums, _went_on_from(billed, sums, seen)).items():
            old = total.get(model, (0,) * len(COUNTERS))
            total[model] = tuple(a + b for a, b in zip(old, values, strict=True))
        seen.append((billed, sums))
    flagged = any(billed.has_unknown_model_cost for billed in own)
    return _Share(file, None, total, own[-1] if own else None, flagged)


def _went_on_from(billed: Billed, sums: Sums, seen: Sequence[tuple[Billed, Sums]]) -> Sums:
    """The sums a process began with: a sum that goes on keeps its start and never gets smaller.

    With one start, the last cost-state that fits; it is an earlier one where two processes went on
    side by side. With another start, the last one all the same unless a counter is smaller: a
    process that restored nothing began at zero.
    """
    begun = [at for one, at in seen if billed.start_us and one.start_us == billed.start_us]
    for before in reversed(begun):
        if _holds(sums, before):
            return before
    if begun:
        # Counters of one sum never go down: what comes out below 0 is told as a conflict.
        return begun[-1]
    return seen[-1][1] if seen and _holds(sums, seen[-1][1]) else {}


def _holds(sums: Sums, others: Sums) -> bool:
    """Whether no counter is smaller than the others'; a cost may be, by what a float loses."""
    nothing = (0,) * len(COUNTERS)
    for model, values in others.items():
        mine = sums.get(model, nothing)
        if any(a < b for a, b in zip(mine[:-1], values[:-1], strict=True)):
            return False
    return True


def _sums(billed: Billed) -> Sums:
    total: Sums = {}
    for model in billed.models:
        values = tuple(getattr(model, name) for name in COUNTERS)
        old = total.get(plain(model.model), (0,) * len(COUNTERS))
        total[plain(model.model)] = tuple(a + b for a, b in zip(old, values, strict=True))
    return total


def _less(sums: Sums, others: Sums) -> Sums:
    nothing = (0,) * len(COUNTERS)
    return {
        model: tuple(
            a - b for a, b in zip(sums.get(model, nothing), others.get(model, nothing), strict=True)
        )
        for model in {**sums, **others}
    }


def _together(shares: Sequence[_Share]) -> OwnBilled:
    """One session's bill, of all its files."""
    file = shares[0].file
    recorded = [share for share in shares if share.unknown is not Unknown.NO_COST_STATE]
    unknown = next((share.unknown for share in recorded if share.unknown), None)
    if not recorded:
        unknown = Unknown.NO_COST_STATE
    total: Sums = {}
    for share in recorded:
        for model, values in (share.sums or {}).items():
            old = total.get(model, (0,) * len(COUNTERS))
            total[model] = tuple(a + b for a, b in zip(old, values, strict=True))
    starts = [share.last.start_us for share in recorded if share.last and share.last.start_us]
    return OwnBilled(
        session_id=file.session_id,
        username=file.username,
        project=file.project,
        unknown=unknown,
        unknown_model_cost=any(share.flagged for share in recorded),
        last_start_us=max(starts, default=None),
        models=()
        if unknown
        else tuple(
            # A model of a past that was not this session's own has no row.
            BilledModel(model, *values)  # ty: ignore[invalid-argument-type]
            for model, values in sorted(total.items())
            if any(values)
        ),
    )
