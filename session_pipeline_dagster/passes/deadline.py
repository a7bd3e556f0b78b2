"""How long one file may take, and how work that takes longer is ended.

In the main thread of a process an alarm interrupts it: loops, waits, `re`. A worker process that
does not heed that (C code, or code that keeps every exception) ends; `rescue.py` goes on without
it. A thread is given up by `threads.py`. What stays: in the main process, C code that never comes
back; docs/operations.md says what becomes of it.
"""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from session_pipeline_dagster.errors import SettingsError, is_stop
from session_pipeline_dagster.passes.plan import Problem

T = TypeVar("T")

_NAME = "TookTooLong"
_AGAIN = 1.0
"""Seconds until the alarm that was kept by somebody comes again."""
_GRACE = 5.0
"""Seconds that a worker has to heed it."""
LONGEST = 30 * 86_400.0
"""Seconds that a timer takes everywhere."""


class TookTooLong(BaseException):
    """The deadline has passed. No `Exception`: those are what strangers' code keeps."""


def took_too_long(seconds: float) -> Problem:
    """The problem of a file that is not done after so many seconds."""
    return Problem(_NAME, f"took longer than {seconds:g} s; see SESSION_PIPELINE_FILE_SECONDS")


def is_slow(error_class: str) -> bool:
    """Whether a failure is one of a deadline."""
    return error_class == _NAME


def within(seconds: float, step: Callable[[], T]) -> T:
    """What the step returns in time.

    Raises:
        TookTooLong: it did not, whatever it returned or raised then.
        Whatever the step raises in time.
    """
    end = time.monotonic() + seconds
    in_main = threading.current_thread() is threading.main_thread()
    try:
        found = _with_alarm(seconds, step) if in_main else step()
    except BaseException as error:
        if is_stop(error) or isinstance(error, SettingsError) or time.monotonic() < end:
            raise
        raise TookTooLong from None
    if time.monotonic() >= end:
        raise TookTooLong
    return found


def _with_alarm(seconds: float, step: Callable[[], T]) -> T:
    before = signal.getsignal(signal.SIGALRM)
    if before is None:
        # It belongs to C code, and could not be given back.
        return step()

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    def clear() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *others)

    others = signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, ring)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST), _AGAIN)
            return step()
        finally:
            clear()
    finally:
        # Twice: the alarm may have come in the middle of the first one.
        clear()


@contextmanager
def or_end(seconds: float) -> Generator[None]:
    """This process ends if the body takes much longer, also where no Python code is run."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        faulthandler.dump_traceback_later(seconds + _GRACE, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
