"""What the reader of Copilot CLI makes of a session: records like those of Claude Code's lines."""

from collections.abc import Iterable

import pytest

from copilot import GPT, MINI, OPUS, SONNET, Session, call
from session_pipeline_dagster.processors.verification.detection.turns import read_turns
from session_pipeline_dagster.testing import assert_reader
from session_pipeline_dagster.transcripts.copilot import CopilotReader
from session_pipeline_dagster.transcripts.prompts import prompts
from session_pipeline_dagster.transcripts.records import Record, Transcript

Counts = tuple[int | None, int | None, int | None, int | None]


def read(session: Session) -> Transcript:
    return CopilotReader().parse(session.content)


def used(records: Iterable[Record]) -> list[tuple[str | None, Counts]]:
    """Model and input, output, cache write, cache read of every response."""
    found: dict[str | None, tuple[str | None, Counts]] = {}
    for record in records:
        usage = record.message.usage if record.message else None
        if record.type == "assistant" and record.message and usage is not None:
            counts = (
                *(usage.input_tokens, usage.output_tokens),
                *(usage.cache_creation_input_tokens, usage.cache_read_input_tokens),
            )
            assert found.setdefault(record.uuid, (record.message.model, counts))[1] == counts
    return [*found.values()]


UNKNOWN = (None, None)
KNOWN = (0, 0)


def only_output(tokens: int, rest: tuple[int | None, int | None] = KNOWN) -> Counts:
    return (rest[0], tokens, *rest)


def started() -> Session:
    return Session().starts().asks()


@pytest.mark.parametrize(
    ("session", "wanted"),
    [
        # What went in is in the sum; what came out stays where it is said.
        (
            started().says(100).says(50).ends(sonnet=(10_000, 150, 3_000, 6_000)),
            [only_output(100), only_output(50), (1_000, 0, 3_000, 6_000)],
        ),
        # Nobody says what went in: not 0.
        (started().says(100).says(50), [only_output(100, UNKNOWN), only_output(50, UNKNOWN)]),
        # Two processes, each with its own sum.
        (
            started()
            .says(100)
            .ends(sonnet=(4_000, 100, 0, 3_000))
            .resumes()
            .says(40)
            .ends(sonnet=(2_000, 40, 0, 1_500)),
            [only_output(100), (1_000, 0, 0, 3_000), only_output(40), (500, 0, 0, 1_500)],
        ),
        # The same where the second goes on counting.
        (
            started()
            .says(100)
            .ends(sonnet=(4_000, 100, 0, 3_000))
            .resumes()
            .says(40)
            .ends(sonnet=(6_000, 140, 0, 4_500)),
            [only_output(100), (1_000, 0, 0, 3_000), only_output(40), (500, 0, 0, 1_500)],
        ),
        # One process that writes its end twice, with nothing in between.
        (
            started()
            .says(100)
            .ends(sonnet=(4_000, 100, 0, 3_000))
            .ends(sonnet=(4_000, 100, 0, 3_000)),
            [only_output(100), (1_000, 0, 0, 3_000)],
        ),
        # A process was killed: the next one's sum is not its own.
        (
            started().says(100).resumes().says(40).ends(sonnet=(2_000, 40, 0, 1_500)),
            [only_output(100, UNKNOWN), only_output(40), (500, 0, 0, 1_500)],
        ),
        # A client has joined a process that is at work: it is the same one.
        (
            started()
            .says(100)
            .resumes(sessionWasActive=True)
            .says(40)
            .ends(sonnet=(2_000, 140, 0, 1_500)),
            [only_output(100), only_output(40), (500, 0, 0, 1_500)],
        ),
        # After the last end somebody went on.
        (
            started().says(100).ends(sonnet=(4_000, 100, 0, 3_000)).resumes().says(40),
            [only_output(100), (1_000, 0, 0, 3_000), only_output(40, UNKNOWN)],
        ),
        # An end that says nothing.
        (started().says(100).ends(), [only_output(100, UNKNOWN)]),
        # Two models; of one the sum says nothing.
        (
            started()
            .says(100)
            .event("session.model_change", newModel=GPT)
            .says(50, GPT)
            .ends(gpt=(2_000, 50, 0, 500)),
            [only_output(100, UNKNOWN), only_output(50), (1_500, 0, 0, 500)],
        ),
        # Calls without an event: their output is in the sum alone.
        (
            started().says(100).ends(sonnet=(4_000, 130, 0, 3_000), mini=(700, 20, 0, 0)),
            [only_output(100), (1_000, 30, 0, 3_000), (700, 20, 0, 0)],
        ),
        # One response in several events.
        (
            started()
            .says(100, call="msg_1")
            .says(100, call="msg_1")
            .ends(sonnet=(4_000, 100, 0, 3_000)),
            [only_output(100), (1_000, 0, 0, 3_000)],
        ),
        # An event that does not say how much came out.
        (
            started().says(None).ends(sonnet=(4_000, 70, 0, 3_000)),
            [only_output(0), (1_000, 70, 0, 3_000)],
        ),
        # And one that names no model.
        (
            started().says(60, None).ends(sonnet=(4_000, 70, 0, 3_000)),
            [only_output(60), (1_000, 10, 0, 3_000)],
        ),
    ],
    ids=range(14),
)
def test_the_tokens_of_every_case_are_exact(session: Session, wanted: list[Counts]) -> None:
    assert [counts for _, counts in used(read(session).records)] == wanted


