"""Looking at health: one scan, one short read of the store per processor, then the rules.

What cannot be looked at becomes a finding too: not being able to look is not the same as ok.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import PipelineError, SourceUnavailable, StoreBusy, StoreError
from session_pipeline_dagster.health.findings import Finding, Limits, Status, limits, snapshot
from session_pipeline_dagster.health.rules import (
    NOT_COMPARED,
    NOT_SEEN,
    cannot_look,
    judge,
    partly,
    unknown,
)
from session_pipeline_dagster.health.surroundings import lake_tidied
from session_pipeline_dagster.health.unread import UNREAD, by_agent, unclaimed, unread_files
from session_pipeline_dagster.passes.plan import left_out
from session_pipeline_dagster.passes.seeing import see
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan, SessionSource
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import FileState


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found.

    Attributes:
        session_files: how many there are; None where a root could not be looked at.
        findings: processor -> what every rule says.
        unread: whether files are of agents without a reader; it is of no processor.
        busy: processors whose database another process held, so that findings are unknown.
        scan: what it was found in; None as `session_files`.
    """

    session_files: int | None
    findings: Mapping[str, Sequence[Finding]]
    unread: Finding
    busy: Sequence[str] = field(default=())
    scan: Scan | None = None


def examine(
    processors: Sequence[Processor],
    source: SessionSource,
    store: Store,
    settings: Settings,
    now: datetime,
    timeout: timedelta | None = None,
    suffix: str = "",
    held: ExitStack | None = None,
) -> Checkup:
    """Examine each of the processors.

    The database is closed before anything is computed from what was read, if it is not held.

    Args:
        timeout: how long to wait for a database that another process holds (default: the store's).
        suffix: what the names of their jobs in Dagster end with.
        held: keeps the database open once it could be, for who has more to look at.

    Raises:
        SettingsError: people are to be hidden, and the key of pseudonyms cannot be used.
    """
    veil = veil_of(settings)
    try:
        scan = source.scan()
    except SourceUnavailable as error:
        cause = str(error)
        found = {p.name: unknown(cause, _limits(settings, p), NOT_SEEN) for p in processors}
        return Checkup(None, found, cannot_look(UNREAD, cause, NOT_SEEN))
    unseen = [one.reason for one in scan.missing]
    findings: dict[str, Sequence[Finding]] = {}
    busy: list[str] = []
    looked, unclaimed_by_any, cause = False, dict[str, FileState](), ""
    opened = False
    for p in processors:
        allowed = _limits(settings, p)
        try:
            if held and not opened:
                held.enter_context(store.held(timeout))
                opened = True
            seen = see(p, scan, store, settings, now, timeout, now - allowed.window)
        except StoreError as error:
            cause = str(error)
            findings[p.name] = unknown(cause, allowed, NOT_COMPARED)
            if held:
                # The next one opens it anew: what has failed once may fail for ever.
                held.close()
                opened = False
            if isinstance(error, StoreBusy):
                busy.append(p.name)
            continue
        shot = snapshot(p.name, p.version, seen, now, suffix, veil, source.readers.packages)
        found = judge(shot, allowed)
        findings[p.name] = partly(found, unseen)
        ours, _ = left_out(scan.files, seen.known.states, source.readers.agents)
        unclaimed_by_any |= {state.session_file: state for state in ours}
        looked = True
    unread = cannot_look(UNREAD, cause, NOT_COMPARED)
    if looked or not processors:
        left = [*scan.left_out, *unclaimed(unclaimed_by_any.values())]
        (unread,) = partly([unread_files(by_agent(left))], unseen)
    return Checkup(len(scan.files), findings, unread, busy, scan)


def unread_now(
    processor: Processor, source: SessionSource, store: Store, settings: Settings
) -> Mapping[str, int]:
    """How many session files no reader claims, by agent; empty where it cannot be looked at."""
    try:
        scan = source.scan()
        states = see(processor, scan, store, settings, datetime.now(UTC)).known.states
    except PipelineError:
        # Whoever asks has something else to say; that nobody can look is what health says.
        return {}
    ours, _ = left_out(scan.files, states, source.readers.agents)
    return by_agent([*scan.left_out, *unclaimed(ours)])


def lake_finding(store: Store, job: str) -> Finding | None:
    """Whether the lake is tidied; None where the store is a file, or a lake that is not made yet.

    Args:
        job: what tidies it in Dagster.
    """
    try:
        untidied = store.place.untidied()
    except StoreError as error:
        return Finding("lake_tidied", Status.UNKNOWN, f"cannot look: {error}")
    return None if untidied is None else lake_tidied(untidied, job)


def _limits(settings: Settings, processor: Processor) -> Limits:
    return limits(settings, processor.name, processor.cadence)
