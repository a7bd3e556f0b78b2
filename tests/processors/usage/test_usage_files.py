"""What several files share is counted once, and the roll-up always says what the view says."""

from collections import Counter
from pathlib import Path

import pytest

from example_numbers import EXPECTED as EXAMPLES
from lines import (
    NOON,
    UsagePipeline,
    agent_progress_line,
    assistant,
    encode,
    other,
    result,
    tool,
    usage,
    user,
)
from places import ROOT
from session_pipeline_dagster.processors.usage import UsageProcessor

pytestmark = pytest.mark.slow

KINDS = ("input", "output", "cache_creation", "cache_read")
EVENING, DAY_2 = "2026-03-10T20:00:00Z", "2026-03-11T12:00:00Z"


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    return UsagePipeline(tmp_path)


def test_the_same_file_under_another_user_counts_once(pipeline) -> None:
    lines = (assistant("msg_1", usage(1, 2), [tool("Bash")]), assistant("msg_2", usage(10, 20)))
    pipeline.write("alice/p/s.jsonl", *lines)
    pipeline.write("bob/p/s.jsonl", *lines)
    pipeline.run()
    assert pipeline.tokens() == (11, 22, 0, 0)
    assert pipeline.select("SELECT count(*), sum(copies) FROM usage_events_unique") == [(1, 1)]
    assert pipeline.select("SELECT username, messages FROM usage_daily") == [("alice", 2)]


@pytest.mark.parametrize("keys", [("a/1.jsonl", "a/2.jsonl"), ("a/2.jsonl", "a/1.jsonl")])
def test_the_main_threads_file_wins_over_a_subagents(pipeline, keys) -> None:
    main, side = keys
    pipeline.write(main, assistant("msg_1", usage(10, 20)), user(at=DAY_2))
    early = user(at="2026-03-01T12:00:00Z")
    pipeline.write(side, early, assistant("msg_1", usage(99, 5), isSidechain=True))
    pipeline.run()
    picked = "SELECT session_file, input_tokens, output_tokens FROM usage_messages_unique"
    assert pipeline.select(picked) == [(main, 10, 20)]


def test_the_maximum_is_taken_over_the_copies_in_other_files(pipeline) -> None:
    pipeline.write("a/1.jsonl", assistant("msg_1", usage(10, 3), stop=None))
    pipeline.write("a/2.jsonl", assistant("msg_1", usage(9, 20)))
    pipeline.run()
    assert pipeline.tokens() == (10, 20, 0, 0)
    assert pipeline.select("SELECT output_partial FROM usage_messages_unique") == [(False,)]


def test_a_nested_copy_in_the_parent_counts_once_with_the_subagents_file(pipeline) -> None:
    line = assistant("msg_2", usage(7, 8), [tool("Bash")], isSidechain=True, agentId="a1")
    pipeline.write("a/s.jsonl", assistant("msg_1", usage(1, 1)), agent_progress_line(line))
    pipeline.write("a/s/subagents/agent-a1.jsonl", line)
    pipeline.run()
    assert pipeline.tokens() == (8, 9, 0, 0)
    assert pipeline.select("SELECT count(*) FROM usage_events_unique") == [(1,)]


@pytest.mark.parametrize(
    ("first", "second", "owner"),
    [
        ({"at": EVENING}, {"at": NOON}, "two"),
        ({"at": NOON}, {"at": EVENING}, "one"),
        ({"at": NOON}, {"at": NOON}, "one"),
    ],
    ids=["younger first", "older first", "tie"],
)
def test_an_unmarked_copy_belongs_to_the_file_that_started_first(
    pipeline, first, second, owner
) -> None:
    call = assistant("msg_1", usage(1), sessionId="one", at="2026-03-11T02:00:00Z")
    pipeline.write("a/1.jsonl", user(**first), call)
    pipeline.write("a/2.jsonl", user(**second), call | {"sessionId": "two"})
    pipeline.run()
    assert pipeline.select("SELECT session_id FROM usage_messages_unique") == [(owner,)]


def test_request_session_id_says_who_made_the_call_even_without_the_original(pipeline) -> None:
    call = assistant("msg_1", usage(1), [tool("Bash")], requestSessionId="origin")
    pipeline.write("a/fork.jsonl", call)
    pipeline.run()
    for view in ("usage_messages_unique", "usage_events_unique"):
        assert pipeline.select(f"SELECT session_id FROM {view}") == [("origin",)]