def test_a_response_names_its_model_else_it_is_the_one_that_was_chosen() -> None:
    session = Session().starts(selectedModel="auto").says(1, None)
    session.event("session.model_change", newModel=GPT).says(2, None).says(3, SONNET)
    session.says(4, None, "agent-1").says(5, OPUS, "agent-1")
    found = [record for record in read(session).records if record.type == "assistant"]
    models = [record.message.model for record in found if record.message]
    assert models == [None, GPT, SONNET, None, OPUS]
    assert [record.is_sidechain for record in found] == [None, None, None, True, True]
    served = [record.message.served_by for record in found if record.message]
    assert served == ["github-copilot", "github-copilot", "anthropic", "github-copilot", "aws"]


def test_a_response_without_a_model_is_of_the_only_one_that_its_process_had() -> None:
    """Versions 1.0.12 to 1.0.20 name none."""

    def models(session: Session) -> list[str | None]:
        found = [record for record in read(session).records if record.type == "assistant"]
        return [record.message.model for record in found if record.message]

    def begun() -> Session:
        return Session().starts().says(100, None)

    assert models(begun()) == [None]
    assert models(begun().ends(sonnet=(1_000, 100, 0, 0))) == [SONNET, SONNET]
    both = begun().ends(sonnet=(1_000, 60, 0, 0), gpt=(10, 40, 0, 0))
    assert models(both) == [None, SONNET, GPT]


def test_only_what_a_person_typed_is_a_prompt() -> None:
    session = Session().starts().asks("Count them.").asks("", attachments=[{"type": "blob"}])
    session.asks("Go on.", isAutopilotContinuation=True).asks("A skill.", source="skill-pdf")
    session.event("user.message", "agent-1", content="Look into it.")
    session.event("system.message", content="You are", role="system").says(3, text="Twelve.")
    transcript = read(session)
    assert [prompt.texts for prompt in prompts(transcript)] == [("Count them.",), ()]
    assert [turn.text for turn in read_turns(transcript)] == ["Count them.", "Twelve."]


def test_what_came_of_a_tool_call_is_an_event_of_its_own() -> None:
    server = {"mcpServerName": "tickets", "mcpToolName": "find"}
    tools = [
        call("bash", "toolu_1", command="make"),
        call("tickets-find", "toolu_2", id=1) | server,
        call("edit", "toolu_3"),
        call("view", "toolu_4"),
    ]
    session = started().says(9, tools=tools).came("toolu_1", {"message": "exit 2"})
    session.came("toolu_2").came("toolu_3", {"message": "The user said no", "code": "rejected"})
    session.came("typed by a person")
    transcript = read(session)
    calls = [one for record in transcript.records for one in record.tool_calls()]
    assert [one.name for one in calls] == ["bash", "mcp__tickets__find", "edit", "view"]
    assert calls[0].decoded_input() == {"command": "make"}
    results = [one for record in transcript.records for one in record.tool_results()]
    assert [one.tool_use_id for one in results] == [one.id for one in calls[:3]]
    assert [one.is_error for one in results] == [True, False, True]


def test_lines_say_where_and_with_what_the_agent_works() -> None:
    session = started().says(1).event("session.context_changed", cwd="/home/alice/x").says(2)
    session.resumes(context={"cwd": "/home/alice/shop", "branch": "vat"}).says(3)
    found = [record for record in read(session).records if record.type == "assistant"]
    assert [(r.cwd, r.git_branch) for r in found] == [
        ("/home/alice/shop", "main"),
        ("/home/alice/x", None),
        ("/home/alice/shop", "vat"),
    ]
    assert {(r.session_id, r.version, r.entrypoint) for r in found} == {
        (session.name, "1.0.68", "copilot-agent")
    }


def test_an_odd_line_costs_itself_and_nothing_else() -> None:
    session = started().says(100).event("session.error", errorType="query", message="gone")
    lines = [*session.lines]
    lines[2:2] = [b"garbage\n", b"{}\n", b'{"type":"from.tomorrow","x":1}\n', b"\n"]
    # A line that broke off, and the next one behind it.
    lines.append(lines[1][:50] + Session(2).says(7).lines[0])
    odd = Session(3).says(-1).shutdown({SONNET: (10**13, 1, 0, 0)}).ends(sonnet=(9, 5, 0, 2))
    odd.event("session.handoff", context="a text where others have an object", sessionId=7)
    transcript = CopilotReader().parse(b"".join((*lines, *odd.lines)))
    wanted = [only_output(100), only_output(7), (7, 0, 0, 2)]
    assert [counts for _, counts in used(transcript.records)] == wanted[:2] + wanted[2:]
    assert (transcript.unreadable_lines, transcript.unknown_lines) == (4, 2)
    assert transcript.agent == "copilot-cli"


def test_an_event_that_is_repeated_is_nothing_new() -> None:
    session = started().says(100, MINI).ends(mini=(4_000, 130, 0, 3_000))
    wanted = [only_output(100), (1_000, 30, 0, 3_000)]
    assert [counts for _, counts in used(read(session).records)] == wanted
    for odd in (b"".join(line * 2 for line in session.lines), session.content * 2):
        assert [counts for _, counts in used(CopilotReader().parse(odd).records)] == wanted


def test_it_keeps_to_the_contract_of_readers() -> None:
    session = started().says(100, tools=[call("bash")]).came("toolu_1")
    session.ends(sonnet=(4_000, 130, 500, 3_000)).resumes().asks("And?").says(5).says(6, GPT)
    session.shutdown({SONNET: (90, 5, 0, 0), GPT: (80, 6, 0, 0)}).resumes().says(8)
    assert_reader(CopilotReader(), session.content)
