"""What the reader of Codex makes of a rollout: records like those of Claude Code's lines."""

import json
from collections.abc import Iterable

import pytest

from places import DATA
from session_pipeline_dagster.processors.verification.detection.turns import read_turns
from session_pipeline_dagster.transcripts.codex import CodexReader
from session_pipeline_dagster.transcripts.prompts import prompts
from session_pipeline_dagster.transcripts.records import Record, Transcript

GOLDEN = DATA / "codex"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
META = {"id": "thread", "cwd": "/home/alice/shop", "cli_version": "0.142.5", "source": "cli"}
COUNTS = {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 3, "total_tokens": 13}


def line(kind: str, payload: object, at: str = "2026-11-20T09:00:00Z") -> bytes:
    return json.dumps({"timestamp": at, "type": kind, "payload": payload}).encode() + b"\n"


def event(kind: str, /, **payload: object) -> bytes:
    return line("event_msg", {"type": kind, **payload})


def item(kind: str, /, **payload: object) -> bytes:
    return line("response_item", {"type": kind, **payload})


def counted(total: object = COUNTS, last: object = COUNTS) -> bytes:
    return event("token_count", info={"total_token_usage": total, "last_token_usage": last})


def read(*lines: bytes) -> Transcript:
    start = line("session_meta", META), line("turn_context", {"turn_id": "t1", "model": "gpt-5.6"})
    return CodexReader().parse(b"".join((*start, *lines)))


def used(records: Iterable[Record]) -> dict[str | None, tuple[int, ...]]:
    """Name of every response -> input, output, cache write, cache read."""
    found = {}
    for record in records:
        usage = record.message.usage if record.message else None
        if record.type == "assistant" and usage is not None:
            found[record.uuid] = (
                usage.input_tokens or 0,
                usage.output_tokens or 0,
                usage.cache_creation_input_tokens or 0,
                usage.cache_read_input_tokens or 0,
            )
    return found