def test_the_summary_of_tools_knows_as_many_users_as_the_view(pipeline) -> None:
    # The file that began first holds the copy: its line says that another session asked for it.
    call = assistant("msg_1", usage(1), [tool("Bash")], requestSessionId="two")
    early = user(at="2026-03-01T12:00:00Z")
    pipeline.write("alice/p/fork.jsonl", early, call | {"sessionId": "one"})
    own = assistant("msg_2", usage(1), [tool("Bash", "toolu_2")], sessionId="two")
    pipeline.write("bob/p/s.jsonl", call | {"sessionId": "two"}, own)
    pipeline.run()
    view = """SELECT count(*), count(DISTINCT username) FROM usage_events_unique
        WHERE event_type = 'tool_use'"""
    assert pipeline.select(view) == [(2, 1)]
    (summary,) = [found.sql for found in UsageProcessor().summaries if found.title == "Tools"]
    assert pipeline.select(f"SELECT tool, calls, users FROM ({summary})") == [("Bash", 2, 1)]


def test_a_tool_result_in_another_file_reaches_its_call(pipeline) -> None:
    pipeline.write("a/1.jsonl", assistant(content=[tool("Bash")]))
    pipeline.write("a/2.jsonl", user([result(error=True)]))
    pipeline.run()
    assert pipeline.select("SELECT event_key, is_error FROM usage_events_unique") == [
        ("toolu_1", True)
    ]


def test_a_tool_result_that_arrives_in_a_later_append_reaches_its_call(pipeline) -> None:
    call = assistant(content=[tool("Bash")])
    pipeline.write("a/1.jsonl", call)
    pipeline.run()
    pipeline.write("a/1.jsonl", call, user([result(error=True)]))
    pipeline.run()
    assert pipeline.select("SELECT is_error FROM usage_events_unique") == [(True,)]
    assert pipeline.select("SELECT tool_errors FROM usage_sessions") == [(1,)]


def test_rows_of_removed_lines_go(pipeline) -> None:
    keep = assistant("msg_1", usage(1, 2))
    pipeline.write("a/1.jsonl", keep, assistant("msg_2", usage(10), [tool("Bash")]), user())
    pipeline.run()
    pipeline.write("a/1.jsonl", keep)
    pipeline.run()
    assert pipeline.tokens() == (1, 2, 0, 0)
    assert pipeline.select("SELECT count(*) FROM usage_events") == [(0,)]
    assert pipeline.select("SELECT lines, user_lines FROM usage_sessions") == [(1, 0)]


AGGREGATE = """SELECT (sent_at AT TIME ZONE 'UTC')::DATE, username, project, model, count(*),
    sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens), sum(cache_read_tokens),
    count(*) FILTER (output_partial), sum(cache_creation_5m_tokens),
    sum(cache_creation_1h_tokens), sum(web_search_requests), count(DISTINCT session_id),
    coalesce(sum(output_tokens) FILTER (output_partial), 0),
    coalesce(sum(output_characters) FILTER (output_partial), 0),
    coalesce(sum(output_characters) FILTER (NOT output_partial), 0),
    agent, messages.provider, speed, sum(cost), count(*) FILTER (cost IS NULL),
    count(*) FILTER (price_assumed), count(*) FILTER (messages.input_tokens IS NULL)
    FROM usage_messages_unique AS messages JOIN usage_costs AS costs
        USING (message_key, username, project, model, session_id, sent_at)
    GROUP BY 1, 2, 3, 4, agent, messages.provider, speed ORDER BY ALL"""

SHARED = assistant("msg_shared", usage(5, 6))
OTHER_DAY = assistant("msg_shared", usage(7, 6), at=DAY_2)
STEPS = [
    ("add", "alice/p/1.jsonl", [user(), SHARED, assistant("msg_1", usage(1, 1))]),
    ("copy to another day and user", "bob/p/2.jsonl", [user(at=DAY_2), OTHER_DAY]),
    ("append", "bob/p/2.jsonl", [user(at=DAY_2), OTHER_DAY, assistant("msg_2", stop=None)]),
    ("original goes, copy takes its place", "alice/p/1.jsonl", [assistant("msg_1", usage(1, 1))]),
    ("original returns", "alice/p/1.jsonl", [user(at="2026-03-09T12:00:00Z"), SHARED]),
    (
        "original moves to another day",
        "alice/p/1.jsonl",
        [user(at=NOON), SHARED | {"timestamp": DAY_2}],
    ),
    ("a file without any response", "carol/q/3.jsonl", [user()]),
    ("sidechain copy of an early file", "bob/p/4.jsonl", [SHARED | {"isSidechain": True}]),
    ("copy becomes the older file", "bob/p/2.jsonl", [user(at="2026-01-01T00:00:00Z"), OTHER_DAY]),
    ("original is emptied", "alice/p/1.jsonl", []),
    ("copy is emptied", "bob/p/2.jsonl", []),
    ("the last copy is emptied", "bob/p/4.jsonl", []),
]


