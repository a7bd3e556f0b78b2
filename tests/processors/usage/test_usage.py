"""What one session file is counted as: the rules of docs/counting.md and the original's cases."""

import pytest

from lines import agent_progress_line, assistant, counted, other, result, tool, usage, user

SECONDS = "2026-03-10T12:00:{:02}Z"


def events(*lines: object) -> list[tuple[object, ...]]:
    return [(e["event_type"], e["tool_name"], e["is_error"]) for e in counted(*lines).events]


def test_one_bash_call_is_one_event_and_one_tool_call() -> None:
    rows = counted(assistant(content=[tool("Bash")]), user([result()]))
    assert [(e["event_type"], e["tool_name"], e["is_error"]) for e in rows.events] == [
        ("tool_use", "Bash", False)
    ]
    assert (rows.session["tool_calls"], rows.session["tool_errors"]) == (1, 0)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (tool("mcp__github__create_issue"), {"event_type": "mcp_call", "mcp_server": "github"}),
        (tool("mcp__a_b__c"), {"event_type": "mcp_call", "mcp_server": "a_b"}),
        (
            tool("Skill", skill="plug:skill"),
            {"event_type": "tool_use", "skill_name": "plug:skill", "plugin": "plug"},
        ),
        (tool("Skill", name="own"), {"skill_name": "own", "plugin": None}),
        (tool("Skill", skill={"a": 1}), {"event_type": "tool_use", "skill_name": None}),
        (
            tool("Task", subagent_type="Explore"),
            {"event_type": "subagent", "subagent_type": "Explore"},
        ),
        (tool("Task"), {"event_type": "subagent", "subagent_type": "Task"}),
        (
            tool("Agent", subagent_type="plug:x"),
            {"event_type": "subagent", "subagent_type": "plug:x", "plugin": "plug"},
        ),
        (tool("Read"), {"event_type": "tool_use", "mcp_server": None, "plugin": None}),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_call_is_named_after_what_it_does(block, expected) -> None:
    (event,) = counted(assistant(content=[block])).events
    assert {name: event[name] for name in expected} == expected


COMMAND = "<command-name>/compound:debug</command-name>"


@pytest.mark.parametrize(
    "content",
    [
        COMMAND,
        [{"type": "text", "text": COMMAND}],
        [COMMAND],
        f"<command-message>debug</command-message>\n{COMMAND}<command-args></command-args>",
    ],
    ids=["string", "text block", "bare string", "after command-message"],
)
def test_a_slash_command_is_found_wherever_it_stands(content) -> None:
    (event,) = counted(user(content)).events
    assert (event["event_type"], event["command_name"], event["plugin"], event["tool_name"]) == (
        "slash_command",
        "compound:debug",
        "compound",
        None,
    )


@pytest.mark.parametrize(
    "text", ["/foo bar", "see <command-name>foo</command-name>", "<command-name>/7</command-name>"]
)
def test_prose_is_no_slash_command(text: str) -> None:
    assert counted(user(text)).events == []


def test_two_commands_in_one_text_are_two_events() -> None:
    rows = counted(user(COMMAND + COMMAND, uuid="u"))
    assert len({event["event_key"] for event in rows.events}) == 2


@pytest.mark.parametrize(("error", "stored"), [(True, True), (False, False), (None, False)])
def test_a_failed_tool_result_shows_in_event_and_summary(error, stored) -> None:
    rows = counted(assistant(content=[tool("Bash")]), user([result(error=error)]))
    assert (rows.events[0]["is_error"], rows.session["tool_errors"]) == (stored, int(stored))


@pytest.mark.parametrize(
    "late",
    [
        other("tool_use_result", tool_use_id="toolu_1", is_error=True),
        other("tool_use_result", toolUseId="toolu_1", is_error=True),
        user([result(error=True)], at=None, isMeta=True),
        agent_progress_line(user([result(error=True)])),
    ],
    ids=["old line", "old line, camel", "meta line", "nested"],
)
@pytest.mark.parametrize("first", [True, False], ids=["before the call", "after the call"])
def test_a_tool_result_is_matched_wherever_it_stands(late, first: bool) -> None:
    call = assistant(content=[tool("Bash")])
    lines = [late, user(), call] if first else [call, user(), user(), late]
    assert events(*lines) == [("tool_use", "Bash", True)]


