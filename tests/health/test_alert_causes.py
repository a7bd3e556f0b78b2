"""What ails session files is one thing, whichever checks of whichever processors speak of it."""

from collections.abc import Mapping

from session_pipeline_dagster.health.alerts import Alert, Sighting, Told, decide
from session_pipeline_dagster.health.findings import Status

T0 = 1_800_000_000.0
CAUSE = "fail with ValueError"


def seen(
    status: str,
    check: str = "quarantine",
    processor: str = "usage",
    *causes: str,
    delay: float = 0,
    at: float = T0,
) -> Sighting:
    subject, detail = f"{processor}:{check}", f"{check} says {status}"
    return Sighting(
        subject, processor, check, Status(status), detail, at, delay, causes=causes or (CAUSE,)
    )


def story(*ticks: list[Sighting], level: str = "info", seconds: float = 60) -> list[Alert]:
    told: Mapping[str, Told] = {}
    out: list[Alert] = []
    for number, sightings in enumerate(ticks):
        alerts, told = decide(told, sightings, T0 + number * seconds, Status(level))
        out += alerts
    return out


def test_one_cause_is_one_alert_with_a_line_of_each_processor() -> None:
    all_of_it = [
        seen("info"),
        seen("warning", "freshness"),
        seen("info", "fifo_stuck_file"),
        seen("info", "quarantine", "verification"),
    ]
    (alert,) = story(all_of_it, all_of_it)
    assert alert.title == "warning: session files fail with ValueError"
    assert alert.text.splitlines() == [
        "session files fail with ValueError: ok → warning",
        "usage: freshness says warning",
        "verification: quarantine says info",
    ]


def test_of_processors_that_say_the_same_the_line_is_one() -> None:
    gone = [
        Sighting(p, p, "freshness", Status.UNKNOWN, "no root", T0, causes=("cannot be looked at",))
        for p in ("usage", "verification")
    ]
    (alert,) = story(gone, gone)
    assert alert.text.splitlines()[1:] == ["usage, verification: no root"]


def test_it_is_told_again_when_it_gets_worse_and_not_when_it_gets_milder_or_moves_on() -> None:
    mild, bad = [seen("info")], [seen("warning", "files_given_up")]
    told = story(mild, bad, mild, [seen("info", "quarantine", "verification")], bad)
    assert [(alert.was[0].value, alert.now.value) for alert in told] == [
        ("ok", "info"),
        ("info", "warning"),
    ]


def test_it_is_over_when_no_check_has_spoken_of_it_for_a_while() -> None:
    fine = [
        Sighting("usage:q", "usage", "q", Status.OK, "fine", T0, delay=100),
        Sighting("usage:f", "usage", "f", Status.OK, "fine", T0, delay=10),
    ]
    told = story([seen("info")], fine, fine, fine)
    assert [(alert.title, alert.resolved) for alert in told] == [
        ("info: session files fail with ValueError", False),
        ("resolved: session files fail with ValueError", True),
    ]
    assert len(story([seen("info")], fine, [seen("info")], fine, [seen("info")])) == 1
    again = story([seen("info")], fine, fine, fine, [seen("info")])
    assert [alert.now.value for alert in again] == ["info", "ok", "info"]


def test_each_cause_is_told_and_one_of_a_kind_that_is_told_hides_no_other() -> None:
    (first, second) = story([seen("info")], [seen("info"), seen("info", "x", "usage", "fail more")])
    assert (first.checks, second.checks) == ((CAUSE,), ("fail more",))


def test_a_cause_waits_for_the_shortest_delay_of_those_who_speak_of_it() -> None:
    slow, fast = seen("info", delay=900), seen("warning", "files_given_up", delay=0)
    assert story([slow], [slow]) == []
    (alert,) = story([slow], [slow, fast])
    assert alert.now is Status.WARNING
    assert len(story(*[[slow]] * 16)) == 1


def test_the_level_holds_for_causes() -> None:
    assert story([seen("info")], [seen("info")], level="warning") == []
    told = story([seen("warning")], [seen("info")], [], level="warning")
    assert [alert.now.value for alert in told] == ["warning", "ok"]


def test_a_check_that_speaks_of_more_than_a_cause_is_told_by_itself() -> None:
    alone = Sighting("usage:freshness", "usage", "freshness", Status.WARNING, "stands", T0)
    told = story([alone, seen("info")], [seen("warning", "freshness"), seen("info")])
    titles = {alert.title for alert in told}
    assert titles == {
        "warning: usage freshness",
        "info: session files fail with ValueError",
        "warning: session files fail with ValueError",
    }, "that its files fail now is no end of it"


def test_nothing_is_remembered_of_what_is_over() -> None:
    _, told = decide({}, [seen("info")], T0, Status.INFO)
    assert {*told} == {"session files fail with ValueError"}
    _, told = decide(told, [], T0 + 1, Status.INFO)
    assert told == {}
