"""What Codex threads cost, through runner and store: forks, subagents, resets, odd ends."""

import json
import random
from decimal import Decimal

import pytest

from lines import UsagePipeline, assistant, usage
from places import DATA

GOLDEN = DATA / "codex"
WAYS = ("whole", "first", "last", "half")
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


def tree(name: str) -> dict[str, bytes]:
    """Key below a user -> content of every file of a case."""
    root = GOLDEN / name
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.jsonl")}


def of_their_own(files: dict[str, bytes], number: int) -> dict[str, bytes]:
    """The same threads under other names: else they are copies of another person's."""
    mark = f"-7000-8{number:03x}-"
    return {
        key.replace("-7000-8000-", mark): content.replace(b"-7000-8000-", mark.encode())
        for key, content in files.items()
    }


def write(pipeline: UsagePipeline, user: str, files: dict[str, bytes], share: float = 1) -> None:
    for key, content in files.items():
        pipeline.write_bytes(f"{user}/{key}", content[: int(len(content) * share)])


def bill(name: str) -> tuple[object, ...]:
    tokens, expected = EXPECTED[name]["tokens"], EXPECTED[name]
    cost = None if expected["cost"] is None else Decimal(expected["cost"])
    counts = (tokens[kind] for kind in ("input", "output", "cache_creation", "cache_read"))
    return (*counts, cost, expected["messages"], expected["prompts"])


def billed(pipeline: UsagePipeline, user: str) -> tuple[object, ...]:
    ((*counts, prompts),) = pipeline.select(
        f"""SELECT sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
            sum(cache_read_tokens), sum(cost), sum(messages), (SELECT count(*)
                FROM usage_events_unique WHERE event_type = 'prompt' AND username = '{user}')
        FROM usage_daily WHERE username = '{user}' AND agent = 'codex'"""
    )
    return (*counts, prompts)


@pytest.mark.slow
def test_every_case_is_exact_whole_in_parts_and_in_any_order(tmp_path) -> None:
    """A person for every case and way; all of them in few passes."""
    pipeline = UsagePipeline(tmp_path)
    people = {(name, way): f"{way}_{name}" for name in EXPECTED for way in WAYS}
    files = {
        user: of_their_own(tree(name), number)
        for number, ((name, _), user) in enumerate(people.items(), start=1)
    }
    for (_, way), user in people.items():
        parts = [*files[user].items()]
        parts = {"first": parts[:1], "last": parts[-1:]}.get(way, parts)
        write(pipeline, user, dict(parts), 0.5 if way == "half" else 1)
    pipeline.run()
    for user in people.values():
        write(pipeline, user, files[user])
    pipeline.run()
    wrong = {
        user: (found, bill(name))
        for (name, _), user in people.items()
        if (found := billed(pipeline, user)) != bill(name)
    }
    assert not wrong, "\n".join(map(str, wrong.items()))


@pytest.mark.slow
def test_a_copied_turn_is_of_the_thread_that_made_it(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    write(pipeline, "alice", tree("fork_of_a_fork"))
    pipeline.run()
    by_thread = """SELECT session_id, count(*), min(copies), max(copies), any_value(project)
        FROM usage_messages_unique GROUP BY ALL ORDER BY min(sent_at)"""
    threads = [name.removesuffix(".jsonl")[-36:] for name in sorted(tree("fork_of_a_fork"))]
    found = pipeline.select(by_thread)
    assert [row[0] for row in found] == threads
    assert [row[1:4] for row in found] == [(2, 3, 3), (1, 2, 2), (1, 1, 1)]
    assert {row[4] for row in found} == {"-home-alice-shop"}, "where the thread worked"


@pytest.mark.slow
def test_a_subagent_is_part_of_the_session_that_sent_it_off(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    write(pipeline, "alice", tree("subagent"))
    pipeline.run()
    found = pipeline.select(
        """SELECT is_sidechain, agent_id IS NOT NULL, model, count(*) FROM usage_messages_unique
        GROUP BY ALL ORDER BY ALL"""
    )
    assert found == [(False, False, "gpt-5.6", 2), (True, True, "gpt-5.6-luna", 1)]
    assert pipeline.select("SELECT count(DISTINCT session_id) FROM usage_slots") == [(1,)]
    subagents = "SELECT is_subagent, count(*) FROM usage_sessions GROUP BY ALL ORDER BY ALL"
    assert pipeline.select(subagents) == [(False, 1), (True, 1)]
    for table in ("usage_sessions", "usage_events_unique"):
        assert pipeline.select(f"SELECT DISTINCT agent FROM {table}") == [("codex",)]


@pytest.mark.slow
def test_another_persons_copy_counts_once_and_their_own_thread_for_them(tmp_path) -> None:
    """A turn's name stands for a line's uuid: who holds the very file has copied it."""
    pipeline = UsagePipeline(tmp_path)
    files = tree("archived_twin")
    write(pipeline, "alice", files)
    write(pipeline, "bob", files)
    # The same turns at other times are not the same lines: nobody takes anything from anybody.
    later = {key: text.replace(b"2026-11-20T09", b"2026-11-20T08") for key, text in files.items()}
    write(pipeline, "carol", later)
    pipeline.run()
    by_user = "SELECT username, sum(messages) FROM usage_daily GROUP BY ALL ORDER BY ALL"
    assert pipeline.select(by_user) == [("alice", 2), ("carol", 2)]


@pytest.mark.slow
def test_lines_in_any_order_of_files_over_many_passes(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    names = ["fork_over_8_seconds", "subagent"]
    files = [(f"{name}/{key}", text) for name in names for key, text in tree(name).items()]
    random.Random(7).shuffle(files)  # noqa: S311  a repeatable order, no secret
    for key, text in files:
        number = 1 + names.index(key.partition("/")[0])
        ((key, text),) = of_their_own({key: text}, number).items()
        pipeline.write_bytes(key, text)
        pipeline.run()
    assert [billed(pipeline, name) for name in names] == [bill(name) for name in names]


@pytest.mark.slow
def test_what_is_missing_of_one_agents_output_is_not_estimated_from_anothers(tmp_path) -> None:
    """Codex counts reasoning as output, whose text nobody has."""
    pipeline = UsagePipeline(tmp_path)
    cut = assistant("msg_1", usage(1, 3), [{"type": "text", "text": "x" * 800}], stop=None)
    pipeline.write("a/p/1.jsonl", cut)
    write(pipeline, "b", tree(next(iter(EXPECTED))))
    pipeline.run()
    found = pipeline.select(
        "SELECT username, output_estimate > output_tokens AS more, at_least "
        "FROM usage_daily_estimated WHERE agent = 'claude-code'"
    )
    assert found == [("a", False, True)]