def test_a_session_without_a_call_has_a_summary_row_only() -> None:
    rows = counted(other("summary", at=None), other("system"))
    assert (rows.messages, rows.events) == ([], [])
    assert (rows.session["lines"], rows.session["assistant_messages"]) == (2, 0)


def test_an_empty_file_has_a_summary_row() -> None:
    rows = counted()
    assert (rows.session["lines"], rows.session["started_at"], rows.session["session_id"]) == (
        0,
        None,
        "s",
    )


def test_two_bash_blocks_in_one_line_are_two_events() -> None:
    rows = counted(assistant(content=[tool("Bash", "toolu_1"), tool("Bash", "toolu_2")]))
    assert [event["event_key"] for event in rows.events] == ["toolu_1", "toolu_2"]


def test_calls_without_an_id_are_told_apart_by_line_and_place() -> None:
    rows = counted(
        assistant(content=[tool("Bash", None), tool("Bash", None)], uuid="u"),
        assistant("msg_2", content=[tool("Bash", None)]),
    )
    assert len({event["event_key"] for event in rows.events}) == 3


def test_ids_that_are_not_the_apis_own_may_repeat_from_call_to_call() -> None:
    rows = counted(
        assistant("msg_1", content=[tool("Bash", "call_1")]),
        user([result("call_1", error=True)]),
        assistant("msg_2", content=[tool("Bash", "call_1")]),
        user([result("call_1")]),
    )
    assert [event["is_error"] for event in rows.events] == [True, False]


def test_the_same_content_gives_the_same_rows() -> None:
    lines = (assistant("msg_1", usage(1, 2), [tool("Bash")]), user([result()]))
    assert vars(counted(*lines)) == vars(counted(*lines))


def test_a_response_of_several_lines_counts_once_though_they_are_not_adjacent() -> None:
    line = assistant("msg_1", usage(10, 20, 30, 40))
    rows = counted(line, user(), assistant("msg_2", usage(1, 1)), line, line)
    assert (rows.tokens(), len(rows.messages)) == ((11, 21, 30, 40), 2)


def test_the_maximum_is_taken_field_by_field() -> None:
    rows = counted(
        assistant("msg_1", usage(10, 3, 0, 40), stop=None),
        assistant("msg_1", usage(10, 159, 5, 1)),
        assistant("msg_1", usage(9, 4, 2, 39), stop=None),
    )
    assert rows.tokens() == (10, 159, 5, 40)


@pytest.mark.parametrize(
    ("stops", "partial"),
    [((None, None), True), ((None, "end_turn"), False), (("tool_use", None), False)],
)
def test_output_is_partial_where_no_line_has_a_stop_reason(stops, partial: bool) -> None:
    rows = counted(*(assistant("msg_1", usage(1, 2), stop=stop) for stop in stops))
    assert rows.messages[0]["output_partial"] is partial
    assert rows.session["partial_messages"] == int(partial)


def test_gateway_ids_are_told_apart_by_request_session_and_time() -> None:
    lines = [
        assistant("chat-1", usage(1)),
        assistant("chat-1", usage(1)),
        assistant("chat-1", usage(2), at=SECONDS.format(1)),
        assistant("chat-1", usage(4), requestId="req_2"),
        assistant("chat-1", usage(8), sessionId="other"),
    ]
    assert counted(*lines).tokens()[0] == 15


@pytest.mark.parametrize("message_id", [None, ""])
def test_without_a_message_id_the_uuid_is_the_key(message_id) -> None:
    rows = counted(
        assistant(message_id, usage(1), uuid="u1"),
        assistant(message_id, usage(1), uuid="u1"),
        assistant(message_id, usage(2), uuid="u2"),
        assistant(message_id, usage(4)),
        assistant(message_id, usage(8)),
    )
    assert rows.tokens()[0] == 15
    assert [row["message_key"] for row in rows.messages][:2] == ["u1", "u2"]


@pytest.mark.parametrize("first", ["main", "side"])
def test_the_main_threads_line_wins_over_a_sidechains(first: str) -> None:
    main = assistant("msg_1", usage(10, 20))
    side = assistant("msg_1", usage(99, 5), isSidechain=True)
    rows = counted(*((main, side) if first == "main" else (side, main)))
    assert (rows.tokens()[:2], rows.messages[0]["is_sidechain"]) == ((10, 20), False)


