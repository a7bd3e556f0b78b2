"""Bytes -> records: good lines are kept whatever stands between them, odd ones cost themselves."""

import json
from datetime import UTC, datetime

import pytest

from lines import NOON, agent_progress_line, assistant, encode, other, usage, user
from places import DATA
from session_pipeline_dagster.transcripts.claude_code import agent_progress, parse
from session_pipeline_dagster.transcripts.records import Transcript

GOOD = user("good")
# Python 3.14 reads what is 100,000 deep.
DEEP = b'{"type":"user","x":' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}"


def types(transcript: Transcript) -> list[str | None]:
    return [record.type for record in transcript.records]


def odd_between_good(odd: bytes) -> Transcript:
    return parse(encode(GOOD, odd, GOOD))


def only(content: bytes) -> object:
    (record,) = parse(content).records
    return record


def test_good_lines_are_all_read() -> None:
    transcript = parse(encode(GOOD, assistant(), other("summary", at=None)))
    assert types(transcript) == ["user", "assistant", "summary"]
    assert list(transcript.numbers) == [1, 2, 3]
    assert (transcript.lines, transcript.unreadable_lines, transcript.unknown_lines) == (3, 0, 0)


def test_an_empty_file_is_an_empty_transcript() -> None:
    assert list(parse(b"")) == []
    assert parse(b"").lines == 0


@pytest.mark.parametrize(
    "odd",
    [
        b'{"type":"user","message":',
        b"not json",
        b"null",
        b"17",
        b'"text"',
        b"[]",
        b'[{"type":"user"}]',
        b"\0" * 4096,
        DEEP,
        b"[" * 100_000,
        b"{}{}",
        b"\xff\xfe",
        b"NaN",
    ],
    ids=lambda odd: repr(odd[:24]),
)
def test_a_line_that_is_no_object_costs_itself_and_is_counted(odd: bytes) -> None:
    transcript = odd_between_good(odd)
    assert types(transcript) == ["user", "user"]
    assert list(transcript.numbers) == [1, 3]
    assert (transcript.lines, transcript.unreadable_lines) == (3, 1)


@pytest.mark.parametrize("count", [b'"x"', b"-1", b"1.5", b"99999999999999999999", b"true", b"[]"])
def test_a_token_count_that_is_none_costs_its_line(count: bytes) -> None:
    odd = b'{"type":"assistant","message":{"id":"msg_1","usage":{"output_tokens":%b}}}' % count
    transcript = odd_between_good(odd)
    assert types(transcript) == ["user", "user"]
    assert transcript.unreadable_lines == 1


@pytest.mark.parametrize(("count", "tokens"), [(b"null", None), (b"7.0", 7), (b'"7"', 7)])
def test_a_token_count_in_odd_clothes_is_read(count: bytes, tokens: int | None) -> None:
    line = b'{"type":"assistant","message":{"usage":{"output_tokens":%b}}}\n' % count
    assert only(line).message.usage.output_tokens == tokens


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "user", "message": "text"},
        {"type": "user", "message": ["text"]},
        {"type": "user", "timestamp": 1767225600},
        {"type": "user", "timestamp": "yesterday"},
        {"type": "user", "uuid": 5, "sessionId": {}, "cwd": []},
        {"type": "assistant", "message": {"usage": []}},
        {"type": "assistant", "message": {"model": ["a"], "id": 7}},
        {"type": "assistant", "message": {"content": [{"type": "tool_use", "input": "x"}]}},
        {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": {}}]}},
        {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": 3}]}},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": {}}]}},
        {"type": "assistant", "message": {"content": {"type": "text"}}},
        {"type": "assistant", "message": {"content": [None, 5, [], "bare"]}},
        {"type": "user", "isMeta": "yes", "isSidechain": 1},
        {"type": ["user"]},
        {"type": "progress", "data": "x"},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_costs_only_the_field(odd: dict[str, object]) -> None:
    transcript = odd_between_good(json.dumps(odd | {"requestId": "kept"}).encode())
    assert transcript.unreadable_lines == 0
    assert [record.request_id for record in transcript.records] == [None, "kept", None]


