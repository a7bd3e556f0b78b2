"""The sensor that evaluates the health checks without a run, so that they speak when nothing runs.

It gathers and phrases; `health/checkup.py` looks and `health/rules.py` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from session_pipeline_dagster.collect.manifest import Manifests
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.health.arrivals import looked_for, not_looked
from session_pipeline_dagster.health.checkup import Checkup, examine, lake_finding
from session_pipeline_dagster.health.findings import Finding, Status, limits
from session_pipeline_dagster.health.unread import UNREAD
from session_pipeline_dagster.orchestration.checks import evaluation, health_asset
from session_pipeline_dagster.orchestration.cursors import lately, read_cursor, write_cursor
from session_pipeline_dagster.orchestration.failing import skipping
from session_pipeline_dagster.orchestration.looking import Looks, Seen, Stamp
from session_pipeline_dagster.orchestration.names import PLAIN, SESSION_FILES, UPKEEP, Names
from session_pipeline_dagster.orchestration.runs import last_materialized
from session_pipeline_dagster.passes.pacing import Moment
from session_pipeline_dagster.people.veil import Veil, veil_of
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan, SessionSource
from session_pipeline_dagster.store.database import open_store

SAY_AGAIN = timedelta(hours=1)
"""An evaluation costs 20 ms and 9 kB for a day, so what has not changed is said once an hour."""

_PATIENCE = timedelta(seconds=2)
_CALM = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Said:
    """What was last said of a processor.

    Attributes:
        at: when all of its checks were said.
        checks: how many these are.
        news: what was said of those that are not plainly ok.
    """

    at: Moment
    checks: int
    news: Mapping[str, str] = field(default_factory=dict)

    def holds(self, checks: int, now: datetime, materialized: float) -> bool:
        """Whether only news is to be said now."""
        at = now.timestamp()
        again = self.at < materialized <= at or not lately(self.at, at, SAY_AGAIN)
        return checks == self.checks and not again


@dataclass(frozen=True, slots=True)
class _Memory:
    """The cursor: by processor what was said, and since when its database is busy."""

    said: Mapping[str, _Said] = field(default_factory=dict)
    busy_since: Mapping[str, Moment] = field(default_factory=dict)


@dataclass(slots=True)
class _Tick:
    """What a tick tells, and what of it is remembered."""

    memory: _Memory
    now: datetime
    mark: str
    events: list[dg.AssetCheckEvaluation] = field(default_factory=list)
    said: dict[str, _Said] = field(default_factory=dict)

    def tell(
        self,
        name: str,
        asset: dg.AssetKey,
        findings: Sequence[Finding],
        materialized: float,
        *,
        keep: bool = False,
    ) -> None:
        """Tell findings that are news.

        Args:
            name: of whom they are.
            keep: what was last said of them holds.
        """
        # What was said while people were shown otherwise is said anew.
        key = f"{self.mark}{name}"
        said = self.memory.said.get(key)
        if keep:
            self.said |= {key: said} if said else {}
            return
        holds = said is not None and said.holds(len(findings), self.now, materialized)
        last = said.news if said and holds else {}
        self.events += [
            evaluation(asset, finding, self.mark)
            for finding in findings
            if not holds or finding.news != last.get(finding.check, Status.OK.value)
        ]
        news = {f.check: f.news for f in findings if f.news != Status.OK.value}
        at = said.at if said and holds else Moment(self.now.timestamp())
        self.said[key] = _Said(at, len(findings), news)


@dataclass(slots=True)
class _Arrivals:
    """What is said of machines that collect; they do so every few minutes at most, and a look reads
    every manifest that is new."""

    manifests: Manifests = field(default_factory=Manifests)
    finding: Finding | None = None
    at: float = 0.0

    def found(
        self, source: SessionSource, scan: Scan, now: datetime, silent: timedelta, veil: Veil
    ) -> Finding:
        """The finding, some minutes old at most."""
        at = now.timestamp()
        if self.finding is None or not lately(self.at, at, _CALM):
            self.finding = looked_for(source, scan, self.manifests, now, silent, veil)
            self.at = at
        return self.finding


@dataclass(slots=True)
class _Calm:
    """The last checkup by which all was well and nothing waited.

    Then only the window of lines moves with time, and who holds the database is not seen: so it
    holds for a few minutes.
    """

    stamp: Stamp | None = None
    checkup: Checkup | None = None
    at: float = 0.0

    def found(self, stamp: Stamp | None, now: datetime) -> Checkup | None:
        """That checkup, if it would be the same now."""
        same = stamp is not None and self.stamp == stamp
        return self.checkup if same and lately(self.at, now.timestamp(), _CALM) else None

    def keep(self, stamp: Stamp | None, checkup: Checkup, now: datetime) -> None:
        """Keep a checkup that is not the one that is kept."""
        if checkup is self.checkup:
            return
        findings = [one for found in checkup.findings.values() for one in found]
        well = all(one.status is Status.OK and not one.numbers.get("pending") for one in findings)
        self.stamp, self.at = stamp if well else None, now.timestamp()
        # Its scan is not needed again, and of many files it is large.
        self.checkup = replace(checkup, scan=None) if well else None


def health_sensor(
    registry: Registry,
    settings: Settings,
    names: Names = PLAIN,
    looks: Looks | None = None,
) -> dg.SensorDefinition:
    """Evaluates every processor's health checks: an event on change, after a run, once an hour."""
    store, looks = open_store(settings), looks or Looks(settings)
    is_lake = isinstance(settings.database, Lake)
    own_name, calm = names.other("health_sensor"), _Calm()
    arrivals, session_files = _Arrivals(), names.key(SESSION_FILES)

    @dg.sensor(
        name=own_name,
        minimum_interval_seconds=max(1, int(settings.health_interval.total_seconds())),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates the health checks of every processor without a run, so that they "
        "speak when nothing else runs. An event when something changed, after every run of the "
        "processor, and once an hour.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now, memory = datetime.now(UTC), read_cursor(_Memory, context.cursor)
        veil = veil_of(settings)
        processors = registry.processors

        def examined(source: SessionSource) -> Checkup:
            return examine(processors, source, store, settings, now, _PATIENCE, names.suffix)

        try:
            look = looks.look(own_name)
        except SourceUnavailable as error:
            # Which is a finding.
            found, arrived = examined(looks.source), not_looked(str(error))
        else:
            silent = settings.not_arrived
            arrived = arrivals.found(looks.source, look.scan, now, silent, veil)
            found = calm.found(look.stamp, now) or examined(Seen(looks.source, look.scan))
            calm.keep(look.stamp, found, now)
        tick = _Tick(memory, now, veil.mark)
        since = {name: memory.busy_since.get(name, Moment(now.timestamp())) for name in found.busy}
        waiting: list[str] = []
        for processor in processors:
            name = processor.name
            grace = limits(settings, name, processor.cadence).grace
            # Somebody is at work on the database: the last result holds for a while.
            keep = name in since and lately(since[name], now.timestamp(), grace)
            if keep:
                waiting.append(name)
            asset = health_asset(processor, names)
            # Dagster shows a check as "Not evaluated" until it is evaluated after that.
            materialized = last_materialized(looks.held.of(context), asset)
            tick.tell(name, asset, found.findings[name], materialized, keep=keep)
        # Nobody materializes session files.
        tick.tell(SESSION_FILES, session_files, [arrived], 0.0)
        # In a key of its own, so that it can be kept; any processor's look says it.
        tick.tell(UNREAD, session_files, [found.unread], 0.0, keep=bool(waiting))
        # Also where no run tidies it any more.
        if is_lake and (tidiness := lake_finding(store, names.upkeep_job)) is not None:
            asset = names.key(UPKEEP)
            materialized = last_materialized(looks.held.of(context), asset)
            tick.tell(UPKEEP, asset, [tidiness], materialized)
        cursor = write_cursor(_Memory(tick.said, since))
        said = _sentence(len(tick.events), waiting)
        return skipping(said, cursor, asset_events=tick.events)

    return sensor


def _sentence(events: int, waiting: list[str]) -> str:
    if waiting:
        return f"the database is busy; the last result holds for {', '.join(waiting)}"
    return f"{events} checks have news" if events else "nothing changed"
