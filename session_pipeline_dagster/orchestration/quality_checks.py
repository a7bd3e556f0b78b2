"""Asset checks of a processor's quality rules: run with its job, and with the button."""

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.as_loaded import as_loaded
from session_pipeline_dagster.orchestration.checks import marked
from session_pipeline_dagster.orchestration.metadata import Metadata, table
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.orchestration.resources import keys, source_in, store_in
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.settings import Settings


def quality_checks(
    processor: Processor, settings: Settings, names: Names
) -> list[dg.AssetChecksDefinition]:
    """A check for every rule that the processor declares; in a run also for those that it declared
    when the location was loaded, for which rules there are may depend on a file."""
    rules = extras(processor).quality
    there = {rule.name for rule in rules}
    loaded = as_loaded(
        f"session_pipeline/{names.other(processor.name)}/quality",
        [(rule.name, rule.table) for rule in rules],
    )
    gone = [_gone(name, table) for name, table in loaded if name not in there]
    return [_check(processor, rule, settings, names) for rule in [*rules, *gone]]


def _gone(name: str, table: str) -> Quality:
    """A rule that was declared when the location was loaded."""
    # The same of each, so that they are one alert.
    said = (
        "not declared any more: mend the file that declares it, or if that is meant, reload the "
        "code location"
    )

    def measure(_: Data) -> Measured:
        return Measured(1, said=said, status="unknown")

    return Quality(name, table, said, measure)


def _check(
    processor: Processor, rule: Quality, settings: Settings, names: Names
) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=names.key(rule.table),
        name=rule.name,
        description=rule.description,
        pool=names.pool(processor.name),
        op_tags=names.tags(processor.name),
        required_resource_keys=keys(names),
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        source, store = source_in(context, names), store_in(context, names)
        veil = veil_of(settings)
        try:
            found = inspect(processor, rule, source, store, veil)
        except PipelineError as error:
            return dg.AssetCheckResult(
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=printable(f"could not be measured: {veil.said(str(error), ())}"),
                metadata={"status": "unknown", **marked(veil.mark)},
            )
        return dg.AssetCheckResult(
            passed=found.stands in ("ok", "info"),
            severity=dg.AssetCheckSeverity.WARN,
            description=_description(found),
            metadata={**_metadata(found), **marked(veil.mark)},
        )

    return check


def _description(found: Measured) -> str:
    said = printable(found.said) or _sentence(found.violations)
    # The list of checks says "Succeeded" of both.
    return f"info: {said}" if found.stands == "info" else said


def _sentence(violations: int) -> str:
    if not violations:
        return "kept"
    return f"{violations} violation{'s' * (violations > 1)}"


def _metadata(found: Measured) -> Metadata:
    more: Metadata = {"where": table(found.listed)} if found.listed else {}
    if found.occasions is not None:
        more["occasions"] = dg.MetadataValue.json(dict(found.occasions))
    return {"status": found.stands, "violations": found.violations, **more, **found.numbers}
