"""Seats of subscriptions: who has one, what it costs a month, and what its use would have cost.

What a file says is read here, and the SQL that sets it beside the usage.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.toml_file import Section

_MOST = Decimal(10) ** 9
_SMALLEST = Decimal(1).scaleb(-6)


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of one person; every month with a day of it costs the whole price.

    Attributes:
        price: USD a month.
        valid_from, valid_to: its first and its last day; None: it has no end.
        line: of its section in the file.
    """

    person: str
    plan: str
    price: Decimal
    valid_from: date
    valid_to: date | None = None
    line: int = 0


def read_seats(path: Path) -> tuple[Seat, ...]:
    """The seats of a file, as they stand.

    Raises:
        SettingsError: the file cannot be used; the message names file and line.
    """
    # Who has no file of seats reads only what they are as SQL.
    from session_pipeline_dagster.processors.usage.money.toml_file import read, shown  # noqa: PLC0415

    document = read(path)
    document.only(arrays=("seat",))
    found: dict[tuple[str, str], list[Seat]] = {}
    seats = []
    for section in document.arrays.get("seat", ()):
        seat = _seat(section)
        others = found.setdefault((seat.person, seat.plan), [])
        for other in others:
            if _share_a_month(seat, other):
                what = (
                    f"{shown(seat.person)} has the plan {shown(seat.plan)} in a month of this seat "
                    f"already, by line {other.line}; months are paid whole, so let one end in the "
                    "month before the other begins"
                )
                raise section.fail(what, "from")
        others.append(seat)
        seats.append(seat)
    return tuple(seats)


def _share_a_month(one: Seat, other: Seat) -> bool:
    return not (_ends_before(one, other) or _ends_before(other, one))


def _ends_before(one: Seat, other: Seat) -> bool:
    from session_pipeline_dagster.processors.usage.money.periods import Period, first_day  # noqa: PLC0415  as above

    if one.valid_to is None:
        return False
    return first_day(one.valid_to, Period.MONTH) < first_day(other.valid_from, Period.MONTH)


def _seat(section: "Section") -> Seat:
    from session_pipeline_dagster.processors.usage.money.toml_file import shown  # noqa: PLC0415  as above

    section.only("person", "team", "plan", "price", "from", "to")
    if "team" in section and "person" in section:
        raise section.fail("a seat is of one person or of one team, not of both", "team")
    if "team" in section:
        what = (
            f"the seats of team {shown(section.text('team'))} need a directory of who is in which "
            "team, which this version does not have; write one [[seat]] for each person"
        )
        raise section.fail(what, "team")
    person, plan, price = section.text("person"), section.text("plan"), section.number("price")
    if price > _MOST or price % _SMALLEST:
        what = f"price is {shown(price)}; it takes USD a month, with six decimals at most"
        raise section.fail(what, "price")
    first, last = section.day("from"), section.day("to")
    if first is None:
        raise section.fail("from is missing; it takes the first day of the seat")
    if last is not None and last < first:
        raise section.fail(f"to is {last}, which is before from, {first}", "to")
    return Seat(person, plan, price, first, last, section.line)


COLUMNS = """person VARCHAR, plan VARCHAR, price DECIMAL(38,12), valid_from DATE, valid_to DATE"""
"""Of the table `seats`."""

KEY = "concat_ws(chr(31), person, plan, valid_from::VARCHAR)"
"""SQL over its columns that names a row."""


def rows(seats: tuple[Seat, ...]) -> list[tuple[object, ...]]:
    """The rows of the table `seats`, in column order."""
    return [(seat.person, seat.plan, seat.price, seat.valid_from, seat.valid_to) for seat in seats]


MONTHS = """
    SELECT unnest(generate_series(date_trunc('month', valid_from)::TIMESTAMP,
            least(coalesce(valid_to, newest), newest)::TIMESTAMP, INTERVAL 1 MONTH))::DATE AS month,
        person, plan, price, valid_from
    FROM seats CROSS JOIN (
        SELECT max(day) FILTER (day <= current_date + 1) AS newest FROM usage_slots)"""
"""SELECT of one row for each month of a seat, up to the newest with data; a day of the future is of
a clock that was ahead."""

USAGE_SEATS = f"""
    WITH months AS ({MONTHS}),
    used AS (
        SELECT date_trunc('month', day)::DATE AS month, username AS person,
            sum(cost)::DECIMAL(38,12) AS cost, true AS any
        FROM usage_slots WHERE username IN (SELECT person FROM seats) GROUP BY ALL)
    SELECT month, person, plan, price AS seat_cost,
        CASE WHEN row_number() OVER (
                PARTITION BY month, person ORDER BY valid_from, plan) = 1
            THEN CASE WHEN used.any THEN cost ELSE 0 END
        END::DECIMAL(38,12) AS api_equivalent
    FROM months LEFT JOIN used USING (month, person)"""
"""The view `usage_seats`: one row for each month and seat, up to the newest month with data.

`api_equivalent` is what the person's responses of that month cost by list price, NULL where none of
them has one; of several seats of a person it stands at the first, so that it can be added up.
"""
