"""Asset checks: a plugin that could not be loaded is never silently left out."""

import dagster as dg

from session_pipeline_dagster.defs.metadata import Metadata
from session_pipeline_dagster.defs.names import PLUGINS_CHECK, SESSION_FILES
from session_pipeline_dagster.processor import Registry


def plugins_check(registry: Registry) -> dg.AssetChecksDefinition:
    """The check, for the button."""

    @dg.asset_check(
        asset=SESSION_FILES,
        name=PLUGINS_CHECK,
        description="Every installed processor plugin was loaded.",
    )
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=not registry.failed,
            severity=dg.AssetCheckSeverity.WARN,
            description=_sentence(registry),
            metadata=_metadata(registry),
        )

    return check


def plugins_evaluation(registry: Registry) -> dg.AssetCheckEvaluation:
    """The same, for a sensor: no run needed."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(SESSION_FILES),
        check_name=PLUGINS_CHECK,
        passed=not registry.failed,
        severity=dg.AssetCheckSeverity.WARN,
        description=_sentence(registry),
        metadata=_metadata(registry),
    )


def _sentence(registry: Registry) -> str:
    if not registry.failed:
        return f"{len(registry.processors)} processors loaded"
    names = "; ".join(f"{f.name} ({f.target}): {f.error}" for f in registry.failed)
    return f"not loaded: {names}. Fix or uninstall the plugin, then reload the code location"


def _metadata(registry: Registry) -> Metadata:
    status = "warning" if registry.failed else "ok"
    return {
        "status": status,
        "processors": len(registry.processors),
        "failed_plugins": len(registry.failed),
    }
