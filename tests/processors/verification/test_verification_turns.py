"""Which texts of a session file are a person's or the assistant's."""

import shutil
from pathlib import Path

import pytest

from conversations import conversation, said, session, turns_of
from helpers import EXAMPLES, make_pipeline
from lines import Line, other, result, tool
from places import DATA
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.detection.turns import HUMAN, digest

GOLDEN = DATA / "golden"


def texts(*lines: Line | bytes) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in turns_of(*lines)]


def test_nested_lines_are_turns_in_any_form_of_content() -> None:
    text = {"type": "text", "text": "in a block"}
    lines = [said("user", "a string"), said("user", ["bare", text]), said("assistant", [text])]
    assert texts(*lines) == [
        ("human", "a string"),
        ("human", "bare\nin a block"),
        ("assistant", "in a block"),
    ]


def test_the_flat_form_of_old_collectors_is_read_too() -> None:
    block = {"type": "text", "text": "second"}
    lines: list[Line] = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": [block]},
        {"role": "human", "content": "third", "timestamp": "2026-03-10T12:00:00Z"},
        {"role": "tool", "content": "never"},
        {"role": "user", "content": [{"type": "tool_result", "content": "never"}]},
        {"role": ["user"], "content": "never"},
        {"role": "user", "content": {"text": "never"}},
    ]
    assert texts(*lines) == [("human", "first"), ("assistant", "second"), ("human", "third")]


@pytest.mark.parametrize(
    "line",
    [
        said("user", "x", isMeta=True),
        said("user", "x", isCompactSummary=True),
        said("user", "x", isSidechain=True),
        said("user", "x", agentId="a1"),
        said("assistant", "x", isSidechain=True),
        said("user", "x", origin={"kind": "task-notification"}),
        said("user", "x", origin={"kind": "coordinator"}),
        said("user", [result(), {"type": "text", "text": "x"}]),
        said("user", "<command-name>/go</command-name>\n<command-args></command-args>"),
        said("user", "<command-message>go</command-message>"),
        said("user", "<local-command-stdout>x</local-command-stdout>"),
        said("user", "<bash-input>x</bash-input>"),
        said("user", "<task-notification>x</task-notification>"),
        said("user", "<system-reminder>x</system-reminder>"),
        said("user", "[Request interrupted by user]"),
        said("user", "This session is being continued from a previous conversation. x"),
        said("user", ""),
        said("user", "  \n "),
        said("user", [tool("Bash")]),
        said("assistant", [tool("Bash", command="x")]),
        said("assistant", [{"type": "thinking", "thinking": "x"}]),
        said("user", None),
        said("user", 7),
        other("system", content="x"),
        other("summary", summary="x"),
        other("progress", data={"type": "agent_progress", "message": said("user", "x")}),
        other("user"),
        {"type": "user", "message": "x"},
        {"type": "assistant", "message": {"model": "<synthetic>", "content": "x"}},
    ],
    ids=lambda line: str(line)[:60],
)
def test_everything_else_is_left_out(line: Line) -> None:
    assert texts(line) == []


def test_what_stands_behind_a_command_is_a_person_s() -> None:
    line = "<command-name>/go</command-name>\n<command-args>the rate is daily</command-args>"
    assert texts(said("user", line)) == [("human", "the rate is daily")]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("plan-turn", []),
        ("queued-prompt", [("correction", 6, "aaaaaaaa-0000-4000-8000-000000000042")]),
    ],
)
def test_only_what_a_person_typed_teaches(
    tmp_path: Path, name: str, found: list[tuple[object, ...]]
) -> None:
    pipeline = make_pipeline(tmp_path)
    shutil.copytree(DATA / "repro" / name / "sessions", pipeline.root, dirs_exist_ok=True)
    pipeline.run(VerificationProcessor())
    columns = "detection_type, line_number, line_uuid"
    assert pipeline.select(f"SELECT {columns} FROM verifications") == found


def test_what_was_put_into_a_text_is_taken_out_of_it() -> None:
    text = "before <system-reminder>secret\nrules</system-reminder>after <ide_selection>x"
    assert texts(said("user", text)) == [("human", "before after")]


def test_a_person_s_own_origin_is_a_person_s() -> None:
    assert texts(said("user", "x", origin={"kind": "human"})) == [("human", "x")]


def test_a_turn_knows_its_line_time_and_session() -> None:
    first = said("user", "no time", 1) | {"timestamp": None}
    turns = turns_of(said("assistant", "x", 0), b"{broken", first, said("user", "y", 3))
    assert [turn.line_number for turn in turns] == [1, 3, 4]
    assert [turn.line_uuid for turn in turns] == ["line-0", "line-1", "line-3"]
    assert turns[1].time_us == turns[0].time_us
    assert turns[2].time_us == 1773144003000000
    assert {turn.session_id for turn in turns} == {"s1"}


