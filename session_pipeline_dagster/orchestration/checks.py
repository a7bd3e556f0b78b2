"""Asset checks: every finding as Dagster shows it, whether the button or a sensor asked for it.

ok and info pass (info with `info: ` in front), warning and unknown fail with WARN, never ERROR.
What a finding is, is decided in `health/rules.py`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, asset_tables
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Finding, Status, limits
from session_pipeline_dagster.health.rules import about, processors_loaded
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.metadata import Metadata, failures_table, files_table
from session_pipeline_dagster.orchestration.names import (
    PLAIN,
    PLUGINS_CHECK,
    SESSION_FILES,
    Names,
)
from session_pipeline_dagster.orchestration.resources import keys, source_in, store_in
from session_pipeline_dagster.settings import Settings


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
        now = datetime.now(UTC)
        found = examine([processor], source, store, settings, now, suffix=names.suffix)
        wanted = {key.name for key in context.selected_asset_check_keys}
        for finding in found.findings[processor.name]:
            if finding.check in wanted:
                yield as_result(asset, finding)

    return checks


def plugins_check(registry: Registry, names: Names) -> dg.AssetChecksDefinition:
    """The check that a plugin that could not be loaded is never silently left out."""

    @dg.asset_check(
        asset=names.key(SESSION_FILES),
        name=PLUGINS_CHECK,
        description="Every installed processor plugin was loaded.",
    )
    def check() -> dg.AssetCheckResult:
        return as_result(names.key(SESSION_FILES), processors_loaded(registry))

    return check


def plugins_evaluation(registry: Registry, names: Names) -> dg.AssetCheckEvaluation:
    """The same, for a sensor."""
    return evaluation(names.key(SESSION_FILES), processors_loaded(registry))


def evaluation(asset: dg.AssetKey, finding: Finding) -> dg.AssetCheckEvaluation:
    """A finding as the evaluation of a check that no run made."""
    said = as_result(asset, finding)
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=finding.check,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )


def as_result(asset: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    """A finding as what a check in a run says."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=finding.check,
        passed=finding.status in (Status.OK, Status.INFO),
        severity=dg.AssetCheckSeverity.WARN,
        description=_description(finding),
        metadata=_metadata(finding),
    )


def _description(finding: Finding) -> str:
    # The list of checks says "Succeeded" for both; only the text can tell them apart.
    detail = printable(finding.detail)
    return f"info: {detail}" if finding.status is Status.INFO else detail


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
    return found
