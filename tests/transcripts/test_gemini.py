"""What the reader of Gemini CLI makes of a session: the last of each message, and what was paid."""

import json
from collections.abc import Iterable

import pytest

from session_pipeline_dagster.processors.verification.detection.turns import read_turns
from session_pipeline_dagster.transcripts.gemini import GeminiReader
from session_pipeline_dagster.transcripts.prompts import prompts
from session_pipeline_dagster.transcripts.records import Record, Transcript

AT = "2026-11-20T09:00:00.000Z"
HEAD = {"sessionId": "s", "projectHash": "f0", "startTime": AT, "lastUpdated": AT, "kind": "main"}
TOKENS = {"input": 100, "output": 10, "cached": 40, "thoughts": 5, "tool": 0, "total": 115}


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def message(name: str, kind: str, content: object = "", **more: object) -> bytes:
    return line(id=name, timestamp=AT, type=kind, content=content, **more)


def answer(name: str, content: object = "", tokens: object = TOKENS, **more: object) -> bytes:
    return message(name, "gemini", content, tokens=tokens, model="gemini-3-flash-preview", **more)


def read(*lines: bytes, head: object = HEAD, key: str = "alice/tmp/x/chats/s.jsonl") -> Transcript:
    return GeminiReader().parse_at(key, json.dumps(head).encode() + b"\n" + b"".join(lines))


def used(records: Iterable[Record]) -> dict[str | None, tuple[int | None, ...]]:
    """Name of every response -> input, output, cache read."""
    return {
        record.uuid: (u.input_tokens, u.output_tokens, u.cache_read_input_tokens)
        for record in records
        if record.type == "assistant" and record.message and (u := record.message.usage)
    }


def said(transcript: Transcript) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in read_turns(transcript)]


def test_a_message_that_is_written_again_counts_as_it_was_written_last() -> None:
    call = {
        "id": "c1",
        "name": "run_shell_command",
        "args": {"command": "ls"},
        "status": "executing",
    }
    done = {**call, "status": "error", "timestamp": "2026-11-20T09:00:09.000Z"}
    transcript = read(
        message("u", "user", [{"text": "Count them."}]),
        answer("g", tokens=None),
        answer("g", "I look."),
        line(**{"$set": {"lastUpdated": AT}}),
        answer("g", "I look.", toolCalls=[call]),
        message("r", "user", [{"functionResponse": {"id": "c1"}}]),
        answer("g", "I look.", None, toolCalls=[done]),
    )
    assert used(transcript.records) == {"s:g": (60, 15, 40)}, "what was paid is not taken back"
    assert said(transcript) == [("human", "Count them."), ("assistant", "I look.")]
    (called,) = [call for record in transcript.records for call in record.tool_calls()]
    assert (called.id, called.name) == ("turn:s/c1", "run_shell_command")
    assert called.decoded_input() == {"command": "ls"}
    (came,) = [end for record in transcript.records for end in record.tool_results()]
    assert (came.tool_use_id, came.is_error) == (called.id, True)
    assert [number for number, record in transcript if record.message] == [2, 3, 3]
    assert (transcript.agent, transcript.provider) == ("gemini-cli", "google")


@pytest.mark.parametrize(
    ("tokens", "counts"),
    [
        # What was cached is within the input, or beside it: the total says which.
        (TOKENS, (60, 15, 40)),
        ({**TOKENS, "total": 155}, (100, 15, 40)),
        ({**TOKENS, "tool": 7, "total": 122}, (67, 15, 40)),
        ({**TOKENS, "cached": 0}, (100, 15, 0)),
        # Without a total it is what the API says of its counts.
        ({**TOKENS, "total": 0}, (60, 15, 40)),
        ({"input": 100, "output": 10, "cached": 40}, (60, 10, 40)),
        ({"input": 10, "output": 1, "cached": 40}, (10, 1, 40)),
        ({}, (0, 0, 0)),
    ],
)
def test_what_goes_in_and_comes_out_is_counted_once(tokens: object, counts: object) -> None:
    assert used(read(answer("g", "Yes.", tokens)).records) == {"s:g": counts}


