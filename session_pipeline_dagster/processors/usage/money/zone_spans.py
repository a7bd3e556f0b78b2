"""Days, weeks and months of a time zone as spans of UTC, and what people write for days and zones.

The database is never asked what a zone is: it would need an extension, or the zone of the process.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money.periods import zone_of

Unit = Literal["day", "week", "month"]
WeekStart = Literal["monday", "sunday"]

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_LONGEST_MONTH: Final = timedelta(days=31)
_FOREVER: Final = 2**63 - 1
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`, in microseconds since 1970 UTC; `label` is its first day, of
    a month only year and month."""

    label: str
    start: int
    end: int


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins in a zone, in microseconds since 1970 UTC."""
    return (datetime.combine(day, time(), zone) - _EPOCH) // _US


def after(day: date, zone: ZoneInfo) -> int | None:
    """When the day after begins; None after the last day that there is."""
    return None if day == date.max else midnight(day + _DAY, zone)


def periods(
    unit: Unit, utc_days: Collection[date], zone: ZoneInfo, week_start: WeekStart = "monday"
) -> list[Period]:
    """The periods that have anything of these UTC days in them, in order.

    As many as there are days with something in them, whatever lies between: a single line of
    another century makes no list of a million days.
    """
    begins = _BEGINS[unit, week_start]
    near = {_shifted(day, shift) for day in utc_days for shift in (-1, 0, 1)}
    starts = sorted({begins(day) for day in near})
    return [
        Period(
            start.isoformat()[: 7 if unit == "month" else 10],
            midnight(start, zone),
            _FOREVER if (end := _end(unit, start)) is None else midnight(end, zone),
        )
        for start in starts
    ]


def parse_day(text: str, option: str) -> date:
    """A day as people write it, 2026-10-31.

    Raises:
        SettingsError: it is none.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise SettingsError(f"{option} is {text[:_SHOWN]!r}; it takes a day: 2026-10-31") from None


def parse_zone(text: str, option: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        SettingsError: there is none of that name.
    """
    zone = zone_of(text.strip())
    if zone is None:
        said = f"{option} is {text[:_SHOWN]!r}; it takes a time zone: UTC, Europe/Vienna"
        raise SettingsError(said)
    return zone


def _shifted(day: date, by: int) -> date:
    """So many days later, within the calendar."""
    number = min(max(day.toordinal() + by, date.min.toordinal()), date.max.toordinal())
    return date.fromordinal(number)


def _week_of(day: date, shift: int) -> date:
    return _shifted(day, -((day.weekday() + shift) % 7))


def _month_of(day: date) -> date:
    return day.replace(day=1)


def _end(unit: Unit, start: date) -> date | None:
    """The first day after; None where the calendar ends before."""
    try:
        return _month_of(start + _LONGEST_MONTH) if unit == "month" else start + _LONG[unit]
    except OverflowError:
        return None


_BEGINS: Final[Mapping[tuple[Unit, WeekStart], Callable[[date], date]]] = {
    ("day", "monday"): lambda day: day,
    ("day", "sunday"): lambda day: day,
    ("week", "monday"): lambda day: _week_of(day, 0),
    ("week", "sunday"): lambda day: _week_of(day, 1),
    ("month", "monday"): _month_of,
    ("month", "sunday"): _month_of,
}
_LONG: Final[Mapping[Unit, timedelta]] = {"day": _DAY, "week": 7 * _DAY}
