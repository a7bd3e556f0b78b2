"""Alerts of checks that name occasions: each is told once for ever, and its end once."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_pipeline_dagster.health.alerts import MOST_OCCASIONS, Sighting, Told, decide
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor
from session_pipeline_dagster.processors.usage.money.budget_status import Spending, statuses
from session_pipeline_dagster.processors.usage.money.budgets import Budget, Scope, ScopeKind
from session_pipeline_dagster.processors.usage.money.periods import Period
from session_pipeline_dagster.processors.usage.money.spikes import Spike, spike_verdict
from session_pipeline_dagster.processors.usage.money.verdict import Verdict, verdict

T0 = 1_800_000_000.0
BOB = Budget("bob", Scope(ScopeKind.PERSON, "bob"), Period.MONTH, Decimal("0.50"))


class Teller:
    """Hands what a check says to `decide`, tick by tick, and keeps the alerts."""

    def __init__(self, level: str = "info", delay: float = 0) -> None:
        self.told: Mapping[str, Told] = {}
        self.level, self.delay, self.now = Status(level), delay, T0

    def hears(self, said: Verdict | None, after: float = 60) -> list[str]:
        """Titles of the alerts, with the first words of what is said; None: not measurable."""
        self.now += after
        status, detail, occasions = Status.UNKNOWN, "busy", None
        if said is not None:
            status, detail = Status(said.status), said.sentence
            occasions = {name: Status(how) for name, how in said.occasions.items()}
        seen = Sighting(
            *("usage_daily:b", "usage", "b", status, detail, self.now, self.delay),
            occasions=occasions,
        )
        alerts, self.told = decide(self.told, [seen], self.now, self.level)
        # What a sensor keeps is JSON.
        self.told = read_cursor(dict[str, Told], write_cursor(self.told))
        return [
            f"{alert.title.partition(':')[0]} {alert.detail.partition(' ')[0]}" for alert in alerts
        ]


class Month:
    """What is spent of bob's budget, and what its check says."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[str | None, str]] = {}

    def says(self, day: str, **spent: str | None) -> Verdict:
        """At noon of that day, with this spent too: `d05_12="0.4"` on 12 May; None: unpriced."""
        now = datetime.fromisoformat(f"2026-{day}T12:00:00+00:00")
        for name, cost in spent.items():
            self.spent[name] = (cost, f"2026-{name[1:].replace('_', '-')}")
        spendings = [
            Spending(
                datetime.fromisoformat(at).replace(tzinfo=UTC),
                None if cost is None else Decimal(cost),
                int(cost is None),
                ["mystery"] * (cost is None),
            )
            for cost, at in self.spent.values()
        ]
        return verdict(BOB, statuses(BOB, spendings, now), now)


def test_80_percent_and_100_percent_are_told_once_each_and_a_new_month_begins_ok() -> None:
    teller, month = Teller(), Month()
    assert teller.hears(month.says("05-11", d05_11="0.3")) == []
    assert teller.hears(month.says("05-12", d05_12="0.19")) == ["warning 2026-05:"]
    assert teller.hears(month.says("05-13", d05_13="0.001")) == []
    assert teller.hears(month.says("05-14", d05_14="0.07")) == ["warning 2026-05:"]
    for day in ("05-15", "05-20", "05-31", "06-01"):
        assert teller.hears(month.says(day)) == []
    assert month.says("06-01").status == "warning", "May, until June has something"
    assert teller.hears(month.says("06-02", d06_02="0.01")) == ["resolved 2026-06:"]
    assert teller.hears(month.says("06-03", d06_03="0.4")) == ["warning 2026-06:"]
    assert teller.hears(month.says("06-04", d06_04="0.4")) == ["warning 2026-06:"]
    assert teller.hears(month.says("06-05")) == []


def test_both_at_once_are_one_alert() -> None:
    teller, month = Teller(), Month()
    assert teller.hears(month.says("05-12", d05_12="0.6")) == ["warning 2026-05:"]
    assert teller.hears(month.says("05-13")) == []


