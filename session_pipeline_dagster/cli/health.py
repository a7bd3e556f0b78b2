"""`session-pipeline health`: the headline and every finding, or one JSON document."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from session_pipeline_dagster.cli.context import Context, common
from session_pipeline_dagster.collect.manifest import Manifests
from session_pipeline_dagster.health.arrivals import NOT_ARRIVED, looked_for
from session_pipeline_dagster.health.checkup import Checkup, examine, lake_finding
from session_pipeline_dagster.health.findings import Finding, Status, headline, worst
from session_pipeline_dagster.health.inspection import glances
from session_pipeline_dagster.health.surroundings import database_held, processors_loaded
from session_pipeline_dagster.health.unread import UNREAD
from session_pipeline_dagster.store.database import open_store

_PLACES = {
    "processors_loaded": "plugins",
    "database_held": "database",
    NOT_ARRIVED: "collecting",
    UNREAD: "readers",
    "lake_tidied": "lake",
}
"""Where in the document a finding stands that is of no processor."""
_UPKEEP_JOB = "lake_upkeep_job"
_PATIENCE = timedelta(seconds=1)
"""A commit holds the database for less, as a rule."""


def exit_code(found: Checkup, general: Sequence[Finding]) -> int:
    """0 for ok and info, 1 with a warning, 2 where it was not possible to look."""
    return {"ok": 0, "degraded": 1, "unknown": 2}[headline(_statuses(_all(found, general)))]


def health_json(found: Checkup, general: Sequence[Finding]) -> str:
    """The document that monitoring reads; its shape is in docs/operations.md."""
    everything = _all(found, general)
    service: dict[str, object] = {
        "status": worst(_statuses(everything)),
        "detail": _detail(found, general),
        "session_files": found.session_files,
        **_numbers([f for findings in found.findings.values() for f in findings]),
        "processors": {name: _processor(findings) for name, findings in found.findings.items()},
    }
    service |= {_PLACES[f.check]: {f.check: _finding(f)} for f in general}
    document = {
        "status": headline(_statuses(everything)),
        "services": {"session_pipeline": service},
    }
    return json.dumps(document, indent=1)


def _processor(findings: Sequence[Finding]) -> dict[str, object]:
    status = worst(_statuses(findings))
    return {
        "status": status,
        "detail": "; ".join(_details(findings, status)),
        **_numbers(findings),
        "checks": {finding.check: _finding(finding) for finding in findings},
    }


def _finding(finding: Finding) -> dict[str, object]:
    found: dict[str, object] = {"status": finding.status, "detail": finding.detail}
    found |= finding.numbers
    if finding.stuck_file:
        found["stuck_file"] = finding.stuck_file
    if finding.reason:
        found["reason"] = finding.reason
    if finding.files:
        found["files"] = [{"session": key, "lines": count} for key, count in finding.files]
    if finding.failures:
        found["failures"] = [
            {"session": f.session_file, "attempts": f.attempts, "error": f.error}
            for f in finding.failures
        ]
    return found


def _numbers(findings: Sequence[Finding]) -> dict[str, object]:
    """The largest lag, and the file that has been stuck for longest."""
    found: dict[str, object] = {}
    lags = [f.numbers["lag_seconds"] for f in findings if "lag_seconds" in f.numbers]
    if lags:
        found["lag_seconds"] = max(lags)
    stuck = [f for f in findings if f.stuck_file]
    if stuck:
        oldest = max(stuck, key=lambda f: f.numbers["stuck_file_age_seconds"])
        found["stuck_file"] = oldest.stuck_file
        found["stuck_file_age_seconds"] = oldest.numbers["stuck_file_age_seconds"]
    return found


def _detail(found: Checkup, general: Sequence[Finding]) -> str:
    """What the worst findings say, each with its processor."""
    status = worst(_statuses(_all(found, general)))
    said = [
        f"{name}: {detail}"
        for name, findings in found.findings.items()
        for detail in _details(findings, status)
    ]
    return "; ".join(said if status is Status.OK else [*said, *_details(general, status)])


def _details(findings: Sequence[Finding], status: Status) -> list[str]:
    """The details of that status, each once; of ok ones the first says it all."""
    said = list(dict.fromkeys(f.detail for f in findings if f.status is status))
    return said[:1] if status is Status.OK else said


def _all(found: Checkup, general: Sequence[Finding]) -> list[Finding]:
    return [*(f for findings in found.findings.values() for f in findings), *general]


def _statuses(findings: Sequence[Finding]) -> list[Status]:
    return [finding.status for finding in findings]


@click.command("health")
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, processor: tuple[str, ...], as_json: bool) -> int:
    """Whether what lands is processed. Exit 0 ok, 1 degraded, 2 unknown."""
    chosen, settings = context.processors(processor), context.settings
    store = open_store(settings, looking=True)
    # Opening the database costs more than a look.
    with ExitStack() as held:
        source, now = context.source, datetime.now(UTC)
        found = examine(chosen, source, store, settings, now, held=held)
        if found.session_files is not None and not found.busy:
            veil = context.veil
            said = {p.name: [*found.findings[p.name], *glances(p, store, veil)] for p in chosen}
            found = replace(found, findings=said)
    # Who asks for some processors does not ask for those that could not be loaded.
    general = [processors_loaded(context.registry)] if not processor else []
    # Where no file could be listed, every check of a processor says so.
    if not processor and found.scan is not None:
        scan, silent = found.scan, settings.not_arrived
        general.append(looked_for(source, scan, Manifests(), now, silent, context.veil))
        general.append(found.unread)
    if not processor and (tidiness := lake_finding(store, _UPKEEP_JOB)) is not None:
        general.append(tidiness)
    # Who writes has been waited for, and is named by every check.
    if not found.busy and (holder := store.holder(_PATIENCE)) is not None:
        general.append(database_held(holder))
    if as_json:
        click.echo(health_json(found, general))
    else:
        from session_pipeline_dagster.cli.health_output import print_health  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_health(found, general)
    return exit_code(found, general)
