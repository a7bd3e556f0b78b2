"""Session files in a bucket: found and read as if its prefix were a folder."""

import gzip
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from buckets import IMPATIENT, Given, bucket, faulty, real, s3
from object_server import Asked
from places import DATA
from session_pipeline_dagster.errors import Permanent, SettingsError
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import Layout, Limits, Root
from session_pipeline_dagster.sources.bucket import client
from session_pipeline_dagster.sources.files import Scan, mtime_day, session_day
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.pages import listed_by_pages

__all__ = ["bucket", "faulty", "real", "s3"]
LINE = b'{"type":"user","timestamp":"2026-03-04T05:06:07Z"}\n'


def named(scan: Scan) -> list[tuple[str, str, str | None]]:
    return [(file.key, file.user, file.project) for file in scan.files]


def left(scan: Scan) -> list[tuple[str, str, int]]:
    return sorted((one.key, one.reason, one.documents) for one in scan.left_out)


TREE = [
    "alice/one.jsonl",
    "alice/-home-alice-app/two.jsonl",
    "alice/-home-alice-app/two/subagents/agent-1.jsonl",
    "alice/packed.jsonl.gz",
    "alice/.git/old.jsonl",
    "alice/.claude/new.jsonl",
    "alice/a.jsonl/below.jsonl",
    "alice/notes.txt",
    "alice/opencode/storage/session/global/ses_1a.json",
    "alice/opencode/storage/session/global/ses_2b.json",
    "alice/.git/ses_3c.json",
    "alice/opencode/opencode.db",
    "b:c/T-00000000-0000-4000-8000-000000000000.json",
    "ses_4d.json",
    "a b+c/ü&%41#?.jsonl",
    "a%FFb/x%25.jsonl",
    "b:c/x:y.jsonl",
    "d%3Ae/x.jsonl",
    "flat.jsonl",
]


def write(root: Path, keys: list[str]) -> None:
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(LINE) if key.endswith(".gz") else LINE)


@pytest.mark.parametrize("layout", Layout)
def test_a_tree_has_the_same_keys_and_content_in_a_bucket_and_in_a_folder(
    bucket: Given, tmp_path: Path, layout: Layout
) -> None:
    write(tmp_path, TREE)
    bucket.upload(tmp_path)
    local, objects = LocalSource((Root(tmp_path),), layout), bucket.source(layout=layout)
    here, there = local.scan(), objects.scan()
    assert named(there) == named(here)
    assert left(there) == left(here)
    for mine, theirs in zip(here.files, there.files, strict=True):
        assert objects.read(theirs).complete == local.read(mine).complete
        assert objects.read(theirs).file_hash == objects.fingerprint(theirs).file_hash
        assert objects.day(theirs) == local.day(mine) == date(2026, 3, 4)


@pytest.mark.parametrize("name", ["", "eu"])
def test_marks_of_private_sessions_are_found_in_a_bucket_as_in_a_folder(
    faulty: Given, tmp_path: Path, name: str
) -> None:
    marks = ("alice/.no-knowledge", "b:c/-app/.private", "b:c/-app/deep/.private", ".private")
    write(tmp_path, [*TREE, *marks])
    faulty.upload(tmp_path)
    here = LocalSource((Root(tmp_path, name or None),)).scan()
    there = faulty.source(name=name or None).scan()
    prefix = f"{name}:" if name else ""
    keys = ("", "alice/", "b%3Ac/-app/", "b%3Ac/-app/deep/")
    assert sorted(here.marks) == sorted(there.marks) == [prefix + key for key in keys]
    assert left(here) == left(there)


def test_a_prefix_is_a_folder(bucket: Given) -> None:
    for key in ("sess/alice/x.jsonl", "sessions/bob/x.jsonl", "sess.jsonl", "carol/x.jsonl"):
        bucket.put(key, LINE)
    assert [file.key for file in bucket.source("sess").scan().files] == ["alice/x.jsonl"]
    assert [file.key for file in bucket.source("none").scan().files] == []


