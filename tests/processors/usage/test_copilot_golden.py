"""What sessions of Copilot CLI cost, through runner and store: with ends of processes and without.

By hand, per million tokens (input, output, cache write, cache read): claude-sonnet-4.6 3, 15, 3.75,
0.30; claude-opus-4.7 of Bedrock 5.5, 27.5, -, -; gpt-5.4 2.50, 15, -, 0.25; gpt-5-mini as GitHub
sells it 0.25, 2, -, -.
"""

import random
from collections.abc import Callable, Mapping
from decimal import Decimal

import pytest

from copilot import GPT, OPUS, Session
from lines import UsagePipeline

Files = Mapping[str, bytes]
Bill = tuple[object, ...]


def started(number: int) -> Session:
    return Session(number).starts().asks()


def ended(number: int) -> Session:
    return started(number).says(100).says(50).ends(sonnet=(10_000, 150, 3_000, 6_000))


def of(session: Session) -> Files:
    return {session.key: session.content}


def again(number: int, *, cut: bool) -> Files:
    """A session, and a copy of it that somebody made: of all of it, or before it had ended."""
    session = ended(number)
    copy = b"".join(session.lines[:-1]) if cut else session.content
    return {f"archive/{session.name}/events.jsonl": copy} | of(session)


def bill(
    tokens: tuple[int | None, int, int | None, int | None],
    cost: str | None,
    messages: int,
    unpriced: int = 0,
    unknown: int = 0,
    prompts: int = 1,
) -> Bill:
    """Input, output, cache write, cache read; cost; messages, and those that are in no cost."""
    return (*tokens, cost and Decimal(cost), messages, unpriced, unknown, prompts)


CASES: Mapping[str, tuple[Callable[[int], Files], Bill]] = {
    # 1,000 x 3 + 150 x 15 + 3,000 x 3.75 + 6,000 x 0.30
    "ended": (lambda n: of(ended(n)), bill((1_000, 150, 3_000, 6_000), "0.0183", 3)),
    "killed": (
        lambda n: of(started(n).says(100).says(50)),
        bill((None, 150, None, None), None, 2, 2, 2),
    ),
    # + 500 x 3 + 40 x 15 + 1,500 x 0.30
    "resumed": (
        lambda n: of(ended(n).resumes().asks().says(40).ends(sonnet=(2_000, 40, 0, 1_500))),
        bill((1_500, 190, 3_000, 7_500), "0.02085", 5, prompts=2),
    ),
    "goes_on_counting": (
        lambda n: of(ended(n).resumes().asks().says(40).ends(sonnet=(12_000, 190, 3_000, 7_500))),
        bill((1_500, 190, 3_000, 7_500), "0.02085", 5, prompts=2),
    ),
    "killed_and_resumed": (
        lambda n: of(started(n).says(100).resumes().says(40).ends(sonnet=(2_000, 40, 0, 1_500))),
        bill((500, 140, 0, 1_500), "0.00255", 3, 1, 1),
    ),
    "ended_and_killed": (
        lambda n: of(ended(n).resumes().says(40)),
        bill((1_000, 190, 3_000, 6_000), "0.0183", 4, 1, 1),
    ),
    "end_without_metrics": (
        lambda n: of(started(n).says(100).ends()),
        bill((None, 100, None, None), None, 1, 1, 1),
    ),
    # 1,000 x 3 + 100 x 15 + 3,000 x 0.30; 1,000 x 2.50 + 50 x 15 + 1,000 x 0.25
    "two_models": (
        lambda n: of(
            started(n)
            .says(100)
            .event("session.model_change", newModel=GPT)
            .says(50, GPT)
            .ends(sonnet=(4_000, 100, 0, 3_000), gpt=(2_000, 50, 0, 1_000))
        ),
        bill((2_000, 150, 0, 4_000), "0.0089", 4),
    ),
    # A million in many requests, each at the price of a short one: 1,000,000 x 2.50 + 50 x 15
    "long": (
        lambda n: of(started(n).says(50, GPT).ends(gpt=(1_000_000, 50, 0, 0))),
        bill((1_000_000, 50, 0, 0), "2.50075", 2),
    ),
    # 1,000 x 3 + 130 x 15 + 3,000 x 0.30; 700 x 0.25 + 20 x 2
    "calls_without_an_event": (
        lambda n: of(
            started(n).says(100).ends(sonnet=(4_000, 130, 0, 3_000), mini=(700, 20, 0, 0))
        ),
        bill((1_700, 150, 0, 3_000), "0.006065", 3),
    ),
    # 1,000 x 3 + 100 x 15 + 3,000 x 0.30
    "split": (
        lambda n: of(
            started(n)
            .says(100, call=f"msg_{n}")
            .says(100, call=f"msg_{n}")
            .ends(sonnet=(4_000, 100, 0, 3_000))
        ),
        bill((1_000, 100, 0, 3_000), "0.0054", 2),
    ),
    # The same + 1,000 x 5.5 + 10 x 27.5
    "subagent": (
        lambda n: of(
            started(n)
            .says(100)
            .says(10, OPUS, "agent-1")
            .ends(sonnet=(4_000, 100, 0, 3_000), opus=(1_000, 10, 0, 0))
        ),
        bill((2_000, 110, 0, 3_000), "0.011175", 4),
    ),
    "unpriced": (
        lambda n: of(started(n).says(5, "nobody-1").shutdown({"nobody-1": (100, 5, 0, 0)})),
        bill((100, 5, 0, 0), None, 2, 2),
    ),
    "twin": (lambda n: again(n, cut=False), bill((1_000, 150, 3_000, 6_000), "0.0183", 3)),
    "cut_twin": (lambda n: again(n, cut=True), bill((1_000, 150, 3_000, 6_000), "0.0183", 3)),
    "repeated": (
        lambda n: {ended(n).key: b"".join(line * 2 for line in ended(n).lines)},
        bill((1_000, 150, 3_000, 6_000), "0.0183", 3),
    ),
}
TWINS, WAYS = ("twin", "cut_twin"), ("whole", "half", "first", "last")