def test_re_costing_that_takes_it_back_resolves_and_crossing_again_is_not_told_again() -> None:
    teller, month = Teller(), Month()
    assert teller.hears(month.says("05-12", d05_12="0.45")) == ["warning 2026-05:"]
    assert teller.hears(month.says("05-13", d05_12="0.3")) == ["resolved 2026-05:"]
    assert teller.hears(month.says("05-14", d05_12="0.45")) == []
    assert teller.hears(month.says("05-15", d05_12="0.3")) == [], "nobody was told that it is back"
    assert teller.hears(month.says("05-16", d05_12="0.45")) == []
    assert teller.hears(month.says("05-17", d05_12="0.5")) == ["warning 2026-05:"]
    assert teller.hears(month.says("05-18", d05_12="0.45")) == []
    assert teller.hears(month.says("05-19", d05_12="0.3")) == ["resolved 2026-05:"]


def test_a_file_that_comes_after_the_month_is_told_though_the_new_month_is_ok() -> None:
    teller, month = Teller(), Month()
    assert teller.hears(month.says("05-30", d05_12="0.3")) == []
    assert teller.hears(month.says("06-05", d06_05="0.1")) == []
    late = month.says("06-10", d05_30="0.3")
    assert late.status == "ok"
    assert teller.hears(late) == ["warning 2026-06:"]
    assert "2026-05: 0.60 of 0.50 USD (120.0 %)" in late.sentence
    assert teller.hears(month.says("06-11")) == []
    assert teller.hears(month.says("06-12", d06_12="0.35")) == ["warning 2026-06:"]
    assert teller.hears(month.says("06-13", d06_12="0.1")) == ["resolved 2026-06:"]


def test_a_late_file_in_the_moment_in_which_it_is_taken_back_loses_neither() -> None:
    teller, month = Teller(), Month()
    month.says("05-30", d05_12="0.1")
    assert teller.hears(month.says("06-05", d06_05="0.45")) == ["warning 2026-06:"]
    late = month.says("06-06", d06_05="0.1", d05_13="0.9")
    assert teller.hears(late) == ["warning 2026-06:"]
    assert teller.hears(late) == ["resolved 2026-06:"]
    assert teller.hears(late) == []


def test_what_has_no_price_is_told_once_for_each_model_and_hides_no_threshold() -> None:
    teller, month = Teller(), Month()
    assert teller.hears(month.says("05-11", d05_11=None)) == ["unknown 2026-05:"]
    assert teller.hears(month.says("05-12", d05_12="0.45")) == ["warning 2026-05:"]
    assert month.says("05-12").status == "unknown"
    assert teller.hears(month.says("05-13")) == []
    assert teller.hears(month.says("05-14", d05_11="0.001")) == [], "priced: 80 % was told"
    assert teller.hears(month.says("05-15", d05_12="0.1")) == ["resolved 2026-05:"]


def test_a_check_that_cannot_be_measured_is_told_and_no_threshold_twice() -> None:
    teller, month = Teller(), Month()
    over = month.says("05-12", d05_12="0.6")
    assert teller.hears(over) == ["warning 2026-05:"]
    assert teller.hears(None) == ["unknown busy"]
    assert teller.hears(None) == []
    assert teller.hears(over) == []
    assert teller.hears(month.says("05-13", d05_12="0.1")) == ["resolved 2026-05:"]


def test_at_the_level_of_warnings_an_unpriced_model_is_no_end() -> None:
    teller, month = Teller("warning"), Month()
    assert teller.hears(month.says("05-11", d05_11=None)) == []
    assert teller.hears(month.says("05-12", d05_12="0.45")) == ["warning 2026-05:"]
    assert teller.hears(month.says("05-13")) == []
    assert teller.hears(month.says("05-14", d05_11="0.001")) == []
    assert teller.hears(month.says("05-15", d05_12="0.1")) == ["resolved 2026-05:"]


