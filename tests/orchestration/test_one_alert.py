"""One broken kind of file, or a root that is gone, two processors and all their checks: one alert,
on a real instance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import EchoProcessor, make_pipeline, set_mtime, write_session
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import Permanent
from webhook import Webhook

AT_ONCE = timedelta(microseconds=1)


def refuse(session: Session) -> None:
    if "broken" in session.key:
        raise Permanent("a kind of file that nobody knows")


@pytest.mark.slow
@pytest.mark.parametrize("good", [0, 3])
def test_one_broken_kind_of_file_is_one_alert_and_so_is_its_end(tmp_path: Path, good: int) -> None:
    with Webhook() as webhook, dg.DagsterInstance.local_temp() as instance:
        pipeline = make_pipeline(tmp_path)
        settings = replace(pipeline.settings, alert_urls=(webhook.url,), alert_delay=AT_ONCE)
        processors = (EchoProcessor(refuse), EchoProcessor(refuse, "second"))
        defs = build_definitions(Registry(processors), settings)
        repository, cursors = defs.get_repository_def(), dict[str, str | None]()

        def look() -> None:
            for name in ("health_sensor", "alert_sensor"):
                context = dg.build_sensor_context(
                    instance, cursor=cursors.get(name), repository_def=repository, sensor_name=name
                )
                found = defs.resolve_sensor_def(name)(context)
                cursors[name] = found.cursor
                for event in found.asset_events:
                    instance.report_runless_asset_event(event)

        def work() -> None:
            for name in ("echo_job", "second_job"):
                job = defs.resolve_job_def(name)
                job.execute_in_process(instance=instance, raise_on_error=False)
            look()

        look()
        long_ago = datetime.now(UTC) - timedelta(hours=12)
        for number in range(4):
            write_session(pipeline.root, f"alice/broken{number}.jsonl", "hello")
            set_mtime(pipeline.root / f"alice/broken{number}.jsonl", long_ago)
        for number in range(good):
            write_session(pipeline.root, f"bob/{number}.jsonl", "hello")
        work()
        look()
        work()
        look()
        assert webhook.titles == ["warning: session files fail with Permanent"]
        for path in pipeline.root.rglob("broken*.jsonl"):
            path.unlink()
        write_session(pipeline.root, "bob/new.jsonl", "hello")
        work()
        look()
        look()
        assert webhook.titles[1:] == ["resolved: session files fail with Permanent"]

        away = pipeline.root.rename(tmp_path / "away")
        look()
        look()
        assert webhook.titles[2:] == ["unknown: session files cannot be looked at"]
        assert len(webhook.taken[2]["message"].splitlines()) == 2, "a line for all who miss it"
        away.rename(pipeline.root)
        look()
        look()
        assert webhook.titles[3:] == ["resolved: session files cannot be looked at"]
