"""The alert sensor on a real instance, with a real webhook on loopback."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import msgspec
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)

from health_location import HealthLocation, NamedProcessor
from helpers import echo_report
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.checks import marked
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.settings import AlertLevel, PeopleMode, PeopleSettings, Settings
from webhook import Webhook

pytestmark = pytest.mark.slow

AT_ONCE = timedelta(microseconds=1)
FRESHNESS = dg.AssetCheckKey(dg.AssetKey("verification_rows"), "freshness")


class Alarm:
    """An instance, and ticks of the sensor that keep their cursor as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path, **settings: object) -> None:
        processor = NamedProcessor()
        processor.reports = [echo_report(table="verification_rows")]
        self.location = HealthLocation(folder, [processor])
        self.instance, self.cursor = instance, None
        self.settings = replace(self.location.pipeline.settings, alert_delay=AT_ONCE, **settings)
        self.defs = build_definitions(self.location.processors, self.settings)

    def set(self, **settings: object) -> "Alarm":
        self.settings = replace(self.settings, **settings)
        return self

    def tick(self) -> str:
        registry = Registry(tuple(self.location.processors))
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.defs.get_repository_def(),
            sensor_name="alert_sensor",
        )
        result = alert_sensor(registry, self.settings)(context)
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)

    def say(
        self,
        status: str,
        detail: str = "3 files wait",
        check: str = "freshness",
        occasions: object = None,
        shown_as: str = "",
    ) -> None:
        """As health_sensor would."""
        evaluation = dg.AssetCheckEvaluation(
            asset_key=FRESHNESS.asset_key,
            check_name=check,
            passed=status in ("ok", "info"),
            severity=dg.AssetCheckSeverity.WARN,
            description=f"info: {detail}" if status == "info" else detail,
            metadata={"status": status}
            | marked(shown_as)
            | ({} if occasions is None else {"occasions": occasions}),
        )
        self.instance.report_runless_asset_event(evaluation)

    def end_run(
        self, *, failed: bool, job: str = "verification_job", asset: str | None = None
    ) -> str:
        """A run of a job, or as a sensor asks for one asset."""
        definition = self.defs.resolve_job_def(job)
        if asset is not None:
            whole = self.defs.resolve_implicit_global_asset_job_def()
            definition = whole.get_subset(asset_selection={dg.AssetKey(asset)})
        run = self.instance.create_run_for_job(
            definition,
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=definition.asset_selection,
        )
        if failed:
            self.instance.report_run_failed(run, "SECRET words of an exception")
        else:
            event = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_SUCCESS.value, job)
            self.instance.report_dagster_event(event, run.run_id)
        return run.run_id


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as found:
        yield found


@pytest.fixture
def alarm(tmp_path: Path, webhook: Webhook) -> Iterator[Alarm]:
    with dg.DagsterInstance.local_temp() as instance:
        yield Alarm(instance, tmp_path, alert_urls=(webhook.url,))


def test_a_warning_is_told_once_and_once_more_when_it_is_resolved(alarm, webhook) -> None:
    alarm.say("ok")
    alarm.tick()
    assert webhook.taken == []
    alarm.say("warning")
    alarm.tick()
    alarm.tick()
    alarm.say("warning", "4 files wait")
    alarm.tick()
    (message,) = webhook.taken
    assert message["title"] == "warning: verification freshness"
    assert message["message"] == "verification freshness: ok → warning\n3 files wait"
    assert message["type"] == "warning"
    alarm.say("ok", "all processed")
    alarm.tick()
    alarm.tick()
    assert len(webhook.taken) == 2
    assert webhook.taken[1]["title"] == "resolved: verification freshness"
    assert webhook.taken[1]["type"] == "success"


def test_what_was_evaluated_while_people_were_named_is_not_told_once_they_are_hidden(
    alarm, webhook
) -> None:
    alarm.set(people=PeopleSettings(mode=PeopleMode.PSEUDONYM))
    mark = veil_of(alarm.settings).mark
    alarm.say("warning", "zorblax/x.jsonl waits")
    alarm.tick()
    assert webhook.taken == []
    alarm.say("warning", "f-abcdefghijklmn waits", shown_as=mark)
    alarm.tick()
    (message,) = webhook.taken
    assert message["message"].endswith("f-abcdefghijklmn waits")


