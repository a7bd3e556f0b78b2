"""Whose bill a cost-state is: by hand, one thing at a time, and the four real sessions."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest

from billed_files import trail, trailed
from billed_tables import OPUS, insert, price, reconciled, slot, store, write
from session_pipeline_dagster.processors.usage.money.baseline import (
    OwnBilled,
    Trailed,
    Unknown,
    own_billed,
)
from session_pipeline_dagster.processors.usage.money.trails import TOUCHED, files_of
from session_pipeline_dagster.transcripts.records import read_json

REAL = Path(__file__).parents[3] / "data/money/2.1.330/projects/-home-dev-work"
EXAMPLES = Path(__file__).parents[4] / "examples/sessions"
MODEL = "claude-opus-5-5"


def said(uuid: str, **given: object) -> dict[str, object]:
    return {
        "type": "user", "uuid": uuid, "timestamp": "2026-11-23T14:00:00Z", "sessionId": "s",
        "message": {"role": "user", "content": "go on"}, **given,
    }  # fmt: skip


def state(tokens: int, start: int | None = 1_000, **given: object) -> dict[str, object]:
    usage = {MODEL: {"inputTokens": tokens, "costUSD": tokens / 1000}}
    return {
        "type": "cost-state", "sessionId": "s", "startTime": start, "modelUsage": usage,
        "totalCostUSD": tokens / 1000, **given,
    }  # fmt: skip


def file(session: str, *lines: dict[str, object], user: str = "dev", **given: bool) -> Trailed:
    content = b"".join(json.dumps({**one, "sessionId": session}).encode() + b"\n" for one in lines)
    return trailed(f"{user}/{session}.jsonl", session, content, **given)


def billed(*files: Trailed) -> dict[str, int | Unknown | None]:
    """Session -> input tokens that are its own, or why that is not known."""
    found = {own.session_id: own for own in own_billed(files)}
    return {name: own.unknown or tokens(own) for name, own in found.items()}


def tokens(own: OwnBilled) -> int:
    return sum(model.input_tokens for model in own.models)


A, B, C, D = said("a"), said("b"), said("c"), said("d")
COPIED_A, COPIED_B = ({**one, "requestSessionId": "parent"} for one in (A, B))


def test_the_last_cost_state_is_the_bill_of_a_session_that_was_resumed():
    assert billed(file("one", A, state(10), B, state(25))) == {"one": 25}


def test_a_fork_owes_what_came_after_its_parents_last_cost_state_before_the_fork():
    parent = file("parent", A, state(10), B, state(20), C, state(40))
    fork = file("fork", COPIED_A, COPIED_B, D, state(27))
    assert billed(parent, fork) == {"parent": 40, "fork": 7}
    early = file("fork", COPIED_A, D, state(27))
    assert billed(parent, early) == {"parent": 40, "fork": 17}


def test_a_fork_of_a_fork_goes_on_from_the_fork():
    parent = file("parent", A, state(10))
    fork = file("fork", COPIED_A, B, state(25))
    grandchild = file("third", COPIED_A, {**B, "requestSessionId": "fork"}, C, state(60))
    assert billed(grandchild, fork, parent) == {"parent": 10, "fork": 15, "third": 35}


def test_two_forks_of_one_line_owe_their_own():
    parent = file("parent", A, state(10))
    forks = (file(name, COPIED_A, said(name), state(10 + n)) for n, name in enumerate("xy", 1))
    assert billed(parent, *forks) == {"parent": 10, "x": 1, "y": 2}


def test_a_fork_made_after_a_compaction_begins_in_the_middle_of_its_parent():
    summary = said("summary", isCompactSummary=True)
    boundary = {**said("boundary"), "type": "system", "subtype": "compact_boundary"}
    first = said("a", timestamp="2026-11-23T13:00:00Z")
    parent = file("parent", first, boundary, summary, B, state(30))
    fork = file("fork", boundary, summary, COPIED_B, C, state(36))
    assert billed(parent, fork) == {"parent": 30, "fork": 6}
    starts = trail(b"".join(json.dumps(x).encode() + b"\n" for x in (A, boundary, summary))).starts
    assert len(starts) == 3


def test_attachments_progress_and_sidechains_are_no_part_of_a_trail():
    left_out = [
        {**said("x"), "type": "attachment"},
        {**said("y"), "type": "progress"},
        said("z", isSidechain=True),
    ]
    with_them = trail(b"".join(json.dumps(x).encode() + b"\n" for x in (*left_out, A, *left_out)))
    assert with_them == trail(json.dumps(A).encode() + b"\n")
    assert with_them.root == with_them.digests.hex()


def test_a_trail_names_the_sessions_it_was_copied_from_the_newest_first():
    askers = ("first", "second", "s", "third", "second")
    lines = [said(str(n), requestSessionId=asker) for n, asker in enumerate(askers)]
    found = trail(b"".join(json.dumps(x).encode() + b"\n" for x in lines))
    assert found.asked_by == ("second", "third", "first")
    assert found.links("s")[:2] == ("session:s", "session:second")
    assert found.links("s")[-1] == found.root


def test_a_parent_that_is_missing_makes_the_bill_unknown():
    fork = file("fork", COPIED_A, B, state(25))
    assert billed(fork) == {"fork": Unknown.NO_PARENT}
    brother = file("brother", COPIED_A, C, state(35))
    assert billed(fork, brother) == dict.fromkeys(("fork", "brother"), Unknown.NO_PARENT)


def test_a_session_without_cost_state_is_unknown():
    assert billed(file("one", A, B)) == {"one": Unknown.NO_COST_STATE}


def test_a_bill_that_names_no_models_is_unknown():
    assert billed(file("one", A, state(10, modelUsage=None))) == {"one": Unknown.NO_MODELS}


def test_one_file_of_which_nothing_can_be_said_makes_its_session_unknown():
    one = file("one", A, state(10))
    other = replace(file("one", A, B, state(1, modelUsage=None)), session_file="dev/other.jsonl")
    (own,) = own_billed([one, other])
    assert (own.unknown, own.models) == (Unknown.NO_MODELS, ())


def test_the_last_sum_says_when_a_session_without_lines_was():
    (own,) = own_billed([file("one", A, state(10), B, state(4, 2_000))])
    assert own.last_start_us == 2_000_000


def test_a_fork_of_a_running_session_that_recorded_nothing_is_unknown():
    """`/branch` goes on in the same process: its sum holds calls that nobody wrote down."""
    parent = file("parent", A)
    fork = file("fork", COPIED_A, B, state(25, start=1_000))
    assert billed(parent, fork)["fork"] is Unknown.NOT_RECORDED
    later = file("fork", COPIED_A, B, state(25, start=1_900_000_000_000))
    assert billed(parent, later)["fork"] == 25


def test_a_process_that_began_at_zero_adds_to_the_bill():
    assert billed(file("one", A, state(10), B, state(4, start=2_000))) == {"one": 14}
    assert billed(file("one", A, state(10, None), B, state(4, None))) == {"one": 14}
    other = state(50, 2_000)
    assert billed(file("one", A, state(10), B, other, C, state(20, 3_000))) == {"one": 70}


def test_a_sum_that_only_grows_went_on_whatever_its_start():
    assert billed(file("one", A, state(10), B, state(14, start=2_000))) == {"one": 14}


def test_two_processes_side_by_side_each_add_what_they_went_on_to():
    assert billed(file("one", A, state(10), B, state(30), C, state(15))) == {"one": 35}


def test_a_process_beside_one_that_began_at_zero_went_on_from_its_own_sum():
    assert billed(file("one", A, state(10), B, state(4, 2_000), C, state(15))) == {"one": 19}
    assert billed(file("one", A, state(10), B, state(12, 2_000), C, state(15))) == {"one": 17}


def test_a_counter_that_goes_down_where_it_cannot_is_no_new_sum():
    found = own_billed([file("one", A, state(10), B, state(4))])
    assert tokens(found[0]) == 4


def test_a_fork_that_restored_nothing_owes_all_of_its_sum():
    parent = file("parent", A, state(10))
    assert billed(parent, file("fork", COPIED_A, B, state(4, start=2_000)))["fork"] == 4


def test_a_fork_with_new_uuids_goes_on_from_the_session_it_names():
    parent = file("parent", A, state(10))
    renamed = {**A, "uuid": "new", "requestSessionId": "parent"}
    assert billed(parent, file("fork", renamed, B, state(16)))["fork"] == 6
    assert billed(parent, file("fork", renamed, B, state(16, 2 * 10**12)))["fork"] == 16


def test_copies_of_a_file_are_one_session():
    one = file("one", A, state(10), B, state(20))
    renamed = replace(one, session_file="dev/0.jsonl")
    older = replace(file("one", A, state(10)), session_file="dev/older.jsonl")
    elsewhere = replace(one, session_file="zed/one.jsonl", username="zed")
    for order in ((one, renamed, older, elsewhere), (elsewhere, older, renamed, one)):
        (own,) = own_billed(order)
        assert (own.username, tokens(own)) == ("dev", 20)


def test_what_another_person_went_on_with_is_theirs():
    one = file("one", A, state(10))
    theirs = file("one", A, state(10), B, state(25), user="zed")
    found = {own.username: tokens(own) for own in own_billed([theirs, one])}
    assert found == {"dev": 10, "zed": 15}


def test_the_copy_that_somebody_still_has_comes_before_one_that_is_gone():
    gone = file("one", A, state(10), gone=True)
    (own,) = own_billed([gone, file("one", A, state(10), user="zed")])
    assert (own.username, tokens(own)) == ("zed", 10)


def test_files_without_lines_are_counted_once():
    title = file("one", state(3))
    assert billed(title, replace(title, session_file="zed/one.jsonl", username="zed")) == {"one": 3}
    assert billed(title, file("one", A, state(3))) == {"one": 3}


def test_a_made_up_cost_state_of_somebody_else_does_not_count_for_a_fork():
    parent = file("parent", A, state(10))
    forged = file("parent", A, state(10), state(20), user="zed")
    fork = file("fork", COPIED_A, B, state(25))
    assert billed(parent, fork, forged)["fork"] == 15


def test_the_session_that_a_fork_names_comes_before_one_that_says_it_is_older():
    parent = file("parent", A, state(10))
    older = file("older", {**A, "timestamp": "2026-11-23T13:00:00Z"}, state(24))
    assert billed(older, parent, file("fork", COPIED_A, B, state(25)))["fork"] == 15


def test_a_cost_that_lost_a_digit_is_no_sum_that_began_at_zero():
    less = {MODEL: {"inputTokens": 14, "costUSD": 0.0099}}
    assert billed(file("one", A, state(10), B, state(14, 2_000, modelUsage=less))) == {"one": 14}


def test_the_long_context_is_the_same_model():
    long = state(5, modelUsage={f"{MODEL}[1m]": {"inputTokens": 5}, MODEL: {"inputTokens": 2}})
    (own,) = own_billed([file("one", A, long)])
    assert [(m.model, m.input_tokens) for m in own.models] == [(MODEL, 7)]


def test_an_unknown_cost_in_the_past_of_a_parent_is_not_the_forks():
    parent = file("parent", A, state(10, hasUnknownModelCost=True))
    fork = file("fork", COPIED_A, B, state(12))
    found = {own.session_id: own.unknown_model_cost for own in own_billed([parent, fork])}
    assert found == {"parent": True, "fork": False}


@pytest.mark.slow
def test_hundreds_of_forks_of_a_long_session_are_settled_quickly():
    history = [said(f"u{n}") for n in range(400)]
    copied = [{**one, "requestSessionId": "parent"} for one in history]
    parent = file("parent", *history, state(10))
    forks = [
        replace(
            file("fork", *copied, said(f"own{n}"), state(11 + n)),
            session_id=f"fork{n}", session_file=f"dev/fork{n}.jsonl",
        )
        for n in range(500)
    ]  # fmt: skip
    began = process_time()
    found = billed(parent, *forks)
    assert process_time() - began < 10
    assert [found[f"fork{n}"] for n in range(500)] == [1 + n for n in range(500)]


# --- real sessions -----------------------------------------------------------------------------


def lines_of(folder: Path) -> list[tuple[object, ...]]:
    """A row of `usage_slots` for each response, counted once, of the session that made the call."""
    seen: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for line in map(read_json, path.read_bytes().split(b"\n")):
            message = line.get("message", {}) if isinstance(line, dict) else {}
            if split := message.get("usage", {}).get("cache_creation"):
                usage = message["usage"]
                counts = (
                    usage["input_tokens"], usage["output_tokens"],
                    split["ephemeral_5m_input_tokens"], split["ephemeral_1h_input_tokens"],
                    usage["cache_read_input_tokens"], 0,
                )  # fmt: skip
                rates = (4, 20, 5, 8, Decimal("0.2"))
                if message["model"] != MODEL:
                    rates = (1, 5, Decimal("1.25"), 2, Decimal("0.1"))
                cost = sum(n * Decimal(r) for n, r in zip(counts, rates, strict=False)) / 10**6
                session = line.get("requestSessionId") or line["sessionId"]
                seen[message["id"]] = slot(session, message["model"], counts, cost=cost)
    return list(seen.values())


def of_folder(folder: Path) -> list[Trailed]:
    return [
        trailed(f"dev/{path.name}", path.stem, path.read_bytes())
        for path in sorted(folder.rglob("*.jsonl"))
        if not path.name.startswith("agent-")
    ]


def sums(row: dict[str, object], kind: str) -> list[object]:
    names = ("input_tokens", "output_tokens", "cache_creation_5m_tokens",
             "cache_creation_1h_tokens", "cache_read_tokens", "web_search_requests")  # fmt: skip
    return [row[f"{kind}_{name}"] for name in names]


@pytest.mark.parametrize("order", [1, -1])
def test_the_four_real_sessions_are_reconciled_to_the_last_digit(order):
    with store() as connection:
        insert(connection, "usage_slots", lines_of(REAL))
        write(connection, own_billed(of_folder(REAL)[::order]))
        rows = reconciled(connection)
    found = {
        str(row["session_id"])[:8]: (
            row["billed_cost"], row["logged_cost"], row["unlogged_cost"], row["status"]
        )
        for row in rows
    }  # fmt: skip
    assert found == {
        "045f9e40": (Decimal("0.093912"), Decimal("0.074832"), Decimal("0.019080"), "unlogged"),
        "653a4bdd": (Decimal("0.009504"), Decimal("0.009504"), 0, "ok"),
        "65e570d9": (Decimal("0.009432"), Decimal("0.009432"), 0, "ok"),
        "8ade0ac2": (Decimal("0.009456"), Decimal("0.009456"), 0, "ok"),
    }
    assert sums(rows[0], "unlogged") == [45, 225, 800, 1200, 4000, 0]
    assert sum(row["billed_cost"] for row in rows) == Decimal("0.122304")
    assert sum(row["logged_cost"] for row in rows) == Decimal("0.103224")


def test_in_the_examples_every_bill_is_explained_by_its_lines():
    haiku = price("claude-haiku-4-5-20251001", ("1", "5", "0.10", "1.25", "2"))
    with store([OPUS, haiku]) as connection:
        insert(connection, "usage_slots", lines_of(EXAMPLES))
        write(connection, own_billed(of_folder(EXAMPLES)))
        rows = [row for row in reconciled(connection) if row["billed_cost"] is not None]
    assert {str(row["session_id"])[:8] for row in rows} == {
        "0fb65bc7", "819eaaf6", "9631d2d4", "b930a3b0",
    }  # fmt: skip
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["unlogged_cost"] == 0 and sums(row, "unlogged") == [0] * 6 for row in rows)
    assert all(row["billed_cost"] == row["logged_cost"] for row in rows)


def test_the_family_of_a_real_fork_is_found_by_sql():
    with store() as connection:
        connection.execute("CREATE TABLE usage_trail_links(session_file VARCHAR, link VARCHAR)")
        connection.execute("CREATE TABLE batch AS SELECT 'dev/653a4bdd' AS session_file")
        for path in REAL.glob("*.jsonl"):
            links = trail(path.read_bytes()).links(path.stem)
            insert(connection, "usage_trail_links", [(f"dev/{path.stem[:8]}", n) for n in links])
        files = {name for (name,) in connection.execute(files_of(f"FROM ({TOUCHED})")).fetchall()}
    assert files == {"dev/653a4bdd", "dev/045f9e40"}


def test_a_parent_that_is_missing_is_among_the_parts_of_its_fork():
    """So the fork is settled again when the parent comes, or goes."""
    fork = trail(json.dumps(COPIED_A).encode() + b"\n")
    with store() as connection:
        connection.execute("CREATE TABLE usage_trail_links(session_file VARCHAR, link VARCHAR)")
        connection.execute("CREATE TABLE batch AS SELECT 'dev/fork' AS session_file")
        insert(connection, "usage_trail_links", [("dev/fork", n) for n in fork.links("fork")])
        touched = {link for (link,) in connection.execute(TOUCHED).fetchall()}
    assert touched == {"session:fork", "session:parent"}
