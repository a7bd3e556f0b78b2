"""Which lines are one response, what came of calls, and what is counted over files."""

import json
import random
import re
from datetime import date
from pathlib import Path

import pytest

from lines import UsagePipeline, assistant, counted, other, result, tool, usage, user
from places import DATA
from session_pipeline_dagster.contract.quality import Data
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.quality import claimed_by_several

REPRO = DATA / "repro"
COUNTED = {
    "gateway_blocks": (2, 2100, 250),
    "gateway_fork": (3, 2109, 257),
    "proxy_constant_msg_id": (2, 3000, 300),
}


def files(name: str) -> dict[str, bytes]:
    root = REPRO / name / "sessions"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.jsonl"))}


def load(pipeline: UsagePipeline, name: str) -> None:
    for key, content in files(name).items():
        pipeline.write_bytes(key, content)
    pipeline.run()


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    return UsagePipeline(tmp_path)


# --- A response is what the conversation says ---


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_responses_of_gateways_and_proxies_are_told_apart(pipeline, name: str) -> None:
    load(pipeline, name)
    sums = "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM usage_messages_unique"
    assert pipeline.select(sums) == [COUNTED[name]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COUNTED)
def test_they_are_in_any_order_and_in_parts(pipeline, name: str, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  a repeatable order, no secret
    contents = list(files(name).items())
    rng.shuffle(contents)
    for key, content in contents:
        lines = content.splitlines(keepends=True)
        for end in sorted({rng.randint(1, len(lines)), len(lines)}):
            pipeline.write_bytes(key, b"".join(lines[:end]))
            pipeline.run()
    sums = "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM usage_messages_unique"
    assert pipeline.select(sums) == [COUNTED[name]]


GATEWAY = ("chatcmpl-1", "42", "1767225600000", "constant", "gen-x")


@pytest.mark.parametrize("name", GATEWAY)
def test_lines_of_one_response_have_times_of_their_own(name: str) -> None:
    lines = [
        assistant(name, usage(10, 2), at=f"2026-03-10T12:00:0{n}Z", uuid=f"a{n}") for n in range(4)
    ]
    assert counted(*lines).tokens()[:2] == (10, 2)


@pytest.mark.parametrize("name", GATEWAY)
def test_a_prompt_in_between_begins_another_response(name: str) -> None:
    lines = (assistant(name, usage(10, 2), uuid="a1"), user("go on", uuid="u"))
    assert counted(*lines, assistant(name, usage(10, 2), uuid="a2")).tokens()[:2] == (20, 4)


@pytest.mark.parametrize(
    "line",
    [
        user([result("call_1")], uuid="u"),
        user("for the model", uuid="u", isMeta=True),
        user("[Request interrupted by user]", uuid="u"),
        user("do it", uuid="u", isSidechain=True),
        other("queue-operation", operation="enqueue", content="and this"),
        other("system", content="a note"),
    ],
    ids=["a result", "a meta line", "an interruption", "a subagent's task", "a queue", "a note"],
)
def test_what_nobody_typed_leaves_a_response_whole(line) -> None:
    lines = (assistant("gen-1", usage(10, 2), [tool("Bash", "call_1")], uuid="a1"), line)
    assert counted(*lines, assistant("gen-1", usage(10, 2), uuid="a2")).tokens()[:2] == (10, 2)


INPUTS = [
    ((10, 2, 0, 0), (20, 3, 0, 0), 2),
    ((10, 2, 0, 500), (10, 3, 500, 0), 2),
    ((10, 2, 500, 0), (10, 3, 600, 0), 2),
    ((0, 0, 0, 0), (20, 3, 0, 0), 1),
    ((20, 3, 0, 0), (0, 0, 0, 0), 1),
    ((10, 2, 0, 0), (10, 3, 0, 500), 1),
]


@pytest.mark.parametrize(("first", "second", "responses"), INPUTS)
def test_what_went_in_tells_two_responses_of_a_gateway_apart(first, second, responses) -> None:
    lines = (assistant("x", usage(*first), uuid="a1"), user([result("call_1")], uuid="u"))
    assert len(counted(*lines, assistant("x", usage(*second), uuid="a2")).messages) == responses


@pytest.mark.parametrize(("first", "second", "responses"), INPUTS)
def test_an_id_of_the_api_is_two_responses_only_where_something_was_said_too(
    first, second, responses: int
) -> None:
    one, two = assistant("msg_1", usage(*first), uuid="a1"), assistant("msg_1", usage(*second))
    two["uuid"] = "a2"
    assert len(counted(one, two).messages) == 1
    assert len(counted(one, user("go on", uuid="u"), two).messages) == responses
    called = one | {"message": {**one["message"], "content": [tool("Bash")]}}
    assert len(counted(called, user([result()], uuid="u"), two).messages) == 1


def test_lines_that_stand_in_the_file_again_are_nothing_new() -> None:
    lines = [
        user("do it", uuid="u1"),
        assistant("x", usage(10, 2), [tool("Bash", "call_0")], uuid="a1"),
        user([result("call_0", error=True)], uuid="u2"),
        assistant("x", usage(20, 3), [tool("Bash", "call_0")], uuid="a2"),
        user([result("call_0")], uuid="u3"),
        user("again", uuid="u4"),
        assistant("x", usage(20, 4), uuid="a3"),
    ]
    rows = counted(*lines, *lines)
    assert rows.tokens()[:2] == (50, 9)
    assert [event["outcome"] for event in rows.events] == ["error", "ok"]
    assert len(rows.prompts) == 2


def test_the_same_tool_id_in_two_responses_is_two_calls() -> None:
    rows = counted(
        assistant("x", usage(10, 2), [tool("Bash", "toolu_1")], uuid="a1"),
        user([result("toolu_1", error=True)], uuid="u1"),
        assistant("x", usage(20, 2), [tool("Read", "toolu_1")], uuid="a2"),
        user([result("toolu_1")], uuid="u2"),
    )
    assert [(e["tool_name"], e["is_error"]) for e in rows.events] == [
        ("Bash", True),
        ("Read", False),
    ]


@pytest.mark.slow
def test_a_proxy_that_gives_every_session_the_same_ids_is_counted_session_by_session(
    pipeline,
) -> None:
    for number in (1, 2, 3):
        session = {"sessionId": f"s{number}"}
        lines = (user("x", uuid=f"u{number}", **session),)
        line = assistant("msg_1", usage(1000 * number, 7), uuid=f"a{number}", **session)
        pipeline.write(f"a/p/s{number}.jsonl", *lines, line)
        pipeline.write(f"a/p/fork{number}.jsonl", *lines, line | {"sessionId": f"f{number}"})
    pipeline.run()
    assert pipeline.tokens()[:2] == (6000, 21)


# --- Calls that the counters of a response leave out ---

SERVED, DECLINED = "claude-opus-5", "claude-fable-5"


def iterations(*several: tuple[str, str | None, int, int]) -> dict[str, object]:
    return {
        "iterations": [
            {"type": kind, "input_tokens": given, "output_tokens": output}
            | ({} if model is None else {"model": model})
            for kind, model, given, output in several
        ]
    }


def by_model(rows) -> dict[str, tuple[int, int]]:
    return {str(m["model"]): (m["input_tokens"], m["output_tokens"]) for m in rows.messages}


def test_a_compaction_is_a_call_of_its_own() -> None:
    counts = usage(100, 20) | iterations(
        ("compaction", None, 5000, 300), ("message", None, 100, 20)
    )
    assert counted(assistant("msg_1", counts)).tokens()[:2] == (5100, 320)


def test_the_answer_of_another_model_counts_once_and_the_declined_attempt_beside_it() -> None:
    counts = usage(100, 20) | iterations(
        ("message", DECLINED, 90, 1), ("fallback_message", SERVED, 100, 20)
    )
    rows = counted(assistant("msg_1", counts, model=SERVED))
    assert by_model(rows) == {SERVED: (100, 20), DECLINED: (90, 1)}


def test_without_another_model_the_iterations_of_a_response_are_in_its_counters() -> None:
    counts = usage(100, 20) | iterations(("message", SERVED, 60, 5), ("message", SERVED, 40, 15))
    assert by_model(counted(assistant("msg_1", counts, model=SERVED))) == {SERVED: (100, 20)}


# --- What came of a tool call ---


@pytest.mark.slow
def test_a_refusal_and_a_cancelled_call_are_no_failures(pipeline) -> None:
    load(pipeline, "rejected-is-not-failed")
    session = "SELECT prompts, tool_errors, tool_rejections, tool_cancellations FROM usage_sessions"
    assert pipeline.select(session) == [(1, 0, 2, 1)]
    outcomes = """SELECT outcome, count(*), bool_or(is_error) FROM usage_events_unique
        WHERE event_type <> 'prompt' GROUP BY ALL ORDER BY ALL"""
    assert pipeline.select(outcomes) == [("cancelled", 1, False), ("rejected", 2, False)]
    daily = "SELECT prompts, tool_calls, tool_errors, tool_rejections FROM usage_activity_daily"
    assert pipeline.select(daily) == [(1, 3, 0, 2)]


REFUSALS = [
    ("The user doesn't want to take this action right now. STOP what you are doing", "rejected"),
    ("[Request interrupted by user for tool use]", "rejected"),
    ("Permission to use Bash with command rm has been denied.", "rejected"),
    (
        "<tool_use_error>Cancelled: parallel tool call Bash failed</tool_use_error>",
        "cancelled",
    ),
    ("<tool_use_error>Sibling tool call errored</tool_use_error>", "cancelled"),
    ("<tool_use_error>File has not been read yet.</tool_use_error>", "error"),
    ("Exit code 1\nThe user doesn't want to proceed with this tool use.", "error"),
    ("", "error"),
]


@pytest.mark.parametrize("form", ["text", "list", "strings"])
@pytest.mark.parametrize(("text", "outcome"), REFUSALS)
def test_how_an_error_begins_says_what_it_is(text: str, outcome: str, form: str) -> None:
    content = {"text": text, "list": [{"type": "text", "text": text}], "strings": [text]}[form]
    block = result(error=True) | {"content": content}
    (event,) = counted(assistant(content=[tool("Bash")]), user([block])).events
    assert (event["outcome"], event["is_error"]) == (outcome, outcome == "error")


def test_words_of_a_refusal_in_a_result_that_is_no_error_are_output() -> None:
    block = result() | {"content": "The user doesn't want to proceed with this tool use."}
    (event,) = counted(assistant(content=[tool("Bash")]), user([block])).events
    assert event["outcome"] == "ok"


@pytest.mark.slow
def test_a_refusal_that_stands_in_another_file_reaches_its_call_for_that_person_alone(
    pipeline,
) -> None:
    refusal = result(error=True) | {"content": REFUSALS[0][0]}
    pipeline.write("a/1.jsonl", assistant(content=[tool("Bash")]))
    pipeline.write("a/2.jsonl", user([refusal]))
    pipeline.write("b/3.jsonl", user([result(error=True)]))
    pipeline.run()
    calls = "SELECT username, outcome FROM usage_events_unique WHERE event_type = 'tool_use'"
    assert pipeline.select(calls) == [("a", "rejected")]


# --- Prompts and time, over files ---


@pytest.mark.slow
def test_a_fork_adds_neither_prompts_nor_time(pipeline) -> None:
    load(pipeline, "fork_prompts")
    daily = "SELECT sum(prompts), sum(active_seconds), sum(sessions) FROM usage_activity_daily"
    assert pipeline.select(daily) == [(3, 485.0, 2)]


@pytest.mark.slow
def test_a_user_line_that_is_written_four_times_is_one_prompt(pipeline) -> None:
    load(pipeline, "user_line_4x")
    kinds = """SELECT event_type, count(*) FROM usage_events_unique GROUP BY ALL ORDER BY ALL"""
    assert pipeline.select(kinds) == [("prompt", 2), ("slash_command", 1)]


@pytest.mark.slow
def test_what_was_typed_while_the_agent_worked_is_a_prompt(pipeline) -> None:
    load(pipeline, "queued-prompt")
    assert pipeline.select("SELECT sum(prompts) FROM usage_activity_daily") == [(2,)]


def at(clock: str) -> str:
    return f"2026-03-{clock}Z"


def test_time_is_cut_at_midnight_and_belongs_to_the_project_begun_first(pipeline) -> None:
    def times(prefix: str, *clocks: str) -> list[dict[str, object]]:
        return [user("x", at=at(c), uuid=f"{prefix}{n}", cwd=prefix) for n, c in enumerate(clocks)]

    first = times("one", "10T23:55:00", "11T00:02:00", "11T00:06:00")
    second = times("two", "11T00:04:00", "11T00:10:00", "11T00:40:00", "11T00:41:00")
    pipeline.write("a/one/1.jsonl", *first)
    pipeline.write("a/two/2.jsonl", *second)
    pipeline.write("a/two/copy.jsonl", *second)
    pipeline.write("b/two/3.jsonl", *times("three", "11T00:00:00", "11T00:05:00"))
    pipeline.run()
    daily = (
        """SELECT day, username, project, active_seconds FROM usage_activity_daily ORDER BY ALL"""
    )
    assert pipeline.select(daily) == [
        (date(2026, 3, 10), "a", "one", 300.0),
        (date(2026, 3, 11), "a", "one", 360.0),
        (date(2026, 3, 11), "a", "two", 240.0 + 60.0),
        (date(2026, 3, 11), "b", "two", 300.0),
    ]


@pytest.mark.slow
def test_a_subagents_file_is_no_session_of_its_own(pipeline) -> None:
    pipeline.write("a/p/s.jsonl", user("x", uuid="u"), assistant("msg_1", usage(1), uuid="a"))
    line = assistant("msg_2", usage(1), uuid="b", isSidechain=True, agentId="x")
    pipeline.write("a/p/s/subagents/agent-x.jsonl", line)
    pipeline.run()
    assert pipeline.select("SELECT sum(sessions) FROM usage_activity_daily") == [(1,)]


# --- Names have a length ---


@pytest.mark.slow
def test_a_name_of_a_million_letters_is_stored_short_and_still_told_apart(pipeline) -> None:
    names = ["n" * 10**6 + end for end in "ab"]
    for number, name in enumerate(names):
        session = {"sessionId": name, "requestId": name, "uuid": name, "cwd": name}
        calls = [tool(f"mcp__{name}__x", name), tool("Skill", f"k{name}", skill=name)]
        said = user(f"<command-name>/{name}</command-name>", **session)
        line = assistant(f"msg_{name}", usage(1, 2), calls, model=name, **session)
        pipeline.write(f"a/p/{number}.jsonl", said, line, user([result(name)], sessionId=name))
    pipeline.run()
    assert pipeline.tokens()[:2] == (2, 4)
    for table in UsageProcessor.tables:
        rows = pipeline.select(f"SELECT to_json(t)::VARCHAR FROM {table} AS t")
        values = [v for (row,) in rows for v in json.loads(str(row)).values()]
        assert max((len(v) for v in values if isinstance(v, str)), default=0) < 450, table
    kinds = "SELECT event_type, count(*) FROM usage_events_unique GROUP BY ALL ORDER BY ALL"
    assert pipeline.select(kinds) == [
        ("mcp_call", 2),
        ("prompt", 2),
        ("slash_command", 2),
        ("tool_use", 2),
    ]


# --- What people are told to ask ---


def queries() -> list[str]:
    """The queries of the catalog, but for the one that lists files."""
    texts = [
        *UsageProcessor.descriptions.values(),
        *(r.description for r in UsageProcessor.rollups),
    ]
    found = [query for text in texts for query in re.findall(r"```sql\n(.*?)```", text, re.DOTALL)]
    return [query for query in found if "SELECT session_file" not in query]


@pytest.mark.slow
def test_no_query_of_the_catalog_counts_a_fork_again(pipeline) -> None:
    lines = [
        user("do it", uuid="u1", at="2026-03-10T12:00:00Z"),
        assistant("msg_1", usage(10, 2), [tool("Bash")], uuid="a1", at="2026-03-10T12:01:00Z"),
        user([result(error=True)], uuid="u2", at="2026-03-10T12:02:00Z"),
        assistant("gen-1", usage(20, 3), uuid="a2", at="2026-03-10T12:03:00Z"),
    ]
    pipeline.write("a/p/1.jsonl", *lines)
    pipeline.run()
    answers = [pipeline.select(query) for query in queries()]
    # Pull requests, bills, budgets, seats, people and skills are of other lines.
    assert (len(answers), sum(map(bool, answers))) == (24, 14)
    pipeline.write("a/p/2.jsonl", *(line | {"sessionId": "fork"} for line in lines))
    pipeline.write("b/p/3.jsonl", *lines)
    pipeline.run()
    assert [pipeline.select(query) for query in queries()] == answers


# --- Output that is a lower bound ---


def answer(number: int, output: int, words: int, *, stop: str | None) -> dict[str, object]:
    text = {"type": "text", "text": "x" * words}
    return assistant(f"msg_{number}", usage(1, output), [text], stop=stop, uuid=f"a{number}")


def estimated(pipeline: UsagePipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        "SELECT output_tokens, output_estimate, at_least FROM usage_daily_estimated ORDER BY ALL"
    )


@pytest.mark.slow
def test_where_many_responses_are_cut_off_an_estimate_stands_beside_the_lower_bound(
    pipeline,
) -> None:
    # Of whole responses a token is four characters; the quotes of the JSON make two more.
    whole = [answer(n, 100, 398, stop="end_turn") for n in range(9)]
    pipeline.write("a/p/1.jsonl", *whole)
    pipeline.run()
    assert estimated(pipeline) == [(900, 900, False)]
    pipeline.write("a/p/1.jsonl", *whole, answer(9, 3, 798, stop=None))
    pipeline.run()
    assert estimated(pipeline) == [(903, 1100, True)]


def test_an_estimate_is_never_below_what_was_counted(pipeline) -> None:
    whole = [answer(n, 100, 398, stop="end_turn") for n in range(9)]
    pipeline.write("a/p/1.jsonl", *whole, answer(9, 50, 4, stop=None))
    pipeline.run()
    assert estimated(pipeline) == [(950, 950, True)]


@pytest.mark.slow
def test_without_a_whole_response_nothing_is_estimated(pipeline) -> None:
    pipeline.write("a/p/1.jsonl", answer(1, 50, 400, stop=None))
    pipeline.run()
    assert estimated(pipeline) == [(50, 50, True)]


@pytest.mark.slow
def test_calls_hang_on_the_response_that_made_them(pipeline) -> None:
    """Whoever changes what went into a response has not copied it, and its calls neither."""

    def lines(given: int) -> list[dict[str, object]]:
        call = assistant("msg_1", usage(given, 2), [tool("Bash")], uuid="a1")
        return [call, user([result()], uuid="u1")]

    pipeline.write("zed/p/1.jsonl", *lines(10))
    pipeline.write("aaa/p/1.jsonl", *lines(99))
    pipeline.run()
    calls = """SELECT username, count(*) FROM usage_events_unique
        WHERE event_type = 'tool_use' GROUP BY ALL ORDER BY ALL"""
    assert pipeline.select(calls) == [("aaa", 1), ("zed", 1)]


def test_an_iteration_that_says_nothing_is_no_call() -> None:
    counts = usage(100, 20) | {"iterations": [{"type": "compaction"}, {"type": "advisor_message"}]}
    assert len(counted(assistant("msg_1", counts)).messages) == 1


@pytest.mark.slow
def test_prompts_alone_that_another_holds_are_seen(pipeline) -> None:
    prompts = [user(f"do {n}", uuid=f"u{n}") for n in range(3)]
    pipeline.write("zed/p/1.jsonl", *prompts, assistant("msg_1", usage(1, 2), uuid="a1"))
    pipeline.write("aaa/p/1.jsonl", *prompts)
    pipeline.run()
    measured = claimed_by_several(Data(pipeline.select, lambda key: None))
    assert measured.violations == 2
    assert dict(measured.listed[0]) == {
        "counted_for": "aaa",
        "held_by": "zed",
        "responses": 0,
        "calls_and_prompts": 3,
    }