@pytest.mark.parametrize(
    ("flat", "split", "expected"),
    [(100, (60, 30), 100), (100, (60, 50), 110), (100, (0, 0), 100), (0, (5, None), 5)],
)
def test_cache_creation_is_the_larger_of_total_and_split(flat, split, expected) -> None:
    parts = dict(
        zip(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"), split, strict=True)
    )
    rows = counted(assistant("msg_1", usage(creation=flat) | {"cache_creation": parts}))
    assert (rows.messages[0]["cache_creation_tokens"], rows.tokens()[2]) == (expected, expected)
    assert rows.messages[0]["cache_creation_5m_tokens"] == split[0]


def test_synthetic_lines_count_nowhere() -> None:
    rows = counted(
        assistant("msg_1", usage(7, 7), model="<synthetic>", isApiErrorMessage=True), user()
    )
    assert (rows.messages, rows.tokens(), rows.session["api_errors"]) == ([], (0, 0, 0, 0), 1)
    assert rows.session["primary_model"] is None


@pytest.mark.parametrize("counts", [None, {}, dict.fromkeys(usage())])
def test_a_response_without_counts_is_a_message_without_tokens(counts) -> None:
    rows = counted(assistant("msg_1", counts))
    assert (len(rows.messages), rows.tokens()) == (1, (0, 0, 0, 0))


def test_advisor_iterations_are_calls_of_their_own_model() -> None:
    iterations = [
        {"type": "message", "input_tokens": 10, "output_tokens": 20},
        {"type": "advisor_message", "model": "advisor-1", "input_tokens": 1000}
        | {"output_tokens": 500},
    ]
    line = assistant("msg_1", usage(10, 20) | {"iterations": iterations})
    rows = counted(line, line)
    assert [(row["model"], row["input_tokens"]) for row in rows.messages] == [
        ("claude-opus-4-5", 10),
        ("advisor-1", 1000),
    ]


@pytest.mark.parametrize(
    "line",
    [
        user([result()], toolUseResult={"usage": usage(100, 100), "totalTokens": 200}),
        user("x", message={"id": "msg_2", "content": "x", "usage": usage(100, 100)}),
        other("system", message={"id": "msg_2", "usage": usage(100, 100)}),
        other("result", usage=usage(100, 100), message={"usage": usage(100, 100)}),
        other("progress", data={"type": "hook_progress", "message": assistant("m", usage(9))}),
    ],
    ids=["toolUseResult", "user", "system", "result", "other progress"],
)
def test_only_assistant_lines_are_billed(line) -> None:
    assert counted(assistant("msg_1", usage(10, 20)), line).tokens() == (10, 20, 0, 0)


def test_a_response_nested_in_agent_progress_counts_on_the_sidechain() -> None:
    nested = agent_progress_line(assistant("msg_2", usage(7, 8), [tool("Bash")]))
    rows = counted(assistant("msg_1", usage(10, 20)), nested, nested)
    assert (rows.tokens()[:2], rows.session["tool_calls"]) == ((17, 28), 1)
    assert [row["is_sidechain"] for row in rows.messages] == [False, True]


def test_a_line_without_a_time_takes_the_previous_lines_and_says_so() -> None:
    rows = counted(
        user(at=SECONDS.format(1)),
        assistant("msg_1", content=[tool("Bash")], at=None),
        assistant("msg_2", at=SECONDS.format(9)),
    )
    assert [(m["sent_at"] % 60_000_000, m["sent_at_inferred"]) for m in rows.messages] == [
        (1_000_000, True),
        (9_000_000, False),
    ]
    assert rows.events[0]["occurred_at"] % 60_000_000 == 1_000_000


def test_before_the_first_time_the_files_first_time_is_used() -> None:
    rows = counted(assistant("msg_1", at=None), user(at=SECONDS.format(3)))
    assert rows.messages[0]["sent_at"] % 60_000_000 == 3_000_000


def test_in_a_file_without_times_the_session_day_is_used() -> None:
    rows = counted(assistant("msg_1", at=None))
    assert rows.messages[0]["sent_at"] == 1773100800_000_000


def test_a_naive_time_is_utc() -> None:
    naive, aware = (
        counted(assistant(at=at)).messages[0]["sent_at"]
        for at in ("2026-03-10T12:00:00", "2026-03-10T14:00:00+02:00")
    )
    assert naive == aware == 1773144000_000_000


@pytest.mark.parametrize(
    ("line", "prompts"),
    [
        (user("hello"), 1),
        (user([{"type": "text", "text": "hello"}]), 1),
        (user([{"type": "image", "source": {}}]), 1),
        (user("hello", origin={"kind": "human"}), 1),
        (user("I saw <bash-input> once"), 1),
        (user([result()]), 0),
        (user([result(), {"type": "text", "text": "hello"}]), 0),
        (user("hello", isMeta=True), 0),
        (user("hello", isCompactSummary=True), 0),
        (user("hello", isSidechain=True), 0),
        (user("hello", origin={"kind": "task-notification"}), 0),
        (user("<local-command-stdout>x</local-command-stdout>"), 0),
        (user("<bash-input>ls</bash-input>"), 0),
        (user([{"type": "text", "text": " <bash-stdout></bash-stdout>"}]), 0),
        (user("<task-notification>done</task-notification>"), 0),
        (agent_progress_line(user("hello")), 0),
    ],
    ids=lambda value: str(value)[-70:],
)
def test_prompts_are_what_a_person_typed(line, prompts: int) -> None:
    assert counted(line).session["prompts"] == prompts


def test_user_lines_keep_the_raw_count() -> None:
    assert counted(user(), user([result()]), user("x", isMeta=True)).session["user_lines"] == 3


def test_times_with_and_without_an_offset_stand_in_one_file() -> None:
    """One without is UTC; comparing the two kinds must not cost the file."""
    times = ("2026-03-10T12:00:00", "2026-03-10T12:01:00Z", "2026-03-10T14:02:00+02:00")
    session = counted(*(user(at=time) for time in times)).session
    assert (session["active_seconds"], session["wall_seconds"]) == (120, 120)
    assert session["unreadable_lines"] == 0


@pytest.mark.parametrize(("gap", "active"), [("12:10:00", 600 + 5), ("12:10:01", 5)])
def test_a_gap_over_600_seconds_is_no_activity(gap: str, active: float) -> None:
    end = f"2026-03-10T{gap[:-1]}{int(gap[-1]) + 5}Z"
    rows = counted(user(), user(at=end), user(at=f"2026-03-10T{gap}Z"))
    wall = 600 + int(gap[-1]) + 5
    assert (rows.session["active_seconds"], rows.session["wall_seconds"]) == (active, wall)
    assert rows.session["ended_at"] - rows.session["started_at"] == wall * 1_000_000


@pytest.mark.parametrize("session_id", ["", None, 5])
def test_a_line_without_a_session_id_belongs_to_the_file(session_id) -> None:
    rows = counted(
        assistant(sessionId=session_id, content=[tool("Bash")]), key="alice/p/stem.jsonl"
    )
    found = (rows.messages[0], rows.events[0], rows.session)
    assert [row["session_id"] for row in found] == ["stem"] * 3


def test_a_subagents_file_belongs_to_the_session_its_lines_name() -> None:
    rows = counted(assistant(sessionId="parent"), key="alice/p/parent/subagents/agent-1.jsonl")
    assert (rows.session["session_id"], rows.session["is_subagent"]) == ("parent", True)
    assert rows.messages[0]["session_id"] == "parent"


def test_the_primary_model_is_that_of_most_messages_not_lines() -> None:
    often = assistant("msg_1", model="many-lines")
    rows = counted(often, often, often, *(assistant(f"msg_{n}", model="two") for n in (2, 3)))
    assert rows.session["primary_model"] == "two"


def test_only_events_of_type_tool_use_are_tool_calls() -> None:
    names = ("Bash", "Skill", "Task", "mcp__a__b")
    blocks = [tool(name, f"toolu_{n}", skill="x") for n, name in enumerate(names)]
    session = counted(assistant(content=blocks), user(COMMAND)).session
    counts = ("tool_calls", "skill_invocations", "subagent_dispatches", "mcp_calls")
    assert [session[name] for name in counts] == [2, 1, 1, 1]
    assert (session["slash_commands"], session["distinct_tools"]) == (1, 4)


def test_what_could_not_be_read_is_in_the_summary_row() -> None:
    session = counted(assistant(), b"{", other("news")).session
    names = ("lines", "unreadable_lines", "unknown_lines")
    assert [session[name] for name in names] == [3, 1, 1]