def test_what_a_person_took_back_is_not_heard_and_what_it_cost_stays() -> None:
    lines = (
        message("u1", "user", "Count May."),
        answer("g1", "Nine."),
        message("u2", "user", "No, June."),
        answer("g2", "Ten.", toolCalls=[{"id": "c", "name": "glob", "status": "success"}]),
        line(**{"$rewindTo": "u2"}),
        message("u3", "user", "And July?"),
        answer("g3", "Two."),
    )
    transcript = read(*lines)
    assert [*used(transcript.records)] == ["s:g1", "s:g2", "s:g3"]
    texts = [text for _, text in said(transcript)]
    assert texts == ["Count May.", "Nine.", "And July?", "Two."]
    assert [prompt.text for prompt in prompts(transcript)] == ["Count May.", "And July?"]
    assert sum(len([*record.tool_results()]) for record in transcript.records) == 1
    # Nobody knows where that is: nothing is taken back.
    assert len(said(read(*lines, line(**{"$rewindTo": "unknown"})))) == 4
    again = line(**{"$rewindTo": "u1"})
    assert not said(read(*lines, again, again)), "all of it is gone"


def test_what_the_model_is_shown_is_no_conversation() -> None:
    shown = [
        {"id": "x1", "type": "user", "content": [{"text": "<state_snapshot>All so far"}]},
        {"id": "x2", "type": "user", "content": [{"text": "Count May."}]},
        {"id": "g1", "type": "gemini", "content": [{"text": "Nine."}], "tokens": TOKENS},
        {"id": "lost", "type": "gemini", "model": "m", "content": "", "tokens": TOKENS},
    ]
    transcript = read(
        message("u1", "user", "Count May."),
        answer("g1", "Nine."),
        line(**{"$set": {"messages": shown, "directories": ["/home/alice/x"]}}),
        message("u2", "user", "And June?"),
        line(**{"$rewindTo": "x2"}),
    )
    assert [*used(transcript.records)] == ["s:g1", "s:lost"]
    assert said(transcript) == [("human", "Count May.")], "x2 and what came after it"
    assert {record.cwd for record in transcript.records if record.message} == {"/home/alice/x"}


def test_only_what_a_person_typed_is_a_prompt() -> None:
    lines = (
        message("1", "user", [{"text": "<session_context>\nThis is the Gemini CLI."}]),
        message("2", "user", [{"text": "Why?"}, {"text": "<hook_context>rules</hook_context>"}]),
        message("3", "user", "Please continue.", displayContent=[{"text": "Why?"}]),
        message("4", "user", "System: Potential loop detected. Details: x"),
        message("5", "user", "Here is the user's editor context as a JSON object."),
        message("6", "user", "I ran the following shell command:\n```sh\nls\n```"),
        message("7", "user", [{"text": "See @a"}, {"text": "\nContent from @a:\n"}, {"text": "A"}]),
        message("8", "user", [{"text": "See @a long"}], displayContent=[{"text": "See @a"}]),
        message("9", "user", [{"inlineData": {"mimeType": "image/png"}}]),
        message("10", "user", "Long plan", displayContent="/plan net prices"),
        message("11", "user", "/home/alice/x is empty"),
        message("12", "user", [{"functionResponse": {}}, {"text": "User steering update: no"}]),
        message("13", "info", "Request cancelled."),
    )
    found = [prompt.text for prompt in prompts(read(*lines))]
    assert found == ["Why?", "See @a", "See @a", "", "net prices", "/home/alice/x is empty"]