def test_what_no_sink_took_while_people_were_named_is_told_without_details(alarm, webhook) -> None:
    webhook.takes = 0
    alarm.say("warning", "zorblax/x.jsonl waits")
    alarm.tick()
    assert "zorblax" in alarm.cursor
    webhook.takes = None
    alarm.set(people=PeopleSettings(mode=PeopleMode.TEAM)).tick()
    (message,) = webhook.taken
    assert message["title"] == "warning: verification freshness"
    assert "zorblax" not in message["message"] + alarm.cursor


def test_an_occasion_is_told_once_and_the_next_one_too_though_the_status_stays(
    alarm, webhook
) -> None:
    some, more = (
        {"2026-05 80 %": "warning"},
        {"2026-05 80 %": "warning", "2026-05 100 %": "warning"},
    )
    steps = [
        ("ok", "0.30", {}),
        ("warning", "0.49", some),
        ("warning", "0.49", some),
        ("warning", "0.56", more),
        ("warning", "0.57", more),
        ("ok", "0.30", {}),
        ("warning", "0.49", some),
    ]
    for status, detail, occasions in steps:
        alarm.say(status, detail, occasions=occasions)
        alarm.tick()
        alarm.tick()
    assert [message["message"].splitlines()[1] for message in webhook.taken] == [
        "0.49",
        "0.56",
        "0.30",
    ]
    assert [title.partition(":")[0] for title in webhook.titles] == [
        "warning",
        "warning",
        "resolved",
    ]


@pytest.mark.parametrize("occasions", ["2026-05", 5, ["a"], {"a": "bad"}, {"a": ["ok"]}, {}])
def test_what_other_checks_call_occasions_breaks_nothing(alarm, webhook, occasions) -> None:
    alarm.say("warning", occasions=occasions)
    alarm.tick()
    assert len(webhook.taken) == 1


@pytest.mark.parametrize(("status", "kind"), [("info", "info"), ("unknown", "warning")])
def test_info_and_unknown_are_told_too(alarm, webhook, status: str, kind: str) -> None:
    alarm.say(status)
    alarm.tick()
    (message,) = webhook.taken
    assert (message["title"], message["type"]) == (f"{status}: verification freshness", kind)
    assert "info: " not in message["message"].splitlines()[1]


def test_the_level_leaves_out_what_is_milder(alarm, webhook) -> None:
    alarm.set(alert_level=AlertLevel.WARNING)
    for status in ("info", "unknown", "warning"):
        alarm.say(status)
        alarm.tick()
    assert webhook.titles == ["warning: verification freshness"]


def test_what_has_not_lasted_for_an_interval_is_told_to_nobody(alarm, webhook) -> None:
    """The default delay is the processor's interval: 900 s."""
    alarm.set(alert_delay=None)
    alarm.say("warning")
    alarm.tick()
    assert webhook.taken == []
    alarm.set(alert_delay=AT_ONCE).tick()
    assert len(webhook.taken) == 1


def test_what_a_fast_processor_mends_before_it_is_evaluated_again_is_told_to_nobody(
    alarm, webhook
) -> None:
    alarm.set(alert_delay=None, cadences={"verification": AT_ONCE})
    alarm.say("warning")
    alarm.tick()
    assert webhook.taken == []


def test_a_planned_evaluation_says_nothing(alarm, webhook) -> None:
    """It is there while a run is under way, and for ever if that run died."""
    alarm.say("warning")
    job = alarm.defs.resolve_job_def("verification_health_job")
    run = alarm.instance.create_run_for_job(job)
    planned = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        job.name,
        event_specific_data=AssetCheckEvaluationPlanned(
            asset_key=FRESHNESS.asset_key, check_name="freshness"
        ),
    )
    alarm.instance.report_dagster_event(planned, run.run_id)
    storage = alarm.instance.event_log_storage
    record = storage.get_asset_check_summary_records([FRESHNESS])[FRESHNESS]
    assert record.last_check_execution_record.status.value == "PLANNED"
    alarm.tick()
    assert webhook.titles == ["warning: verification freshness"], "what was said before it holds"


def test_a_sink_that_fails_is_tried_again_stops_nobody_and_loses_nothing(alarm, webhook) -> None:
    with Webhook() as broken:
        broken.takes = 0
        alarm.set(alert_urls=(broken.url, webhook.url))
        alarm.say("warning")
        assert "1 not taken yet" in alarm.tick()
        alarm.say("ok")
        assert "2 not taken yet" in alarm.tick()
        both = ["warning: verification freshness", "resolved: verification freshness"]
        assert webhook.titles == both
        assert broken.taken == []
        assert len(broken.refused) == 2, "the first again; the second must not overtake it"
        broken.takes = None
        assert alarm.tick() == "nothing to tell"
        assert broken.titles == both
        assert webhook.titles == both


