"""What a person typed, and what only looks as if."""

import json
import time
from collections.abc import Sequence

import pytest

from lines import Line, assistant, encode, other, result, user
from places import DATA
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.prompts import Prompt, prompts

REPRO = DATA / "repro"
TEXT = "Always use the invoice date."


def found(*lines: Line | bytes) -> Sequence[Prompt]:
    return prompts(parse(encode(*lines)))


def texts(*lines: Line | bytes) -> list[str]:
    return [prompt.text for prompt in found(*lines)]


def queued(text: object = TEXT, **changes: object) -> Line:
    attachment: Line = {"type": "queued_command", "prompt": text, "commandMode": "prompt"}
    attachment |= {"origin": {"kind": "human"}}
    return other("attachment", uuid="q1", attachment=attachment | changes)


def queue(operation: str, text: str | None = None) -> Line:
    return other(
        "queue-operation", operation=operation, **({} if text is None else {"content": text})
    )


def repro(name: str) -> Sequence[Prompt]:
    (path,) = (REPRO / name / "sessions").rglob("s.jsonl")
    return prompts(parse(path.read_bytes()))


def test_the_repros_hold_as_many_prompts_as_a_person_typed() -> None:
    names = ("queued-prompt", "plan-turn", "rejected-is-not-failed")
    assert [len(repro(name)) for name in names] == [2, 0, 1]
    assert [prompt.line for prompt in repro("queued-prompt")] == [1, 6]


@pytest.mark.parametrize(
    "line",
    [
        user("[Request interrupted by user]"),
        user([{"type": "text", "text": "[Request interrupted by user for tool use]"}]),
        user("Implement the following plan:\n\n# Plan"),
        user("# Plan", planContent="# Plan"),
        user("Operation stopped by hook: no"),
        user("x", isMeta=True),
        user("x", isCompactSummary=True),
        user("x", isSidechain=True),
        user("x", agentId="a1"),
        user("x", origin={"kind": "task-notification"}),
        user("x", origin={"kind": "peer"}),
        user("x", origin="coordinator"),
        user('<cross-session-message from="a">x</cross-session-message>'),
        user([result(), {"type": "text", "text": "x"}]),
        user("<local-command-stdout>x</local-command-stdout>"),
        user("<bash-input>x</bash-input>"),
        user("<task-notification>x</task-notification>"),
        user("<system-reminder>x</system-reminder>"),
        user("<ide_opened_file>x</ide_opened_file>"),
        user("This session is being continued from a previous conversation. x"),
        user(" \n"),
        user(()),
        user(None),
        other("user"),
        queued(commandMode="task-notification"),
        queued(origin={"kind": "peer"}),
        queued(origin=None),
        queued(isMeta=True),
        queued() | {"isSidechain": True},
        queued() | {"isMeta": True},
        queued(type="file"),
        queued("<task-notification>x</task-notification>"),
        queue("enqueue", "<task-notification>x</task-notification>"),
        queue("enqueue"),
        queue("remove", "x"),
        assistant(content=({"type": "text", "text": "x"},)),
    ],
    ids=lambda line: json.dumps(line)[:90],
)
def test_what_a_person_did_not_type_is_no_prompt(line: Line) -> None:
    assert texts(user("before", uuid="b"), line) == ["before"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (user("x"), "x"),
        (user(["x", {"type": "text", "text": "y"}]), "x\ny"),
        (user("x", origin={"kind": "human"}), "x"),
        (user("x<system-reminder>y</system-reminder>"), "x"),
        (user([{"type": "text", "text": "<ide_selection>a</ide_selection>"}, "x"]), "x"),
        (user([{"type": "image", "source": {}}]), ""),
        (user("<command-name>/go</command-name>\n<command-args>a b</command-args>"), "a b"),
        (user("<command-message>go</command-message>\n<command-name>/go</command-name>"), ""),
        (user("<command-name>/go</command-name><command-args>"), ""),
        (queued(), TEXT),
        (queued([{"type": "text", "text": TEXT}, {"type": "image"}]), TEXT),
        (queue("enqueue", TEXT), TEXT),
        ({"role": "user", "content": "x"}, "x"),
        ({"role": "human", "content": [{"type": "text", "text": "x"}]}, "x"),
    ],
    ids=str,
)
def test_a_prompt_has_the_words_that_the_person_wrote(line: Line, text: str) -> None:
    assert texts(line) == [text]


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([queue("remove")], 1),
        ([queue("remove", TEXT)], 1),
        ([queue("dequeue"), user(TEXT)], 1),
        ([user([{"type": "text", "text": TEXT}])], 1),
        ([user(TEXT, isMeta=True)], 0),
        ([queue("remove"), queued()], 1),
        ([queue("remove"), queued(origin=None)], 1),
        ([queue("remove"), queued(origin={"kind": "peer"})], 0),
        ([queue("popAll", TEXT)], 0),
        ([queue("popAll")], 0),
        ([queue("remove", TEXT), queue("enqueue", "more"), queue("popAll")], 1),
        ([queue("popAll", TEXT), queue("enqueue", TEXT), queue("remove")], 1),
        ([queue("enqueue", TEXT), queue("remove"), queue("popAll", TEXT)], 1),
        ([queue("enqueue", TEXT), queue("remove"), queue("remove")], 2),
        ([queue("enqueue", TEXT), user(TEXT)], 2),
        ([queue("enqueue", "more"), *[queue("dequeue")] * 2, user(f"{TEXT}\nmore")], 1),
        ([user("other")], 2),
    ],
    ids=lambda value: json.dumps(value)[:150],
)
def test_what_was_queued_counts_unless_it_was_sent_or_taken_back(
    lines: list[Line], count: int
) -> None:
    assert len(found(queue("enqueue", TEXT), *lines)) == count


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/effort max", "<command-name>/effort</command-name><command-args>max</command-args>"),
        ("/clear", "<command-name>/clear</command-name><command-args></command-args>"),
        ("!ls", "<bash-input>ls</bash-input>"),
        ("ls", "<bash-input>ls</bash-input>"),
    ],
)
def test_a_queued_command_is_the_line_that_it_became(text: str, line: str) -> None:
    assert [p.line for p in found(queue("enqueue", text), user(line))] in ([2], [])


