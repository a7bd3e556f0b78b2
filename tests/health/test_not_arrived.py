"""`not_arrived`: what people's machines say that they have, beside what is here."""

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from buckets import Given, faulty
from helpers import append, make_pipeline, set_mtime, write_session
from session_pipeline_dagster.collect.collecting import collect
from session_pipeline_dagster.collect.folder import FolderPlace
from session_pipeline_dagster.collect.inventory import take
from session_pipeline_dagster.collect.manifest import Left, Listed, Manifest, Manifests, encoded
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.arrivals import looked_for, not_arrived
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.orchestration.health_sensor import health_sensor
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.files import Scan, SessionFile
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.several import SeveralSources

__all__ = ["faulty"]
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SILENT = 14 * DAY


class Company:
    """Laptops that collect into one folder, and what the check says of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.there = folder, folder / "sessions"
        self.there.mkdir()

    def laptop(self, user: str, *names: str) -> Path:
        for name in names or ("one", "two", "three"):
            write_session(self.folder / user, f"-p/{name}.jsonl", name)
        return self.folder / user

    def collects(self, user: str, at: datetime = NOW, own: datetime | None = None) -> Path:
        """It collected at that time by the clock of the place, and at `own` by its own."""
        source = self.folder / user
        place = FolderPlace(self.there, user, f"of-{user}")
        collect(take(source), place, f"of-{user}", own or at, "1", dry_run=False)
        manifest = self.there / user / f"collected.of-{user}.json"
        set_mtime(manifest, at)
        return manifest

    def says(self, now: datetime = NOW, manifests: Manifests | None = None) -> Finding:
        source = LocalSource((Root(self.there),))
        return looked_for(source, source.scan(), manifests or Manifests(), now, SILENT)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path)
    for user in ("alice", "bob"):
        made.laptop(user)
        made.collects(user)
    return made


def test_where_nobody_collects_with_it_nothing_is_said(tmp_path: Path) -> None:
    company = Company(tmp_path)
    write_session(company.there, "carol/x.jsonl", "by an rsync of her own")
    assert company.says().status is Status.OK
    assert "nobody collects" in company.says().detail


def test_all_that_arrived_is_ok(company: Company) -> None:
    found = company.says()
    assert found.status is Status.OK
    assert found.detail == "2 machines of 2 users: all files that they had are here"
    assert found.numbers["machines"] == 2


def test_a_file_that_the_laptop_has_and_that_never_came_is_named(company: Company) -> None:
    company.laptop("alice", "four")
    company.collects("alice")
    (company.there / "alice" / "-p" / "four.jsonl").unlink()
    found = company.says()
    assert found.status is Status.WARNING
    assert "not here: alice/-p/four.jsonl of machine of-alice of alice" in found.detail
    assert found.numbers["missing_files"] == 1


def test_a_file_that_came_in_part_is_named_and_one_that_grew_since_is_not(company: Company) -> None:
    here = company.there / "alice" / "-p" / "one.jsonl"
    append(here, "more")
    assert company.says().status is Status.OK
    os.truncate(here, 3)
    assert "alice/-p/one.jsonl (a part of it)" in company.says().detail


def test_files_that_the_laptop_has_deleted_are_not_missed(company: Company) -> None:
    (company.folder / "alice" / "-p" / "one.jsonl").unlink()
    company.collects("alice")
    assert company.says().status is Status.OK


def test_a_laptop_that_never_syncs_again_is_named(company: Company) -> None:
    company.collects("bob", NOW + 10 * DAY)
    assert company.says(NOW + SILENT).status is Status.OK
    found = company.says(NOW + SILENT + timedelta(seconds=1))
    assert found.status is Status.WARNING
    assert "not heard of for over 14 d: machine of-alice of alice (14 d)." in found.detail
    assert "bob" not in found.detail
    assert found.numbers["silent_machines"] == 1


@pytest.mark.parametrize("wrong", [400 * DAY, -400 * DAY])
def test_a_clock_that_is_wrong_hides_no_silence_and_is_named(
    company: Company, wrong: timedelta
) -> None:
    company.collects("alice", NOW, NOW + wrong)
    fresh = company.says(NOW + timedelta(hours=1))
    assert fresh.status is Status.INFO
    assert "a clock is wrong: machine of-alice of alice, 400 d " in fresh.detail
    company.collects("bob", NOW + SILENT)
    later = company.says(NOW + SILENT + DAY)
    assert later.status is Status.WARNING
    assert "machine of-alice of alice (15 d)" in later.detail


def test_a_manifest_that_is_of_the_future_everywhere_is_a_warning_at_once(company: Company) -> None:
    company.collects("alice", NOW + 400 * DAY)
    found = company.says()
    assert found.status is Status.WARNING
    assert "machine of-alice of alice (its manifest is 400 d ahead of now" in found.detail
    # What the place says is of the future, but not what the laptop says: that is believed.
    company.collects("alice", NOW + 400 * DAY, NOW)
    assert company.says().status is Status.OK
    assert company.says(NOW + 15 * DAY).status is Status.WARNING


HOSTILE = {
    "empty": b"",
    "half": b'{"manifest":1,"machine":"of-alice","collected_at":"2026-05',
    "no JSON": b"\x00\xff",
    "a list": b"[" * 100_000,
    "newer": b'{"manifest":2,"machine":"of-alice","collected_at":"2026-05-20T12:00:00Z",'
    b'"files":0,"bytes":0}',
    "of another": b'{"manifest":1,"machine":"of-bob","collected_at":"2026-05-20T12:00:00Z",'
    b'"files":0,"bytes":0}',
    "no zone": b'{"manifest":1,"machine":"of-alice","collected_at":"2026-05-20T12:00:00",'
    b'"files":0,"bytes":0}',
    "wrong types": b'{"manifest":1,"machine":"of-alice","collected_at":"2026-05-20T12:00:00Z",'
    b'"files":"x","bytes":{},"sessions":[["k",1e99,1]]}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_manifest_that_is_none_costs_itself_and_is_named(
    company: Company, content: bytes
) -> None:
    manifest = company.there / "alice" / "collected.of-alice.json"
    manifest.write_bytes(content)
    set_mtime(manifest, NOW)
    (company.there / "bob" / "-p" / "one.jsonl").unlink()
    found = company.says()
    assert found.status is Status.WARNING
    assert "no manifest that can be read: alice/collected.of-alice.json" in found.detail
    assert "bob/-p/one.jsonl" in found.detail
    assert found.numbers["unreadable_manifests"] == 1
    # Its age counts all the same.
    assert company.says(NOW + 15 * DAY).numbers["silent_machines"] == 2


def test_manifests_that_lead_elsewhere_or_are_too_large_are_not_read(
    company: Company, tmp_path: Path
) -> None:
    manifest = company.there / "alice" / "collected.of-alice.json"
    shutil.move(manifest, tmp_path / "elsewhere.json")
    manifest.symlink_to(tmp_path / "elsewhere.json")
    assert company.says().numbers["machines"] == 1
    manifest.unlink()
    with manifest.open("wb") as handle:
        handle.truncate(1 << 40)
    set_mtime(manifest, NOW)
    assert "it is larger than 16 MB" in company.says().detail


def test_what_a_manifest_lists_reaches_no_other_folder(company: Company) -> None:
    listed = (Listed("../bob/-p/one.jsonl", 1, 0), Listed("x" * 10_000, 1, 0))
    lying = Manifest(manifest=1, machine="x", collected_at=NOW, files=2, bytes=2, sessions=listed)
    (company.there / "alice" / "collected.x.json").write_bytes(encoded(lying))
    set_mtime(company.there / "alice" / "collected.x.json", NOW)
    found = company.says()
    assert found.numbers["missing_files"] == 2
    assert len(found.detail) < 1000


def test_a_manifest_that_is_replaced_while_one_looks_is_not_compared(company: Company) -> None:
    """What came after the scan is not in it, and is not missing."""

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

        def read(self, file: SessionFile) -> object:
            company.laptop("alice", "four")
            company.collects("alice")
            return source.read(file)

    source = LocalSource((Root(company.there),))
    scan, late = source.scan(), Late()
    found = looked_for(late, scan, Manifests(), NOW, SILENT)
    assert found.status is Status.OK


def test_a_manifest_is_read_again_only_when_it_is_another(company: Company) -> None:
    reads: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

        def read(self, file: SessionFile) -> object:
            reads.append(file.key)
            return source.read(file)

    source, counting, manifests = LocalSource((Root(company.there),)), Counting(), Manifests()
    for _ in range(3):
        looked_for(counting, source.scan(), manifests, NOW, SILENT)
    assert len(reads) == 2
    company.collects("bob", NOW + timedelta(hours=1))
    looked_for(counting, source.scan(), manifests, NOW, SILENT)
    assert reads[2:] == ["bob/collected.of-bob.json"]


def test_in_a_bucket_what_was_put_while_it_was_listed_is_not_missed(faulty: Given) -> None:
    manifest = Manifest(
        manifest=1, machine="m", collected_at=NOW, files=1, bytes=1,
        sessions=(Listed("-p/never.jsonl", 1, 0),),
    )  # fmt: skip
    faulty.put("s/alice/collected.m.json", encoded(manifest))
    faulty.put("s/alice/-p/one.jsonl", b"{}\n")
    source = faulty.source("s")
    scan = source.scan()
    (file,) = scan.manifests
    put = datetime.fromtimestamp(file.signature.mtime_ns / 1e9, UTC)
    soon = looked_for(source, scan, Manifests(), put + timedelta(minutes=1), 10_000 * DAY)
    assert soon.numbers["missing_files"] == 0
    later = looked_for(source, scan, Manifests(), put + timedelta(minutes=6), 10_000 * DAY)
    assert "alice/-p/never.jsonl" in later.detail


def test_beside_a_bucket_a_named_folder_is_looked_at_as_well(
    company: Company, faulty: Given
) -> None:
    faulty.put("s/carol/x.jsonl", b"{}\n")
    (company.there / "alice" / "-p" / "one.jsonl").unlink()
    folder = LocalSource((Root(company.there, "lab"),))
    both = SeveralSources({"lab": folder, "": faulty.source("s")})
    found = looked_for(both, both.scan(), Manifests(), NOW + timedelta(hours=1), SILENT)
    assert found.numbers["machines"] == 2
    assert "not here: lab:alice/-p/one.jsonl of machine of-alice of alice" in found.detail


def test_the_check_and_the_sensor_say_the_same(company: Company) -> None:
    """On the session files, without a run and with one."""
    now = datetime.now(UTC)
    company.collects("alice", now - 20 * DAY)
    company.collects("bob", now)
    (company.folder / "p").mkdir()
    settings = replace(make_pipeline(company.folder / "p").settings, roots=(Root(company.there),))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        told = health_sensor(Registry(()), settings)(context)
        defs = build_definitions([], settings)
        key = dg.AssetCheckKey(dg.AssetKey("session_files"), "not_arrived")
        job = dg.define_asset_job("look", dg.AssetSelection.checks(key))
        repository = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("look")
        done = repository.execute_in_process(instance=instance)
    (by_sensor,) = (event for event in told.asset_events if event.asset_check_key == key)
    (by_run,) = done.get_asset_check_evaluations()
    for one in (by_sensor, by_run):
        assert one.asset_check_key == key
        assert (one.passed, one.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "machine of-alice of alice (20 d)" in one.description
        assert one.metadata["silent_machines"].value == 1


def test_two_hundred_users_with_a_thousand_files_each_take_no_second() -> None:
    listed = tuple(Listed(f"-p/{n}.jsonl", 10, 0) for n in range(1000))
    manifest = Manifest(
        manifest=1, machine="m", collected_at=NOW, files=1000, bytes=1, sessions=listed
    )
    at = NOW.timestamp()
    left = [Left(f"u{n}", f"u{n}/", "m", at, manifest) for n in range(200)]
    began = time.process_time()
    found = not_arrived(left, Scan([], []), at, SILENT)
    assert found.numbers["missing_files"] == 200_000
    assert len(found.detail) < 1000
    assert time.process_time() - began < 1
