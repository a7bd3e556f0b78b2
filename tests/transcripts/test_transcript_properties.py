"""Three ways to read a file (at once, line by line, with skips) and one answer."""

import json

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lines import assistant, encode, other, usage, user
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.records import Transcript

GOOD = st.one_of(
    st.builds(user, st.text(max_size=12), at=st.just(None)),
    st.builds(lambda n: assistant(f"msg_{n}", usage(n, n + 1)), st.integers(0, 9)),
    st.builds(other, st.sampled_from(["summary", "system", "news"])),
).map(lambda line: encode(line)[:-1])

UNREADABLE = st.sampled_from(
    [
        b"null",
        b"7",
        b"[]",
        b"{",
        b"\0\0\0",
        b"\xff",
        b'{"type":"assistant","message":{"usage":{"input_tokens":-1}}}',
        b'{"type":"user","message":' + b"[" * 5000,
    ]
)
LENIENT = st.sampled_from(
    [
        b'{"type":"user","message":"text"}',
        b'{"type":"user","timestamp":5}',
        b'{"type":"user","x":NaN}',
        b'{"type":"user","x":"\xff"}',
        b'{"type":"assistant","message":{"usage":[]}}',
        json.dumps({"type": "user", "message": {"content": "\ud800"}}).encode(),
    ]
)
SPLICED = st.sampled_from(
    [
        b'{"type":"user"} {"type":"user"}',
        b'{"type":"user"}{"type":"user"}',
        b'{"type":"us{"type":"user","uuid":"u"}',
        b'\0\0{"type":"user"}\0',
    ]
)
BLANK = st.sampled_from([b"", b"  ", b"\r"])
SKIPPED = b'{"type":"api-request","timestamp":"2026-03-10T12:00:00Z"}'
LINES = st.lists(st.one_of(GOOD, GOOD, UNREADABLE, LENIENT, SPLICED, BLANK), max_size=12)


def plain(transcript: Transcript) -> list[tuple[int, bytes]]:
    return [(n, msgspec.json.encode(without_raw(r))) for n, r in transcript]


def without_raw(record) -> dict[str, object]:
    found = msgspec.structs.asdict(record)
    return {k: bytes(v) if isinstance(v, msgspec.Raw) else v for k, v in found.items()}


def one_by_one(lines: list[bytes]) -> tuple[list[tuple[int, bytes]], int]:
    """Every line read as a file of its own."""
    found, unreadable = [], 0
    for number, line in enumerate(lines, start=1):
        alone = parse(line + b"\n")
        found += [(number, encoded) for _, encoded in plain(alone)]
        unreadable += alone.unreadable_lines
    return found, unreadable


@given(LINES)
@example([b'{"type":"user"}', b"", b'{"type":"user"} {"type":"user"}'])
@example([b'{"type":', b'"user"}', b'{"type":"user"} {"type":"user"}'])
@example([b'{"type":"user","x":{}', b',"y":{}}', b'{"type":"user"} {"type":"user"}'])
@example([*[b'{"type":"user"}'] * 700, b'{"type":"us', *[b'{"type":"user"}'] * 1100])
@example([*[b'{"type":"user"}'] * 700, b'{"type":}', *[b'{"type":"user"}'] * 1100])
@settings(deadline=None)
def test_a_file_reads_as_its_lines_do_one_by_one(lines: list[bytes]) -> None:
    transcript = parse(b"".join(line + b"\n" for line in lines))
    assert (plain(transcript), transcript.unreadable_lines) == one_by_one(lines)


@given(LINES)
@example([b'{"type":', b'"user"}', b'{"type":"user"} {"type":"user"}'])
@settings(deadline=None)
def test_a_file_with_a_line_to_skip_reads_the_others_the_same(lines: list[bytes]) -> None:
    transcript = parse(b"".join(line + b"\n" for line in [SKIPPED, *lines]))
    found, unreadable = one_by_one([SKIPPED, *lines])
    assert (plain(transcript), transcript.unreadable_lines) == (found, unreadable)


@given(st.lists(GOOD, max_size=8), st.data())
@settings(deadline=None)
def test_an_odd_line_anywhere_costs_at_most_itself(good: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(good)))
    odd = data.draw(UNREADABLE)
    transcript = parse(b"".join(line + b"\n" for line in [*good[:place], odd, *good[place:]]))
    expected = [encoded for _, encoded in one_by_one(good)[0]]
    assert [encoded for _, encoded in plain(transcript)] == expected
    assert transcript.unreadable_lines == 1


@given(st.lists(GOOD, max_size=6))
@settings(deadline=None)
def test_line_endings_and_a_bom_change_nothing(good: list[bytes]) -> None:
    unix = b"".join(line + b"\n" for line in good)
    dos = b"\xef\xbb\xbf" + b"".join(line + b"\r\n" for line in good)
    assert plain(parse(dos)) == plain(parse(unix))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_make_the_reader_raise_or_lose_a_line(content: bytes) -> None:
    transcript = parse(content)
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    there = sum(bool(line.strip()) for line in lines)
    # A line that holds a record among other things counts for each of them.
    spliced = any(b"{" in line.strip()[1:] or b"}" in line.strip()[:-1] for line in lines)
    assert transcript.lines == there or (spliced and transcript.lines > there)
