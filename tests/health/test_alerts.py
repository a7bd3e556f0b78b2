"""When an alert goes out: transitions, delay, level, and what is told together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from session_pipeline_dagster.health.alerts import (
    LONGEST_QUEUE,
    Alert,
    Memory,
    Sighting,
    Told,
    decide,
    enqueue,
)
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor

T0 = 1_800_000_000.0


def seen(status: str, at: float = T0, delay: float = 0, **more: str) -> Sighting:
    check = more.get("check", "freshness")
    return Sighting(
        f"usage:{check}", "usage", check, Status(status), more.get("detail", status), at, delay
    )


def story(
    *steps: tuple[float, str], delay: float = 0, level: str = "info"
) -> list[tuple[float, str, str]]:
    """(second, was, now) of the alerts of a check that says these things at these seconds."""
    told: Mapping[str, Told] = {}
    out = []
    for second, status in steps:
        now = T0 + second
        alerts, told = decide(told, [seen(status, now, delay)], now, Status(level))
        out += [(second, alert.was[0].value, alert.now.value) for alert in alerts]
    return out


def test_every_change_is_told_once() -> None:
    steps = "ok ok warning warning ok ok info info unknown unknown warning info ok".split()
    assert [(was, now) for _, was, now in story(*enumerate(steps))] == [
        ("ok", "warning"),
        ("warning", "ok"),
        ("ok", "info"),
        ("info", "unknown"),
        ("unknown", "warning"),
        ("warning", "info"),
        ("info", "ok"),
    ]


def test_a_change_is_told_once_it_has_lasted() -> None:
    steps = [(0, "ok"), (60, "warning"), (600, "warning"), (659, "warning"), (660, "warning")]
    assert story(*steps, (900, "warning"), delay=600) == [(660, "ok", "warning")]


def test_what_passes_by_itself_is_not_told() -> None:
    steps = [(0, "warning"), (300, "warning"), (599, "ok"), (600, "warning"), (1199, "warning")]
    assert story(*steps, delay=600) == []


def test_a_check_that_is_never_ok_is_told_although_it_changes_its_mind() -> None:
    steps = [(0, "warning"), (300, "unknown"), (600, "warning")]
    assert story(*steps, delay=600) == [(600, "ok", "warning")]


def test_it_counts_from_when_the_check_said_so_not_from_when_it_was_read() -> None:
    alerts, _ = decide({}, [seen("warning", at=T0 - 600, delay=600)], T0, Status.INFO)
    assert len(alerts) == 1


def test_resolved_is_told_after_the_same_time() -> None:
    steps = [(0, "warning"), (600, "warning"), (700, "ok"), (1299, "ok"), (1300, "ok")]
    assert story(*steps, delay=600) == [(600, "ok", "warning"), (1300, "warning", "ok")]


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("info", ["info", "warning", "unknown", "info", "ok"]),
        ("unknown", ["warning", "unknown", "info"]),
        ("warning", ["warning", "unknown"]),
    ],
)
def test_what_is_milder_than_the_level_counts_as_ok(level: str, told: list[str]) -> None:
    steps = enumerate("ok info warning unknown info ok".split())
    assert [now for _, _, now in story(*steps, level=level)] == told


def test_falling_below_the_level_is_resolved() -> None:
    alerts, _ = decide(
        {"usage:freshness": Told(Status.WARNING)}, [seen("info")], T0, Status.UNKNOWN
    )
    (alert,) = alerts
    assert alert.resolved
    assert alert.title == "resolved: usage freshness"
    assert "warning → info" in alert.text


def test_a_clock_that_was_set_back_keeps_nothing_for_ever() -> None:
    told = {"usage:freshness": Told(Status.OK, T0 + 10**6)}
    alerts, _ = decide(told, [seen("warning", at=T0, delay=600)], T0, Status.INFO)
    assert len(alerts) == 1


def test_checks_that_say_the_very_same_make_one_alert_and_so_does_their_end() -> None:
    """A missing root makes every check of a processor unknown."""
    told = {"usage:quarantine": Told(Status.INFO)}
    names = ("backlog", "freshness", "quarantine")
    gone = [seen("unknown", check=check, detail="no root") for check in names]
    (alert,), told = decide(told, [*gone], T0, Status.INFO)
    assert alert.title == "unknown: usage backlog, freshness, quarantine"
    assert alert.text.splitlines()[0].endswith("quarantine: ok, info → unknown")
    assert alert.text.splitlines()[1:] == ["no root"]
    back = [seen("ok", check=check, detail=f"{check} is fine") for check in names[:2]]
    again = [*back, seen("info", check="quarantine", detail="1 given up")]
    resolved, info = decide(told, again, T0, Status.INFO)[0]
    assert resolved.title == "resolved: usage backlog, freshness"
    assert resolved.text.splitlines()[1:] == ["backlog is fine", "freshness is fine"]
    assert info.title == "info: usage quarantine"


def test_checks_that_say_different_things_are_told_one_by_one() -> None:
    sightings = [seen("warning", check=check, detail=check) for check in ("backlog", "freshness")]
    assert len(decide({}, sightings, T0, Status.INFO)[0]) == 2


def test_processors_are_told_one_by_one() -> None:
    other = replace(seen("warning"), subject="other:freshness", processor="other")
    assert len(decide({}, [seen("warning"), other], T0, Status.INFO)[0]) == 2


def test_runs_are_taken_in_their_order() -> None:
    runs = [seen("warning"), seen("warning"), seen("ok"), seen("warning")]
    alerts, _ = decide({}, runs, T0, Status.INFO)
    assert [alert.now.value for alert in alerts] == ["warning", "ok", "warning"]
    told = [
        seen("warning", detail="run 1"),
        seen("ok"),
        seen("warning", detail="run 2"),
        seen("ok"),
    ]
    alerts, _ = decide({}, told, T0, Status.INFO)
    assert [alert.detail for alert in alerts] == ["run 1", "ok", "run 2", "ok"]
    assert [alert.resolved for alert in alerts] == [False, True, False, True]


def test_what_is_not_sighted_keeps_what_was_told_of_it() -> None:
    told = {"usage:backlog": Told(Status.WARNING)}
    assert decide(told, [seen("ok")], T0, Status.INFO)[1]["usage:backlog"] == Told(Status.WARNING)


def test_the_message_names_processor_check_change_detail_and_link() -> None:
    alert = Alert(
        "usage", ("freshness",), (Status.OK,), Status.WARNING, "3 files wait", "http://u/x"
    )
    assert alert.title == "warning: usage freshness"
    assert alert.text == "usage freshness: ok → warning\n3 files wait\nhttp://u/x"


def test_each_sink_gets_every_alert_and_a_sink_that_is_gone_keeps_none() -> None:
    one, two = alert_of("1"), alert_of("2")
    queues = enqueue({"a": [one], "gone": [one]}, ["a", "b"], [two])
    assert queues == {"a": [one, two], "b": [two]}


def test_a_queue_keeps_the_latest() -> None:
    queue = enqueue({"a": [alert_of("old")] * LONGEST_QUEUE}, ["a"], [alert_of("new")])["a"]
    assert (len(queue), queue[-1].detail) == (LONGEST_QUEUE, "new")


def test_the_memory_survives_a_restart() -> None:
    memory = Memory(
        {"x": Told(Status.WARNING, T0, ("2026-05 80 %",))},
        {"sink": [alert_of("1")]},
        runs_seen={"usage": T0},
    )
    assert normal(read_cursor(Memory, write_cursor(memory))) == normal(memory)


@pytest.mark.parametrize("cursor", [None, "", "123", "{", '{"told": 3}'])
def test_a_cursor_of_someone_else_is_an_empty_memory(cursor: str | None) -> None:
    assert read_cursor(Memory, cursor) == Memory()


def alert_of(detail: str, checks: Sequence[str] = ("freshness",)) -> Alert:
    return Alert("usage", checks, (Status.OK,), Status.WARNING, detail)


def normal(memory: Memory) -> object:
    queues = {
        sink: [(alert.text, tuple(alert.checks)) for alert in queue]
        for sink, queue in memory.queues.items()
    }
    return memory.told, queues, memory.runs_seen


@pytest.mark.parametrize(
    "call",
    [
        *("@here", "@channel", "@everyone", "<!here>", "<@U012AB3CD>", "<!subteam^S1>"),
        *("<#C1|x>", "<at>Ann</at>", "<users/all>", "@room", "<@&42>", "@all\x1b[2J"),
    ],
)
def test_an_alert_calls_nobody_whatever_a_user_or_a_file_is_called(call: str) -> None:
    said = Alert(
        f"p {call}", (f"c{call}",), (Status.OK,), Status.INFO, f"{call}/x\n{call}", "http://h/a@b"
    )
    assert not set("@<>\x1b") & set(said.title)
    *lines, link = said.text.splitlines()
    assert not set("@<>\x1b") & set("".join(lines))
    assert len(lines) == 3
    assert link == "http://h/a@b"