def test_what_the_client_says_in_the_models_place_is_no_response() -> None:
    thought = [{"text": "**Plan**", "thought": True}, {"text": "Nine."}]
    run = {"id": "c", "name": "glob", "status": "success"}
    transcript = read(
        answer("g1", thought),
        message("i", "info", "Update available"),
        # The calls of g1, whose line was not the last one any more.
        message("g2", "gemini", "", model="gemini-3-flash-preview", toolCalls=[run]),
        message("ack", "gemini", [{"text": "Binary content received.", "thought": True}]),
        message("ok", "gemini", [{"text": "Got it. Thanks for the additional context!"}]),
        message("e1", "error", "[API Error: quota]"),
        message("e2", "error", "Theme not found"),
        message("g3", "gemini", "It broke off", model="gemini-3-flash-preview"),
    )
    assert used(transcript.records) == {"s:g1": (60, 15, 40)}
    answers = [r for r in transcript.records if r.type == "assistant"]
    assert [record.uuid for record in answers] == ["s:g1", "s:g1", "s:e1", "s:g3"]
    assert [r.message and r.message.model for r in answers][2] == "<synthetic>"
    assert [text for _, text in said(transcript)] == ["Nine.", "It broke off"]


def test_calls_have_the_names_that_other_agents_use() -> None:
    calls = [
        {"id": "1", "name": "invoke_agent", "args": {"agent_name": "generalist", "prompt": "x"}},
        {"id": "2", "name": "activate_skill", "args": {"name": "net"}, "status": "cancelled"},
        {"id": "3", "name": "mcp_tickets_find_one", "args": {}, "status": "success"},
        {"id": "4", "name": "read_file", "args": None, "status": "validating"},
    ]
    transcript = read(answer("g", "", toolCalls=calls))
    made = [call for record in transcript.records for call in record.tool_calls()]
    named = ["Agent", "Skill", "mcp__tickets__find_one", "read_file"]
    assert [call.name for call in made] == named
    assert made[0].decoded_input()["subagent_type"] == "generalist"
    assert made[1].decoded_input()["skill"] == "net"
    ends = [(r.tool_use_id, r.is_error) for x in transcript.records for r in x.tool_results()]
    assert ends == [("turn:s/2", True), ("turn:s/3", False)]


def test_a_subagent_is_part_of_the_session_that_its_folder_is_called_like() -> None:
    head = {**HEAD, "sessionId": "sub", "kind": "subagent", "directories": ["/home/alice/x"]}
    lines = message("u", "user", "Look for it."), answer("g", "There.")
    transcript = read(*lines, head=head, key="alice/tmp/x/chats/parent/sub.jsonl")
    assert transcript.is_subagent
    assert not prompts(transcript)
    found = {(r.session_id, r.agent_id, r.is_sidechain) for r in transcript.records if r.message}
    assert found == {("parent", "sub", True)}
    assert [*used(transcript.records)] == ["sub:g"]
    alone = read(*lines, head=head, key="alice/sub/chats/sub.jsonl").records
    assert {record.session_id for record in alone if record.message} == {"sub"}


def test_an_odd_line_costs_itself_and_nothing_else() -> None:
    transcript = read(
        answer("g1", "One."),
        b"garbage\n",
        answer("g2", "Two.")[:40] + b"\n",
        answer("lost", "Two.")[:60] + answer("g2", "Two."),
        b"\0\0" + answer("g3", {"odd": 1}, model2=7),
        answer("g4", "Four.", {**TOKENS, "input": -1}),
        answer("g5", "Five.", "many"),
        answer("g6", "Six.", toolCalls=["odd", {"id": 7}, {"id": "c", "name": ["x"]}]),
        line(id="g7", type="gemini", timestamp="soon", content="Seven.", model="m", tokens=TOKENS),
        line(type="from_tomorrow", timestamp=AT),
        message("u", "mystery", "x"),
        b"{}\n",
        b"\n",
    )
    assert [*used(transcript.records)] == ["s:g1", "s:g2", "s:g3", "s:g6", "s:g7"]
    assert (transcript.unreadable_lines, transcript.unknown_lines) == (6, 3)
    times = {record.timestamp for record in transcript.records if record.uuid == "s:g7"}
    assert times == {None}
