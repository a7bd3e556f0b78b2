"""What of Dagster's own history is thrown away, a little at each tick of the janitor.

Runs come every few minutes and each leaves a file; Dagster deletes none by itself. A run goes once
it has ended long ago and nothing is read from it any more: not the one that says last of a day, an
asset or a check how it stands, nor the last of a processor. What pages show of now stays.
"""

import sqlite3
from collections.abc import Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.orchestration.cursors import lately
from session_pipeline_dagster.orchestration.names import (
    BY_SENSOR,
    FAILED_TAG,
    GIVEN_UP_TAG,
    SESSION_FILES,
    Names,
)
from session_pipeline_dagster.orchestration.runs import assets_of

_DULL = timedelta(days=1)
"""How long a run is kept that a sensor asked for and that went well: there may be 240 a day."""
_SWEEP = timedelta(hours=6)
_BITE = 25
"""Runs that one tick deletes; each takes some 20 ms."""
_NO_RUN = ""
"""The id that Dagster gives to events of no run."""
_WORTH_IT = 16 << 20
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_OF_PARTITIONS = (
    dg.DagsterEventType.ASSET_MATERIALIZATION.value,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
)
_Events, _Checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c


@dataclass(slots=True)
class Retention:
    """Deletes what is superseded and older than `keep`, and sooner what is of no note; of these
    processors only. Where `keep` is 0, nothing."""

    registry: Registry
    names: Names
    keep: timedelta
    _due: list[str] = field(default_factory=list)
    _swept: float = 0.0

    def tick(self, instance: dg.DagsterInstance, now: datetime) -> int:
        """Delete some; how many runs that were."""
        storage = instance.event_log_storage
        # Another kind of storage has other tables, and may have a retention of its own.
        if not self.keep or not isinstance(storage, SqlEventLogStorage):
            return 0
        at = now.timestamp()
        if not self._due and not lately(self._swept, at, _SWEEP):
            self._swept = at
            self._due = superseded(instance, storage, self.registry, self.names, now, self.keep)
            said_of = [key.to_string() for key in _own_assets(self.registry, self.names)]
            forget_events(storage, said_of, now, self.keep)
            if not self._due and isinstance(storage, SqliteEventLogStorage):
                compact(Path(storage.path_for_shard("index")).parents[1])
        bite, self._due = self._due[:_BITE], self._due[_BITE:]
        # Since the sweep somebody may have deleted what came after them.
        kept = needed(instance, storage, self.registry, self.names) if bite else set()
        going = [run_id for run_id in bite if run_id not in kept]
        for run_id in going:
            delete(instance, run_id)
        return len(going)


def _own_assets(registry: Registry, names: Names) -> set[dg.AssetKey]:
    """What the processors make, and what their sensors observe."""
    made = (assets_of(processor, names) for processor in registry.processors)
    return {names.key(SESSION_FILES)}.union(*made)


def superseded(
    instance: dg.DagsterInstance,
    storage: SqlEventLogStorage,
    registry: Registry,
    names: Names,
    now: datetime,
    keep: timedelta,
) -> list[str]:
    """Runs of the processors that ended so long ago and that nothing needs, oldest first."""
    kept = needed(instance, storage, registry, names)
    named = [processor.name for processor in registry.processors]
    jobs = {job for name in named for job in (names.job(name), names.health_job(name))}
    jobs.add(names.upkeep_job)
    own = _own_assets(registry, names)
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[*_ENDED], created_before=now - min(keep, _DULL)), ascending=True
    )
    return [
        record.dagster_run.run_id
        for record in records
        if record.dagster_run.run_id not in kept
        and _ended(record) + (min(keep, _DULL) if _is_dull(record.dagster_run) else keep) < now
        and _is_ours(record.dagster_run, jobs, own)
    ]


def _ended(record: dg.RunRecord) -> datetime:
    at = record.end_time
    return datetime.fromtimestamp(at, UTC) if at else record.update_timestamp.astimezone(UTC)


def _is_dull(run: dg.DagsterRun) -> bool:
    """Whether a sensor asked for it and all went well: nobody will look for it."""
    named = {FAILED_TAG, GIVEN_UP_TAG} & {*run.tags}
    well = run.status is dg.DagsterRunStatus.SUCCESS and not named
    return well and BY_SENSOR in run.tags and not run.parent_run_id


def _is_ours(run: dg.DagsterRun, jobs: Set[str], own: Set[dg.AssetKey]) -> bool:
    """Whether it is a run of the processors and of nothing else: a team's own job may take one of
    their assets along.

    Args:
        jobs: of the processors.
        own: their assets.
    """
    checked = {key.asset_key for key in run.asset_check_selection or ()}
    chosen = checked.union(run.asset_selection or ())
    return run.job_name in jobs or (bool(chosen) and chosen <= own)