def test_the_fields_beside_an_odd_one_are_kept() -> None:
    blocks = ({"type": "tool_use", "id": {}, "name": "Bash", "input": "x"}, "bare", 5)
    record = only(encode(assistant("msg_1", usage(3, 4), blocks, timestamp=1767225600)))
    block, bare = record.message.content
    assert (record.message.id, record.message.usage.output_tokens, record.timestamp) == (
        "msg_1",
        4,
        None,
    )
    assert (block.name, block.id, block.decoded_input(), bare) == ("Bash", None, {}, "bare")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"one\xfftwo", "one\ufffdtwo"),
        (b"one\\ud800two", "one?two"),
        ("one\u2028two\u0085three".encode(), "one\u2028two\u0085three"),
        (b"one\\u0000two", "one\0two"),
        (b"\\ud83d\\ude00", "\U0001f600"),
    ],
)
@pytest.mark.parametrize("content", [b'"%b"', b'[{"type":"text","text":"%b"}]', b'["%b"]'])
def test_odd_characters_in_a_text_keep_the_line(content: bytes, text: bytes, read: str) -> None:
    line = b'{"type":"user","message":{"content":%b}}' % (content % text)
    transcript = odd_between_good(line)
    assert transcript.unreadable_lines == 0
    assert list(transcript.records[1].texts()) == [read]


def test_nan_outside_a_count_keeps_the_line() -> None:
    assert only(b'{"type":"user","score":NaN,"uuid":"u"}\n').uuid == "u"


def test_of_two_equal_keys_the_last_counts() -> None:
    assert only(b'{"type":"user","type":"assistant"}\n').type == "assistant"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content[:-1],
        lambda content: content.replace(b":", b" :  "),
        lambda content: content.replace(b"\n", b"  \n"),
    ],
    ids=["bom", "crlf", "no last newline", "spaces inside", "spaces at the end"],
)
def test_how_a_file_is_dressed_changes_nothing(change) -> None:
    plain = encode(user("a"), assistant("msg_1", usage(1, 2)), user("b"))
    plain = plain.replace(NOON.encode(), b"2026-03-10")
    assert facts(parse(change(plain))) == facts(parse(plain))


@pytest.mark.parametrize("blank", [b"", b"   ", b"\r", b"\t"])
def test_blank_lines_are_no_lines_but_numbers_stay_physical(blank: bytes) -> None:
    transcript = parse(encode(blank, GOOD, blank, blank, GOOD, blank))
    assert list(transcript.numbers) == [2, 5]
    assert (transcript.lines, transcript.unreadable_lines) == (2, 0)


@pytest.mark.parametrize("first", [GOOD, other("api-request", body={})], ids=["plain", "skipping"])
def test_a_blank_line_does_not_hide_that_two_values_share_a_line(first) -> None:
    transcript = parse(encode(first, b"", b'{"type":"user"} {"type":"user"}'))
    assert list(transcript.numbers) == [1, 3, 3]
    assert transcript.unreadable_lines == 0


def test_a_value_over_two_lines_is_no_line_even_where_the_numbers_happen_to_match() -> None:
    transcript = parse(b'{"type":\n"user"}\n{"type":"user"} {"type":"mode"}\n')
    assert list(transcript.numbers) == [3, 3]
    assert transcript.unreadable_lines == 2


def test_the_types_of_newer_versions_are_known() -> None:
    paths = sorted((DATA / "repro" / "newer-record-types" / "sessions").rglob("*.jsonl"))
    found = [parse(path.read_bytes()) for path in paths]
    assert [(t.lines, t.unknown_lines, t.unreadable_lines) for t in found] == [
        (3, 0, 0),
        (9, 0, 0),
    ]


def test_a_session_id_in_snake_case_stands_beside_the_one_that_names_the_file() -> None:
    (record,) = parse(encode(user("x") | {"session_id": "other"})).records
    assert record.session_id == "s"
    assert only(encode({"type": "user", "session_id": 5})).session_id is None


def test_unknown_types_are_counted_and_kept() -> None:
    transcript = parse(encode(other("news"), GOOD, {"uuid": "without type"}))
    assert types(transcript) == ["news", "user", None]
    assert (transcript.unknown_lines, transcript.unreadable_lines) == (2, 0)