def test_a_sink_that_fails_in_the_middle_gets_nothing_twice(alarm, webhook) -> None:
    alarm.say("warning", "one")
    alarm.say("warning", "two", check="backlog")
    webhook.takes = 1
    assert "1 not taken yet" in alarm.tick()
    webhook.takes = None
    alarm.tick()
    assert webhook.titles == ["warning: verification backlog", "warning: verification freshness"]


def test_a_url_that_apprise_does_not_know_is_said_and_stops_nobody(alarm, webhook, capfd) -> None:
    alarm.set(alert_urls=("slak://token-of-mine/b/c", webhook.url))
    alarm.say("warning")
    assert "1 not taken yet" in alarm.tick()
    assert len(webhook.taken) == 1
    log = "".join(capfd.readouterr())
    assert "number 1 (slak)" in log
    assert "token-of-mine" not in log
    assert "token-of-mine" not in alarm.cursor


def test_without_a_sink_the_log_has_it(alarm, capfd) -> None:
    alarm.set(alert_urls=())
    alarm.say("warning")
    alarm.tick()
    assert "verification freshness: ok → warning" in "".join(capfd.readouterr())


def test_the_link_leads_to_the_check(alarm, webhook) -> None:
    alarm.set(ui_url="http://dagster.example.org")
    alarm.say("warning")
    alarm.tick()
    link = webhook.taken[0]["message"].splitlines()[-1]
    assert link == (
        "http://dagster.example.org/assets/verification_rows?view=checks&checkDetail=freshness"
    )


def test_a_failed_run_is_told_at_once_and_its_success_resolves_it(alarm, webhook) -> None:
    alarm.set(alert_delay=timedelta(hours=1), ui_url="http://u")
    alarm.tick()
    first = alarm.end_run(failed=True)
    alarm.tick()
    alarm.end_run(failed=True)
    alarm.tick()
    (message,) = webhook.taken
    assert message["title"] == "warning: verification run"
    assert first[:8] in message["message"]
    assert message["message"].endswith(f"http://u/runs/{first}")
    assert "SECRET" not in message["message"]
    alarm.end_run(failed=False)
    alarm.tick()
    alarm.tick()
    assert webhook.titles[1:] == ["resolved: verification run"]


def test_a_clock_that_was_ahead_hides_no_run_that_fails(alarm, webhook) -> None:
    alarm.tick()
    memory = msgspec.json.decode(alarm.cursor)
    memory["runs_seen"] = dict.fromkeys(memory["runs_seen"], "2199-01-01T00:00:00Z")
    alarm.cursor = msgspec.json.encode(memory).decode()
    alarm.tick()
    alarm.end_run(failed=True)
    alarm.tick()
    assert webhook.titles == ["warning: verification run"]


def test_a_report_that_fails_is_told_and_only_a_report_that_is_made_mends_it(
    alarm, webhook
) -> None:
    alarm.tick()
    alarm.end_run(failed=True, asset="echo_report")
    alarm.tick()
    assert webhook.titles == ["warning: verification run of echo_report"]
    alarm.end_run(failed=False)
    alarm.tick()
    assert len(webhook.taken) == 1
    alarm.end_run(failed=False, asset="echo_report")
    alarm.tick()
    assert webhook.titles[1:] == ["resolved: verification run of echo_report"]


def test_runs_of_others_and_of_before_are_told_to_nobody(alarm, webhook) -> None:
    alarm.end_run(failed=True)
    alarm.tick()
    alarm.end_run(failed=True, job="verification_health_job")
    alarm.tick()
    assert webhook.taken == []


def test_a_check_that_nobody_evaluates_any_more_is_unknown(alarm, webhook, monkeypatch) -> None:
    alarm.say("ok")
    alarm.tick()
    monkeypatch.setattr("session_pipeline_dagster.orchestration.alerts._SILENT", timedelta(0))
    alarm.tick()
    assert webhook.taken == [], "it is noticed now, so it has lasted for nothing"
    alarm.tick()
    (message,) = webhook.taken
    assert "not evaluated since" in message["message"]


def test_the_sensor_looks_at_least_as_often_as_health(tmp_path: Path) -> None:
    registry = Registry((NamedProcessor(),))
    assert alert_sensor(registry, Settings()).minimum_interval_seconds == 60
    often = Settings(health_interval=timedelta(seconds=5))
    assert alert_sensor(registry, often).minimum_interval_seconds == 5