def test_a_line_without_a_uuid_keeps_its_name_when_its_file_is_renamed() -> None:
    lines: list[Line] = [{"role": "user", "content": "same"}, {"role": "user", "content": "same"}]
    here = [turn.line_uuid for turn in turns_of(*lines, key="alice/a.jsonl")]
    there = [turn.line_uuid for turn in turns_of(*lines, key="alice/old/b.jsonl")]
    assert here == there
    assert len(set(here)) == 2


def test_a_fork_repeats_uuids_so_its_detections_have_the_same_keys() -> None:
    lines = conversation("hi", "By order date?", "FYI our convention is that rates are daily.")
    fork = [line | {"sessionId": "s2"} for line in lines]
    keys = []
    for key, content in (("alice/p/s1.jsonl", lines), ("alice/p/s2.jsonl", fork)):
        made = VerificationProcessor().process(session(*content, key=key))
        keys.append([row[1] for row in made.rows["verifications"]])
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


def test_history_that_an_old_resume_copied_is_left_out() -> None:
    at = {"timestamp": "2026-03-10T13:00:00.000Z"}
    history = [line | at for line in conversation("old", "answer", "older")]
    fresh = conversation("new", "answer", first=10)
    start = {"type": "summary", "summary": "x", "leafUuid": "y"}
    assert [text for _, text in texts(start, *history, *fresh)] == ["new", "answer"]
    # Without the summary in front it is some other tool's file that knows one time only.
    assert len(texts(*history, *fresh)) == 5


def test_the_real_resume_of_1_0_30_repeats_nothing() -> None:
    folder = GOLDEN / "real" / "1.0.30" / "projects" / "-home-dev-work"
    (resumed,) = folder.glob("3e1fc2e9*.jsonl")
    found = turns_of(*resumed.read_bytes().splitlines())
    assert [turn.text for turn in found] == ["SHORT resumed", "ok: short answer"]


def test_a_digest_names_lines_and_texts() -> None:
    turns = turns_of(*conversation("a", "b", "c"))
    assert digest(turns[:2]) == digest(turns_of(*conversation("a", "b")))
    assert digest(turns) != digest(turns_of(*conversation("a", "b", "d")))


@pytest.mark.parametrize("tree", ["real", "cases"])
def test_golden_transcripts_are_processed_without_an_error(tmp_path: Path, tree: str) -> None:
    pipeline = make_pipeline(tmp_path)
    shutil.copytree(GOLDEN / tree, pipeline.root, dirs_exist_ok=True)
    report = pipeline.run(VerificationProcessor())
    assert report.errors_detail == []
    assert report.processed == report.session_files > 10


def test_the_examples_teach_what_their_readme_says(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    shutil.copytree(EXAMPLES, pipeline.root, dirs_exist_ok=True)
    pipeline.run(VerificationProcessor())
    found = pipeline.select(
        """SELECT username, regexp_extract(session_file, '([0-9a-f]{8})-', 1), detection_type,
            line_number FROM verifications WHERE accepted ORDER BY ALL"""
    )
    correction, confirmation, definition = "correction", "confirmation", "unprompted_definition"
    assert found == [
        ("alice", "0fb65bc7", definition, 18),
        ("alice", "2afd6da6", definition, 9),
        ("alice", "6c972e30", correction, 16),
        ("alice", "9631d2d4", confirmation, 18),
        ("alice", "b930a3b0", correction, 26),
        ("alice", "b930a3b0", definition, 10),
        ("alice", "c761ebb2", correction, 8),
        ("bob", "40811395", confirmation, 7),
        ("bob", "40811395", definition, 19),
        ("bob", "64d5542c", confirmation, 8),
        ("bob", "64d5542c", definition, 18),
        ("bob", "71e5acc3", correction, 10),
        ("bob", "819eaaf6", confirmation, 35),
        ("bob", "819eaaf6", correction, 25),
        ("bob", "a9c7d784", definition, 8),
        ("bob", "a9c7d784", definition, 19),
    ]
    # "The correct way is to ...": it may as well be an order, so a person decides.
    left = pipeline.select(
        "SELECT line_number FROM verifications WHERE session_file LIKE '%ae7b1088%'"
    )
    assert left == [(7,)]


def test_only_turns_of_a_person_count_as_human() -> None:
    assert {t.role for t in turns_of(*conversation("a", "b"))} == {HUMAN, "assistant"}
