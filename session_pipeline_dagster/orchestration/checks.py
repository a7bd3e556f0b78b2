"""Asset checks: every finding as Dagster shows it, whether the button or a sensor asked for it.

ok and info pass (info with `info: ` in front), warning and unknown fail with WARN, never ERROR.
What a finding is, is decided in `health/rules.py`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from session_pipeline_dagster.collect.manifest import Manifests
from session_pipeline_dagster.contract.processor import Processor, asset_tables
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.health import arrivals, unread
from session_pipeline_dagster.health.arrivals import NOT_ARRIVED, looked_for, not_looked
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Finding, Status, limits
from session_pipeline_dagster.health.rules import about
from session_pipeline_dagster.health.surroundings import processors_loaded
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.metadata import Metadata, failures_table, files_table
from session_pipeline_dagster.orchestration.names import (
    PLAIN,
    PLUGINS_CHECK,
    SESSION_FILES,
    Names,
)
from session_pipeline_dagster.orchestration.resources import keys, source_in, store_in
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.settings import Settings

SHOWN_AS = "people_shown_as"
"""The metadata of a check that was evaluated while people were hidden."""


def health_asset(processor: Processor, names: Names = PLAIN) -> dg.AssetKey:
    """The asset that the health checks of a processor are shown on: its first table."""
    return names.key(asset_tables(processor)[0])


def health_checks(
    processor: Processor, settings: Settings, names: Names
) -> dg.AssetChecksDefinition:
    """The health checks of a processor, for the button and for jobs."""
    asset = health_asset(processor, names)
    known = about(limits(settings, processor.name, processor.cadence))
    specs = [dg.AssetCheckSpec(name, asset=asset, description=text) for name, text in known.items()]

    @dg.multi_asset_check(
        name=names.step(f"{processor.name}_health"),
        specs=specs,
        can_subset=True,
        required_resource_keys=keys(names),
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        source, store = source_in(context, names), store_in(context, names)
        now, mark = datetime.now(UTC), veil_of(settings).mark
        found = examine([processor], source, store, settings, now, suffix=names.suffix)
        wanted = {key.name for key in context.selected_asset_check_keys}
        for finding in found.findings[processor.name]:
            if finding.check in wanted:
                yield as_result(asset, finding, mark)

    return checks


def plugins_check(registry: Registry, names: Names, settings: Settings) -> dg.AssetChecksDefinition:
    """The check that a plugin that could not be loaded is never silently left out."""

    @dg.asset_check(
        asset=names.key(SESSION_FILES),
        name=PLUGINS_CHECK,
        description="Every installed processor plugin was loaded.",
    )
    def check() -> dg.AssetCheckResult:
        mark = veil_of(settings).mark
        return as_result(names.key(SESSION_FILES), processors_loaded(registry), mark)

    return check


def plugins_evaluation(registry: Registry, names: Names, mark: str) -> dg.AssetCheckEvaluation:
    """The same, for a sensor."""
    return evaluation(names.key(SESSION_FILES), processors_loaded(registry), mark)


def unread_check(registry: Registry, settings: Settings, names: Names) -> dg.AssetChecksDefinition:
    """The check that files of other agents are not taken for no usage."""

    @dg.asset_check(
        asset=names.key(SESSION_FILES),
        name=unread.UNREAD,
        description=unread.ABOUT,
        required_resource_keys=keys(names),
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        source, store = source_in(context, names), store_in(context, names)
        found = examine(registry.processors, source, store, settings, datetime.now(UTC))
        return as_result(names.key(SESSION_FILES), found.unread, veil_of(settings).mark)

    return check


def arrivals_check(settings: Settings, names: Names) -> dg.AssetChecksDefinition:
    """The check that what people's machines have is here."""

    @dg.asset_check(
        asset=names.key(SESSION_FILES),
        name=NOT_ARRIVED,
        description=arrivals.about(settings.not_arrived),
        required_resource_keys=keys(names),
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        source, now = source_in(context, names), datetime.now(UTC)
        veil = veil_of(settings)
        try:
            scan = source.scan()
        except SourceUnavailable as error:
            finding = not_looked(str(error))
        else:
            finding = looked_for(source, scan, Manifests(), now, settings.not_arrived, veil)
        return as_result(names.key(SESSION_FILES), finding, veil.mark)

    return check


def evaluation(asset: dg.AssetKey, finding: Finding, mark: str) -> dg.AssetCheckEvaluation:
    """A finding as the evaluation of a check that no run made.

    Args:
        mark: of the veil that people are named under.
    """
    said = as_result(asset, finding, mark)
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=finding.check,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )


def as_result(asset: dg.AssetKey, finding: Finding, mark: str) -> dg.AssetCheckResult:
    """A finding as what a check in a run says.

    Args:
        mark: of the veil that people are named under.
    """
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=finding.check,
        passed=finding.status in (Status.OK, Status.INFO),
        severity=dg.AssetCheckSeverity.WARN,
        description=_description(finding),
        metadata={**_metadata(finding), **marked(mark)},
    )


def _description(finding: Finding) -> str:
    # The list of checks says "Succeeded" for both; only the text can tell them apart.
    detail = printable(finding.detail)
    return f"info: {detail}" if finding.status is Status.INFO else detail


def marked(mark: str) -> dict[str, str]:
    """Says of an evaluation how people are named in it; nothing where they are by their names."""
    return {SHOWN_AS: mark} if mark else {}


def _metadata(finding: Finding) -> Metadata:
    found: Metadata = {"status": finding.status.value, **finding.numbers}
    if finding.stuck_file:
        found["stuck_file"] = printable(finding.stuck_file)
    if finding.reason:
        found["reason"] = printable(finding.reason)
    if finding.files:
        found["files"] = files_table(finding.files)
    if finding.failures:
        found["failures"] = failures_table(finding.failures)
    if finding.causes:
        found["causes"] = dg.MetadataValue.json(list(finding.causes))
    return found
