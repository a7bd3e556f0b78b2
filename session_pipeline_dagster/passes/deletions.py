"""Files that are gone: their rows are kept and marked, or purged; and what is to be forgotten.

Gone is only what a scan would have found. A root that is missing is an error before anything is
looked at, or costs itself; and a root without a single session file is taken for one that is not
mounted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.names import short
from session_pipeline_dagster.settings import OnDelete, Settings
from session_pipeline_dagster.sources.files import Scan, SessionFile
from session_pipeline_dagster.sources.keys import former_key, owner_of
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import FileState, Gone, Known


@dataclass(frozen=True, slots=True)
class Deletions:
    """What became of files that a processor knows and the disk does not have, or has again.

    Attributes:
        waiting: files that are to be purged once they have been gone for long enough.
        next_purge: when the first of them is, UTC; None where none waits.
    """

    marked: int = 0
    purged: int = 0
    returned: int = 0
    waiting: int = 0
    next_purge: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What the store does not know yet, or has to do.

    Attributes:
        gone: files that are missing and not marked, or marked by a clock that was ahead; and those
            that only ever failed.
        purge: files that have been gone for long enough, and those that must not be read.
        back: marked files that are there again.
    """

    gone: Sequence[str] = ()
    purge: Sequence[str] = ()
    back: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.gone) + len(self.purge) + len(self.back)


# --- what is gone (pure) ---


def missing(scan: Scan, known: Mapping[str, str | None]) -> list[str]:
    """The known keys whose files are deleted, as far as the scan can tell.

    Args:
        known: session file -> its root; of one whose root nobody knows, nothing can be told.
    """
    # Known may be few of very many: no set is made of all that is there.
    present = {file.key for file in scan.files if file.key in known}
    absent = [key for key in known if key not in present]
    if not absent:
        return []
    # Of a root that is missing there is no file.
    roots = {file.root for file in scan.files}
    # Below a folder that could not be read, nothing is known to be gone.
    unseen = tuple(left.key.rstrip("/") for left in scan.left_out if left.hides)
    return [key for key in absent if known[key] in roots and not _below(key, unseen)]


def _in_root(key: str, root: str | None) -> str:
    return key.removeprefix(f"{root}:") if root else key


def _below(key: str, folders: Sequence[str]) -> bool:
    return any(key == folder or key.startswith(f"{folder}/") for folder in folders)


def returned(scan: Scan, states: Mapping[str, FileState]) -> list[str]:
    """Files that were gone and are there again."""
    gone = {key for key, state in states.items() if state.gone}
    return [file.key for file in scan.files if file.key in gone] if gone else []


def unsettled(scan: Scan, known: Known, settings: Settings, now: datetime) -> Unsettled:
    """What of the deleted files is still to be noted or done.

    A file that is there under another key is no deleted one: what is kept under the former key goes
    once the other one has its rows. Nothing else is purged when it is first missed: a folder that
    is not mounted for a minute looks the same. Only a look that still misses the file purges it.
    """
    roots = {key: failure.root for key, failure in known.failures.items()}
    roots |= {key: state.root for key, state in known.states.items()}
    gone: list[str] = []
    purge: list[str] = []
    at = now.timestamp() * 1e6
    long_ago = at - settings.purge_after / timedelta(microseconds=1)
    moved = _moved(scan, known.states, roots)
    for key in {**dict.fromkeys(missing(scan, roots)), **moved, **_withheld(scan, roots)}:
        state = known.states.get(key)
        if key in scan.withheld:
            # Whoever takes back their consent shall not wait.
            purge.append(key)
        elif state is not None and moved.get(key) in known.states:
            purge.append(key)
        elif state is None or state.gone_us is None or state.gone_us > at:
            gone.append(key)
        elif settings.on_delete is OnDelete.PURGE and state.gone_us <= long_ago:
            purge.append(key)
    return Unsettled(gone, purge, returned(scan, known.states))


def _withheld(scan: Scan, known: Collection[str]) -> dict[str, None]:
    return {key: None for key in sorted(scan.withheld) if key in known}


def formers(scan: Scan) -> dict[str, SessionFile]:
    """Keys of before colons were escaped -> the files that had them."""
    escaped = [file for file in scan.files if "%" in file.key]
    return {former: file for file in escaped if (former := former_key(file))}


def _moved(
    scan: Scan, states: Mapping[str, FileState], roots: Mapping[str, str | None]
) -> dict[str, str]:
    """Known keys of before colons were escaped -> what the same files are called now.

    A file of a named root may have the very same key, and its root may not be looked at any more:
    then the content decides.
    """
    called = formers(scan)
    present = {file.key for file in scan.files if file.key in called} if called else set()
    unseen = {one.root for one in scan.missing}
    found: dict[str, str] = {}
    for old, file in called.items():
        if old not in roots or old in present or roots[old] in unseen:
            continue
        before, now = states.get(old), states.get(file.key)
        same = before and now and before.file_hash is not None and before.file_hash == now.file_hash
        if roots[old] == file.root or same:
            found[old] = file.key
    return found


# --- what is done about it ---


def settle(
    processor: Processor,
    scan: Scan,
    known: Known,
    store: Store,
    settings: Settings,
    now: datetime,
) -> Deletions:
    """Mark what is gone, unmark what is there again, purge what has been gone for long enough.

    Writes only if there is any. Failures of gone files are forgotten; a file that comes back is
    tried again.
    """
    found = unsettled(scan, known, settings, now)
    if len(found) and not known.prepared:
        store.prepare(processor)
    if found.purge:
        store.purge(processor, found.purge)
    if found.gone or found.back:
        store.mark_gone(processor, found.gone, found.back, now)
    marked = [key for key in found.gone if key in known.states]
    settled = {*found.purge, *found.back, *marked}
    waiting = known.gone(without=settled)
    if marked:
        waiting.append(Gone(None, None, len(marked), int(now.timestamp() * 1e6)))
    counts = (sum(not known.states[key].gone for key in marked), len(found.purge), len(found.back))
    return Deletions(*counts, *to_purge(waiting, settings))


def to_purge(gone: Sequence[Gone], settings: Settings) -> tuple[int, datetime | None]:
    """How many files wait for their purge, and when the first of them goes, UTC."""
    if settings.on_delete is not OnDelete.PURGE or not gone:
        return 0, None
    first = datetime.fromtimestamp(min(one.since_us for one in gone) / 1e6, UTC)
    return sum(one.files for one in gone), first + settings.purge_after


def keys_of_user(store: Store, user: str) -> list[str]:
    """Every file of a user that any table speaks of."""
    user = short(user)
    named, failed = store.files_of(user)
    # Of a file that only ever failed, its key alone says whose it is.
    theirs = (key for key, root in failed.items() if owner_of(_in_root(key, root))[0] == user)
    return sorted(named.union(theirs))
