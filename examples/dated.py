"""The example sessions as of these days: `python examples/dated.py FOLDER [DAY]`.

Tests and the page beside this file know them by fixed days. Who looks at them sees the last two
weeks filled: every day of theirs is moved by as many days as bring the last one, which ends at
13:04 UTC, to today, or in the morning to yesterday.
Paths and names stay, also those of Codex that say a day (its UUIDs do, too), so that a session that
is moved again replaces its rows and adds none.
"""

import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
LAST = date(2026, 5, 14)
ENDS = timedelta(hours=14)
KEPT = timedelta(days=3)
"""For so long they stay as they are: whoever comes back next day finds what was there."""
_DAY = re.compile(rb"2026-05-\d\d")
_MILLISECONDS = re.compile(rb"(?<!\d)177[789]\d{9}(?!\d)")
_NOTE = "last-day"


def dated(text: bytes, by: timedelta) -> bytes:
    """A file, with every moment of the example days moved."""
    text = _DAY.sub(lambda m: f"{date.fromisoformat(m[0].decode()) + by}".encode(), text)
    return _MILLISECONDS.sub(lambda m: b"%d" % (int(m[0]) + by // timedelta(milliseconds=1)), text)


def make(folder: Path, newest: date) -> None:
    """Make what is missing in the folder or is of days that are over.

    Args:
        newest: the last day that sessions may be of.
    """
    note = folder / _NOTE
    noted = date.fromisoformat(note.read_text()) if note.exists() else date.min
    last = noted if timedelta(0) <= newest - noted <= KEPT else newest
    for template in (*(HERE / "sessions").rglob("*.json*"), HERE / "people.csv"):
        text, made = dated(template.read_bytes(), last - LAST), folder / template.relative_to(HERE)
        if not made.exists() or made.read_bytes() != text:
            made.parent.mkdir(parents=True, exist_ok=True)
            # Never half of a file, for a sensor may look at this moment.
            fresh = made.with_name(f"{made.name}.new")
            fresh.write_bytes(text)
            fresh.replace(made)
    note.write_text(last.isoformat())


if __name__ == "__main__":
    days = [date.fromisoformat(day) for day in sys.argv[2:]]
    make(Path(sys.argv[1]), *(days or [(datetime.now(UTC) - ENDS).date()]))
