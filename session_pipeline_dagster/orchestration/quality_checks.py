"""Asset checks of a processor's quality rules: run with its job, and with the button."""

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.quality import Measured, Quality
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.orchestration.metadata import Metadata
from session_pipeline_dagster.orchestration.names import PROCESSOR_TAG, pool_name
from session_pipeline_dagster.orchestration.resources import SessionsResource, StoreResource


def quality_checks(processor: Processor) -> list[dg.AssetChecksDefinition]:
    """A check for every rule that the processor declares."""
    return [_check(processor, rule) for rule in extras(processor).quality]


def _check(processor: Processor, rule: Quality) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=rule.table,
        name=rule.name,
        description=rule.description,
        pool=pool_name(processor.name),
        op_tags={PROCESSOR_TAG: processor.name},
    )
    def check(sessions: SessionsResource, store: StoreResource) -> dg.AssetCheckResult:
        try:
            found = inspect(processor, rule, sessions.source(), store.store())
        except PipelineError as error:
            return dg.AssetCheckResult(
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"could not be measured: {error}",
                metadata={"status": "unknown"},
            )
        return dg.AssetCheckResult(
            passed=not found.violations,
            severity=dg.AssetCheckSeverity.WARN,
            description=_sentence(found.violations),
            metadata=_metadata(found),
        )

    return check


def _sentence(violations: int) -> str:
    if not violations:
        return "kept"
    return f"{violations} violation{'s' * (violations > 1)}"


def _metadata(found: Measured) -> Metadata:
    status = "warning" if found.violations else "ok"
    return {"status": status, "violations": found.violations, **found.numbers}