API_REQUEST = b'{"type":"api-request","sessionId":"s","timestamp":"%b","body":' % NOON.encode()
ATTACHMENT = b'{"uuid":"u","isSidechain":false,"attachment":{%b},"type":"attachment",' + (
    b'"uuid":"v","timestamp":"%b"}' % NOON.encode()
)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (API_REQUEST + b'{"system":"x"}}', "api-request"),
        (API_REQUEST + b"{broken", "api-request"),
        (API_REQUEST.replace(b"api-request", b"api-request-shape") + b"{}}", "api-request-shape"),
        (ATTACHMENT % b'"content":"x"', "attachment"),
        (ATTACHMENT % b'"content":"x', "attachment"),
        (ATTACHMENT % b'"timestamp":"2020-01-01T00:00:00Z"', "attachment"),
    ],
)
def test_lines_that_carry_nothing_keep_their_type_and_time_without_being_decoded(
    line: bytes, kind: str
) -> None:
    transcript = odd_between_good(line)
    record = transcript.records[1]
    assert (record.type, record.timestamp) == (kind, datetime(2026, 3, 10, 12, tzinfo=UTC))
    assert (record.session_id, transcript.unreadable_lines) == (None, 0)


def test_an_api_request_without_a_time_takes_none_from_its_body() -> None:
    line = b'{"type":"api-request-blob","sessionId":"s","message":{"timestamp":"%b"}}\n'
    assert only(line % NOON.encode()).timestamp is None


@pytest.mark.parametrize(
    "line",
    [
        {"timestamp": NOON, "type": "attachment", "attachment": {}},
        {"type": "attachment", "timestamp": NOON, "attachment": {"timestamp": "2020-01-01"}},
        {"timestamp": NOON, "attachment": {"timestamp": "2020-01-01T00:00:00Z"}}
        | {"type": "attachment"},
        {"timestamp": NOON, "type": "attachment"}
        | {"attachment": {"timestamp": "2020-01-01T00:00:00Z"}},
    ],
    ids=str,
)
def test_the_time_of_an_attachment_is_its_own_wherever_it_stands(line) -> None:
    assert only(encode(line)).timestamp == datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        {"uuid": "u", "attachment": {"kind": "file"}} | user("kept"),
        {"uuid": "u", "attachment": {"type": "attachment"}} | user("kept"),
        user("kept") | {"attachment": {"type": "attachment"}},
        user("kept", toolUseResult='"attachment":{"type":"attachment"'),
        user("kept", note='{"type":"api-request"'),
    ],
    ids=["first", "first, of the same name", "last", "in a string", "request in a string"],
)
def test_a_user_line_that_looks_like_an_attachment_is_read(line) -> None:
    (record,) = parse(encode(line)).records
    assert (record.type, list(record.texts())) == ("user", ["kept"])


def facts(transcript: Transcript) -> list[tuple[object, ...]]:
    """What processors use of each record, comparable whatever way it was read."""
    return [
        (number, r.type, r.uuid, r.time_us(), r.request_id, list(r.texts()), _counts(r))
        for number, r in transcript
    ]


def _counts(record) -> object:
    return record.message.usage if record.message else None


def progress(message: object, **envelope: object) -> object:
    return agent_progress(only(encode(agent_progress_line(message, **envelope))))


def test_an_agent_progress_line_gives_the_message_it_nests() -> None:
    inner = progress(assistant("msg_1", usage(1, 2), at="2026-03-10T12:00:05Z"), cwd="/w")
    assert (inner.type, inner.message.id, inner.agent_id) == ("assistant", "msg_1", "a1")
    assert (inner.is_sidechain, inner.cwd, inner.time_us()) == (True, "/w", 1773144005_000_000)


def test_what_a_nested_message_leaves_out_is_the_progress_lines() -> None:
    inner = progress({"type": "assistant", "message": {"id": "msg_1"}})
    assert (inner.session_id, inner.timestamp) == ("s", datetime(2026, 3, 10, 12, tzinfo=UTC))


def test_an_odd_nested_message_costs_only_its_odd_field() -> None:
    inner = progress(assistant("msg_1", usage(1, 2), uuid=7))
    assert (inner.uuid, inner.message.usage.output_tokens) == (None, 2)


@pytest.mark.parametrize(
    "line",
    [
        other("progress", data={"type": "bash_progress", "output": "agent_progress"}),
        other("progress", data={"type": "agent_progress"}),
        other("progress", data={"type": "agent_progress", "message": "text"}),
        agent_progress_line(assistant("msg_1", {"output_tokens": -1})),
        other("progress", data="agent_progress"),
        other("progress"),
        other("user", data={"type": "agent_progress", "message": {"type": "assistant"}}),
    ],
    ids=str,
)
def test_a_line_without_a_nested_message_gives_none(line) -> None:
    assert agent_progress(only(encode(line))) is None