def blocks(transcript: Transcript) -> list[tuple[object, ...]]:
    calls = {call.id: call.name for record in transcript.records for call in record.tool_calls()}
    return [
        (calls.get(result.tool_use_id), result.is_error)
        for record in transcript.records
        for result in record.tool_results()
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_tokens_of_every_case_are_exact_over_its_files(name: str) -> None:
    found: dict[str | None, tuple[int, ...]] = {}
    for path in sorted((GOLDEN / name).rglob("*.jsonl")):
        whole = path.read_bytes()
        found |= used(CodexReader().parse(whole[: whole.rfind(b"\n") + 1]).records)
    total = tuple(map(sum, zip(*found.values(), strict=True)))
    # One that broke off has no count.
    assert len(found) == EXPECTED[name]["messages"] - (name == "truncated_tail")
    tokens = EXPECTED[name]["tokens"]
    assert total == tuple(tokens[k] for k in ("input", "output", "cache_creation", "cache_read"))


def test_only_what_a_person_typed_is_a_prompt() -> None:
    given = "# Context from my IDE setup:\n- a.py\n## My request for Codex:\nNet prices."
    transcript = read(
        item("message", role="user", content=[{"type": "input_text", "text": "# AGENTS.md"}]),
        event("user_message", message="Count them."),
        event("user_message", message="Count them."),
        event("user_message", message="<environment_context>here</environment_context>"),
        event("user_message", message="", local_images=["a.png"]),
        event("user_message", message="rules", kind="user_instructions"),
        event("user_message", message=given),
        event("item_completed", item={"type": "UserMessage", "content": [{"text": "And tax."}]}),
    )
    found = prompts(transcript)
    assert [p.texts for p in found] == [("Count them.",), (), ("Net prices.",), ("And tax.",)]
    said = [turn.text for turn in read_turns(transcript)]
    assert said == ["Count them.", "Net prices.", "And tax."]


def test_what_a_response_says_and_calls_is_one_response_with_its_count() -> None:
    transcript = read(
        event("agent_message", message="I look."),
        item("message", role="assistant", content=[{"type": "output_text", "text": "I look."}]),
        item("function_call", name="exec_command", arguments='{"cmd":"ls"}', call_id="c1"),
        counted(),
        counted(),
        event("token_count", info=None),
        item("function_call_output", call_id="c1", output="Exit code: 0\nOutput:\nExit code: 1"),
    )
    said = [record for record in transcript.records if record.type == "assistant"]
    assert used(said) == {"t1:13": (6, 3, 0, 4)}
    assert {(record.uuid, record.message.model) for record in said} == {("t1:13", "gpt-5.6")}
    assert [text for record in said for text in record.texts()] == ["I look."]
    (call,) = [call for record in said for call in record.tool_calls()]
    assert (call.id, call.decoded_input()) == ("turn:t1/c1", {"cmd": "ls"})
    assert [turn.text for turn in read_turns(transcript)] == ["I look."]


def test_a_count_that_is_repeated_ends_nothing() -> None:
    later = {**COUNTS, "total_tokens": 20}
    transcript = read(counted(), event("agent_message", message="Next."), counted(), counted(later))
    said = {record.uuid for record in transcript.records if [*record.texts()]}
    assert said == {"t1:20"}


def test_a_record_beside_a_count_says_it_once_more() -> None:
    """As versions from September 2026 write it: a line that is known, and no response."""
    record = line("token_usage_record", {"turn_id": "t1", "response_id": "r", "usage": COUNTS})
    transcript = read(record, counted(), record)
    assert transcript.unknown_lines == 0
    assert used(transcript.records) == used(read(counted()).records) != {}


def test_without_names_of_turns_a_fork_of_a_fork_has_the_keys_of_the_first_thread() -> None:
    metas = [{**META, "id": name} for name in ("third", "second", "first")]
    metas[0]["forked_from_id"], metas[1]["forked_from_id"] = "second", "first"
    lines = (*(line("session_meta", meta) for meta in metas), counted())
    assert [*used(CodexReader().parse(b"".join(lines)).records)] == ["first:13"]


def test_what_came_of_a_tool_call_stands_in_its_output() -> None:
    old = json.dumps({"output": "no such file", "metadata": {"exit_code": 2}})
    outputs = {
        "Exit code: 1\nWall time: 1\nOutput:\n": True,
        "Chunk ID: 1\nProcess exited with code 0\nOutput:\nfailed ": False,
        "Process exited with code 127\nOutput:\n": True,
        old: True,
        json.dumps({"output": "Exit code: 1", "metadata": {"exit_code": 0}}): False,
        "exec command rejected by user": True,
        "what the file says: Error: none": False,
    }
    calls = [item("function_call", name="shell", arguments="{}", call_id=x) for x in outputs]
    ends = [item("function_call_output", call_id=x, output=x) for x in outputs]
    assert [failed for _, failed in blocks(read(*calls, *ends))] == [*outputs.values()]
    others = read(
        item("custom_tool_call", name="apply_patch", input="*** Begin", call_id="p"),
        event("patch_apply_end", call_id="p", success=False),
        event(
            "mcp_tool_call_end",
            call_id="m",
            invocation={"server": "tickets", "tool": "find", "arguments": {"id": 1}},
            result={"Err": "gone"},
        ),
        item("function_call", name="find", namespace="mcp__tickets__", arguments="{}", call_id="n"),
        event("mcp_tool_call_end", call_id="n", result={"Ok": {"content": [], "isError": False}}),
        item("web_search_call", status="completed", action={"type": "search", "query": "net"}),
    )
    found = [("apply_patch", True), ("mcp__tickets__find", True), ("mcp__tickets__find", False)]
    assert blocks(others) == found
    names = [call.name for record in others.records for call in record.tool_calls()]
    assert names[-1] == "web_search"


def test_an_odd_line_costs_itself_and_nothing_else() -> None:
    whole = counted()
    later = {**COUNTS, "total_tokens": 20}
    transcript = read(
        whole[:60] + counted(later),
        b"garbage\n",
        b"\0\0" + whole,
        line("turn_context", {"turn_id": ["odd"], "model": 7}),
        counted({**COUNTS, "total_tokens": 30, "input_tokens": -1}),
        counted({**COUNTS, "total_tokens": "many"}),
        line("from_tomorrow", {}),
        b"{}\n",
        b"\n",
    )
    assert used(transcript.records) == {"t1:20": (6, 3, 0, 4), "t1:13": (6, 3, 0, 4)}
    assert (transcript.unreadable_lines, transcript.unknown_lines) == (5, 2)
    assert transcript.agent == "codex"


def test_the_output_of_exec_is_a_thread_without_times_and_models() -> None:
    (path,) = (GOLDEN / "exec").rglob("*.jsonl")
    content = path.read_bytes()
    transcript = CodexReader().parse(content)
    assert blocks(transcript) == [("command_execution", True)]
    assert {record.timestamp for record in transcript.records} == {None}
    later = {"input_tokens": 1500, "cached_input_tokens": 700, "output_tokens": 200}
    again = content + json.dumps({"type": "turn.completed", "usage": later}).encode() + b"\n"
    counts = [*used(CodexReader().parse(again).records).values()]
    assert counts == [(500, 150, 0, 500), (300, 50, 0, 200)], "a usage is the thread's so far"
