"""The true bill of known transcripts, through runner and store, in any order and in parts."""

import json
import random
from datetime import date
from pathlib import Path

import pytest

from lines import UsagePipeline
from places import DATA
from session_pipeline_dagster.settings import Layout

GOLDEN = DATA / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
CASES = [(group, name) for group in ("cases", "real") for name in EXPECTED[group]]
FIRST, SECOND = (f"00000000-0000-4000-8000-00000000100{n}" for n in (1, 2))


def tree(group: str, name: str) -> dict[str, bytes]:
    """Key -> content of every session file of a case."""
    root = GOLDEN / group / name / "projects"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.jsonl")}


def bill(group: str, name: str) -> tuple[int, ...]:
    tokens = EXPECTED[group][name]["tokens"]
    return tuple(tokens[kind] for kind in ("input", "output", "cache_creation", "cache_read"))


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    return UsagePipeline(tmp_path, Layout.PROJECTS)


def load(pipeline: UsagePipeline, group: str, name: str) -> None:
    for key, content in tree(group, name).items():
        pipeline.write_bytes(key, content)
    pipeline.run()


def test_every_case_on_disk_has_an_expected_bill() -> None:
    on_disk = {(p.parent.name, p.name) for g in ("cases", "real") for p in (GOLDEN / g).iterdir()}
    assert on_disk == set(CASES)


@pytest.mark.parametrize(("group", "name"), CASES)
def test_the_bill_is_exact(pipeline, group: str, name: str) -> None:
    load(pipeline, group, name)
    assert pipeline.tokens() == bill(group, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED["real"])
def test_no_response_without_its_final_output_passes_as_complete(pipeline, name: str) -> None:
    """2.0.77 ends some responses without a stop reason, so more are flagged than are cut."""
    load(pipeline, "real", name)
    expected = EXPECTED["real"][name]
    counts = "SELECT count(*), count(*) FILTER (output_partial) FROM usage_messages_unique"
    ((messages, flagged),) = pipeline.select(counts)
    without_stop_reason = 4 if name == "2.0.77" else 0
    assert messages == expected["messages"]
    assert flagged == expected["messages_without_final_output"] + without_stop_reason


SEVERAL = [case for case in CASES if len(tree(*case)) > 1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("group", "name"), SEVERAL)
def test_the_order_in_which_files_arrive_changes_nothing(pipeline, group, name, seed: int) -> None:
    files = sorted(tree(group, name).items())
    random.Random(seed).shuffle(files)  # noqa: S311  a repeatable order, no secret
    step = max(1, len(files) // 4)
    for start in range(0, len(files), step):
        for key, content in files[start : start + step]:
            pipeline.write_bytes(key, content)
        pipeline.run()
    assert pipeline.tokens() == bill(group, name)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), CASES)
def test_a_file_read_in_two_parts_counts_as_one_read_whole(pipeline, group: str, name: str) -> None:
    files = tree(group, name)
    for key, content in files.items():
        pipeline.write_bytes(key, content[: len(content) // 2])
    pipeline.run()
    for key, content in files.items():
        pipeline.write_bytes(key, content)
    pipeline.run()
    assert pipeline.tokens() == bill(group, name)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), CASES)
def test_a_copy_of_every_file_under_another_project_adds_nothing(pipeline, group, name) -> None:
    for key, content in tree(group, name).items():
        pipeline.write_bytes(f"another/{key.partition('/')[2]}", content)
    load(pipeline, group, name)
    assert pipeline.tokens() == bill(group, name)


@pytest.mark.slow
def test_a_copied_response_belongs_to_the_session_that_made_it(pipeline) -> None:
    load(pipeline, "cases", "07_fork_copies_history")
    by_session = """SELECT session_id, sum(input_tokens), sum(output_tokens)
        FROM usage_messages_unique GROUP BY ALL ORDER BY ALL"""
    assert pipeline.select(by_session) == [(FIRST, 21, 41), (SECOND, 12, 22)]


@pytest.mark.slow
def test_a_day_ends_at_midnight_utc(pipeline) -> None:
    load(pipeline, "cases", "26_midnight_utc")
    by_day = "SELECT day, input_tokens, output_tokens FROM usage_daily ORDER BY day"
    assert pipeline.select(by_day) == [(date(2026, 3, 10), 10, 20), (date(2026, 3, 11), 4, 6)]


@pytest.mark.parametrize("name", ["08_subagents_dir", "09_legacy_agent_file"])
def test_subagents_belong_to_their_parents_session(pipeline, name: str) -> None:
    load(pipeline, "cases", name)
    sessions = "SELECT DISTINCT session_id FROM usage_messages_unique"
    assert pipeline.select(sessions) == [(FIRST,)]


@pytest.mark.slow
def test_never_final_output_is_flagged(pipeline) -> None:
    load(pipeline, "cases", "33_never_final_output")
    flagged = "SELECT bool_and(output_partial), count(*) FROM usage_messages_unique"
    assert pipeline.select(flagged) == [(True, 1)]


@pytest.mark.slow
def test_a_session_file_in_parts_is_never_counted_beyond_its_complete_lines(pipeline) -> None:
    (key, content) = next(iter(tree("cases", "19_truncated_last_line").items()))
    pipeline.write_bytes(key, content)
    pipeline.run()
    lines = content.count(b"\n")
    assert pipeline.select("SELECT lines, unreadable_lines FROM usage_sessions") == [(lines, 0)]
