"""How the lines of a history say their time. No count may hang on it."""

import random
from datetime import datetime, timedelta

TIMES = ("own", "own", "same", "missing", "some missing", "shuffled")


def stamp(times: str, rng: random.Random, clock: datetime) -> str | None:
    """The `timestamp` of a line that is written at a time; None = it has none."""
    if times == "missing" or (times == "some missing" and rng.random() < 0.3):
        return None
    if times == "same":
        clock = clock.replace(hour=10, minute=0, second=0, microsecond=0)
    if times == "shuffled":
        clock += timedelta(minutes=rng.randint(-600, 600))
    return clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
