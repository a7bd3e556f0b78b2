"""Files that are gone: their rows are kept and marked, or purged; and what is to be forgotten.

Gone is only what a scan would have found. A root that is missing is an error before anything is
looked at, and a root without a single session file is taken for one that is not mounted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.settings import OnDelete
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import FileState, Known


@dataclass(frozen=True, slots=True)
class Deletions:
    """What became of files that a processor knows and the disk does not have, or has again."""

    marked: int = 0
    purged: int = 0
    returned: int = 0


# --- what is gone (pure) ---


def missing(scan: Scan, known: Mapping[str, str | None]) -> list[str]:
    """The known keys whose files are deleted, as far as the scan can tell.

    Args:
        known: session file -> its root; of one whose root nobody knows, nothing can be told.
    """
    present = {file.key for file in scan.files}
    absent = [key for key in known if key not in present]
    if not absent:
        return []
    roots = {file.root for file in scan.files}
    # Below a folder that could not be read, nothing is known to be gone.
    unseen = tuple(left.key.rstrip("/") for left in scan.left_out)
    return [key for key in absent if known[key] in roots and not _below(key, unseen)]


def _in_root(key: str, root: str | None) -> str:
    return key.removeprefix(f"{root}:") if root else key


def _below(key: str, folders: Sequence[str]) -> bool:
    return any(key == folder or key.startswith(f"{folder}/") for folder in folders)


def returned(scan: Scan, states: Mapping[str, FileState]) -> list[str]:
    """Files that were gone and are there again."""
    gone = {key for key, state in states.items() if state.gone}
    return [file.key for file in scan.files if file.key in gone] if gone else []


def unsettled(scan: Scan, known: Known, on_delete: OnDelete) -> tuple[list[str], list[str]]:
    """Files that are gone and files that are back, of which the store does not know that yet."""
    purging = on_delete is OnDelete.PURGE
    roots = {key: failure.root for key, failure in known.failures.items()}
    roots |= {key: s.root for key, s in known.states.items() if purging or not s.gone}
    gone = missing(scan, roots)
    return gone, returned(scan, known.states)


# --- what is done about it ---


def settle(
    processor: Processor, scan: Scan, known: Known, store: Store, on_delete: OnDelete
) -> Deletions:
    """Mark or purge what is gone, and unmark what is there again. Writes only if there is any.

    Failures of gone files are forgotten; a file that comes back is tried again.
    """
    gone, back = unsettled(scan, known, on_delete)
    if not (gone or back):
        return Deletions()
    processed = [key for key in gone if key in known.states]
    purged = processed if on_delete is OnDelete.PURGE else []
    if purged:
        if not known.prepared:
            store.prepare(processor)
        store.purge(processor, purged)
    store.mark_gone(processor.name, gone, back)
    if purged:
        return Deletions(purged=len(purged), returned=len(back))
    marked = sum(not known.states[key].gone for key in processed)
    return Deletions(marked=marked, returned=len(back))


def keys_of_user(store: Store, user: str) -> list[str]:
    """Every file of a user that any table speaks of."""
    named, failed = store.files_of(user)
    # Of a file that only ever failed, its key alone says whose it is.
    theirs = (key for key, root in failed.items() if _below(_in_root(key, root), [user]))
    return sorted(named.union(theirs))
