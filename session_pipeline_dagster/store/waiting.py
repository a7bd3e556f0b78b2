"""Waiting for who else has the database, and doing again what a broken line to it has cut short."""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from session_pipeline_dagster.errors import StoreBusy, StoreInterrupted

_LONGEST_PAUSE = 0.5
_T = TypeVar("_T")


class Patience:
    """Pauses that grow until a time is over.

    Args:
        timeout: from now on.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._until = time.monotonic() + timeout.total_seconds()
        self._pause = 0.01

    @property
    def left(self) -> timedelta:
        """How much of the time is left."""
        return timedelta(seconds=max(0.0, self._until - time.monotonic()))

    def pause(self) -> bool:
        """Wait a little; False, and no wait, once the time is over."""
        if time.monotonic() >= self._until:
            return False
        # Jitter, so that two waiting processes do not meet again and again.
        time.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311  no secret depends on it
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


def patiently(attempt: Callable[[], _T], timeout: timedelta) -> _T:
    """What the attempt gives, as soon as it is not StoreBusy; that too once the timeout is over."""
    patience = Patience(timeout)
    while True:
        try:
            return attempt()
        except StoreBusy:
            if not patience.pause():
                raise


def until_done(work: Callable[[], _T], timeout: timedelta) -> _T:
    """What the work gives, done again as a whole if its line to the database broke.

    Raises:
        StoreInterrupted: it broke again and again until the timeout was over.
    """
    patience = Patience(timeout)
    while True:
        try:
            return work()
        except StoreInterrupted:
            if not patience.pause():
                raise
