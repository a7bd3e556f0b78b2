"""The sensor that tells people: it reads what the checks and runs said, `alerts.py` decides.

It reads the last *completed* evaluation of every check of the location, or where its instance has a
key prefix, of those below it; an evaluation that is only planned, or whose run died, says nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.health.alerts import Alert, Memory, Sighting, decide, enqueue
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.health.last_pass import DONE, FILES_GIVEN_UP
from session_pipeline_dagster.health.sinks import deliver, sinks
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.checks import SHOWN_AS, health_asset
from session_pipeline_dagster.orchestration.cursors import lately, read_cursor, write_cursor
from session_pipeline_dagster.orchestration.digest import tell_digest
from session_pipeline_dagster.orchestration.failing import skipping
from session_pipeline_dagster.orchestration.health_sensor import SAY_AGAIN
from session_pipeline_dagster.orchestration.held import HeldInstance
from session_pipeline_dagster.orchestration.names import PLAIN, UPKEEP, Names
from session_pipeline_dagster.orchestration.runs import belongs, reports_of
from session_pipeline_dagster.passes.pacing import Moment
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings

_TICK = timedelta(seconds=60)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_SILENT = 2 * SAY_AGAIN + timedelta(minutes=5)
"""After it, a health check that has said nothing is one that nobody evaluates any more."""
_MANY_RUNS = 200
_LAG = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Said:
    """The last completed evaluation of a check."""

    key: dg.AssetCheckKey
    evaluation: dg.AssetCheckEvaluation
    at: float


def alert_sensor(
    registry: Registry,
    settings: Settings,
    names: Names = PLAIN,
    held: HeldInstance | None = None,
) -> dg.SensorDefinition:
    """Tells of changes of checks, and of runs that fail, once each."""
    interval = min(_TICK, settings.health_interval)
    health = {health_asset(p, names) for p in registry.processors}
    if isinstance(settings.database, Lake):
        health.add(names.key(UPKEEP))
    cadences = {
        names.other(p.name): settings.cadence(p.name, p.cadence) for p in registry.processors
    }
    targets, held = sinks(settings.alert_urls), held or HeldInstance()

    @dg.sensor(
        name=names.other("alert_sensor"),
        minimum_interval_seconds=max(1, int(interval.total_seconds())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells once of every check that changes for longer than a while, and of runs "
        "that fail, and of every week if SESSION_PIPELINE_DIGEST says so: in its log, and wherever "
        "SESSION_PIPELINE_ALERT_URLS says.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        memory, now = read_cursor(Memory, context.cursor), datetime.now(UTC).timestamp()
        groups, instance, mark = _groups(context, names), held.of(context), veil_of(settings).mark
        heard = [*_evaluations(instance, list(groups))]
        sightings = [
            _sighting(said, groups[said.key], cadences, settings, now, said.key.asset_key in health)
            for said in heard
            if _is_shown_so(said.evaluation, mark)
        ]
        seen = dict(memory.runs_seen)
        for processor in registry.processors:
            # A clock that was ahead must not hide the runs until then.
            since = seen[processor.name] = Moment(min(seen.get(processor.name, now), now))
            for run in _ended_runs(instance, processor, names, since):
                sightings.append(_run_sighting(run, processor, names, settings, heard))
                seen[processor.name] = Moment(sightings[-1].at)
        level = Status(settings.alert_level.value)
        alerts, told = decide(memory.told, sightings, now, level)
        for alert in alerts:
            say = context.log.info if alert.resolved else context.log.warning
            say(alert.text)
        digest, told = tell_digest(
            context, registry.processors, settings, told, datetime.fromtimestamp(now, UTC)
        )
        alerts += digest
        queues = enqueue(memory.queues, [sink.key for sink in targets], alerts, mark)
        left = deliver(targets, queues)
        for sink in targets:
            if sink.key in left:
                said = (
                    f"{len(left[sink.key])} alerts were not taken by SESSION_PIPELINE_ALERT_URLS "
                    f"{sink.label}; next try at the next tick"
                )
                context.log.error(printable(said))
        return skipping(_sentence(alerts, left.values()), write_cursor(Memory(told, left, seen)))

    return sensor


def _groups(context: dg.SensorEvaluationContext, names: Names) -> dict[dg.AssetCheckKey, str]:
    """The checks to tell of, and the group of their assets."""
    if context.repository_def is None:
        return {}
    graph = context.repository_def.asset_graph
    return {
        key: graph.get(key.asset_key).group_name
        for key in graph.asset_check_keys
        if key.asset_key.has_prefix([*names.prefix])
    }


def _evaluations(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> Iterator[_Said]:
    # The public way returns a planned evaluation while a run is under way.
    records = instance.event_log_storage.get_asset_check_summary_records(keys)
    for key in sorted(keys, key=lambda key: key.to_user_string()):
        record = records[key].last_completed_check_execution_record
        if record and isinstance(record.evaluation, dg.AssetCheckEvaluation):
            yield _Said(key, record.evaluation, record.create_timestamp)


def _sighting(
    said: _Said,
    group: str,
    cadences: Mapping[str, timedelta],
    settings: Settings,
    now: float,
    hourly: bool,
) -> Sighting:
    delay = settings.alert_delay or max(
        # Within two intervals it is evaluated again: what a run has mended meanwhile alarms nobody.
        cadences.get(group, settings.health_interval),
        2 * settings.health_interval,
    )
    status, detail, at = _status(said.evaluation), said.evaluation.description or "", said.at
    if said.key.name == FILES_GIVEN_UP:
        # The next run says something else.
        hourly, delay = False, timedelta(0)
    if hourly and not lately(at, now + _LAG.total_seconds(), _SILENT + _LAG):
        when = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
        status, detail = Status.UNKNOWN, f"not evaluated since {when}; is health_sensor on?"
        at = now
    link = f"assets/{'/'.join(said.key.asset_key.path)}?view=checks&checkDetail={said.key.name}"
    return Sighting(
        said.key.to_user_string(),
        group,
        said.key.name,
        status,
        detail.removeprefix("info: "),
        at,
        delay.total_seconds(),
        _link(settings, link),
        _occasions(said.evaluation),
        _causes(said.evaluation),
    )


def _is_shown_so(evaluation: dg.AssetCheckEvaluation, mark: str) -> bool:
    """Whether an evaluation names people as they are shown now. One of before is made again: by
    health at once, by a rule with the next run. Other people's checks name whom they like."""
    ours = "status" in evaluation.metadata
    shown_as = evaluation.metadata.get(SHOWN_AS)
    return not (mark and ours) or (shown_as is not None and shown_as.value == mark)


