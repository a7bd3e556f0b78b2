"""The seats of a seats.toml: who has a subscription, and what it costs a month.

What they are as SQL, beside the usage, is `seat_sql.py`.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.toml_file import Section

_MOST = Decimal(10) ** 9
_SMALLEST = Decimal(1).scaleb(-6)


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of one person, or one of each member of a team; every month with a day of it costs
    the whole price.

    Attributes:
        person, team: one of the two is None.
        price: USD a month.
        valid_from, valid_to: its first and its last day; None: it has no end.
        line: of its section in the file.
    """

    person: str | None
    plan: str
    price: Decimal
    valid_from: date
    valid_to: date | None = None
    line: int = 0
    team: str | None = None

    @property
    def holder(self) -> str:
        """Whose it is, as a message says it."""
        from session_pipeline_dagster.processors.usage.money.toml_file import shown  # noqa: PLC0415  as above

        return f"team {shown(self.team)}" if self.team else shown(self.person)


def read_seats(path: Path) -> tuple[Seat, ...]:
    """The seats of a file, as they stand.

    Raises:
        SettingsError: the file cannot be used; the message names file and line.
    """
    # Who has no file of seats reads only what they are as SQL.
    from session_pipeline_dagster.processors.usage.money.toml_file import read, shown  # noqa: PLC0415

    document = read(path)
    document.only(arrays=("seat",))
    found: dict[tuple[str | None, str | None, str], list[Seat]] = {}
    seats = []
    for section in document.arrays.get("seat", ()):
        seat = _seat(section)
        others = found.setdefault((seat.person, seat.team, seat.plan), [])
        for other in others:
            if _share_a_month(seat, other):
                what = (
                    f"{seat.holder} has the plan {shown(seat.plan)} in a month of this seat "
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
    # As a directory has it.
    team = normalize("NFC", section.text("team").strip()) if "team" in section else None
    person = None if team else section.text("person")
    plan, price = section.text("plan"), section.number("price")
    if price > _MOST or price % _SMALLEST:
        what = f"price is {shown(price)}; it takes USD a month, with six decimals at most"
        raise section.fail(what, "price")
    first, last = section.day("from"), section.day("to")
    if first is None:
        raise section.fail("from is missing; it takes the first day of the seat")
    if last is not None and last < first:
        raise section.fail(f"to is {last}, which is before from, {first}", "to")
    return Seat(person, plan, price, first, last, section.line, team)


def rows(seats: tuple[Seat, ...]) -> list[tuple[object, ...]]:
    """The rows of the table `seats`, in column order."""
    return [
        (seat.person, seat.plan, seat.price, seat.valid_from, seat.valid_to, seat.team)
        for seat in seats
    ]
