"""Whole records inside an odd line, and objects that are none."""

import json
import time

import pytest

from lines import Line, encode, other, user
from places import DATA
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.records import Transcript
from session_pipeline_dagster.transcripts.spliced import read_odd

NESTED: Line = {"type": "user", "uuid": "nested", "sessionId": "s", "timestamp": "2026-03-10"}


def record(uuid: str) -> Line:
    """A line with everything that is nested somewhere in real ones."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"o": NESTED}}
    text = {"type": "text", "text": f'a "quote" {{x}} \\ é {json.dumps(NESTED)}'}
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation": {"ephemeral_5m": 1}}
    message = {"id": f"msg_{uuid}", "role": "assistant", "content": [text, call], "usage": usage}
    envelope: Line = {"parentUuid": None, "isSidechain": False, "cwd": "/w", "sessionId": "s"}
    return envelope | {"type": "assistant", "message": message, "uuid": uuid, "timestamp": "2026"}


def dumped(line: Line, *, spaces: bool = False) -> bytes:
    return json.dumps(line, separators=(", ", ": ") if spaces else (",", ":")).encode()


def uuids(line: bytes) -> list[str | None]:
    return [found.uuid for found in read_odd(line).records]


def of_repro(name: str) -> Transcript:
    path = DATA / "repro" / name / "sessions" / "alice" / "proj" / "S1.jsonl"
    return parse(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "numbers", "ids"),
    [
        ("splice_truncated", [1, 2, 3], ["msg_01B", "msg_01C"]),
        ("nul_then_record", [1, 2, 3, 4], ["msg_01A", "msg_01B", "msg_01C"]),
    ],
)
def test_a_whole_record_behind_what_cannot_be_read_counts(
    name: str, numbers: list[int], ids: list[str]
) -> None:
    transcript = of_repro(name)
    found = [r.message.id for r in transcript.records if r.message and r.message.id]
    assert (list(transcript.numbers), found) == (numbers, ids)
    assert transcript.unreadable_lines == 1


@pytest.mark.parametrize("spaces", [False, True], ids=["compact", "spaces"])
def test_wherever_a_record_is_cut_the_whole_ones_beside_it_count(spaces: bool) -> None:
    first, second = dumped(record("a"), spaces=spaces), dumped(record("b"), spaces=spaces)
    undecided = 0
    for cut in range(1, len(first)):
        head, tail = first[:cut], first[cut:]
        if head.rstrip().endswith(b":") and b'"input"' in head and b'"stop' not in head:
            # What a tool is given may be anything, also a record.
            undecided += head.count(b"}") <= second.count(b"}") and not uuids(head + second)
            continue
        assert uuids(head + second) == ["b"], head
        assert uuids(head + second + second) == ["b", "b"], head
        assert uuids(second + head + second) == ["b", "b"], head
        assert uuids(head + b"\0" * 9 + second) == ["b"], head
        assert uuids(head) == [], head
        assert uuids(tail + second) == ["b"], tail
        assert read_odd(head + second).unread
    assert undecided < 20


@pytest.mark.parametrize(
    ("line", "count", "unread"),
    [
        (b'{"type":"user"} {"type":"user"}', 2, False),
        (b'{"type":"user"}{"type":"user"}\r', 2, False),
        (b'{"type":"mode"}{"role":"user","content":"x"}', 2, False),
        (b'{"type":"user"} trailing', 1, True),
        (b'{"type":"user"}\0\0', 1, True),
        (b'\0\0{"type":"user"}', 1, True),
        (b'\xff\xfe{"type":"user","uuid":"u"}', 1, True),
        (b'garbage{"type":"user","uuid":"u"}', 1, True),
        (b'{"type":"user","uuid":"u"},', 1, True),
        (b'{"type":"user","uuid":"u"},{"type":"user","uuid":"v"},', 2, True),
        (b'{"type":"user"}{"type":"user","message":{"usage":{"input_tokens":-1}}}', 1, True),
        (b'{"type":"user","message":"text"}{"type":"user","timestamp":5}', 2, False),
    ],
    ids=repr,
)
def test_what_is_whole_counts_and_the_rest_is_one_unreadable_line(
    line: bytes, count: int, unread: bool
) -> None:
    transcript = parse(encode(user("before"), line, user("after")))
    assert list(transcript.numbers) == [1, *[2] * count, 3]
    assert transcript.unreadable_lines == unread


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"user","toolUseResult":%b',
        b'{"type":"user","toolUseResult":[%b',
        b'{"type":"user","message":{"content":[{"type":"tool_result","content":[%b',
        b'{"type":"user","message":{"content":[{"type":"tool_result","content":[%b,',
        b'{"type":"assistant","message":{"content":[{"type":"tool_use","input":%b',
        b'{"type":"progress","data":{"type":"agent_progress","message":%b',
        b'{"type":"progress","data":{"type":"agent_progress","message":%b},"uuid":"cut',
        b'{"type":"user","toolUseResult":%b,"uuid":broken}',
        b'{"type":"user",broken,"toolUseResult":%b}',
        b'{"type":"user",broken,"toolUseResult":[%b,%b]}',
        b"[%b]",
        b"[%b,%b]",
        b"%b}",
        b'%b,"uuid":"tail"}',
        b'{"type":"user","message":{"content":"%b"}',
    ],
    ids=repr,
)
def test_an_object_in_another_one_is_no_record(line: bytes) -> None:
    nested = dumped(NESTED)
    assert uuids(line.replace(b"%b", nested)) == []


@pytest.mark.parametrize("text", [json.dumps(NESTED), "{}" * 9, '{"', '"}{"type":"user"}', "\\"])
def test_a_text_holds_no_record_wherever_its_line_is_cut(text: str) -> None:
    line = dumped(user(text, uuid="u"))
    for cut in range(1, len(line)):
        assert uuids(line[:cut]) == []
        assert uuids(line[:cut] + dumped(user("x", uuid="v"))) == ["v"]


@pytest.mark.parametrize("front", [b'{"type":"api-request","sessionId":"s","body":{"a":"', b""])
def test_a_record_written_over_a_line_that_is_skipped_counts(front: bytes) -> None:
    attachment = dumped({"uuid": "a", "attachment": {"type": "file"}, "type": "attachment"})
    timed = attachment[:-1] + b',"timestamp":"2026-03-10T12:00:00Z"}'
    odd = front + dumped(record("b")) if front else timed + dumped(record("b")) + timed
    transcript = parse(encode(other("api-request", body={}), odd))
    assert [found.uuid for found in transcript.records if found.type == "assistant"] == ["b"]


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "{",
            '{"',
            '{"a":',
            '{"a":{"b":1},',
            '"',
            '{"a":"',
            "[",
            "{}",
            "{ ",
            '{"a":1}{"b":',
            "\\",
        ),
        *('{"type":"user"}', ',{"type":"user"}', '{"type":"user","a":{}', '"{', '{"a":"\\', "\0{"),
    ],
)
def test_a_long_odd_line_costs_its_length(piece: str) -> None:
    line = (piece * (8_000_000 // len(piece))).encode()
    began = time.perf_counter()
    read_odd(line)
    assert time.perf_counter() - began < 10