def _status(evaluation: dg.AssetCheckEvaluation) -> Status:
    """What our checks say of themselves; of other people's, whether they passed."""
    said = evaluation.metadata.get("status")
    if said is not None and said.value in list(Status):
        return Status(said.value)
    return Status.OK if evaluation.passed else Status.WARNING


def _occasions(evaluation: dg.AssetCheckEvaluation) -> dict[str, Status] | None:
    """What a check of ours names to be told once; other people's may call anything so."""
    said = evaluation.metadata.get("occasions")
    named = said.value if isinstance(said, dg.JsonMetadataValue) else None
    if not isinstance(named, dict) or not all(status in list(Status) for status in named.values()):
        return None
    return {str(name): Status(status) for name, status in named.items()}


def _causes(evaluation: dg.AssetCheckEvaluation) -> tuple[str, ...]:
    """What ails session files, as a check of ours says; others may call anything so."""
    said = evaluation.metadata.get("causes")
    named = said.value if isinstance(said, dg.JsonMetadataValue) else None
    if not isinstance(named, list) or not all(isinstance(cause, str) for cause in named):
        return ()
    return tuple(map(str, named))


def _ended_runs(
    instance: dg.DagsterInstance, processor: Processor, names: Names, since: float
) -> list[dg.RunRecord]:
    """The processor's runs that ended since then, in that order."""
    after = datetime.fromtimestamp(since, UTC) - _LAG
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED, updated_after=after), limit=_MANY_RUNS
    )
    ours = [r for r in records if belongs(r.dagster_run, processor, names) and _ended_at(r) > since]
    return sorted(ours, key=_ended_at)


def _ended_at(record: dg.RunRecord) -> Moment:
    """As it is remembered, so that no run is newer than itself."""
    return Moment(record.end_time or record.update_timestamp.timestamp())


def _run_sighting(
    record: dg.RunRecord,
    processor: Processor,
    names: Names,
    settings: Settings,
    heard: Sequence[_Said],
) -> Sighting:
    run, name = record.dagster_run, names.other(processor.name)
    failed = run.status is dg.DagsterRunStatus.FAILURE
    detail = f"run {run.run_id[:8]} {'failed; its page says why' if failed else 'succeeded'}"
    check = dg.AssetCheckKey(health_asset(processor, names), FILES_GIVEN_UP)
    if failed and any(s.key == check and _none_done(s, record) for s in heard):
        failed, detail = False, f"run {run.run_id[:8]} ended, as its files failed"
    # Of its own: a run over session files that succeeds does not mend a report.
    reports = ", ".join(reports_of(run, processor, names))
    return Sighting(
        f"run of {reports or name}",
        name,
        f"run of {reports}" if reports else "run",
        Status.WARNING if failed else Status.OK,
        detail,
        _ended_at(record),
        link=_link(settings, f"runs/{run.run_id}"),
    )


def _none_done(said: _Said, record: dg.RunRecord) -> bool:
    """Whether the check tells of a run, this one or one after it, that failed with its files."""
    done = said.evaluation.metadata.get(DONE)
    # The second in which it was planned, before the run starts.
    later = said.at >= int(record.create_timestamp.timestamp())
    return later and not said.evaluation.passed and done is not None and done.value == 0


def _link(settings: Settings, path: str) -> str | None:
    return f"{settings.ui_url}/{path}" if settings.ui_url else None


def _sentence(alerts: Sequence[Alert], left: Iterable[Sequence[Alert]]) -> str:
    waiting = sum(len(queue) for queue in left)
    said = f"told {len(alerts)}" if alerts else "nothing to tell"
    return f"{said}; {waiting} not taken yet" if waiting else said