def needed(
    instance: dg.DagsterInstance, storage: SqlEventLogStorage, registry: Registry, names: Names
) -> set[str]:
    """Runs whose events say how a day, an asset or a check stands, and the last of processors."""
    # Without one, a processor would count as new to this Dagster.
    tagged = [dg.RunsFilter(tags=names.tags(p.name)) for p in registry.processors]
    last = {run.run_id for each in tagged for run in instance.get_runs(each, limit=1)}
    last_of_days = (
        sa.select(sa.func.max(_Events.id))
        .where(_Events.dagster_event_type.in_(_OF_PARTITIONS), _Events.asset_key.is_not(None))
        .group_by(_Events.asset_key, _Events.dagster_event_type, _Events.partition)
    )
    runs = sa.select(_Events.run_id).where(_Events.id.in_(last_of_days))
    checks = sa.select(_Checks.run_id).where(_Checks.id.in_(_last_of_checks()))
    with storage.index_connection() as connection:
        rows = [*connection.execute(runs), *connection.execute(checks)]
    return last | {row[0] for row in rows if row[0]}


def _last_of_checks(*more: sa.ColumnElement[Any]) -> sa.Select[tuple[int]]:
    each = (_Checks.asset_key, _Checks.check_name, _Checks.partition, _Checks.execution_status)
    return sa.select(sa.func.max(_Checks.id)).group_by(*each, *more)


def forget_events(
    storage: SqlEventLogStorage, assets: Sequence[str], now: datetime, keep: timedelta
) -> None:
    """Delete what was said of these assets and their checks so long ago, but for the last word.

    Of days that are not so long ago the last word of each day stays, to be plotted.

    Args:
        assets: keys as Dagster stores them.
    """
    ours = sa.and_(_Events.run_id == _NO_RUN, _Events.asset_key.in_(assets))
    each = (_Events.asset_key, _Events.dagster_event_type, _Events.partition)
    last = sa.select(sa.func.max(_Events.id)).where(ours).group_by(*each)
    last_of_days = last.group_by(*each, sa.func.date(_Events.timestamp))
    checks = _Checks.asset_key.in_(assets)
    last_checks = _last_of_checks(), _last_of_checks(sa.func.date(_Checks.create_timestamp))
    # Naive UTC, as Dagster stores times.
    long_ago, of_late = (
        (now - span).astimezone(UTC).replace(tzinfo=None) for span in (keep, min(keep, _DULL))
    )
    said = SqlEventLogStorageTable.delete().where(ours)
    evaluated = AssetCheckExecutionsTable.delete().where(checks)
    with storage.index_connection() as connection:
        for then, events, evaluations in (
            (long_ago, last, last_checks[0]),
            (of_late, last_of_days, last_checks[1]),
        ):
            connection.execute(said.where(_Events.timestamp < then, _Events.id.not_in(events)))
            connection.execute(
                evaluated.where(_Checks.create_timestamp < then, _Checks.id.not_in(evaluations))
            )
    if storage.is_run_sharded:
        # A copy that nothing reads which the other does not answer.
        with storage.run_connection(_NO_RUN) as connection:
            connection.execute(said.where(_Events.timestamp < of_late))


def delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run, its events, its logs, and the file that they were in."""
    instance.delete_run(run_id)
    if isinstance(instance.run_storage, SqlRunStorage):
        # SQLite leaves them behind.
        with instance.run_storage.connect() as connection:
            connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        for ending in ("", "-wal", "-shm"):
            Path(f"{storage.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)


def compact(folder: Path) -> list[Path]:
    """Give back the room in Dagster's SQLite files of which most is free; those that were.

    Others may read meanwhile; who writes waits, as it does for any other write.
    """
    done = []
    for path in _databases(folder):
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            size, free, pages = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "freelist_count", "page_count")
            )
            if size * free >= _WORTH_IT and 2 * free >= pages:
                try:
                    connection.execute("VACUUM")
                except sqlite3.OperationalError:
                    # Somebody is at work on it; the next sweep comes.
                    continue
                done.append(path)
    return done


def _databases(folder: Path) -> Iterable[Path]:
    """Those that stay: of runs, of events across runs and of none, of ticks."""
    history, runs = folder, folder / "runs"
    names = (history / "runs.db", runs / "index.db", runs / ".db")
    return [
        path for path in (*names, folder.parent / "schedules" / "schedules.db") if path.exists()
    ]
