"""Days, weeks and months in a time zone: which one a moment is in, when it begins and ends.

Put nothing here that knows of money.
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Period(StrEnum):
    """How long a budget lasts. A week begins on Monday (ISO)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of a name such as `Europe/Berlin`; None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def period_of(moment: datetime, period: Period, zone: ZoneInfo) -> date:
    """The first day of the period that an aware moment is in."""
    return first_day(moment.astimezone(zone).date(), period)


def first_day(day: date, period: Period) -> date:
    """The first day of the period that a day is in."""
    if period is Period.WEEK:
        return day - day.weekday() * _DAY
    return day.replace(day=1) if period is Period.MONTH else day


def following(start: date, period: Period) -> date:
    """The first day of the period after the one that begins on `start`."""
    if period is Period.MONTH:
        return (start + 31 * _DAY).replace(day=1)
    return start + (7 * _DAY if period is Period.WEEK else _DAY)


def bounds(start: date, period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the period that begins on `start` begins and ends, in UTC; the end is not in it."""
    return day_begins(start, zone), day_begins(following(start, period), zone)


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day, in UTC. Where clocks skip midnight, it is when they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def elapsed(start: date, period: Period, zone: ZoneInfo, now: datetime) -> Fraction:
    """How much of the period is over at `now`: 0 before it begins, 1 from its end on."""
    begins, ends = bounds(start, period, zone)
    over, whole = (now - begins) // timedelta.resolution, (ends - begins) // timedelta.resolution
    # A day that a country skipped has no length.
    return max(Fraction(0), min(Fraction(1), Fraction(over, whole))) if whole else Fraction(1)


def name_of(start: date, period: Period) -> str:
    """The period as a person reads it: `2026-05`, `2026-05-12`, `week of 2026-05-11`."""
    if period is Period.MONTH:
        return f"{start:%Y-%m}"
    return f"week of {start}" if period is Period.WEEK else f"{start}"
