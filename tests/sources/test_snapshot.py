"""One look at one file: what is kept of it, what is hashed, and how much memory it may cost."""

import gzip
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import (
    OLD,
    EchoProcessor,
    Pipeline,
    expected_rows,
    make_pipeline,
    numbers,
    session_line,
    set_mtime,
)
from places import SUPPORT
from session_pipeline_dagster.errors import Permanent, Retryable
from session_pipeline_dagster.settings import Limits
from session_pipeline_dagster.sources.files import Content, Fingerprint, session_day
from session_pipeline_dagster.sources.snapshot import (
    complete_part,
    content_hash,
    fingerprint,
    read_snapshot,
)
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.head import BOM

KEY = "alice/x.jsonl"
SMALL = Limits(line=100, unpacked=1 << 20)
SHORT, LONG = b'{"type":"user"}', b'{"type":"user","pad":"' + b"x" * 200 + b'"}'


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def put(pipeline: Pipeline, key: str, content: bytes) -> Path:
    path = pipeline.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    set_mtime(path, OLD)
    return path


def read(path: Path, limits: Limits = SMALL):
    return read_snapshot(str(path), limits)


@pytest.mark.parametrize(
    ("content", "readable", "unreadable"),
    [
        (LONG + b"\n", [], 1),
        (LONG, [], 1),
        (LONG[:-1], [], 1),
        (LONG + b"\n" + SHORT + b"\n", [2], 1),
        (LONG + b"\n" + SHORT, [2], 1),
        (LONG + b"\n" + SHORT[:-1], [], 1),
        (SHORT + b"\n" + LONG + b"\n" + LONG + b"\n" + SHORT + b"\n", [1, 4], 2),
        (SHORT + b"\r\n" + LONG + b"\r\n" + SHORT + b"\r\n", [1, 3], 1),
        (BOM + SHORT + b"\n" + LONG, [1], 1),
        ((SHORT + b"\n") * 50, list(range(1, 51)), 0),
        (b"\n" * 200, [], 0),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_line_that_is_too_long_costs_itself_and_keeps_its_number(
    tmp_path: Path, content: bytes, readable: list[int], unreadable: int, packed: bool
) -> None:
    path = tmp_path / ("x.jsonl.gz" if packed else "x.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    transcript = parse(read(path).complete)
    assert (list(transcript.numbers), transcript.unreadable_lines) == (readable, unreadable)


@given(
    st.lists(st.sampled_from([SHORT, LONG, b"", b"{", BOM, b'"' + b"y" * 98 + b'"', LONG[:101]])),
    st.sampled_from([b"", b"\n", SHORT, SHORT[:-1], LONG]),
    st.sampled_from([1, 7, 100, 1 << 20]),
)
def test_however_a_file_is_read_its_hash_covers_its_complete_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], tail: bytes, block: int
) -> None:
    content = b"".join(line + b"\n" for line in lines) + tail
    path = tmp_path_factory.getbasetemp() / "hashed.jsonl"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("session_pipeline_dagster.sources.snapshot._BLOCK", block)
        found, whole = read(path), read(path, Limits())
    assert whole.complete == complete_part(content)
    too_long_tail = len(tail) > SMALL.line
    assert found.file_hash == content_hash(content if too_long_tail else whole.complete)
    if not any(len(line) > SMALL.line for line in content.split(b"\n")):
        assert found.complete == whole.complete
    assert session_day(found) == session_day(whole)


@given(
    st.lists(st.sampled_from([SHORT, LONG, b"", b"{", BOM, b'"' + b"y" * 98 + b'"', LONG[:101]])),
    st.sampled_from([b"", b"\n", SHORT, SHORT[:-1], LONG, LONG[:-1], BOM + SHORT, b"[[1]"]),
    st.sampled_from([1, 7, 100, 1 << 20]),
    st.sampled_from([SMALL, Limits(), Limits(line=100, unpacked=400)]),
    st.sampled_from(["x.jsonl", "x.jsonl.gz", "cut.jsonl.gz"]),
)
def test_a_fingerprint_says_what_a_read_says_but_the_lines(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    tail: bytes,
    block: int,
    limits: Limits,
    name: str,
) -> None:
    content = b"".join(line + b"\n" for line in lines) + tail
    packed = gzip.compress(content) if name.endswith(".gz") else content
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(packed[:-9] if name.startswith("cut") else packed)

    def said(look: Callable[[], Content | Fingerprint]) -> object:
        try:
            found = look()
        except (Permanent, Retryable) as error:
            return type(error), str(error)
        return found.size, found.file_hash, found.signature

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("session_pipeline_dagster.sources.snapshot._BLOCK", block)
        assert said(lambda: fingerprint(str(path), limits)) == said(lambda: read(path, limits))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_fingerprint_of_a_large_file_takes_the_memory_of_a_few_blocks(
    tmp_path: Path, packed: bool
) -> None:
    path = tmp_path / ("x.jsonl.gz" if packed else "x.jsonl")
    content = (session_line("a line of some length" * 20).encode()) * 60_000
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    tracemalloc.start()
    fingerprint(str(path), Limits())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20 < len(content) // 3


def test_the_bytes_that_are_parsed_are_the_bytes_that_are_hashed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second read would see what came in between, and hash what was never parsed."""
    path = put(pipeline, KEY, session_line("one").encode())
    real_open, opened = os.open, []

    def counting(name: str, flags: int, *rest: int) -> int:
        opened.append(name)
        return real_open(name, flags, *rest)

    monkeypatch.setattr(os, "open", counting)
    found = read(path, Limits())
    assert opened == [str(path)]
    assert found.file_hash == content_hash(found.complete)


def test_a_compressed_session_is_read_like_any_other(pipeline: Pipeline) -> None:
    lines = session_line("one") + session_line("two")
    put(pipeline, KEY, lines.encode())
    put(pipeline, "bob/y.jsonl.gz", gzip.compress(lines.encode()))
    # What `cat a.gz b.gz` makes is one content too.
    parts = [gzip.compress(line.encode()) for line in lines.splitlines(keepends=True)]
    put(pipeline, "bob/z.jsonl.gz", b"".join(parts))
    echo = EchoProcessor()
    assert numbers(pipeline.run(echo)) == (3, 3, 0, 0, 0)
    wanted = [row[1:] for row in expected_rows(pipeline.root)]
    for key in (KEY, "bob/y.jsonl.gz", "bob/z.jsonl.gz"):
        assert [row[1:] for row in pipeline.rows() if row[0] == key] == wanted
    assert len({state.file_hash for state in pipeline.states(echo).values()}) == 1
    assert {file.user for file in pipeline.source.scan().files} == {"alice", "bob"}


ZST = "alice/x.jsonl.zst"


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def test_a_session_packed_by_zstd_is_read_like_any_other(pipeline: Pipeline) -> None:
    lines = [session_line(f"{n}", "2025-04-05").encode() for n in range(3)]
    put(pipeline, "bob/plain.jsonl", b"".join(lines))
    put(pipeline, ZST, b"".join(map(zstd, lines)))
    put(pipeline, "alice/half.jsonl.zst", zstd(b"".join(lines))[:-4])
    put(pipeline, "alice/bad.jsonl.zst", b"\x28\xb5\x2f\xfdno frame at all")
    put(pipeline, "alice/bomb.jsonl.zst", zstd(b"\0" * (8 << 20)))
    small, echo = pipeline.having(limits=Limits(unpacked=2 << 20)), EchoProcessor()
    small.run(echo)
    states = small.states(echo)
    assert states[ZST].file_hash == states["bob/plain.jsonl"].file_hash
    failed = {key: failure.error for key, failure in small.failures(echo).items()}
    assert "SESSION_PIPELINE_UNPACKED_MB" in failed["alice/bomb.jsonl.zst"]
    assert "neither gzip nor zstd data, or damaged" in failed["alice/bad.jsonl.zst"]
    assert "read again when all of it is there" in failed["alice/half.jsonl.zst"]
    assert small.failures(echo)["alice/half.jsonl.zst"].attempts == 0
    days = {
        str(small.source.day(file)) for file in small.source.scan().files if "bad" not in file.key
    }
    assert days == {"2025-04-05", "2025-03-02"}, "a bomb has no time but its own"
    assert {row[0] for row in small.rows()} == {ZST, "bob/plain.jsonl"}


def test_the_day_of_a_compressed_session_is_the_same_for_sensor_and_runner(
    pipeline: Pipeline,
) -> None:
    put(pipeline, "bob/y.jsonl.gz", gzip.compress(session_line("one", "2025-04-05").encode()))
    (file,) = pipeline.source.scan().files
    assert pipeline.source.day(file) == session_day(pipeline.source.read(file))
    assert str(pipeline.source.day(file)) == "2025-04-05"


def test_a_zip_bomb_is_given_up_with_what_to_do_and_holds_up_nobody(pipeline: Pipeline) -> None:
    put(pipeline, KEY, session_line("fine").encode())
    put(pipeline, "alice/bomb.jsonl.gz", gzip.compress(b"\0" * (8 << 20)))
    small = pipeline.having(limits=Limits(unpacked=2 << 20))
    echo = EchoProcessor()
    assert numbers(small.run(echo)) == (2, 1, 0, 0, 1)
    failure = small.failures(echo)["alice/bomb.jsonl.gz"]
    assert failure.quarantined_at is not None
    assert "SESSION_PIPELINE_UNPACKED_MB" in failure.error
    assert echo.calls == [KEY]
    assert pipeline.store.release("echo") == ["alice/bomb.jsonl.gz"]
    assert numbers(pipeline.run(echo)) == (1, 1, 0, 0, 0)


def test_damaged_gzip_data_is_given_up_and_new_content_is_tried(pipeline: Pipeline) -> None:
    packed = gzip.compress(session_line("one").encode())
    path = put(pipeline, "alice/x.jsonl.gz", b"no gzip " + packed)
    echo = EchoProcessor()
    assert numbers(pipeline.run(echo)) == (1, 0, 0, 0, 1)
    assert pipeline.failures(echo)["alice/x.jsonl.gz"].quarantined_at is not None
    path.write_bytes(packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
    with pytest.raises(Permanent):
        read(path)
    path.write_bytes(packed)
    assert numbers(pipeline.run(echo)) == (1, 1, 0, 0, 0)
    assert pipeline.failures(echo) == {}


def test_half_a_gzip_file_burns_no_attempt_and_is_read_when_it_is_whole(
    pipeline: Pipeline,
) -> None:
    packed = gzip.compress(session_line("one").encode())
    path = put(pipeline, "alice/x.jsonl.gz", packed[:-10])
    with pytest.raises(Retryable):
        read(path)
    echo = EchoProcessor()
    pipeline.run(echo)
    assert pipeline.failures(echo)["alice/x.jsonl.gz"].attempts == 0
    path.write_bytes(packed)
    assert numbers(pipeline.run(echo)) == (1, 1, 0, 0, 0)


def test_an_empty_gzip_file_is_an_empty_session(pipeline: Pipeline) -> None:
    put(pipeline, "alice/x.jsonl.gz", b"")
    assert numbers(pipeline.run(EchoProcessor())) == (1, 1, 0, 0, 0)


def test_a_folder_named_like_a_compressed_session_is_left_out(pipeline: Pipeline) -> None:
    (pipeline.root / "alice" / "x.jsonl.gz").mkdir(parents=True)
    (pipeline.root / "y.jsonl.gz").mkdir()
    reasons = {left.key: left.reason for left in pipeline.source.scan().left_out}
    assert reasons == {"alice/x.jsonl.gz": "folder", "y.jsonl.gz": "folder"}


MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from helpers import Pipeline, numbers, peak_mb
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Root, Settings

root, database = Path(sys.argv[2]), Path(sys.argv[3])
report = Pipeline(root, Settings(roots=(Root(root),), database=database, workers=1)).run(
    UsageProcessor()
)
print(*numbers(report), report.lines, report.unreadable_lines)
print(peak_mb())
"""


def run_measured(pipeline: Pipeline) -> tuple[str, int]:
    """A pass of usage in a process of its own: its numbers, and its largest memory in MB."""
    arguments = [SUPPORT, pipeline.root, pipeline.settings.database]
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True
    )
    report, megabytes = found.stdout.splitlines()
    return report, int(megabytes)


@pytest.mark.slow
def test_a_line_of_200_mb_costs_no_memory_and_the_next_is_kept(pipeline: Pipeline) -> None:
    path = put(pipeline, KEY, b"")
    with path.open("wb") as handle:
        handle.write(session_line("before").encode())
        for _ in range(200):
            handle.write(b"x" * (1 << 20))
        handle.write(b"\n" + session_line("after").encode())
    report, megabytes = run_measured(pipeline)
    assert report == "1 1 0 0 0 3 1"
    assert megabytes < 300
    ((file_hash,),) = pipeline.select("SELECT file_hash FROM session_processor_state")
    assert file_hash == content_hash(path.read_bytes())
