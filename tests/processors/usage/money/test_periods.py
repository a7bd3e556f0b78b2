"""Periods in time zones: every moment is in one, and none overlap or leave a gap."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_pipeline_dagster.processors.usage.money.periods import (
    Period,
    bounds,
    elapsed,
    name_of,
    period_of,
    zone_of,
)

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
ZONES = sorted(name for name in available_timezones() if "/" in name)
MOMENTS = st.integers(
    int(datetime(2012, 1, 1, tzinfo=UTC).timestamp()),
    int(datetime(2037, 12, 31, tzinfo=UTC).timestamp()),
).map(lambda second: datetime.fromtimestamp(second, UTC))
HOUR = timedelta(hours=1)


@settings(max_examples=500, deadline=None)
@given(MOMENTS, st.sampled_from(Period), st.sampled_from(ZONES))
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(
    moment: datetime, period: Period, name: str
) -> None:
    zone = ZoneInfo(name)
    start = period_of(moment, period, zone)
    begins, ends = bounds(start, period, zone)
    assert begins <= moment < ends
    assert period_of(begins, period, zone) == start
    assert period_of(ends - timedelta.resolution, period, zone) == start
    after = period_of(ends, period, zone)
    assert after > start
    assert bounds(after, period, zone)[0] == ends


@settings(max_examples=300, deadline=None)
@given(MOMENTS, st.sampled_from(ZONES))
def test_the_day_is_the_one_a_calendar_on_the_wall_shows(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    day = period_of(moment, Period.DAY, zone)
    assert day == moment.astimezone(zone).date()
    begins, _ = bounds(day, Period.DAY, zone)
    assert begins.astimezone(zone).date() == day
    assert (begins - timedelta.resolution).astimezone(zone).date() < day


@given(MOMENTS, st.sampled_from(Period))
def test_in_utc_a_period_is_what_the_calendar_says(moment: datetime, period: Period) -> None:
    begins, ends = bounds(period_of(moment, period, UTC_ZONE), period, UTC_ZONE)
    assert (begins.hour, begins.minute, begins.second, begins.microsecond) == (0, 0, 0, 0)
    if period is Period.WEEK:
        assert begins.isocalendar().weekday == 1
        assert begins.isocalendar().week == moment.isocalendar().week
    if period is Period.MONTH:
        assert (begins.year, begins.month, begins.day) == (moment.year, moment.month, 1)
    if period is Period.DAY:
        assert ends - begins == 24 * HOUR
        assert begins.date() == moment.date()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 10, 26), 24),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Santiago", date(2026, 9, 6), 23),  # clocks skip from 24:00 to 01:00
        ("Pacific/Apia", date(2011, 12, 30), 0),  # a day that never was
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, day: date, hours: float) -> None:
    begins, ends = bounds(day, Period.DAY, ZoneInfo(zone))
    assert ends - begins == hours * HOUR


def test_a_month_in_berlin_begins_two_hours_before_that_of_utc() -> None:
    assert bounds(date(2026, 5, 1), Period.MONTH, BERLIN) == (
        datetime(2026, 4, 30, 22, tzinfo=UTC),
        datetime(2026, 5, 31, 22, tzinfo=UTC),
    )
    last = datetime(2026, 4, 30, 21, 59, 59, tzinfo=UTC)
    assert period_of(last, Period.MONTH, BERLIN) == date(2026, 4, 1)
    assert period_of(last + timedelta(seconds=1), Period.MONTH, BERLIN) == date(2026, 5, 1)
    assert period_of(last + timedelta(seconds=1), Period.MONTH, UTC_ZONE) == date(2026, 4, 1)


def test_a_week_may_begin_in_the_year_before() -> None:
    monday = date(2025, 12, 29)
    assert period_of(datetime(2026, 1, 1, tzinfo=UTC), Period.WEEK, UTC_ZONE) == monday


def test_the_share_that_is_over_counts_the_hours_that_were() -> None:
    day, noon = date(2026, 3, 29), datetime(2026, 3, 29, 12, tzinfo=BERLIN)
    assert elapsed(day, Period.DAY, BERLIN, noon) == Fraction(11, 23)
    assert elapsed(day, Period.DAY, BERLIN, noon - timedelta(days=2)) == 0
    assert elapsed(day, Period.DAY, BERLIN, noon + timedelta(days=2)) == 1
    month = date(2026, 5, 1)
    later = datetime(2026, 5, 12, tzinfo=UTC)
    assert elapsed(month, Period.MONTH, UTC_ZONE, later) == Fraction(11, 31)


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../etc/passwd", "/etc/localtime", "Europe", "a\0b"]
)
def test_a_zone_that_is_not_there_is_none(name: str) -> None:
    assert zone_of(name) is None


def test_a_period_is_named_as_a_person_reads_it() -> None:
    assert name_of(date(2026, 5, 1), Period.MONTH) == "2026-05"
    assert name_of(date(2026, 5, 11), Period.WEEK) == "week of 2026-05-11"
    assert name_of(date(2026, 5, 11), Period.DAY) == "2026-05-11"