def test_the_daily_rollup_equals_the_view_after_every_change(pipeline) -> None:
    days = []
    for step, key, lines in STEPS:
        pipeline.write(key, *lines)
        assert pipeline.run().processed == 1, step
        assert pipeline.select("FROM usage_daily ORDER BY ALL") == pipeline.select(AGGREGATE), step
        where = "SELECT day::VARCHAR, username FROM usage_daily WHERE input_tokens >= 5 ORDER BY 1"
        days.append(pipeline.select(where))
    assert days[0] == [("2026-03-10", "alice")]
    assert days[3] == [("2026-03-11", "bob")]
    assert days[-1] == []


def test_lines_no_store_would_take_as_they_are_reach_the_tables(pipeline) -> None:
    odd = encode(
        assistant("msg_1", usage(1, 2), model="m\ud800"),
        assistant("msg_2", usage(10), [tool("n\0ul")]),
        user("x", sessionId="\ud800"),
        other("summary", at="9999-12-31T23:59:59Z"),
    )
    pipeline.write_bytes("alice/p/s.jsonl", odd)
    pipeline.run()
    assert pipeline.tokens() == (11, 2, 0, 0)


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_a_time_outside_the_calendar_costs_no_tokens(pipeline, time: str) -> None:
    pipeline.write("alice/p/s.jsonl", user(at=time), assistant("msg_1", usage(1, 2)))
    pipeline.run()
    assert pipeline.tokens() == (1, 2, 0, 0)


# --- the example tree ---


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> UsagePipeline:
    pipeline = UsagePipeline(
        tmp_path_factory.mktemp("examples"), root=ROOT / "examples" / "sessions"
    )
    pipeline.run()
    return pipeline


def sums(pipeline: UsagePipeline, by: str, table: str = "usage_messages_unique") -> dict:
    sql = f"""SELECT {by}, count(*), sum(input_tokens), sum(output_tokens),
        sum(cache_creation_tokens), sum(cache_read_tokens) FROM {table} GROUP BY ALL"""
    return {
        key: dict(zip(("messages", *KINDS), rest, strict=True))
        for key, *rest in pipeline.select(sql)
    }


def test_the_examples_have_as_many_files_and_lines_as_a_separate_counter_found(examples) -> None:
    counts = "SELECT count(*), sum(lines), sum(unreadable_lines) FROM usage_sessions"
    expected = tuple(EXAMPLES[name] for name in ("files", "lines", "unreadable_lines"))
    assert examples.select(counts) == [expected]


def test_the_examples_cost_what_a_separate_counter_found(examples) -> None:
    assert examples.tokens() == tuple(EXAMPLES["tokens"][kind] for kind in KINDS)
    counts = "SELECT count(*), count(*) FILTER (output_partial) FROM usage_messages_unique"
    assert examples.select(counts) == [(EXAMPLES["messages"], EXAMPLES["partial_messages"])]


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("by_user", "username"),
        ("by_session", "session_id"),
        ("by_day", "(sent_at AT TIME ZONE 'UTC')::DATE::VARCHAR"),
    ],
)
def test_the_examples_are_attributed_as_a_separate_counter_found(examples, name, by) -> None:
    found, expected = sums(examples, by), EXAMPLES[name]
    assert found.keys() == expected.keys()
    assert {k: {kind: found[k][kind] for kind in expected[k]} for k in found} == expected


def test_the_daily_rollup_of_the_examples_says_the_same(examples) -> None:
    daily = """SELECT day::VARCHAR, sum(messages), sum(input_tokens), sum(output_tokens),
        sum(cache_creation_tokens), sum(cache_read_tokens) FROM usage_daily GROUP BY ALL"""
    expected = [(day, *counts.values()) for day, counts in EXAMPLES["by_day"].items()]
    assert sorted(examples.select(daily)) == sorted(expected)


def test_the_events_of_the_examples_are_those_a_separate_counter_found(examples) -> None:
    rows = examples.select(
        "SELECT event_type, is_error FROM usage_events_unique WHERE event_type <> 'prompt'"
    )
    assert Counter(kind for kind, _ in rows) == EXAMPLES["events"]
    assert sum(error for _, error in rows) == EXAMPLES["tool_errors"]


def test_the_prompts_of_the_examples_are_those_a_separate_counter_found(examples) -> None:
    prompts = dict(examples.select("SELECT session_file, prompts FROM usage_sessions"))
    assert prompts == EXAMPLES["prompts_by_file"]
    unique = "SELECT count(*) FROM usage_events_unique WHERE event_type = 'prompt'"
    # Of the files' prompts four are copies, in two forks.
    assert examples.select(unique) == [(sum(EXAMPLES["prompts_by_file"].values()) - 4,)]


def test_every_number_of_the_separate_counter_is_compared() -> None:
    compared = {"files", "lines", "unreadable_lines", "messages", "tokens", "partial_messages"}
    compared |= {"by_user", "by_session", "by_day", "events", "tool_errors", "prompts_by_file"}
    assert EXAMPLES.keys() == compared
