"""A look: what is on disk beside what the store knows, and what of it anyone has to look at.

Everyone who looks asks here, so that of many files only those that differ become records
(`store/compare.py`); what follows from them is decided in `plan.py` and `deletions.py` as ever.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.passes.consent import consented
from session_pipeline_dagster.passes.deletions import formers
from session_pipeline_dagster.settings import OnDelete, Settings
from session_pipeline_dagster.sources.files import Scan, SessionFile
from session_pipeline_dagster.store.compare import Listing
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Known

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen.

    Attributes:
        scan: everything there is, but what the processor must not read.
        files: those of the scan that have to be looked at; `known.rest` is of the others.
    """

    scan: Scan
    files: Sequence[SessionFile]
    known: Known


def see(
    processor: Processor,
    scan: Scan,
    store: Store,
    settings: Settings,
    now: datetime,
    timeout: timedelta | None = None,
    lines_since: datetime | None = None,
    *,
    keys: Collection[str] = (),
    whole: bool = False,
) -> Sight:
    """What the store knows of the scan's files, as of now.

    Args:
        now: from before the store is asked, and what `plan.py` and `deletions.py` are told, too.
        timeout, lines_since: see `Store.known`.
        keys: files of which everything is to be known.
        whole: everything is to be known of all.

    Raises:
        StoreError: the database could not be used.
    """
    scan = consented(processor, scan, settings)
    if whole:
        return Sight(scan, scan.files, store.known(processor, timeout, lines_since))
    purge = None
    if settings.on_delete is OnDelete.PURGE:
        purge = now - min(settings.purge_after, now - _EPOCH)
    now_called = {former: file.key for former, file in formers(scan).items()}
    listing = Listing(scan.files, now, purge, {*keys, *scan.withheld}, now_called)
    known = store.known(processor, timeout, lines_since, listing)
    if known.places is None:
        return Sight(scan, scan.files, known)
    return Sight(scan, [scan.files[place] for place in known.places], known)