def test_a_named_root_prefixes_its_keys(faulty: Given) -> None:
    faulty.put("alice/x.jsonl", LINE)
    faulty.put("flat.jsonl", LINE)
    scan = faulty.source(name="eu").scan()
    assert [(file.key, file.root) for file in scan.files] == [("eu:alice/x.jsonl", "eu")]
    assert [one.key for one in scan.left_out] == ["eu:flat.jsonl"]


@pytest.mark.parametrize("prefix", ["", "sess"])
def test_keys_that_no_folder_has_are_left_out_and_listed_and_cost_nobody_else(
    faulty: Given, prefix: str
) -> None:
    odd = ["alice//x.jsonl", "alice/../x.jsonl", "alice/./x.jsonl", "alice/a\nb.jsonl"]
    odd += ["alice/bell\x07.jsonl", "alice/y.jsonl/", "alice/half\udcff.jsonl", "alice/"]
    odd += ["/alice/x.jsonl"] if not prefix else []
    above = f"{prefix}/" if prefix else ""
    for key in [*odd, "alice/x.jsonl", "alice/y.jsonl", "bob/" + "l" * 900 + ".jsonl"]:
        faulty.put(above + key, LINE)
    source = faulty.source(prefix)
    scan = source.scan()
    keys = [file.key for file in scan.files]
    assert keys == ["alice/x.jsonl", "alice/y.jsonl", "bob/" + "l" * 900 + ".jsonl"]
    assert all(source.read(file).complete == LINE for file in scan.files)
    shown = {key.replace("\udcff", "%FF") for key in odd if key != "alice/"}
    assert {one.key for one in scan.left_out} == shown
    assert all(one.reason.startswith("its key cannot be asked for") for one in scan.left_out)


def test_a_real_server_gives_page_by_page_what_it_gives_otherwise(real: Given) -> None:
    for key in ("alice/a+b c.jsonl", "alice/%41&ü.jsonl", "alice/x.jsonl", "bob/x.jsonl"):
        real.put(f"sess/{key}", LINE)
    asked = client(Bucket(real.url("sess")), real.settings, IMPATIENT)
    assert listed_by_pages(asked) == asked.listed()
    assert len(asked.listed()) == 4


def test_the_pages_of_a_listing_are_all_read(faulty: Given) -> None:
    assert faulty.server
    faulty.server.page = 2
    keys = [f"alice/{number}.jsonl" for number in range(9)]
    for key in keys:
        faulty.put(key, LINE)
    assert [file.key for file in faulty.source().scan().files] == keys
    faulty.put("bob//odd.jsonl", LINE)
    assert [file.key for file in faulty.source().scan().files] == keys


def test_the_signature_is_that_of_the_answer_that_is_read(bucket: Given) -> None:
    bucket.put("alice/x.jsonl", LINE)
    bucket.put("alice/y.jsonl", LINE)
    source = bucket.source()
    listed = source.scan().files[0]
    assert source.read(listed).signature == listed.signature
    bucket.put("alice/x.jsonl", LINE.upper())
    read = source.read(listed).signature
    assert read.ctime_ns != listed.signature.ctime_ns
    assert read == source.scan().files[0].signature == source.fingerprint(listed).signature


def test_a_rewrite_of_the_same_size_in_the_same_second_has_another_signature(
    faulty: Given,
) -> None:
    assert faulty.server
    at = datetime(2026, 3, 4, tzinfo=UTC)
    faulty.server.put("alice/x.jsonl", LINE, at)
    before = faulty.source().scan().files[0].signature
    faulty.server.put("alice/x.jsonl", LINE.replace(b"user", b"resu"), at)
    after = faulty.source().scan().files[0].signature
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns)
    assert after.ctime_ns != before.ctime_ns
    for number in range(40):
        faulty.server.put(f"bob/{number}.jsonl", LINE, at, etag=f"etag-{number}")
    found = {file.signature.ctime_ns for file in faulty.source().scan().files}
    assert len(found) == 41
    assert all(0 <= ctime < 2**63 for ctime in found)


