"""How much memory one file costs, whatever is in it: real passes in processes of their own."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers import Pipeline, make_pipeline
from places import SUPPORT
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.settings import Limits
from session_pipeline_dagster.sources.snapshot import read_snapshot
from session_pipeline_dagster.transcripts.claude_code import parse

MEGABYTE = 1 << 20
MOST = 650
FIRST = b'{"type":"user","message":{"content":"x"}}\n'

MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from helpers import Pipeline, peak_mb
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Root, Settings

root, database = Path(sys.argv[2]), Path(sys.argv[3])
processor = {"usage": UsageProcessor, "verification": VerificationProcessor}[sys.argv[4]]()
report = Pipeline(root, Settings(roots=(Root(root),), database=database, workers=1)).run(processor)
print(report.lines)
print(report.errors)
print(peak_mb())
"""


def empty_lines() -> Iterator[bytes]:
    """64 MB; packed they are 65 KB."""
    yield FIRST
    for _ in range(64):
        yield b"{}\n" * (MEGABYTE // 3)


def short_prompts() -> Iterator[bytes]:
    """As many as there is room for."""
    yield from (FIRST * 1000 for _ in range(280))


def distinct_tools() -> Iterator[bytes]:
    """As many as there is room for."""
    for number in range(134_000):
        name = str(number).encode()
        call = b'{"type":"tool_use","id":"toolu_%b","name":"tool%b","input":{}}' % (name, name)
        message = b'{"id":"msg_%b","content":[%b]}' % (name, call)
        yield b'{"type":"assistant","message":%b}\n' % message


def too_many_prompts() -> Iterator[bytes]:
    yield from (FIRST * 10_000 for _ in range(200))


def too_many_tools() -> Iterator[bytes]:
    yield from distinct_tools()
    yield from distinct_tools()


def line_of_objects() -> Iterator[bytes]:
    yield FIRST
    yield b'{"type":"user","message":{"content":[' + b"{}," * (5 * MEGABYTE) + b"{}]}}\n"


def odd_line_of_objects() -> Iterator[bytes]:
    yield FIRST
    yield b'{"type":"user","message":{"content":[' + b"{}," * (5 * MEGABYTE) + b"{}]}x}\n"


def last_line_of_objects() -> Iterator[bytes]:
    yield FIRST
    yield b'{"type":"user","message":{"content":[' + b"[]," * (5 * MEGABYTE) + b"{}]}}"


def measured(pipeline: Pipeline, processor: str) -> tuple[int, int, int]:
    """A pass: lines, files that failed, and its largest memory in MB."""
    arguments = [SUPPORT, pipeline.root, pipeline.settings.database, processor]
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True
    )
    lines, failed, megabytes = map(int, found.stdout.split())
    return lines, failed, megabytes


@pytest.mark.slow(seconds=90)
@pytest.mark.parametrize("processor", ["usage", "verification"])
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (empty_lines, 1 + 64 * (MEGABYTE // 3)),
        (short_prompts, 280_000),
        (distinct_tools, 134_000),
        (line_of_objects, 2),
        (odd_line_of_objects, 2),
        (last_line_of_objects, 2),
        (too_many_prompts, None),
        (too_many_tools, None),
    ],
)
def test_no_file_within_the_limits_takes_more_than_650_mb(
    tmp_path: Path, content: Callable[[], Iterator[bytes]], lines: int | None, processor: str
) -> None:
    pipeline = make_pipeline(tmp_path)
    path = pipeline.root / "alice" / "s.jsonl.gz"
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wb", compresslevel=1) as handle:
        for part in content():
            handle.write(part)
    found, failed, megabytes = measured(pipeline, processor)
    assert (found, failed) == ((0, 1) if lines is None else (lines, 0))
    assert megabytes < MOST


def test_lines_with_nothing_in_them_are_counted_and_not_kept() -> None:
    odd = b'{}\n{"a":{}}\n{"type":"news"}\n{"type":"news","uuid":"u"}\n{"type":"mode"}\n'
    transcript = parse(FIRST + odd)
    assert list(transcript.numbers) == [1, 5, 6]
    assert (transcript.lines, transcript.unknown_lines) == (6, 4)
    assert (transcript.empty_lines, transcript.unreadable_lines) == (3, 0)


def test_a_file_with_more_records_than_there_is_room_for_is_given_up_in_words() -> None:
    with pytest.raises(Permanent, match=r"holds more than \d+,\d+ records and blocks"):
        parse(FIRST * 500_000)
    block = b'{"type":"text","text":"x"}'
    line = b'{"type":"user","message":{"content":[%b]}}\n' % b",".join([block] * 5000)
    with pytest.raises(Permanent, match="split it"):
        parse(line * 100)
    iteration = b'{"usage":{"iterations":[%b]}}' % b",".join([b"{}"] * 5000)
    with pytest.raises(Permanent, match="split it"):
        parse(b'{"type":"assistant","message":%b}\n' % iteration * 100)


def test_a_plain_file_has_the_limit_of_a_packed_one(tmp_path: Path) -> None:
    plain, packed = tmp_path / "s.jsonl", tmp_path / "s.jsonl.gz"
    plain.write_bytes(FIRST * 1000)
    packed.write_bytes(gzip.compress(FIRST * 1000))
    for path in (plain, packed):
        assert read_snapshot(str(path), Limits(unpacked=42_000)).complete == FIRST * 1000
        with pytest.raises(Permanent, match="SESSION_PIPELINE_UNPACKED_MB"):
            read_snapshot(str(path), Limits(unpacked=41_999))