def test_an_occasion_is_told_once_it_has_lasted() -> None:
    teller, month = Teller(delay=600), Month()
    over = month.says("05-12", d05_12="0.45")
    assert [teller.hears(over, 300) for _ in range(4)] == [[], [], ["warning 2026-05:"], []]
    assert teller.hears(month.says("05-13", d05_12="0.1"), 300) == []
    assert teller.hears(over, 300) == [], "it came back before anybody was told that it is gone"
    assert teller.hears(over, 3000) == []


def test_a_budget_of_another_amount_is_told_anew() -> None:
    at = datetime(2026, 5, 12, 12, tzinfo=UTC)
    teller = Teller()

    def says(amount: str) -> Verdict:
        of = Budget("bob", BOB.scope, Period.MONTH, Decimal(amount))
        return verdict(of, statuses(of, [Spending(at, Decimal("0.45"))], at), at)

    assert teller.hears(says("0.5")) == ["warning 2026-05:"]
    assert teller.hears(says("0.50")) == []
    assert teller.hears(says("0.55")) == ["warning 2026-05:"]
    assert teller.hears(says("5")) == ["resolved 2026-05:"]


def test_a_spike_is_told_once_per_session_and_never_resolved() -> None:
    hour = datetime(2026, 5, 20, 12)  # noqa: DTZ001

    def says(*names: str) -> Verdict:
        return spike_verdict([Spike(n, "bob", hour, Decimal(25), Decimal(20)) for n in names])

    teller = Teller()
    assert teller.hears(says()) == []
    assert teller.hears(says("a")) == ["info 1"]
    assert teller.hears(says("a")) == []
    assert teller.hears(says("b", "a")) == ["info 2"]
    assert teller.hears(says()) == []
    assert teller.hears(says("a")) == []
    assert teller.hears(says("c", "a")) == ["info 2"]
    assert Teller("warning").hears(says("a")) == []


def test_what_is_remembered_is_bounded_and_what_is_named_now_is_never_forgotten() -> None:
    teller = Teller()
    for number in range(3 * MOST_OCCASIONS):
        names = {"always": "info", f"n{number}": "info"}
        assert teller.hears(Verdict("info", "x", occasions=names)) == ["info x"]
    assert len(teller.told["usage_daily:b"].occasions) <= MOST_OCCASIONS + 2
    assert teller.hears(Verdict("info", "x", occasions={"always": "info"})) == []
    many = Verdict("info", "x", occasions={f"m{n}": "info" for n in range(3 * MOST_OCCASIONS)})
    assert teller.hears(many) == ["info x"]
    assert teller.hears(many) == []
    some = Verdict("info", "x", occasions={"m0": "info"})
    assert teller.hears(some) == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "info", "unknown", "warning"]),
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(["info", "unknown", "warning"])),
    ).filter(lambda step: step[0] == "ok" or bool(step[1])),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from(["info", "unknown", "warning"]))
def test_every_occasion_is_told_once_and_no_end_twice(
    steps: list[tuple[str, dict[str, str]]], level: str
) -> None:
    """The oracle knows only which occasions were ever named at the level or above it."""
    order = ["ok", "info", "unknown", "warning"]
    teller, known, open_ends = Teller(level), set(), 0
    for status, names in steps:
        alerts = teller.hears(Verdict(status, "x", occasions=names))
        new = {n for n, how in names.items() if order.index(how) >= order.index(level)} - known
        known |= new
        assert len(alerts) <= 1
        told = [alert for alert in alerts if not alert.startswith("resolved")]
        assert bool(told) == bool(new)
        open_ends += len(told)
        if alerts and not told:
            assert status in ("ok", "info")
            assert open_ends > 0, "nobody was told of what is said to be over"
            open_ends = 0


@pytest.mark.parametrize("minutes", [0, 5])
def test_without_occasions_a_status_is_told_as_ever(minutes: int) -> None:
    told: Mapping[str, Told] = {"x": Told(Status.OK, occasions=("kept",))}
    later = T0 + timedelta(minutes=minutes).total_seconds()
    seen = Sighting("x", "usage", "b", Status.WARNING, "d", later)
    alerts, after = decide(told, [seen], later, Status.INFO)
    assert len(alerts) == 1
    assert after["x"].occasions == ("kept",)
