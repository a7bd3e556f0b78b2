"""Sensors over a bucket: how often it is listed, and what a run's resource reads."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from buckets import Given, faulty, s3
from helpers import EchoProcessor, make_pipeline, session_line
from object_server import Fault
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.orchestration.location import build_definitions
from session_pipeline_dagster.orchestration.looking import Looks
from session_pipeline_dagster.orchestration.names import PLAIN
from session_pipeline_dagster.orchestration.resources import SessionsResource, resources
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store

__all__ = ["faulty", "s3"]


@pytest.fixture
def settings(faulty: Given, tmp_path: Path) -> Settings:
    faulty.put("alice/x.jsonl", session_line("hello").encode())
    faulty.put("bob/y.jsonl", session_line("hello").encode())
    found = make_pipeline(tmp_path).settings
    return replace(found, roots=(Bucket(faulty.url()),), s3=faulty.settings)


def listings(faulty: Given) -> int:
    assert faulty.server
    return sum(asked.page == 1 for asked in faulty.server.asked)


@pytest.mark.parametrize(("cadence", "shared"), [(60, 60), (3600, 300)])
def test_a_look_into_a_bucket_is_shared_for_a_cadence_or_five_minutes(
    settings: Settings,
    faulty: Given,
    monkeypatch: pytest.MonkeyPatch,
    cadence: int,
    shared: int,
) -> None:
    looks = Looks(settings, cadences=[timedelta(seconds=cadence), timedelta(days=1)])
    first, once = looks.look("usage"), listings(faulty)
    at = looks._at
    monkeypatch.setattr("time.monotonic", lambda: at + shared - 1)
    assert looks.look("usage") is looks.look("health") is first
    assert listings(faulty) == once
    monkeypatch.setattr("time.monotonic", lambda: at + shared + 1)
    assert looks.look("usage") is not first
    assert listings(faulty) == 2 * once


def test_a_look_ends_once_the_database_was_written_to(settings: Settings, faulty: Given) -> None:
    looks = Looks(settings, cadences=[timedelta(hours=1)])
    first = looks.look("usage")
    open_store(settings).prepare(EchoProcessor())
    assert looks.look("usage") is not first


def test_a_bucket_that_cannot_be_listed_is_not_asked_by_every_sensor(
    settings: Settings, faulty: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert faulty.server
    looks = Looks(settings)
    faulty.server.fault = lambda _: Fault(403)
    for who in ("usage", "health", "usage"):
        with pytest.raises(SourceUnavailable, match="refuses the keys"):
            looks.look(who)
    assert listings(faulty) == 1
    faulty.server.fault = lambda _: None
    at = looks._failed_at
    monkeypatch.setattr("time.monotonic", lambda: at + 31)
    assert len(looks.look("usage").scan.files) == 2


def test_a_resource_shows_the_bucket_and_no_key_and_a_run_reads_it(
    settings: Settings, faulty: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = resources(settings)[PLAIN.sessions]
    assert isinstance(resource, SessionsResource)
    assert resource.roots == {"": "s3://sessions"}
    assert "not-a-secret" not in repr(resource) + str(resource.model_dump())
    for name, value in faulty.env().items():
        monkeypatch.setenv(name, value)
    files = resource.source().scan().files
    assert [file.key for file in files] == ["alice/x.jsonl", "bob/y.jsonl"]


@pytest.mark.slow(seconds=5)
def test_a_job_processes_a_bucket(
    settings: Settings, faulty: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in faulty.env().items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions([EchoProcessor()], settings).resolve_job_def("echo_job")
        assert job.execute_in_process(instance=instance).success
    assert open_store(settings).query("SELECT count(*) FROM echo_rows")[0][1] == [(2,)]
