"""Rows and digests beside a plain way to make them, and what they are made of."""

import time
from dataclasses import replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from lines import assistant, columns, encode, session_of, tool, usage, user
from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.names import LONGEST, short
from session_pipeline_dagster.processors.usage.core import rows_of
from session_pipeline_dagster.processors.usage.costs import absorb
from session_pipeline_dagster.processors.usage.naming import evidence
from session_pipeline_dagster.processors.usage.rows import Response
from session_pipeline_dagster.processors.usage.tables import TABLES
from session_pipeline_dagster.transcripts import room
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.records import (
    CacheCreation,
    Message,
    OutputDetails,
    Record,
    ServerToolUse,
    Usage,
)

COUNTS = st.integers(0, 10**12)
TOKENS = st.one_of(st.none(), st.integers(0, 9), COUNTS)
USAGES = st.builds(
    Usage,
    TOKENS,
    TOKENS,
    TOKENS,
    TOKENS,
    st.one_of(st.none(), st.builds(CacheCreation, TOKENS, TOKENS)),
    st.one_of(st.none(), st.builds(ServerToolUse, TOKENS)),
    st.one_of(st.none(), st.builds(OutputDetails, TOKENS)),
    st.sampled_from([None, "", "standard", "priority"]),
    st.sampled_from([None, "", "fast"]),
)
LONG = "n" * (LONGEST + 30)
NAMED = {
    "usage_messages": {
        "requestId": "request_id",
        "sessionId": "session_id",
        "requestSessionId": "origin_session_id",
        "agentId": "agent_id",
        "gitBranch": "git_branch",
        "version": "client_version",
        "entrypoint": "entrypoint",
        "effort": "effort",
        "attributionSkill": "attribution_skill",
        "attributionAgent": "attribution_agent",
        "attributionPlugin": "attribution_plugin",
        "attributionMcpServer": "attribution_mcp_server",
    },
    "usage_events": {
        "sessionId": "session_id",
        "requestSessionId": "origin_session_id",
        "cwd": "cwd",
    },
}


@given(
    st.text(),
    st.integers(-(2**60), 2**60),
    st.one_of(st.text("0123456789abcdef"), st.tuples(COUNTS, COUNTS, COUNTS)),
)
def test_the_digest_of_a_line_is_that_of_its_name_and_of_what_it_says(name, us, says) -> None:
    plain = (
        xxhash.xxh3_64_hexdigest(name.encode("utf-8", "surrogatepass"))
        + xxhash.xxh3_64_hexdigest(f"{us} {says}".encode())[:8]
    )
    assert evidence(name, us, says) == plain


@given(st.lists(USAGES, max_size=5))
def test_lines_of_a_response_are_folded_to_the_largest_of_each_count(said: list[Usage]) -> None:
    row = Response("k", Record(), Message(), 1, 0, 0, False, None, None)
    largest = dict.fromkeys(("in", "out", "read", "5m", "1h", "written", "web", "thinking"), 0)
    names: list[str | None] = [None, None]

    def more(name: str, count: int | None) -> None:
        largest[name] = max(largest[name], count or 0)

    for one in said:
        absorb(row, one)
        more("in", one.input_tokens)
        more("out", one.output_tokens)
        more("read", one.cache_read_input_tokens)
        more("written", one.cache_creation_input_tokens)
        if one.cache_creation is not None:
            more("5m", one.cache_creation.ephemeral_5m_input_tokens)
            more("1h", one.cache_creation.ephemeral_1h_input_tokens)
            more("written", largest["5m"] + largest["1h"])
        if one.server_tool_use is not None:
            more("web", one.server_tool_use.web_search_requests)
        if one.output_tokens_details is not None:
            more("thinking", one.output_tokens_details.thinking_tokens)
        names = [one.service_tier or names[0], one.speed or names[1]]
    assert [*largest.values()] == [
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_creation_5m_tokens,
        row.cache_creation_1h_tokens,
        row.cache_creation_tokens,
        row.web_search_requests,
        row.thinking_tokens,
    ]
    assert names == [row.service_tier, row.speed]


@pytest.mark.parametrize(
    ("table", "field", "name"), [(t, f, n) for t, found in NAMED.items() for f, n in found.items()]
)
def test_a_name_that_is_too_long_is_stored_short_and_changes_no_other_row(
    table: str, field: str, name: str
) -> None:
    line = assistant("msg_1", usage(1, 2), [tool("Read", "toolu_1")])
    other = assistant("msg_2", usage(1, 2), [tool("Read", "toolu_2")])
    alone = rows_of(session_of(encode(line, other)), "anthropic")[table]
    there = rows_of(session_of(encode({**line, field: LONG}, other)), "anthropic")[table]
    assert there[0][columns(TABLES[table]).index(name)] == short(LONG)
    assert there[1] == alone[1]


def test_rows_are_of_what_the_file_holds_and_is_called_and_of_nothing_else() -> None:
    lines = user("Hello"), assistant("msg_1", usage(1, 2), [tool("Read", "toolu_1")])
    session = session_of(encode(*lines))
    rows = rows_of(session, "anthropic")
    otherwise = replace(session, file_hash="other", memo="{}", notes=Notes())
    rows_of(session_of(encode(assistant("msg_1", usage(7, 8)))), "anthropic")
    assert rows_of(otherwise, "anthropic") == rows


@pytest.mark.parametrize("blocks", [10, 2_300, 2_390, 2_400, 2_500, 9_000])
def test_what_is_not_counted_could_not_have_been_too_much(
    monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    """The smallest blocks there are, around as many as there is room for."""
    monkeypatch.setattr(room, "_ROOM", 4 << 20)
    content = b'{"type":"user","message":{"content":[' + b",".join([b'""'] * blocks) + b"]}}\n"
    most = ((4 << 20) - len(content)) // room._PART
    if blocks + 1 <= most:
        assert len(parse(content).records) == 1
    else:
        with pytest.raises(Permanent, match="more than"):
            parse(content)


def test_the_time_is_linear_in_the_calls_beside_one_response() -> None:
    iterations = [{"type": "advisor_message", "input_tokens": 1}] * 60_000
    line = assistant("msg_1", usage(1) | {"iterations": iterations})
    session = session_of(encode(line))
    begun = time.process_time()
    rows = rows_of(session, "anthropic")
    assert len(rows["usage_messages"]) == 60_001
    assert time.process_time() - begun < 2, "quadratic time would be more"
