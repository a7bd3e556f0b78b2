"""When a sensor asks: the cadence, a backlog, runs that cannot work, and a broken clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor
from session_pipeline_dagster.passes.pacing import Decision, Memory, decide
from session_pipeline_dagster.passes.plan import Outlook
from session_pipeline_dagster.sources.files import SessionFile, Signature

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CADENCE = timedelta(minutes=10)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(days=400)


def files(*names: str, at: datetime = LATER) -> list[SessionFile]:
    """Files written at a time; later than every request unless said otherwise."""
    mtime = int(at.timestamp()) * 10**9
    return [SessionFile(f"a/{n}", "a", None, f"/a/{n}", Signature(1, mtime, 0)) for n in names]


def outlook(due=(), suspect=(), unsigned=(), backing_off=(), quarantined=()) -> Outlook:
    parts = [list(part) for part in (due, suspect, unsigned, backing_off, quarantined)]
    return Outlook(sum(map(len, parts)), *parts)


def ask(
    found: Outlook,
    memory: Memory | None = None,
    at: datetime = NOW,
    *,
    cap: int = 100,
    wrote: datetime | None = LATER,
    stale: tuple[str, ...] = (),
) -> Decision:
    """One tick; a run has just written something unless `wrote` says otherwise."""
    change = wrote.timestamp() if wrote else None
    return decide(found, memory or Memory(), CADENCE, cap, at, change, stale)


def requests(found: Outlook, hours: int, *, wrote: datetime | None, stale=()) -> list[float]:
    """Minutes after NOW at which a tick every 30 s asks for something."""
    memory, asked = Memory(), []
    for tick in range(hours * 120):
        decision = ask(found, memory, NOW + tick * MINUTE / 2, wrote=wrote, stale=stale)
        memory = read_cursor(Memory, write_cursor(decision.memory))
        if decision.files or decision.rollups:
            asked.append(tick / 2)
    return asked


@pytest.mark.parametrize("part", ["due", "suspect", "unsigned"])
def test_the_first_look_asks_at_once_for_whatever_can_be_done(part: str) -> None:
    found = files("1", "2")
    assert ask(outlook(**{part: found}), wrote=None).files == found


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (outlook(), "0 files are current"),
        (outlook(backing_off=files("1")), "1 failed and will be tried again"),
        (outlook(quarantined=files("1", "2")), "2 given up"),
    ],
)
def test_without_work_it_does_not_ask_and_says_why(found: Outlook, reason: str) -> None:
    decision = ask(found, Memory(NOW.timestamp(), deferred=3, fruitless=2))
    assert not decision.files
    assert reason in decision.reason
    assert decision.memory == Memory(NOW.timestamp(), deferred=0, fruitless=2)


@pytest.mark.parametrize(("after", "asks"), [(599, False), (600, True)])
def test_new_files_wait_for_the_cadence(after: int, asks: bool) -> None:
    memory = ask(outlook(files("1"))).memory
    decision = ask(outlook(files("2")), memory, NOW + timedelta(seconds=after))
    assert bool(decision.files) is asks
    assert asks or decision.memory == memory


def test_what_the_cap_left_over_is_asked_for_at_once() -> None:
    first = ask(outlook(files("1", "2", "3")), cap=2)
    assert (len(first.files), first.memory.deferred) == (2, 1)
    second = ask(outlook(files("3")), first.memory, NOW + MINUTE, cap=2)
    assert (len(second.files), second.memory.deferred) == (1, 0)


def test_what_the_time_budget_left_over_is_asked_for_at_once() -> None:
    memory = ask(outlook(files("1", "2", at=NOW - HOUR))).memory
    assert ask(outlook(files("2", at=NOW - HOUR)), memory, NOW + MINUTE).files


def test_a_file_that_failed_before_is_no_backlog() -> None:
    old = files("1", at=NOW - HOUR)
    memory = ask(outlook(old)).memory
    failed = replace(outlook(old), failed=frozenset({"a/1"}))
    assert not ask(failed, memory, NOW + MINUTE).files


def test_the_cap_leaves_suspects_and_unsigned_files_out() -> None:
    found = outlook(files("1", "2"), files("3", "4"), files("5"))
    assert [f.key for f in ask(found, cap=1).files] == ["a/1", "a/3", "a/4", "a/5"]


def test_after_runs_that_write_nothing_it_asks_ever_more_rarely_up_to_an_hour() -> None:
    asked = requests(outlook(files("1", at=NOW - HOUR)), 6, wrote=NOW - HOUR)
    assert asked == [0, 10, 30, 70, 130, 190, 250, 310]


def test_an_empty_store_is_tried_sooner_but_not_for_ever() -> None:
    asked = requests(outlook(files("1", at=NOW - HOUR)), 5, wrote=None)
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_a_file_that_keeps_growing_does_not_undo_the_back_off() -> None:
    memory, asked = Memory(), 0
    for tick in range(120):
        at = NOW + tick * MINUTE / 2
        found = outlook([*files("old", at=NOW - HOUR), *files("live", at=at)])
        decision = ask(found, memory, at, wrote=NOW - HOUR)
        memory, asked = decision.memory, asked + bool(decision.files)
    assert asked == 3


def test_a_run_that_wrote_something_is_back_to_the_cadence() -> None:
    memory = Memory(NOW.timestamp(), fruitless=5)
    at = NOW + CADENCE
    assert not ask(outlook(files("1")), memory, at, wrote=NOW - MINUTE).files
    decision = ask(outlook(files("1")), memory, at, wrote=NOW + MINUTE)
    assert decision.files
    assert decision.memory.fruitless == 0


def test_a_cadence_over_an_hour_is_kept() -> None:
    memory = Memory(NOW.timestamp(), fruitless=3)
    found, day = outlook(files("1")), timedelta(days=1)
    late = NOW + day - MINUTE
    earlier = NOW.timestamp() - 1
    assert not decide(found, memory, day, 100, late, earlier).files
    assert decide(found, memory, day, 100, NOW + day, earlier).files


def test_a_set_that_never_moves_is_still_asked_for_after_years() -> None:
    memory = Memory(NOW.timestamp(), fruitless=100_000, rollup_tries=100_000)
    assert ask(outlook(files("1")), memory, NOW + HOUR, wrote=None).files
    assert ask(outlook(), memory, NOW + HOUR, stale=("r",)).rollups


def test_a_clock_that_was_set_back_does_not_silence_the_sensor() -> None:
    memory = ask(outlook(files("1"))).memory
    assert ask(outlook(files("2")), memory, NOW - timedelta(days=3)).files


def test_stale_rollups_are_asked_for_when_no_file_is_due() -> None:
    assert ask(outlook(), stale=("daily",)).rollups == ["daily"]
    both = ask(outlook(files("1")), stale=("daily",))
    assert (len(both.files), both.rollups) == (1, []), "the files' own run refreshes them"


def test_a_rollup_that_cannot_be_refreshed_is_asked_for_ever_more_rarely() -> None:
    asked = requests(outlook(), 4, wrote=LATER, stale=("daily",))
    assert asked == [0, 10, 30, 70, 130, 190]


def test_a_refreshed_rollup_starts_again_at_once() -> None:
    memory = ask(outlook(), stale=("daily",)).memory
    memory = ask(outlook(), memory, NOW + MINUTE).memory
    assert ask(outlook(), memory, NOW + 2 * MINUTE, stale=("daily",)).rollups


def test_a_memory_survives_its_cursor() -> None:
    memory = Memory(NOW.timestamp(), 4, 2, NOW.timestamp(), 1)
    assert read_cursor(Memory, write_cursor(memory)) == memory


@pytest.mark.parametrize(
    "cursor",
    [None, "", "not json", "null", "[]", "5", '"text"', '{"requested_at": "noon"}'],
)
def test_a_cursor_of_another_make_is_no_memory(cursor: str | None) -> None:
    assert read_cursor(Memory, cursor) == Memory()


def test_a_processor_that_must_not_hurry_keeps_to_its_cadence() -> None:
    found, change = outlook(due=files("1", "2", "3", at=NOW - HOUR)), LATER.timestamp()

    def look(minutes: float, memory: Memory, *, hurry: bool) -> Decision:
        at = NOW + minutes * MINUTE
        return decide(found, memory, CADENCE, 2, at, change, hurry=hurry)

    first = look(0, Memory(), hurry=False)
    assert len(first.files) == 2
    assert len(look(1, first.memory, hurry=True).files) == 2
    assert look(9, first.memory, hurry=False).files == []
    assert len(look(10, first.memory, hurry=False).files) == 2
