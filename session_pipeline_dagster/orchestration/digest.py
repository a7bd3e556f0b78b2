"""The weekly digest among the alerts: when it is told. What it says is of the `usage` processor."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

import dagster as dg

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.health.alerts import Alert, Told
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.report import digest_text
from session_pipeline_dagster.settings import Digest, Settings
from session_pipeline_dagster.store.database import open_store

SUBJECT = "weekly digest"
"""Names it in the memory of alerts."""
_FROM = timedelta(hours=6)
"""After the week has ended, UTC: for what arrives in the night."""
_HERE = ("127.0.0.1", "localhost", "::1")
_KEPT = 5
_PATIENCE = timedelta(seconds=2)


def due(told: Told, now: datetime) -> date | None:
    """The Monday whose week before is to be told; None where it was, or is not over for long."""
    day = (now - _FROM).date()
    monday = day - timedelta(days=day.weekday())
    return None if monday.isoformat() in told.occasions else monday


def tell_digest(
    context: dg.SensorEvaluationContext,
    processors: Sequence[Processor],
    settings: Settings,
    told: Mapping[str, Told],
    now: datetime,
) -> tuple[list[Alert], Mapping[str, Told]]:
    """The digest, if it is due, and what has then been told: each week once. What cannot be read
    now is tried at the next tick."""
    usage = next((p for p in processors if isinstance(p, UsageProcessor)), None)
    before = told.get(SUBJECT, Told())
    if settings.digest is Digest.OFF or usage is None or (monday := due(before, now)) is None:
        return [], told
    store = open_store(settings, looking=True)
    try:
        with store.held(_PATIENCE):
            store.ready(usage)
            text = digest_text(settings, monday, store.query)
    except PipelineError as error:
        said = f"the weekly digest could not be made and is tried again at the next tick: {error}"
        context.log.warning(printable(said))
        return [], told
    weeks = (*before.occasions, monday.isoformat())[-_KEPT:]
    alert = Alert(usage.name, (SUBJECT,), (), Status.INFO, text, _link(settings.report_url))
    context.log.info(printable(alert.text))
    return [alert], {**told, SUBJECT: replace(before, occasions=weeks)}


def _link(address: str | None) -> str | None:
    """The page; none where it is served to this machine alone, as beside `make dev`: who reads
    the digest in a chat sits at another one."""
    if address is None or urlsplit(address).hostname in _HERE:
        return None
    return f"{address}/usage.html"