def write(pipeline: UsagePipeline, user: str, files: Files, share: float = 1) -> None:
    for key, content in files.items():
        pipeline.write_bytes(f"{user}/{key}", content[: int(len(content) * share)])


def billed(pipeline: UsagePipeline) -> Mapping[str, Bill]:
    """What everybody's sessions came to."""
    found = pipeline.select(
        """SELECT username, sum(input_tokens), sum(output_tokens), sum(cache_creation_tokens),
            sum(cache_read_tokens), sum(cost), sum(messages), sum(unpriced_messages),
            sum(unknown_input_messages), any_value(prompts)
        FROM usage_daily JOIN (
            SELECT username, count(*) AS prompts FROM usage_events_unique
            WHERE event_type = 'prompt' GROUP BY ALL) USING (username)
        WHERE agent = 'copilot-cli' GROUP BY ALL"""
    )
    return {user: tuple(counts) for user, *counts in found}


@pytest.mark.slow
def test_every_case_is_exact_whole_in_parts_and_in_any_order(tmp_path) -> None:
    """A person for every case and way; all of them in two passes."""
    pipeline = UsagePipeline(tmp_path)
    ways = {name: WAYS if name in TWINS else WAYS[:2] for name in CASES}
    people = [(name, way, f"{way}_{name}") for name in CASES for way in ways[name]]
    files = {user: CASES[name][0](n) for n, (name, _, user) in enumerate(people, start=1)}
    shuffled = random.Random(7).sample(people, len(people))  # noqa: S311  a repeatable order
    for _, way, user in shuffled:
        parts = [*files[user].items()]
        parts = {"first": parts[:1], "last": parts[-1:]}.get(way, parts)
        write(pipeline, user, dict(parts), 0.5 if way == "half" else 1)
    pipeline.run()
    for _, _, user in shuffled:
        write(pipeline, user, files[user])
    pipeline.run()
    wanted = {user: CASES[name][1] for name, _, user in people}
    found = billed(pipeline)
    wrong = {
        user: (found.get(user), bill) for user, bill in wanted.items() if found.get(user) != bill
    }
    assert not wrong, "\n".join(map(str, wrong.items()))
    # What one copy was cut off before stands in the other.
    basis = """SELECT DISTINCT input_basis, input_tokens IS NULL FROM usage_messages_unique
        WHERE username = 'whole_cut_twin'"""
    assert pipeline.select(basis) == [("process", False)]
    assumed = "SELECT sum(assumed_messages) FROM usage_daily WHERE username = 'whole_ended'"
    assert pipeline.select(assumed) == [(3,)], "which band a request was in, nobody says"


@pytest.mark.slow
def test_rows_say_whose_sum_they_are_in_and_what_nobody_knows(tmp_path) -> None:
    pipeline = UsagePipeline(tmp_path)
    write(pipeline, "alice", of(ended(1).resumes().says(40)))
    # Somebody else holds a copy: it stays hers.
    write(pipeline, "bob", of(ended(1)))
    pipeline.run()
    found = pipeline.select(
        """SELECT username, provider, input_basis, input_tokens, output_tokens, project, git_branch
        FROM usage_messages_unique ORDER BY sent_at"""
    )
    shop = ("-home-alice-shop", "main")
    assert found == [
        ("alice", "anthropic", "process", 0, 100, *shop),
        ("alice", "anthropic", "process", 0, 50, *shop),
        ("alice", "anthropic", "process", 1_000, 0, *shop),
        ("alice", "anthropic", "unknown", None, 40, *shop),
    ]
    session = "SELECT session_id, input_tokens, agent FROM usage_sessions WHERE username = 'alice'"
    assert pipeline.select(session) == [(ended(1).name, 1_000, "copilot-cli")]
