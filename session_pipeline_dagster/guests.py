"""What strangers' code may do to us: whatever it raises is one thing that failed.

And what it or its child processes print goes to stderr, because stdout is for what a command was
asked for.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO

from session_pipeline_dagster.errors import (
    ContractError,
    Deferred,
    Permanent,
    PipelineError,
    Retryable,
    is_stop,
    kind_of,
    message_of,
    where,
)


@contextmanager
def hosting(what: str) -> Generator[None]:
    """Strangers' code runs in the body.

    Raises:
        ContractError: it raised something else than our own errors; says what, and where, and
            nothing of its message, which may quote a transcript. Or one that is said of a file,
            which means nothing here.
    """
    try:
        with aside():
            yield
    except (Permanent, Retryable, Deferred) as error:
        raise ContractError(f"{what} raised {kind_of(error)}: {message_of(error)}") from None
    except PipelineError:
        raise
    except BaseException as error:
        if is_stop(error):
            raise
        raise ContractError(f"{what} raised {kind_of(error)}{where(error)}") from None


class _Stdout:
    """Descriptor 1 and `sys.stdout` of this process; both lead to stderr while anyone is inside."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._descriptor: int | None = None
        self._stream: TextIO | None = None

    def leave_alone(self) -> None:
        """One more is inside."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                _flush(sys.stdout)
                self._stream, sys.stdout = sys.stdout, sys.stderr
                self._descriptor = _led_to_stderr()

    def give_back(self) -> None:
        """One less is inside; after the last one it is as it was."""
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            if self._stream is not None:
                # Whoever kept the stream, or prints from C, may have left something in a buffer.
                _flush(self._stream)
                sys.stdout = self._stream
            if self._descriptor is not None:
                # What C code has printed and not written yet.
                ctypes.CDLL(None).fflush(None)
                os.dup2(self._descriptor, 1)
                os.close(self._descriptor)
            self._stream = self._descriptor = None


_STDOUT = _Stdout()


@contextmanager
def aside() -> Generator[None]:
    """What is printed in the body goes to stderr: also by child processes and by C code."""
    _STDOUT.leave_alone()
    try:
        yield
    finally:
        _STDOUT.give_back()


def _flush(stream: TextIO | None) -> None:
    # A daemon has none, a closed pipe takes nothing.
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.flush()


def _led_to_stderr() -> int | None:
    """A copy of descriptor 1, which is now stderr's; None where one of them is closed."""
    try:
        kept = os.dup(1)
    except OSError:
        return None
    try:
        os.dup2(2, 1)
    except OSError:
        os.close(kept)
        return None
    return kept
