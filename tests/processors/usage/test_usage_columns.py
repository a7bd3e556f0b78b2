"""What a line says beside its tokens: who, with what, on which branch, at whose word."""

from decimal import Decimal

import pytest

from lines import (
    Line,
    assistant,
    counted,
    encode,
    other,
    result,
    session_of,
    tool,
    usage,
    user,
)
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import MoneySettings

ENVELOPE = {
    "gitBranch": "fix/one",
    "version": "2.1.330",
    "entrypoint": "sdk-cli",
    "effort": "medium",
    "attributionSkill": "hello",
    "attributionAgent": "general-purpose",
    "attributionPlugin": "data-pkg",
    "attributionMcpServer": "github",
}
STORED = {
    "git_branch": "fix/one",
    "client_version": "2.1.330",
    "entrypoint": "sdk-cli",
    "effort": "medium",
    "attribution_skill": "hello",
    "attribution_agent": "general-purpose",
    "attribution_plugin": "data-pkg",
    "attribution_mcp_server": "github",
    "agent": "claude-code",
    "provider": "anthropic",
}


def test_a_response_has_what_its_envelope_says() -> None:
    (message,) = counted(assistant(counts=usage(1), **ENVELOPE)).messages
    assert {name: message[name] for name in STORED} == STORED


def test_what_the_envelope_does_not_say_is_null_and_nobodys_branch_is_none() -> None:
    (message,) = counted(assistant(counts=usage(1), gitBranch="")).messages
    assert {message[name] for name in STORED if name not in ("agent", "provider")} == {None}


@pytest.mark.parametrize(
    ("message_id", "provider"),
    [("msg_bdrk_01", "aws"), ("msg_vrtx_01", "google"), ("msg_01", "openai"), ("gen-1", "openai")],
)
def test_the_id_says_who_served_a_response_else_the_setting(message_id, provider) -> None:
    session = session_of(encode(assistant(message_id, usage(1))))
    made = UsageProcessor(MoneySettings(provider="openai")).process(session)
    assert {row[29] for row in made.rows["usage_messages"]} == {provider}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.0004545", "0.000454500000"),
        ("0", "0"),
        ("1e-3", "0.001"),
        ("12", "12"),
        ("0.1234567890123456", "0.123456789012"),
        ("999999.999999999999", "999999.999999999999"),
    ],
)
def test_a_cost_that_a_line_has_recorded_is_kept_to_twelve_places(written, stored) -> None:
    line = encode(assistant(counts=usage(1), costUSD="X")).replace(b'"X"', written.encode())
    ((_, cost),) = recorded(line)
    assert cost == Decimal(stored)


@pytest.mark.parametrize(
    "written", ['"0.5"', "-1", "null", "true", "[1]", "{}", "1e300", "1000000", "9" * 400]
)
def test_what_can_be_no_cost_costs_nothing_else(written: str) -> None:
    line = encode(assistant(counts=usage(1, 5), costUSD="X")).replace(b'"X"', written.encode())
    assert recorded(line) == [(5, None)]


def recorded(line: bytes) -> list[tuple[object, object]]:
    rows = UsageProcessor().process(session_of(line)).rows["usage_messages"]
    return [(row[13], row[38]) for row in rows]


def test_of_the_lines_of_a_response_the_largest_recorded_cost_counts_once() -> None:
    (message,) = counted(
        assistant(counts=usage(1), costUSD=0.25),
        assistant(counts=usage(1), costUSD=0.5),
        assistant(counts=usage(1)),
    ).messages
    assert message["recorded_cost"] == Decimal("0.5")


def test_thinking_is_part_of_the_output() -> None:
    counts = {**usage(1, 50), "output_tokens_details": {"thinking_tokens": 30}}
    (message,) = counted(assistant(counts=counts)).messages
    assert (message["output_tokens"], message["thinking_tokens"]) == (50, 30)


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"decision": "accept", "source": "config"}, ("accept", "config")),
        ({"decision": "reject"}, ("reject", None)),
        ({"decision": ["x"], "source": 1}, (None, None)),
        ("accept", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_call_says_whether_it_was_allowed_and_by_whom(said: object, stored: object) -> None:
    call = assistant(counts=usage(1), content=(tool("Bash"),))
    (event,) = counted(call, user([result()], permissionDecision=said)).events
    assert (event["permission_decision"], event["permission_source"]) == stored


@pytest.mark.parametrize(
    ("cwd", "repository"),
    [
        ("/home/dev/shop", "shop"),
        ("/home/dev/shop/", "shop"),
        ("C:\\Users\\dev\\shop", "shop"),
        ("/", None),
        ("", None),
    ],
)
def test_a_session_s_repository_is_the_end_of_its_folder(cwd: str, repository: object) -> None:
    assert counted(user(cwd=cwd)).session["repository"] == repository


def test_a_title_that_a_person_gave_comes_before_the_agents_and_the_last_one_counts() -> None:
    given = [
        other("ai-title", aiTitle="agent's"),
        other("custom-title", customTitle="first"),
        other("custom-title", customTitle="second\nline"),
        other("ai-title", aiTitle="agent's later"),
    ]
    assert titled(*given) == "second line"
    assert titled(given[0], given[3]) == "agent's later"
    assert titled(other("custom-title", customTitle=" "), given[0]) == "agent's"
    assert titled(other("custom-title", customTitle=["x"])) is None


def titled(*lines: Line) -> object:
    return counted(user(), *lines).session["title"]


def test_a_title_keeps_no_secret() -> None:
    secret = "ghp_" + "a1B2" * 9
    assert secret not in str(titled(other("ai-title", aiTitle=f"Try {secret} again")))


def pull_requests(*lines: Line | bytes) -> list[tuple[object, ...]]:
    made = UsageProcessor().process(session_of(encode(user(), *lines)))
    return [tuple(row) for row in made.rows["usage_pull_requests"]]


LINK = {"prNumber": 7, "prUrl": "https://github.com/o/r/pull/7", "prRepository": "o/r"}


def test_a_pull_request_is_there_once_however_often_it_is_said() -> None:
    found = pull_requests(other("pr-link", **LINK), other("pr-link", **LINK))
    assert found == [("alice/p/s.jsonl", "s", "alice", LINK["prUrl"], "o/r", 7, 1773144000 * 10**6)]


@pytest.mark.parametrize("number", ["7", -1, 0, True, 2**63, 1.5, None, [7]])
def test_a_number_that_is_none_is_left_out_and_the_rest_kept(number: object) -> None:
    ((*_, repository, found, _),) = pull_requests(other("pr-link", **{**LINK, "prNumber": number}))
    assert (repository, found) == ("o/r", None)


def test_a_link_that_says_nothing_is_none() -> None:
    assert pull_requests(other("pr-link", prUrl=5), b'{"type":"pr-link"', b'["pr-link"]') == []


def test_long_names_are_cut_as_all_names_are() -> None:
    (message,) = counted(assistant(counts=usage(1), gitBranch="b" * 10**5)).messages
    assert len(str(message["git_branch"])) == 200
    (row,) = pull_requests(other("pr-link", prUrl="u" * 10**5))
    assert len(str(row[3])) == 200
