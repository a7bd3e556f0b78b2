"""What sessions of Gemini CLI cost, through runner and store: messages that are written again and
again, rewinds, subagents, copies."""

import json
from decimal import Decimal

import pytest

from lines import UsagePipeline
from places import DATA

GOLDEN = DATA / "gemini"
WAYS = ("whole", "first", "last", "half")
EXPECTED = json.loads((GOLDEN / "expected.json").read_text("utf-8"))


def tree(name: str, number: int) -> dict[str, bytes]:
    """Key below a user -> content of every file of a case; under names of its own, else it is a
    copy of another person's."""
    root, mark = GOLDEN / name, f"-4000-8{number:03x}-"
    return {
        p.relative_to(root).as_posix().replace("-4000-8000-", mark): p.read_bytes().replace(
            b"-4000-8000-", mark.encode()
        )
        for p in root.rglob("*.jsonl")
    }


def bill(name: str) -> tuple[object, ...]:
    expected = EXPECTED[name]
    cost = None if expected["cost"] is None else Decimal(expected["cost"])
    kinds = ("input", "output", "cache_creation", "cache_read")
    counts = (expected["tokens"][kind] for kind in kinds)
    return (*counts, cost, expected["messages"], expected["prompts"])


@pytest.mark.slow
def test_every_case_is_exact_whole_in_parts_and_in_any_order(tmp_path) -> None:
    """A person for every case and way; all of them in two passes."""
    pipeline = UsagePipeline(tmp_path)
    people = {f"{way}_{name}": (name, way) for name in EXPECTED for way in WAYS}
    trees = {
        user: tree(name, number) for number, (user, (name, _)) in enumerate(people.items(), start=1)
    }
    for user, (_, way) in people.items():
        parts = [*trees[user].items()]
        for key, content in {"first": parts[:1], "last": parts[-1:]}.get(way, parts):
            size = len(content) // 2 if way == "half" else len(content)
            pipeline.write_bytes(f"{user}/{key}", content[:size])
    pipeline.run()
    for user, files in trees.items():
        for key, content in files.items():
            pipeline.write_bytes(f"{user}/{key}", content)
    pipeline.run()
    found = pipeline.select(
        """SELECT username, sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
            sum(cache_read_tokens), sum(cost), sum(messages), (SELECT count(*)
                FROM usage_events_unique AS e
                WHERE event_type = 'prompt' AND e.username = d.username)
        FROM usage_daily AS d WHERE agent = 'gemini-cli' GROUP BY username"""
    )
    billed = {user: tuple(counts) for user, *counts in found}
    assert billed == {user: bill(name) for user, (name, _) in people.items()}
    whole = "username = 'whole_subagent'"
    parts = pipeline.select(
        f"""SELECT is_sidechain, agent_id IS NOT NULL, model, project, provider, count(*)
        FROM usage_messages_unique WHERE {whole} GROUP BY ALL ORDER BY ALL"""
    )
    assert parts == [
        (False, False, "gemini-2.5-pro", "shop", "google", 2),
        (True, True, "gemini-2.5-flash", "shop", "google", 2),
    ]
    sessions = f"SELECT DISTINCT session_id, agent FROM usage_sessions WHERE {whole}"
    assert len(pipeline.select(sessions)) == 1, "a subagent is part of the session"
    calls = f"SELECT event_type, is_error FROM usage_events_unique WHERE {whole} ORDER BY ALL"
    assert pipeline.select(calls) == [("prompt", False), ("subagent", False), ("tool_use", True)]