def test_a_day_is_a_ranged_read_of_the_head(faulty: Given) -> None:
    assert faulty.server
    faulty.put("alice/x.jsonl", LINE + b'{"type":"user","x":"' + b"y" * 1_000_000 + b'"}\n')
    faulty.put("alice/late.jsonl", (b'{"x":"' + b"y" * 1000 + b'"}\n') * 30 + LINE)
    faulty.put("alice/packed.jsonl.gz", gzip.compress(LINE * 100))
    faulty.put("alice/empty.jsonl", b"")
    source = faulty.source()
    files = {file.key: file for file in source.scan().files}
    faulty.server.bytes_sent = 0
    assert source.day(files["alice/x.jsonl"]) == date(2026, 3, 4)
    assert faulty.server.bytes_sent < 20_000
    assert source.day(files["alice/late.jsonl"]) == date(2026, 3, 4)
    assert source.day(files["alice/packed.jsonl.gz"]) == date(2026, 3, 4)
    today = datetime.fromtimestamp(files["alice/empty.jsonl"].signature.mtime_ns / 1e9, UTC).date()
    assert source.day(files["alice/empty.jsonl"]) == today
    assert all(asked.range for asked in faulty.server.asked if asked.key)


def test_a_damaged_gz_has_a_day_and_no_content(faulty: Given) -> None:
    faulty.put("alice/bad.jsonl.gz", b"no gzip data at all")
    source = faulty.source()
    (file,) = source.scan().files
    source.day(file)
    with pytest.raises(Permanent, match="neither gzip nor zstd data"):
        source.read(file)


def test_no_more_of_an_object_is_taken_than_a_file_may_hold(faulty: Given) -> None:
    assert faulty.server
    faulty.put("alice/large.jsonl", LINE * 100_000)
    faulty.put("alice/bomb.jsonl.gz", gzip.compress(LINE * 100_000))
    faulty.put("alice/line.jsonl", b'{"a":"' + b"x" * 5000 + b'"}\n' + LINE)
    source = faulty.source(limits=Limits(line=1000, unpacked=1 << 20))
    files = {file.key: file for file in source.scan().files}
    for key in ("alice/large.jsonl", "alice/bomb.jsonl.gz"):
        with pytest.raises(Permanent, match="holds more than 1 MB"):
            source.read(files[key])
        with pytest.raises(Permanent, match="holds more than 1 MB"):
            source.fingerprint(files[key])
    assert source.read(files["alice/line.jsonl"]).complete == b"?\n" + LINE


def test_it_travels_to_a_worker_and_shows_no_key(faulty: Given) -> None:
    faulty.put("alice/x.jsonl", LINE)
    source = pickle.loads(pickle.dumps(faulty.source()))  # noqa: S301  our own
    assert [source.read(file).complete for file in source.scan().files] == [LINE]
    assert source.remote
    assert "not-a-secret" not in repr(source)


def test_golden_transcripts_have_the_days_that_they_have_in_a_folder(real: Given) -> None:
    root = DATA / "golden" / "real" / "2.0.77" / "projects"
    real.upload(root)
    local, objects = (
        LocalSource((Root(root),), Layout.PROJECTS),
        real.source(layout=Layout.PROJECTS),
    )
    here, there = local.scan().files, objects.scan().files
    assert [file.key for file in here] == [file.key for file in there]
    days = 0
    for mine, theirs in zip(here, there, strict=True):
        assert objects.day(theirs) == session_day(objects.read(theirs))
        if objects.day(theirs) != mtime_day(theirs.signature.mtime_ns):
            days += 1
            assert objects.day(theirs) == local.day(mine)
    assert days > 2, "what has no time in it has the day on which it was put there"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"endpoint": "nowhere"}, "AWS_ENDPOINT_URL"),
        ({"endpoint": "http://a?b"}, "AWS_ENDPOINT_URL"),
        ({"secret_access_key": "se\ncret"}, "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_setting_that_is_none_is_named_and_not_shown(
    faulty: Given, changed: dict[str, str], named: str
) -> None:
    source = replace(faulty.source(), s3=replace(faulty.settings, **changed))
    with pytest.raises(SettingsError, match=named) as caught:
        source.scan()
    assert not any(value in str(caught.value) for value in changed.values())


def test_a_listing_is_asked_for_once_and_its_end_once(faulty: Given) -> None:
    assert faulty.server
    for number in range(5):
        faulty.put(f"alice/{number}.jsonl", LINE)
    faulty.source().scan()
    assert faulty.server.asked == [Asked("", 1, None)] * 2
