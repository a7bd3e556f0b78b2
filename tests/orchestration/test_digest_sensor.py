"""The weekly digest on a real instance, with a real webhook on loopback: told once a week."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from lines import UsagePipeline, assistant, usage
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.health.alerts import Told
from session_pipeline_dagster.orchestration import alerts
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.digest import due
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import AlertLevel, Digest, Settings
from webhook import Webhook

MONDAY = datetime(2026, 5, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (MONDAY + timedelta(hours=6), date(2026, 5, 11)),
        (MONDAY + timedelta(hours=5, minutes=59), date(2026, 5, 4)),
        (MONDAY + timedelta(days=6, hours=23), date(2026, 5, 11)),
        (MONDAY + timedelta(days=7, hours=6), date(2026, 5, 18)),
    ],
)
def test_a_week_is_told_from_six_oclock_of_the_monday_after_it(
    now: datetime, expected: date
) -> None:
    assert due(Told(), now) == expected
    assert due(Told(occasions=(expected.isoformat(),)), now) is None


class Clock(datetime):
    """The clock of the sensor."""

    at = MONDAY

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return cls.at


class Bell:
    """Ticks of the sensor that keep their cursor as the daemon does."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.cursor = settings, instance, None

    def tick(self, at: datetime, **settings: object) -> str:
        Clock.at, self.settings = at, replace(self.settings, **settings)
        registry = Registry((UsageProcessor().under(self.settings),))
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = alert_sensor(registry, self.settings)(context)
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as found:
        yield found


@pytest.fixture
def bell(tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    """Over a database with a response of the week to 10 May."""
    monkeypatch.setattr(alerts, "datetime", Clock)
    pipeline = UsagePipeline(tmp_path)
    line = assistant("msg_1", usage(1000, 2000), at="2026-05-06T12:00:00.000Z")
    pipeline.write("alice/p/s.jsonl", line)
    pipeline.run()
    settings = replace(
        pipeline.settings,
        alert_urls=(webhook.url,),
        # Whatever alerts speak of: the digest was asked for by itself.
        alert_level=AlertLevel.WARNING,
        digest=Digest.WEEKLY,
        report_url="https://example.org/reports",
    )
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bell(settings, instance)


def texts(webhook: Webhook) -> list[str]:
    return [message["message"] for message in webhook.taken]


@pytest.mark.slow
def test_every_week_is_told_once(bell: Bell, webhook: Webhook) -> None:
    assert bell.tick(MONDAY + timedelta(hours=7)) == "told 1"
    for hours in (7, 8, 100):
        assert bell.tick(MONDAY + timedelta(hours=hours)) == "nothing to tell"
    (told,) = texts(webhook)
    assert webhook.titles == ["info: usage weekly digest"]
    assert "Week to 10 May 26: 0.0550 USD (nothing the week before, new)" in told
    assert "https://example.org/reports/usage.html" in told
    assert "alice" not in told
    assert bell.tick(MONDAY + timedelta(days=7, hours=7)) == "told 1"
    assert "Week to 17 May 26: nothing (0.0550 USD the week before" in texts(webhook)[1]
    # A clock that is set back tells no week again.
    assert bell.tick(MONDAY + timedelta(hours=7)) == "nothing to tell"
    assert len(texts(webhook)) == 2
    # Beside `make dev` the page is served to this machine, and others read the chat.
    for number, host in enumerate(("127.0.0.1:4000", "localhost:4000", "[::1]:4000"), start=2):
        later = MONDAY + timedelta(weeks=number, hours=7)
        assert bell.tick(later, report_url=f"http://{host}") == "told 1"
        assert "http" not in texts(webhook)[-1], host


@pytest.mark.slow
def test_a_sink_that_fails_is_told_later_and_once(bell: Bell, webhook: Webhook) -> None:
    webhook.takes = 0
    assert bell.tick(MONDAY + timedelta(hours=7)) == "told 1; 1 not taken yet"
    webhook.takes = None
    assert bell.tick(MONDAY + timedelta(hours=8)) == "nothing to tell"
    assert bell.tick(MONDAY + timedelta(hours=9)) == "nothing to tell"
    assert len(texts(webhook)) == 1


@pytest.mark.slow
def test_a_database_that_cannot_be_read_is_tried_again(bell: Bell, webhook: Webhook) -> None:
    database = bell.settings.database
    assert isinstance(database, Path)
    missing = database.with_name("missing.duckdb")
    assert bell.tick(MONDAY + timedelta(hours=7), database=missing) == "nothing to tell"
    assert bell.tick(MONDAY + timedelta(hours=8), database=database) == "told 1"
    assert len(texts(webhook)) == 1


@pytest.mark.slow
def test_nothing_is_told_where_nobody_asked_for_it(bell: Bell, webhook: Webhook) -> None:
    assert bell.tick(MONDAY + timedelta(hours=7), digest=Digest.OFF) == "nothing to tell"
    assert not texts(webhook)
