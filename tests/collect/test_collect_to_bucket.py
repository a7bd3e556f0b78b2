"""The collector into a bucket of a real S3 server."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buckets import IMPATIENT, Given, faulty, real, s3
from helpers import append, set_mtime, write_session
from session_pipeline_dagster.collect.bucket import BucketPlace
from session_pipeline_dagster.collect.collecting import Collected, collect
from session_pipeline_dagster.collect.inventory import take
from session_pipeline_dagster.errors import TargetUnavailable
from session_pipeline_dagster.setting_places import Bucket
from weed import REGION

__all__ = ["faulty", "real", "s3"]
pytestmark = pytest.mark.slow(seconds=4)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
APP = "-home-alice-app"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "projects"
    for name in ("one", "two", "three"):
        write_session(root, f"{APP}/{name}.jsonl", name)
    return root


def send(source: Path, given: Given, *, dry_run: bool = False) -> Collected:
    prefix = Bucket(given.url("sessions/alice"))
    place = BucketPlace(prefix, "m1", given.settings, IMPATIENT)
    return collect(take(source), place, "m1", NOW, "1", dry_run=dry_run)


def test_what_is_new_or_changed_comes_and_nothing_goes(source: Path, real: Given) -> None:
    assert send(source, real, dry_run=True).sent.copied == 3
    assert real.source("sessions").scan().files == []
    assert send(source, real).sent.copied == 3
    scan = real.source("sessions").scan()
    assert [(f.key, f.user, f.project) for f in scan.files] == [
        (f"alice/{APP}/{name}.jsonl", "alice", APP) for name in ("one", "three", "two")
    ]
    assert [file.key for file in scan.manifests] == ["alice/collected.m1.json"]
    assert send(source, real).sent.copied == 0
    append(source / APP / "one.jsonl", "more")
    two = source / APP / "two.jsonl"
    two.write_bytes(two.read_bytes()[:-10] + b"0123456789")
    set_mtime(two, datetime(2020, 1, 1, tzinfo=UTC))
    (source / APP / "three.jsonl").unlink()
    assert send(source, real).sent.copied == 2
    objects = real.source("sessions")
    there = {file.key: objects.read(file).complete for file in objects.scan().files}
    assert len(there) == 3
    assert there[f"alice/{APP}/one.jsonl"] == (source / APP / "one.jsonl").read_bytes()
    assert there[f"alice/{APP}/two.jsonl"].endswith(b"\n") is False


def test_a_run_that_did_not_come_to_its_manifest_goes_on(source: Path, real: Given) -> None:
    """Without a manifest the MD5 says what is there; with one, another etag at the same size."""
    send(source, real)
    real.delete("sessions/alice/collected.m1.json")
    assert send(source, real).sent.copied == 0
    real.put("sessions/alice/collected.m1.json", b'{"manifest":1,"machine":"m1"')
    assert send(source, real).sent.copied == 0
    one = source / APP / "one.jsonl"
    real.put(f"sessions/alice/{APP}/one.jsonl", b"x" * one.stat().st_size)
    assert send(source, real).sent.copied == 1


def test_a_file_that_is_not_read_again_is_not_read(source: Path, real: Given) -> None:
    send(source, real)
    one = source / APP / "one.jsonl"
    kept = one.stat()
    # What nobody can see from outside, so it shows whether it was read.
    one.write_bytes(one.read_bytes()[::-1])
    os.utime(one, ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    assert send(source, real).sent.copied == 0


def test_what_is_wrong_is_said_with_what_to_do(
    source: Path, real: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = BucketPlace(Bucket("s3://no-such-bucket-here/x"), "m1", real.settings, IMPATIENT)
    with pytest.raises(TargetUnavailable, match=r"there is no such bucket .* or set --to"):
        collect(take(source), none, "m1", NOW, "1", dry_run=False)
    wrong = real.settings.__class__("tests", "wrong", None, REGION, real.settings.endpoint)
    bad = BucketPlace(Bucket(real.url("x")), "m1", wrong, IMPATIENT)
    with pytest.raises(TargetUnavailable, match="keys that may list it, read it and write to it"):
        collect(take(source), bad, "m1", NOW, "1", dry_run=False)
    away = wrong.__class__("tests", "wrong", None, REGION, "http://127.0.0.1:1")
    gone = BucketPlace(Bucket(real.url("x")), "m1", away, IMPATIENT)
    with pytest.raises(TargetUnavailable, match="cannot be reached"):
        collect(take(source), gone, "m1", NOW, "1", dry_run=False)
