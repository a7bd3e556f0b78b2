"""Names are data in Dagster too: in checks, metadata, logs, failures and alerts."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from test_alert_sensor import Alarm

from health_location import HOUR, HealthLocation, NamedProcessor, value
from hostile import NAME, hostile_tree, shows, strings
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import Permanent, Retryable
from session_pipeline_dagster.settings import Root
from webhook import Webhook


@pytest.fixture
def location(tmp_path: Path) -> HealthLocation:
    return HealthLocation(tmp_path, [NamedProcessor()])


def launched(location: HealthLocation, config: dict[str, object] | None = None) -> list[str]:
    """Every text in the events of a run over everything that is pending."""
    defs = build_definitions(location.processors, location.pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        run = defs.resolve_job_def("verification_job").execute_in_process(
            instance=instance,
            run_config={"ops": {"verification": {"config": config or {}}}},
            raise_on_error=False,
        )
        events = [serialize_value(entry) for entry in instance.all_logs(run.run_id)]
    return [text for event in events for text in strings(json.loads(event))]


def test_checks_say_and_list_names_that_do_not_act(location: HealthLocation) -> None:
    keys = hostile_tree(location.pipeline.root)
    location.processed("bob/new.jsonl", age=HOUR)
    location.file(keys["good"], age=10 * HOUR)
    location.processors[0].hook = refuse
    launched(location)
    checks = location.checks()
    stuck, quarantine = checks["fifo_stuck_file"], checks["quarantine"]
    assert shows(stuck.description)
    assert shows(value(stuck, "stuck_file"))
    assert shows(value(stuck, "reason"))
    assert shows(quarantine.description)
    records = quarantine.metadata["failures"].records
    assert [shows(record.data["session"]) for record in records] == [True, True]
    assert any(shows(record.data["error"]) for record in records)


def refuse(session: Session) -> None:
    """As a processor that names a file in its own words."""
    if session.user == NAME:
        raise Permanent(f"{session.key} is of no use")


@pytest.mark.parametrize("good", [True, False], ids=["a file fails", "all files fail"])
def test_a_run_logs_and_lists_names_that_do_not_act(location: HealthLocation, good: bool) -> None:
    hostile_tree(location.pipeline.root)
    location.processors[0].hook = refuse
    if good:
        location.file("bob/x.jsonl", age=HOUR)
    assert sum(map(shows, launched(location))) > 4
    again = [text for text in launched(location) if shows(text)]
    assert any("was given up earlier" in text for text in again)


def test_a_root_that_is_missing_is_named_and_does_not_act(tmp_path: Path) -> None:
    location = HealthLocation(tmp_path, roots=(Root(tmp_path / NAME),))
    assert any(shows(text) for text in launched(location) if text.startswith("session root"))


def test_what_cannot_be_measured_is_named_and_does_not_act(location: HealthLocation) -> None:
    location.file("bob/x.jsonl", age=HOUR)
    rule = Quality("readable", "verification_rows", "", refuse_to_measure)
    location.processors[0].quality = (rule,)
    texts = [text for text in launched(location) if text.startswith("could not be measured")]
    assert texts
    assert all(map(shows, texts))


def refuse_to_measure(_: Data) -> Measured:
    raise Retryable(f"{NAME} cannot be read")


@pytest.mark.parametrize("field", ["retry", "users"])
def test_a_launch_with_an_unknown_name_says_so(location: HealthLocation, field: str) -> None:
    location.file("bob/x.jsonl", age=HOUR)
    texts = launched(location, {field: [NAME]})
    (text,) = {text for text in texts if text.startswith(f"{field}: no session file")}
    assert shows(text)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as found:
        yield found


def test_an_alert_of_somebody_elses_check_does_not_act(tmp_path: Path, webhook: Webhook) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        alarm = Alarm(instance, tmp_path, alert_urls=(webhook.url,))
        alarm.say("warning", "al\x1bice\u202e waits")
        alarm.tick()
    (message,) = webhook.taken
    assert message["message"].endswith("\nal\ufffdice\ufffd waits")
