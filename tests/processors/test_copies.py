"""Whose is it, where several files hold a copy of it: the same answer wherever it is asked."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import pytest

from conversations import FACT, conversation, session, write
from helpers import Pipeline, make_pipeline
from knowledge_lines import FISCAL, knowledge, said
from lines import Line, agent_progress_line
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.copies import Copy, copied_lines, rank
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

TOLD = "What people taught (newest)"
ORIGINAL = conversation("hi", "By order date?", FACT, "Thanks.")


def forked(lines: Sequence[Line], into: str, of: str) -> list[Line]:
    """The lines in a new session; responses say who asked for them."""
    asked = {"requestSessionId": of}
    return [
        line | {"sessionId": into} | (asked if line["type"] == "assistant" else {})
        for line in lines
    ]


FORK = [*forked(ORIGINAL, "s2", "s1"), *conversation("More.", "Done.", first=10)]
CASES = {
    "a marked copy": ({"zoe/p/s1.jsonl": ORIGINAL, "alice/p/s2.jsonl": FORK}, "zoe/p/s1.jsonl"),
    "a file that began later": (
        {"zoe/p/s1.jsonl": ORIGINAL, "alice/p/s1.jsonl": ORIGINAL[1:]},
        "zoe/p/s1.jsonl",
    ),
    "the same file twice": (
        {"zoe/p/s1.jsonl": ORIGINAL, "alice/p/s1.jsonl": ORIGINAL},
        "alice/p/s1.jsonl",
    ),
    "a marked copy that began first": (
        {"zoe/p/s1.jsonl": ORIGINAL[1:], "alice/p/s2.jsonl": FORK},
        "zoe/p/s1.jsonl",
    ),
}


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def run(pipeline: Pipeline, files: dict[str, list[Line]]) -> None:
    for key, lines in files.items():
        write(pipeline, key, lines)
    for processor in (UsageProcessor(), VerificationProcessor()):
        run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())


def told(pipeline: Pipeline) -> list[object]:
    """The user that the summary names."""
    (sql,) = [found.sql for found in VerificationProcessor.summaries if found.title == TOLD]
    return [row[0] for row in pipeline.select(f'SELECT "user" FROM ({sql})')]


@pytest.mark.parametrize("case", CASES)
def test_usage_and_knowledge_name_the_same_file(pipeline: Pipeline, case: str) -> None:
    files, whose = CASES[case]
    run(pipeline, files)
    assert pipeline.select("SELECT count(*) FROM verifications") == [(2,)]
    response = "SELECT session_file FROM usage_messages_unique WHERE message_id = 'msg_3'"
    assert pipeline.select(response) == [(whose,)]
    user = whose.partition("/")[0]
    evidence = "SELECT session_file, source_user FROM verification_evidence"
    assert pipeline.select(evidence) == [(whose, user)]
    assert pipeline.select("SELECT source_user FROM knowledge_items") == [(user,)]
    assert told(pipeline) == [user]


def test_what_a_fork_adds_is_its_own_in_a_fork_of_the_fork(pipeline: Pipeline) -> None:
    lines = [*forked(ORIGINAL[:2], "s2", "s1"), *forked(ORIGINAL[2:], "s2", "s2")]
    again = [*forked(ORIGINAL[:2], "s3", "s1"), *forked(ORIGINAL[2:], "s3", "s2")]
    run(pipeline, {"zoe/p/s2.jsonl": lines, "alice/p/s3.jsonl": again})
    evidence = "SELECT session_file FROM verification_evidence"
    assert pipeline.select(evidence) == [("zoe/p/s2.jsonl",)]


@pytest.mark.parametrize(
    ("lines", "copied"),
    [
        (ORIGINAL, 0),
        (FORK, 4),
        (forked(ORIGINAL, "s1", "s1"), 0),
        ([{**line, "sessionId": None} for line in forked(ORIGINAL, "s1", "s")], 0),
        ([agent_progress_line(ORIGINAL[1] | {"requestSessionId": "s2"})], 0),
    ],
    ids=["own", "fork", "marked as own", "named by the file", "a subagent's"],
)
def test_what_stands_before_a_marked_response_was_copied_with_it(
    lines: list[Line], copied: int
) -> None:
    assert copied_lines(session(*lines)) == copied


def test_the_order_in_python_is_that_of_the_sql(tmp_path: Path) -> None:
    chooser = random.Random(7)  # noqa: S311  to be played again
    flags = (False, True)
    places = [Copy(*place) for place in product(flags, flags, (-5, 0, 10**15), ("a/é", "a", "B"))]
    store, sql = Store(DuckDBFile(tmp_path / "x.duckdb")), rank("m", "s", "make_timestamp(t)", "k")
    for _ in range(100):
        some = chooser.sample(places, 4)
        values = ", ".join(f"({c.sidechain}, {c.marked}, {c.started_us}, '{c.key}')" for c in some)
        question = f"SELECT arg_min(row(s, m, t, k), {sql}) FROM (VALUES {values}) AS v(s, m, t, k)"
        (((first,),),) = (rows for _, rows in store.query(question))
        lowest = min(some)
        assert first == (lowest.sidechain, lowest.marked, lowest.started_us, lowest.key)


def test_rows_of_before_there_was_a_rank_are_by_key_and_so_are_their_copies(
    pipeline: Pipeline,
) -> None:
    before = said(FISCAL, "zoe", line="u1", session="zoe/s.jsonl")
    fork = said(FISCAL, "alice", line="u1", session="alice/fork.jsonl")
    later = replace(fork, file_started_us=5, is_copy=True)
    for found in ([before, fork], [before, later], [replace(before, file_started_us=5), fork]):
        for order in permutations(found):
            (evidence,) = knowledge(order).evidence.values()
            assert evidence.session_file == "alice/fork.jsonl"
    run(pipeline, CASES["a marked copy"][0])
    with pipeline.store.connect() as connection:
        connection.execute(
            "UPDATE verifications SET file_started_at = NULL, is_copy = NULL "
            "WHERE session_file LIKE 'alice/%'"
        )
    assert told(pipeline) == ["alice"]
