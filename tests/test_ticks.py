"""When a sensor asks: the cadence, a backlog, a set that does not move, and a broken clock."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from session_pipeline_dagster.plan import Outlook
from session_pipeline_dagster.sessions import SessionFile, Signature
from session_pipeline_dagster.ticks import Memory, decide, read_memory, write_memory

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CADENCE = timedelta(minutes=10)
HOUR = timedelta(hours=1)


def files(*names: str, at: datetime = NOW + timedelta(days=1)) -> list[SessionFile]:
    """Files written at a time; later than every request unless said otherwise."""
    mtime = int(at.timestamp()) * 10**9
    return [SessionFile(f"a/{n}", "a", None, f"/a/{n}", Signature(1, mtime, 0)) for n in names]


def outlook(due=(), suspect=(), unsigned=(), backing_off=(), quarantined=()) -> Outlook:
    parts = [list(part) for part in (due, suspect, unsigned, backing_off, quarantined)]
    return Outlook(sum(map(len, parts)), *parts)


def ask(found: Outlook, memory: Memory = Memory(), at: datetime = NOW, cap: int = 100):  # noqa: B008  frozen
    return decide(found, memory, CADENCE, cap, at)


@pytest.mark.parametrize("part", ["due", "suspect", "unsigned"])
def test_the_first_look_asks_at_once_for_whatever_can_be_done(part: str) -> None:
    found = files("1", "2")
    decision = ask(outlook(**{part: found}))
    assert (decision.ask, decision.files) == (True, found)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (outlook(), "0 files are current"),
        (outlook(backing_off=files("1")), "1 failed files wait"),
        (outlook(quarantined=files("1", "2")), "2 failed files wait"),
    ],
)
def test_without_work_it_does_not_ask_and_says_why(found: Outlook, reason: str) -> None:
    earlier = Memory(NOW.timestamp(), "digest", 3, 2)
    decision = ask(found, earlier)
    assert not decision.ask
    assert reason in decision.reason
    assert decision.memory == Memory(NOW.timestamp())


@pytest.mark.parametrize(("after", "asks"), [(599, False), (600, True)])
def test_new_files_wait_for_the_cadence(after: int, asks: bool) -> None:
    memory = ask(outlook(files("1"))).memory
    decision = ask(outlook(files("2")), memory, NOW + timedelta(seconds=after))
    assert decision.ask is asks
    assert decision.memory == memory or asks


def test_what_the_cap_left_over_is_asked_for_at_once() -> None:
    first = ask(outlook(files("1", "2", "3")), cap=2)
    assert [file.key for file in first.files] == ["a/1", "a/2"]
    assert first.memory.deferred == 1
    second = ask(outlook(files("3")), first.memory, NOW + timedelta(seconds=1), cap=2)
    assert second.ask
    assert second.memory.deferred == 0


def test_what_the_time_budget_left_over_is_asked_for_at_once() -> None:
    there_before = files("1", "2", at=NOW - HOUR)
    first = ask(outlook(there_before))
    assert ask(outlook(there_before[1:]), first.memory, NOW + timedelta(seconds=1)).ask


def test_the_cap_leaves_suspects_and_unsigned_files_out() -> None:
    found = outlook(files("1", "2"), files("3", "4"), files("5"))
    assert [f.key[-1] for f in ask(found, cap=1).files] == ["1", "3", "4", "5"]


def test_the_same_set_again_is_asked_for_ever_more_rarely_up_to_an_hour() -> None:
    stuck = outlook(files("1", at=NOW - HOUR))
    memory, now, waits = ask(stuck).memory, NOW, []
    for _ in range(6):
        asked_at = now
        while not (decision := ask(stuck, memory, now)).ask:
            now += timedelta(minutes=1)
        waits.append((now - asked_at) // timedelta(minutes=1))
        memory = decision.memory
    assert waits == [10, 20, 40, 60, 60, 60]


def test_a_cadence_over_an_hour_is_kept() -> None:
    stuck, cadence = outlook(files("1")), timedelta(hours=3)
    memory = decide(stuck, Memory(), cadence, 100, NOW).memory
    assert not decide(stuck, memory, cadence, 100, NOW + 2 * HOUR).ask
    assert decide(stuck, memory, cadence, 100, NOW + 3 * HOUR).ask


def test_a_set_that_never_moves_is_still_asked_for_after_years() -> None:
    stuck = outlook(files("1"))
    memory = Memory(NOW.timestamp(), ask(stuck).memory.digest, 0, 100_000)
    assert ask(stuck, memory, NOW + HOUR).ask


@pytest.mark.parametrize(
    "moved",
    [files("1", at=NOW + timedelta(days=2)), files("2"), files("1", "2")],
    ids=["changed", "another", "one more"],
)
def test_a_set_that_moved_is_back_to_the_cadence(moved: list[SessionFile]) -> None:
    digest = ask(outlook(files("1"))).memory.digest
    memory = Memory(NOW.timestamp(), digest, 0, 5)
    decision = ask(outlook(moved), memory, NOW + CADENCE)
    assert (decision.ask, decision.memory.fruitless) == (True, 0)


def test_a_clock_that_was_set_back_does_not_silence_the_sensor() -> None:
    memory = Memory((NOW + timedelta(days=365)).timestamp(), "other")
    assert ask(outlook(files("1")), memory).ask


def test_a_memory_survives_its_cursor() -> None:
    memory = ask(outlook(files("1", "2")), cap=1).memory
    assert read_memory(write_memory(memory)) == memory
    assert memory != Memory()


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "not json",
        "null",
        "[]",
        "5",
        '"text"',
        '{"other": 1}',
        '{"requested_at": "noon"}',
        '{"requested_at": 1.0, "digest": "", "deferred": 0, "fruitless": "x"}',
        json.dumps({"requested_at": [], "digest": 5}),
    ],
)
def test_a_cursor_of_another_make_is_no_memory(cursor: str | None) -> None:
    memory = read_memory(cursor)
    assert memory == Memory()
    assert ask(outlook(files("1")), memory).ask
