"""Findings about what is around session files: the database, a lake, plugins.

Put a rule about session files into `rules.py`.
"""

from collections.abc import Sequence
from datetime import timedelta

from session_pipeline_dagster.contract.registry import FailedPlugin, Registry
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.health.wording import span

_UNTIDIED = timedelta(days=2)
"""It is done once a day."""


def database_held(holder: int) -> Finding:
    """Says who has the database open, be it to read: nothing is processed meanwhile.

    Args:
        holder: the process; 0 = one that has no id here.
    """
    who = f"process {holder}" if holder else "another process"
    detail = f"the database is held by {who}; runs wait until it is closed there"
    return Finding("database_held", Status.INFO, detail, {"holder": holder})


def lake_tidied(untidied: timedelta, job: str) -> Finding:
    """Warns when nobody has tidied the lake for long.

    Args:
        job: what does so in Dagster.
    """
    seconds = untidied.total_seconds()
    numbers = {"untidied_seconds": round(seconds, 1)}
    if untidied <= _UNTIDIED:
        detail = f"the lake's last upkeep, or its first commit, was {span(seconds)} ago"
        return Finding("lake_tidied", Status.OK, detail, numbers)
    detail = (
        f"the lake has not been tidied for {span(seconds)}: little files get more, and what was "
        f"purged is still in them. Stage: upkeep. See what the last run of `{job}` says and "
        "whether its schedule is on, or run `session-pipeline upkeep`"
    )
    return Finding("lake_tidied", Status.WARNING, detail, numbers)


def processors_loaded(registry: Registry) -> Finding:
    """Warns when an installed plugin could not be loaded."""
    failed = registry.failed
    numbers = {"processors": len(registry.processors), "failed_plugins": len(failed)}
    if not failed:
        detail = f"{len(registry.processors)} processors loaded"
        return Finding("processors_loaded", Status.OK, detail, numbers)
    return Finding("processors_loaded", Status.WARNING, _not_loaded(failed), numbers)


def _not_loaded(failed: Sequence[FailedPlugin]) -> str:
    names = "; ".join(f"{f.name} ({f.target}): {f.error}" for f in failed)
    return f"not loaded: {names}. Fix or uninstall the plugin, then reload the code location"