def test_a_line_that_is_written_again_is_one_prompt_and_other_words_are_another() -> None:
    lines = [user("a", uuid="u"), user("a", uuid="u"), user("b", uuid="u"), user("a", uuid="v")]
    assert texts(*lines) == ["a", "b", "a"]


def test_what_a_copy_of_a_session_says_has_the_same_keys() -> None:
    lines = [user("a", uuid="u"), queue("enqueue", "b"), queue("enqueue", "b"), user("c")]
    copy = [line | {"sessionId": "s2"} for line in [other("summary"), *lines, user("d", uuid="w")]]
    keys = [prompt.key for prompt in found(*lines)]
    assert len({*keys}) == 4
    assert keys == [prompt.key for prompt in found(*copy)][:4]
    elsewhere = [prompt.key for prompt in found(user("a", uuid="x"), *lines[1:])]
    assert not {*keys} & {*elsewhere}


def test_an_attachment_that_was_typed_is_read_among_those_that_are_skipped() -> None:
    shown = other("attachment", attachment={"type": "file", "prompt": "x" * 99}, uuid="f")
    front = [shown | {"attachment": shown["attachment"], "parentUuid": None} for _ in range(3)]
    lines = [{"parentUuid": None, "attachment": line["attachment"], **line} for line in front]
    typed = {"parentUuid": None, "attachment": queued()["attachment"], **queued()}
    transcript = parse(encode(*lines, typed, *lines))
    assert [prompt.text for prompt in prompts(transcript)] == [TEXT]
    assert [record.uuid for record in transcript.records] == [*[None] * 3, "q1", *[None] * 3]


@pytest.mark.slow
def test_a_queue_of_any_length_costs_its_length() -> None:
    many = [queue("enqueue", "x")] * 20_000 + [queue("remove", "x")] * 20_000
    more = [queue("enqueue", f"{n}") for n in range(20_000)] + [queue("dequeue")] * 20_000
    began = time.perf_counter()
    assert len(found(*many, *more, *[user("x", uuid="u")] * 20_000, queue("popAll"))) == 20_001
    assert time.perf_counter() - began < 10
