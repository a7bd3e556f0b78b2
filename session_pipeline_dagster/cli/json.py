"""What the command line prints for scripts: one JSON document a command.

Imports nothing to draw with, which would be a quarter of the time of a small pass.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from session_pipeline_dagster.cli.ending import error_json
from session_pipeline_dagster.contract.processor import relations
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.passes.plan import Outlook
from session_pipeline_dagster.processors.usage.money.amounts import exact
from session_pipeline_dagster.setting_places import shown
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.store.states import Failure
from session_pipeline_dagster.store.states import Standing as Detail


class Standing(msgspec.Struct, frozen=True):
    """How one processor stands to the files on disk; failures name them as they are shown."""

    name: str
    outlook: Outlook
    failures: Sequence[Failure]
    gone: int = 0
    next_purge: datetime | None = None
    private: int = 0
    detail: Sequence[Detail] = ()


def reports_json(
    reports: Sequence[BatchReport], broken: Mapping[str, str], registry: Registry
) -> str:
    """The run command's JSON document; `broken` says why a processor could not go on."""
    failed = dict(broken)
    for report in reports:
        failed |= {f"{report.processor}: {title}": why for title, why in report.broken_summaries}
    said = "; ".join(f"{name}: {why}" for name, why in failed.items())
    document = {
        **({"error": error_json("ContractError", said, ContractError.hint)} if failed else {}),
        "broken": broken,
        "failed_plugins": [msgspec.structs.asdict(failed) for failed in registry.failed],
        "processors": {report.processor: _report(report) for report in reports},
        "summaries": {
            title: [dict(zip(names, row, strict=True)) for row in rows]
            for report in reports
            for title, names, rows in report.summaries
        },
    }
    return json.dumps(document, default=_plain, indent=1)


def _report(report: BatchReport) -> dict[str, object]:
    found = asdict(report)
    del found["summaries"]
    found["days"] = {day.isoformat(): numbers for day, numbers in found["days"].items()}
    found["errors_detail"] = [
        {"session": key, "error": error} for key, error in report.errors_detail
    ]
    return found


def status_json(
    settings: Settings,
    registry: Registry,
    scan: Scan,
    found: Sequence[Standing],
    unread: Mapping[str, int],
) -> str:
    """The status command's JSON document; `unread`: files without a reader, by agent."""
    now = datetime.now(UTC)
    document = {
        "sessions": [shown(root) for root in settings.roots],
        "layout": settings.layout.value,
        "database": shown(settings.database),
        "files": len(scan.files),
        "left_out": [asdict(left) for left in scan.left_out],
        "unread": unread,
        **({"missing": [asdict(one) for one in scan.missing]} if scan.missing else {}),
        "processors": {s.name: _standing(s, now) for s in found},
        "failed_plugins": [msgspec.structs.asdict(failed) for failed in registry.failed],
    }
    return json.dumps(document, default=_plain, indent=1)


def _standing(standing: Standing, now: datetime) -> dict[str, object]:
    o = standing.outlook
    return {
        "files": o.files,
        "pending": len(o.waiting),
        "oldest_pending_seconds": o.oldest_pending_seconds(now),
        "outdated": o.outdated,
        "deleted": standing.gone,
        **({"next_purge": standing.next_purge} if standing.next_purge else {}),
        **({"private": standing.private} if standing.private else {}),
        **({"detail": [asdict(one) for one in standing.detail]} if standing.detail else {}),
        "to_rehash": len(o.suspect) + len(o.unsigned),
        "failed": len(o.backing_off),
        "quarantined": len(o.quarantined),
        "failures": [
            {
                "session": failure.session_file,
                "attempts": failure.attempts,
                "error": failure.error,
                "next_attempt_at": None if failure.quarantined_at else failure.next_attempt_at,
                "quarantined_at": failure.quarantined_at,
            }
            for failure in standing.failures
        ],
    }


def processors_json(settings: Settings, registry: Registry) -> str:
    """The processors command's JSON document."""
    document = {
        "processors": [
            {
                "name": p.name,
                "version": p.version,
                "cadence_seconds": settings.cadence(p.name, p.cadence).total_seconds(),
                "relations": relations(p),
            }
            for p in registry.processors
        ],
        "failed": [msgspec.structs.asdict(failed) for failed in registry.failed],
    }
    return json.dumps(document, indent=1)


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return exact(value) if isinstance(value, Decimal) else str(value)
