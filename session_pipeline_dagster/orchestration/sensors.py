"""Sensors: one per processor and shard that asks for runs, and one that observes the session files.

They gather what is on disk and in the store; `passes/pacing.py` and `passes/plan.py` decide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from session_pipeline_dagster.contract.derivation import basis_of
from session_pipeline_dagster.contract.processor import Processor, derived_assets, extras
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import StoreBusy
from session_pipeline_dagster.orchestration.checks import plugins_evaluation
from session_pipeline_dagster.orchestration.cursors import lately, read_cursor, write_cursor
from session_pipeline_dagster.orchestration.exports import export_keys
from session_pipeline_dagster.orchestration.failing import skipping
from session_pipeline_dagster.orchestration.looking import Looks, Stamp
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import (
    FIRST_DAY_TAG,
    PLAIN,
    SESSION_FILES,
    Names,
)
from session_pipeline_dagster.orchestration.runs import in_flight, is_new
from session_pipeline_dagster.passes.beginning import beginning, first_day
from session_pipeline_dagster.passes.consent import consented
from session_pipeline_dagster.passes.days import file_days
from session_pipeline_dagster.passes.deletions import unsettled
from session_pipeline_dagster.passes.pacing import Memory, Moment, decide, with_deletions
from session_pipeline_dagster.passes.plan import (
    Outlook,
    clamp_day,
    day_ranges,
    last_change,
    left_out,
    look,
    until_today,
    with_quiet_days,
)
from session_pipeline_dagster.passes.seeing import see
from session_pipeline_dagster.passes.shards import Shard, sight_in
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.settings import OnDelete, Settings
from session_pipeline_dagster.sources.files import SessionFile, SessionSource
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.states import Known

_TICK = timedelta(seconds=30)
_OBSERVE = 300
_NOTHING = "nothing changed"
_OBSERVE_AGAIN = timedelta(hours=1)
_PATIENCE = timedelta(seconds=2)
"""How long a tick waits for the database: another tick comes soon."""


def processor_sensor(
    processor: Processor,
    settings: Settings,
    names: Names = PLAIN,
    looks: Looks | None = None,
    shard: Shard | None = None,
) -> dg.SensorDefinition:
    """Asks for a run of the processor when files are due; of several sensors, of its shard."""
    looks, cadence = looks or Looks(settings), settings.cadence(processor.name, processor.cadence)
    source, store, held = looks.source, open_store(settings), looks.held
    name, quiet = names.sensor(processor.name, shard), _Quiet()
    settings = beginning(settings)
    start = first_day(settings)
    tags = {**names.tags(processor.name, shard), FIRST_DAY_TAG: start.isoformat()}
    # As the location has them: which rules there are may depend on a file, and that changes.
    checks = [dg.AssetCheckKey(names.key(r.table), r.name) for r in extras(processor).quality]

    @dg.sensor(
        name=name,
        job_name=names.job(processor.name),
        minimum_interval_seconds=max(1, int(min(cadence, _TICK).total_seconds())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds session files that are new or changed for "
        f"{processor.name}{f', shard {shard},' if shard else ''} and asks "
        f"for runs over their days, every {cadence.total_seconds():.0f} s at most, and at once "
        "while a backlog drains.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance = held.of(context)
        _limit_pool(instance, names.pool(processor.name), settings.shards)
        running = in_flight(instance, processor, names, shard)
        if running:
            return skipping(f"run {running} is still at work", context.cursor)
        look_at, now = looks.look(name), datetime.now(UTC)
        scan = consented(processor, look_at.scan, settings)
        # Files that prices and budgets are from are in no listing and in no database.
        bases = [basis_of(derivation) for derivation in extras(processor).derivations]
        first = is_new(instance, processor, names)
        if quiet.holds(look_at.stamp, bases) and not first:
            return skipping(quiet.reason, context.cursor)
        try:
            # At first all that is there is asked for.
            seen = see(processor, scan, store, settings, now, _PATIENCE, whole=first)
        except StoreBusy as error:
            return skipping(error, context.cursor)
        seen = sight_in(seen, shard)
        files, known, rest = seen.files, seen.known, seen.known.rest
        # They are everyone's, and one who asks is enough.
        stale = known.stale_rollups if shard is None or shard.index == 1 else ()
        outlook = look(files, known.states, known.failures, processor.version, now, rest)
        decision = decide(
            outlook,
            read_cursor(Memory, context.cursor),
            cadence,
            settings.cap(processor.name),
            now,
            last_change(known.states, known.failures, rest),
            stale,
            hurry=not (extras(processor).metered and settings.model.tokens_per_run),
        )
        # What other readers left out is looked at again, as deleted files are taken note of.
        _, by_others = left_out(files, known.states, source.readers.agents)
        unknown = len(unsettled(scan, known, settings, now)) + len(by_others)
        decision = with_deletions(decision, unknown, cadence, now)
        cursor = write_cursor(decision.memory)
        if decision.files:
            ranges = _ranges(decision.files, outlook, known, source, settings)
            requests = [_range_request(*days, tags) for days in ranges]
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        if decision.rollups:
            assets = _of_rollups(processor, decision.rollups, settings, names)
            requests = [dg.RunRequest(asset_selection=assets, asset_check_keys=checks, tags=tags)]
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        if decision.settle:
            day = clamp_day(now.date(), start, now.date())
            request = _range_request(day, day, tags)
            return dg.SensorResult(run_requests=[request], cursor=cursor)
        there = [file for file in files if file.key in known.states]
        if there and first:
            # Processed through another door, say `make run`: one run shows in the catalog what is
            # there.
            ranges = _ranges(there, outlook, known, source, settings)
            requests = [_range_request(*days, tags) for days in ranges]
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        waits = [*outlook.waiting, *outlook.suspect, *outlook.unsigned, *stale]
        calm = not (waits or unknown or _to_purge(known, settings))
        quiet.stamp, quiet.bases = look_at.stamp if calm else None, bases
        quiet.reason = decision.reason
        return skipping(decision.reason, cursor)

    return sensor


@dataclass(slots=True)
class _Quiet:
    """The last look at which nothing waited, neither for a run nor for its time.

    Attributes:
        bases: what derivations were made from beside rows.
    """

    stamp: Stamp | None = None
    bases: Sequence[str | None] = ()
    reason: str = ""

    def holds(self, stamp: Stamp | None, bases: Sequence[str | None] = ()) -> bool:
        """Whether all is as it was then."""
        return stamp is not None and (stamp, bases) == (self.stamp, self.bases)


def _to_purge(known: Known, settings: Settings) -> bool:
    """Whether rows of deleted files go once enough time has passed."""
    return settings.on_delete is OnDelete.PURGE and bool(known.gone())


def _limit_pool(instance: dg.DagsterInstance, pool: str, runs: int) -> None:
    """So many runs at a time, also on an instance whose yaml says nothing about pools."""
    storage = instance.event_log_storage
    if storage.get_concurrency_info(pool).limit != runs:
        storage.set_concurrency_slots(pool, runs)


def _ranges(
    files: Iterable[SessionFile],
    outlook: Outlook,
    known: Known,
    source: SessionSource,
    settings: Settings,
) -> list[tuple[date, date]]:
    """The ranges of days to ask for, one request each."""
    start, today = first_day(settings), datetime.now(UTC).date()

    def partitions(days: Iterable[date | None]) -> set[date]:
        return {clamp_day(day, start, today) for day in {*days} if day}

    def days_of(files: Iterable[SessionFile]) -> set[date]:
        return partitions(file_days([*files], known.states, source))

    had = partitions([*known.rest.days, *(s.session_day for s in known.states.values())])
    ranges = day_ranges(days_of(files))
    if any(first not in had for first, _ in ranges):
        # A day whose files all failed is not a quiet one. Looked at only now: it reads their heads.
        had |= days_of([*outlook.backing_off, *outlook.quarantined])
    return until_today(with_quiet_days(ranges, had), had, today)


def _range_request(first: date, last: date, tags: Mapping[str, str]) -> dg.RunRequest:
    """No run_key: a key that failed once would block for ever."""
    return dg.RunRequest(
        tags={
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
            **tags,
        }
    )


def _of_rollups(
    processor: Processor, rollups: Iterable[str], settings: Settings, names: Names
) -> list[dg.AssetKey]:
    """Only what is derived, and what is exported of it: its tables were materialized alone, or a
    file that it is made from is another. Asked for with every rule, for a rule may look at more
    than the table that it stands beside."""
    keys = [names.key(asset) for name in rollups for asset in derived_assets(processor, name)]
    return [*keys, *export_keys(processor.name, settings, names)]


@dataclass(frozen=True, slots=True)
class _Observed:
    """What was last observed and said, and when."""

    seen: str = ""
    observed_at: Moment | None = None
    plugins: str = ""
    said_at: Moment | None = None


def session_files_sensor(
    registry: Registry,
    settings: Settings,
    names: Names = PLAIN,
    looks: Looks | None = None,
) -> dg.SensorDefinition:
    """Observes the session files; an event when something changed, and once an hour."""
    looks, store = looks or Looks(settings), open_store(settings)
    name, quiet = names.other("session_files_sensor"), _Quiet()
    failed = ", ".join(plugin.target for plugin in registry.failed)
    loaded = f"{len(registry.processors)} processors{failed and f', not {failed}'}"

    @dg.sensor(
        name=name,
        minimum_interval_seconds=_OBSERVE,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Counts the session files and says how old the oldest is that each processor "
        "has not seen. Starts no run.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = datetime.now(UTC)
        look_at = looks.look(name)
        scan = look_at.scan
        memory, at = read_cursor(_Observed, context.cursor), now.timestamp()
        said_lately = lately(memory.observed_at or 0.0, at, _OBSERVE_AGAIN)
        if said_lately and quiet.holds(look_at.stamp) and quiet.reason == memory.seen:
            return skipping(_NOTHING, context.cursor)
        mark = veil_of(settings).mark
        plugins = f"{mark} {loaded}" if mark else loaded
        counts: dict[str, int | float] = {
            "session_files": len(scan.files),
            "left_out": len(scan.left_out),
            "bytes": sum(file.signature.size for file in scan.files),
            **({"roots_missing": len(scan.missing)} if scan.missing else {}),
        }
        newest = max((file.signature.mtime_ns for file in scan.files), default=None)
        ages: dict[str, float] = {}
        for processor in registry.processors:
            try:
                seen = see(processor, scan, store, settings, now, _PATIENCE)
            except StoreBusy as error:
                return skipping(error, context.cursor)
            states, failures, rest = seen.known.states, seen.known.failures, seen.known.rest
            outlook = look(seen.files, states, failures, processor.version, now, rest)
            counts[f"{processor.name}_pending"] = len(outlook.waiting)
            ages[f"{processor.name}_oldest_pending_seconds"] = round(
                outlook.oldest_pending_seconds(now), 1
            )
        parts = [f"{number} {name}" for name, number in counts.items() if number]
        told = "; ".join([*parts, *([f"newest {Moment(newest / 1e9)}"] if newest else []), plugins])
        # What waits is counted alike whether it may be tried yet or not: time changes nothing.
        quiet.stamp, quiet.reason = look_at.stamp, told
        if memory.seen == told and said_lately:
            return skipping(_NOTHING, context.cursor)
        metadata: Metadata = {**counts, **ages}
        if newest is not None:
            metadata["newest_mtime"] = dg.MetadataValue.timestamp(newest / 1e9)
        events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = [
            dg.AssetObservation(names.key(SESSION_FILES), metadata=metadata)
        ]
        heard = memory.plugins == plugins and lately(memory.said_at or 0.0, at, _OBSERVE_AGAIN)
        if not heard:
            events.append(plugins_evaluation(registry, names, mark))
        kept = _Observed(told, Moment(at), plugins, memory.said_at if heard else Moment(at))
        said = f"observed {len(scan.files)} session files"
        return skipping(said, write_cursor(kept), asset_events=events)

    return sensor
